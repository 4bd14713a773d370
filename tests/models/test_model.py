"""The shipped encoder and its artifact: same bytes as the reference, compiled again to the same bytes; and nothing that
is not a whole, fitting artifact runs."""

import hashlib
import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import tflite

from device.native.shared import Model
from gateway.storage.cid import decode_text, encode_text
from models.artifact import compile_model
from models.frozen import frozen_module
from models.graph import ModelRefused
from tests.models.test_int8 import run_ours, run_reference
from tests.models.test_model_on_boards import WINDOWS, windows

ROOT = Path(__file__).parents[2]
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
    assert names["SAMPLE_MS"] == FACTS["sample_ms"] == 50
    with pytest.raises(ValueError, match="wanted b'REN3'"):
        frozen_module(TFLITE, "{}")
    with pytest.raises(ValueError, match="digest does not match"):
        frozen_module(ARTIFACT[:100] + b"?" + ARTIFACT[101:], "{}")


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
    "operator": (lambda m: field(m.OperatorCodes(1), 0, "<b"), 5, "operator 1 DEPTH_TO_SPACE version 3: wanted one of"),
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
