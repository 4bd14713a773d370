"""The shipped encoder and its artifact: same bytes as the reference, compiled and trained again to the same bytes; and
nothing that is not a whole, fitting artifact runs."""

import hashlib
import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tflite

from device.native.shared import FOLDER, ArtifactError, Model
from gateway.storage.cid import decode_text, encode_text
from models.artifact import HEADER, RECORD, compile_model
from models.frozen import frozen_module
from models.graph import ModelRefused
from tests.test_int8 import run_ours, run_reference
from tests.test_model_on_boards import WINDOWS, windows

ROOT = Path(__file__).resolve().parents[1]
HOST = ROOT / "models" / "host"
TFLITE = (HOST / "encoder.tflite").read_bytes()
ARTIFACT = (HOST / "encoder.ren").read_bytes()
FACTS = json.loads((HOST / "host.json").read_text())
FIGURES = json.loads((HOST / "figures.json").read_text())


def test_the_encoder_gives_the_reference_resolvers_bytes_on_1000_windows():
    inputs = [np.frombuffer(window, np.int8) for window in windows()]

    assert len(inputs) == WINDOWS == 1000
    assert run_ours(TFLITE, inputs) == run_reference(TFLITE, inputs)


def test_the_committed_artifact_is_what_the_committed_model_compiles_to():
    assert compile_model(TFLITE) == ARTIFACT


def test_the_artifact_names_its_model_by_cid_and_the_cid_has_one_text():
    cid = Model(ARTIFACT).cid

    assert cid == bytes.fromhex("01551220") + hashlib.sha256(TFLITE).digest()
    assert FACTS["model"] == FIGURES["model"] == encode_text(cid)
    assert decode_text(encode_text(cid)) == cid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        FACTS["model"][:-1],
        FACTS["model"] + "a",
        FACTS["model"].upper(),
        "z" + FACTS["model"][1:],
        FACTS["model"][:-1] + "0",
        FACTS["model"][:-1] + chr(ord(FACTS["model"][-1]) + 1),
        "bafybei" + FACTS["model"][7:],
        FACTS["model"][:-1] + "é",
    ],
)
def test_another_text_is_no_cid(text):
    with pytest.raises(ValueError, match="cid"):
        decode_text(text)


def test_the_frozen_module_holds_artifact_offsets_and_shifts():
    names = {}
    exec(frozen_module(ARTIFACT, (HOST / "host.json").read_text()), names)

    assert names["ARTIFACT"] == ARTIFACT
    assert (list(names["OFFSETS"]), list(names["SHIFTS"])) == (FACTS["offsets"], FACTS["shifts"])
    with pytest.raises(ValueError, match="wanted b'REN1'"):
        frozen_module(TFLITE, "{}")


def test_training_again_gives_the_same_bytes_here_or_the_same_figures_elsewhere(tmp_path):
    command = [sys.executable, "-m", "models.train", "host", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    again = json.loads((tmp_path / "figures.json").read_text())
    for name, figure in FIGURES["figures"].items():
        near = {"abs": FIGURES["tolerance"]["auc"]} if "auc" in name else {"rel": FIGURES["tolerance"]["relative"]}
        assert again["figures"][name] == pytest.approx(figure, **near), name
    if again["platform"] == FIGURES["platform"]:
        for path in tmp_path.iterdir():
            assert path.read_bytes() == (HOST / path.name).read_bytes(), path.name


# Refused by the compiler


def patched(place, value):
    content = bytearray(TFLITE)
    at, form = place(tflite.Model.GetRootAs(TFLITE, 0))
    struct.pack_into(form, content, at, value)
    return bytes(content)


def field(table, slot, form):
    """Where a table's field lies: slot counts from 0 in the schema's order."""
    return table._tab.Pos + table._tab.Offset(4 + 2 * slot), form


def element(table, slot, index, form):
    return table._tab.Vector(table._tab.Offset(4 + 2 * slot)) + index * struct.calcsize(form), form


def tensor(model, name):
    subgraph = model.Subgraphs(0)
    return next(t for t in map(subgraph.Tensors, range(subgraph.TensorsLength())) if t.Name() == name)


def options(model, kind, operator):
    raw, table = model.Subgraphs(0).Operators(operator).BuiltinOptions(), kind()
    table.Init(raw.Bytes, raw.Pos)
    return table


REFUSED = {
    "softmax": (lambda m: field(m.OperatorCodes(1), 0, "<b"), 25, "operator 1 SOFTMAX version 3: wanted one of"),
    "version": (lambda m: field(m.OperatorCodes(0), 2, "<i"), 9, "operator 0 CONV_2D version 9: wanted version 3"),
    "float": (lambda m: field(tensor(m, b"input"), 1, "<b"), 1, "operator 0 .* int8 activation"),
    "batch": (lambda m: element(tensor(m, b"input"), 0, 0, "<i"), 2, r"operator 0 .* wanted \[1, h, w, c\]"),
    "zero point": (lambda m: element(tensor(m, b"0.w").Quantization(), 3, 0, "<q"), 3, "weights 0.w are not symmetric"),
    "scale": (lambda m: element(tensor(m, b"1").Quantization(), 2, 0, "<f"), -1.0, r"tensor 1: scales \(-1.0,\)"),
    "activation": (lambda m: field(options(m, tflite.Conv2DOptions, 0), 3, "<b"), 4, "fused activation 4"),
    "stride": (lambda m: field(options(m, tflite.Conv2DOptions, 0), 2, "<i"), 1, "do not give"),
    "output read": (lambda m: element(m.Subgraphs(0), 2, 0, "<i"), 0, "reads the model's output|nothing between"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_model_outside_the_set_is_refused_by_name(case):
    place, value, message = REFUSED[case]
    with pytest.raises(ModelRefused, match=message):
        compile_model(patched(place, value))


def test_bytes_that_are_no_model_are_refused_whatever_they_are():
    rng = random.Random(3)
    for _ in range(400):
        content = bytearray(TFLITE)
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        content = bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
        try:
            artifact = compile_model(content)
        except ModelRefused:
            continue
        Model(artifact)


# Refused by the device


def with_header(**fields):
    names = ("magic", "size", "layers", "input", "output", "arena", "cid")
    values = dict(zip(names, HEADER.unpack_from(ARTIFACT), strict=True)) | fields
    return HEADER.pack(*values.values()) + ARTIFACT[HEADER.size :]


def record(layer, at):
    return HEADER.size + layer * RECORD.size + at


def with_bytes(at, form, *values):
    content = bytearray(ARTIFACT)
    struct.pack_into(form, content, at, *values)
    return bytes(content)


def with_record(layer, at, form, *values):
    return with_bytes(record(layer, at), form, *values)


(FIRST_CHANNELS,) = struct.unpack_from("<I", ARTIFACT, record(0, 44))
(SECOND_SOURCE,) = struct.unpack_from("<I", ARTIFACT, record(1, 28))


BAD = {
    "empty": (b"", "as long as"),
    "cut": (ARTIFACT[:-1], "as long as"),
    "too long": (ARTIFACT + b"\0", "as long as"),
    "magic": (with_header(magic=b"REN2"), "REN1"),
    "no layers": (with_header(layers=0), "no layer"),
    "layers beyond the end": (with_header(layers=1 << 30), "as long as"),
    "no window": (with_header(input=0), "empty or too large"),
    "arena of 4 GiB": (with_header(arena=0xFFFFFFFF), "too large"),
    "arena one too small": (with_header(arena=FIGURES["facts"]["arena_bytes"] - 1), "outside its arena"),
    "another window": (with_header(input=127), "outside its arena"),
    "kind 4": (with_record(0, 0, "<B", 4), "unknown kind"),
    "kernel of 0": (with_record(0, 8, "<B", 0), "do not fit"),
    "stride of 0": (with_record(0, 10, "<B", 0), "do not fit"),
    "more output channels than depthwise input": (with_record(1, 26, "<H", 9), "do not fit"),
    "clamp upside down": (with_record(0, 3, "<bb", 1, 0), "do not fit"),
    "destination beyond the arena": (with_record(0, 32, "<I", 0xFFFFFFFE), "outside its arena"),
    "destination over source": (with_record(1, 32, "<I", SECOND_SOURCE), "outside its arena"),
    "no scratch": (with_record(0, 36, "<I", 0xFFFFFFFF), "outside its arena"),
    "weights beyond the end": (with_record(0, 40, "<I", len(ARTIFACT) - 4 & ~3), "weights outside"),
    "weights at an odd place": (with_record(0, 40, "<I", 397), "weights outside"),
    "negative multiplier": (with_bytes(FIRST_CHANNELS + 4, "<i", -1), "multiplier below 0"),
    "shift of 31": (with_bytes(FIRST_CHANNELS + 8, "<i", 31), "shift outside"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_artifacts_are_refused_with_the_reason(case):
    artifact, message = BAD[case]
    with pytest.raises(ArtifactError, match=message):
        Model(artifact)


@pytest.mark.parametrize("window, out", [(127, 16), (129, 16), (0, 16), (128, 15), (128, 17)])
def test_a_window_or_out_of_another_length_leaves_out_as_it_was(window, out):
    target = bytearray(b"\x55" * out)
    with pytest.raises(ValueError, match="got .* bytes, wanted"):
        Model(ARTIFACT).run(bytes(window), target)
    assert target == b"\x55" * out


# Runs every artifact of standard input (u32 length, bytes) that the check lets pass, each buffer exactly as long as it
# must be and at an odd address, and prints how many there were.
HARNESS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"
static uint8_t *odd(size_t size) { return (uint8_t *)malloc(size + 1) + 1; }
int main(void) {
    uint32_t size; int ran = 0; ren_model_facts facts;
    while (fread(&size, 4, 1, stdin) == 1) {
        uint8_t *artifact = odd(size);
        if (fread(artifact, 1, size, stdin) != size) return 2;
        if (ren_model_check(artifact, size) == REN_OK) {
            ren_model_info(artifact, &facts);
            if (facts.arena_bytes + facts.input_bytes + facts.output_bytes < 100000) {
                uint8_t *in = odd(facts.input_bytes), *out = odd(facts.output_bytes), *arena = odd(facts.arena_bytes);
                memset(in, 0x80, facts.input_bytes);
                memset(arena, 0, facts.arena_bytes);
                ren_model_run(artifact, (int8_t *)in, (int8_t *)out, arena);
                ran++;
                free(in - 1); free(out - 1); free(arena - 1);
            }
        }
        free(artifact - 1);
    }
    printf("%d\n", ran);
    return 0;
}
"""


def mutated(rng):
    """ARTIFACT with a few bytes, mostly of header and records, replaced by edge values or noise; sometimes cut."""
    content = bytearray(ARTIFACT)
    records = HEADER.size + RECORD.size * 6
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(8, records) if rng.random() < 0.8 else rng.randrange(len(content))
        content[at] = rng.choice([0, 1, 2, 127, 128, 255, rng.randrange(256)])
    if rng.random() < 0.05:
        content = content[: rng.randrange(len(content))]
        if len(content) >= HEADER.size:
            struct.pack_into("<I", content, 4, len(content))
    return bytes(content)


def test_no_artifact_that_passes_the_check_leaves_its_buffers(tmp_path):
    (tmp_path / "harness.c").write_text(HARNESS)
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{FOLDER}"]
    sources = [tmp_path / "harness.c", FOLDER / "int8.c", FOLDER / "model.c"]
    subprocess.run([os.environ.get("CC", "cc"), *flags, *sources, "-o", tmp_path / "harness"], check=True)
    rng = random.Random(11)
    artifacts = [artifact for artifact, _ in BAD.values()] + [mutated(rng) for _ in range(6000)]

    done = subprocess.run(
        [tmp_path / "harness"], capture_output=True, input=b"".join(struct.pack("<I", len(a)) + a for a in artifacts)
    )

    assert done.returncode == 0, done.stderr.decode()[:2000]
    assert int(done.stdout) > 500
