"""`tinyren model train --parameters-only` and `model export`: one training, two steps; the same files as in one step;
parameters that are cut, foreign or of another model are refused before anything is written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli import main
from gateway.storage.cid import cid_of, encode_text
from models import trained
from models.recipe import describe_platform
from models.train import RECIPES, find_recipe
from models.trained import FACTS, PARAMETERS, ParametersRefused

MODELS = Path(__file__).parents[2] / "models"
HOST = MODELS / "host"


def command(*words):
    """One `tinyren model` in a process of its own (JAX reads its flags once): (exit code, stdout, lines on stderr)."""
    line = [sys.executable, "-m", "gateway.cli", "model", *map(str, words)]
    done = subprocess.run(line, cwd=MODELS.parent, capture_output=True, text=True)
    if done.returncode == 2 and "pip cannot get it" in done.stderr:
        pytest.skip(done.stderr.strip())
    return done.returncode, done.stdout, done.stderr.splitlines()


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["host"])
def test_an_export_of_the_committed_parameters_gives_the_committed_files_here_and_their_figures_elsewhere(
    name, tmp_path
):
    code, printed, said = command("export", name, "--out", tmp_path, "--json")

    assert code == 0 and [line for line in said if f"exporting {name} 100 %" in line]
    result, figures = json.loads(printed), json.loads((tmp_path / "figures.json").read_text())
    assert result["figures"] == figures
    assert result["files"] == {str(path): path.stat().st_size for path in tmp_path.iterdir()}
    assert names(tmp_path) == names(MODELS / name) & names(tmp_path)
    assert {"encoder.tflite", "encoder.ren", "card.md", "curves.svg", f"{name}.json"} < names(tmp_path)
    committed = json.loads((MODELS / name / "figures.json").read_text())
    assert figures["windows"]["identical"] == figures["windows"]["compared"]
    if figures["platform"] == committed["platform"]:
        assert all(path.read_bytes() == (MODELS / name / path.name).read_bytes() for path in tmp_path.iterdir())


def trained_files(folder):
    return {name: (folder / name).read_bytes() for name in (PARAMETERS, FACTS)}


def train_host(folder):
    code, printed, said = command("train", "host", "--parameters-only", "--out", folder)
    assert code == 0 and [line for line in said if "training host 100 %" in line]
    assert names(folder) == {PARAMETERS, FACTS} and printed.count(" bytes\n") == 2
    return trained_files(folder)


def test_training_again_on_the_same_machine_gives_the_same_parameters_and_names_it(tmp_path):
    committed, one = trained_files(HOST), train_host(tmp_path / "one")

    assert json.loads(one[FACTS])["platform"] == describe_platform()
    is_same_machine = json.loads(committed[FACTS])["platform"] == describe_platform()
    assert one == (committed if is_same_machine else train_host(tmp_path / "two"))


@pytest.mark.parametrize("name", RECIPES)
def test_figures_and_card_name_the_machine_that_trained(name):
    folder = MODELS / name
    facts, figures = (json.loads((folder / file).read_text()) for file in (FACTS, "figures.json"))

    assert facts["platform"] == figures["trained_on"] and facts["losses"] == figures["losses"]
    assert facts["platform"]["cpu"] in " ".join((folder / "card.md").read_text().split())


def broken(folder, file, change):
    """A copy of the shipped parameters in which one file is changed."""
    for name in (PARAMETERS, FACTS):
        shutil.copyfile(HOST / name, folder / name)
    content = change((HOST / file).read_bytes())
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    return folder


def with_fact(name, value):
    return lambda content: json.dumps({**json.loads(content), name: value}).encode()


def with_nan(content):
    return np.float32("nan").tobytes() + content[4:]


REFUSED = {
    "short": (PARAMETERS, lambda content: content[:-4], "got 47196 bytes, wanted 47200 of host"),
    "long": (PARAMETERS, lambda content: content + b"0" * 9000, "got 47201 bytes, wanted 47200"),
    "empty": (PARAMETERS, lambda _: b"", "got 0 bytes"),
    "no numbers": (PARAMETERS, with_nan, "wanted finite ones"),
    "other bytes": (PARAMETERS, lambda content: content[::-1], "got another CID than|wanted finite ones"),
    "another training": (FACTS, with_fact("parameters", "bafk"), "parameters: got another CID than bafkrei"),
    "no parameters": (PARAMETERS, lambda _: None, "No such file"),
    "no facts": (FACTS, lambda _: None, "No such file"),
    "no JSON": (FACTS, lambda content: content[:-3], "wanted JSON with parameters, losses and platform"),
    "a list": (FACTS, lambda _: b"[]", "wanted JSON"),
    "deep": (FACTS, lambda _: b"[" * 60_000, "wanted JSON"),
    "no losses": (FACTS, with_fact("losses", [0.1] * 9), "losses: wanted 10 finite numbers"),
    "a loss of text": (FACTS, with_fact("losses", [0.1] * 9 + ["a"]), "losses: wanted 10"),
    "infinite": (FACTS, with_fact("losses", [0.1] * 9 + [float("inf")]), "losses: wanted 10"),
    "platform": (FACTS, with_fact("platform", {"cpu": "a"}), "platform: wanted cpu, python, jax, jaxlib, numpy"),
    "a line": (FACTS, with_fact("platform", {**describe_platform(), "cpu": "a\nb"}), "platform: wanted cpu, "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parameters_that_are_not_this_models_are_refused_and_nothing_is_written(case, tmp_path, capsys):
    file, change, message = REFUSED[case]
    folder, out = broken(tmp_path, file, change), tmp_path / "out"

    with pytest.raises((ParametersRefused, FileNotFoundError), match=message):
        trained.read(find_recipe("host"), folder)
    assert main(["model", "export", "host", "--parameters", str(folder), "--out", str(out)]) in (1, 2)

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("tinyren: ") and len(lines[0]) < 450
    assert not out.exists()


@pytest.mark.parametrize("factor, message", [
    (0.0, "tinyren: CONV_2D: outputs: got 0 to 0, wanted finite ones that differ"),
    (1e30, "tinyren: DEPTHWISE_CONV_2D: outputs: got nan to nan, "),
    (1e-30, "tinyren: CONV_2D: biases: got "),
])  # fmt: skip
def test_parameters_that_int8_cannot_hold_are_refused_in_one_line(factor, message, tmp_path, capsys):
    values = np.frombuffer((HOST / PARAMETERS).read_bytes(), "<f4") * np.float32(factor)
    found = trained.read(find_recipe("host"), HOST)
    facts = {"parameters": encode_text(cid_of(values.tobytes())), "losses": found.losses, "platform": found.platform}
    (tmp_path / PARAMETERS).write_bytes(values.tobytes())
    (tmp_path / FACTS).write_text(json.dumps(facts))
    out = tmp_path / "out"

    assert main(["model", "export", "host", "--parameters", str(tmp_path), "--out", str(out)]) == 2

    lines = [line for line in capsys.readouterr().err.splitlines() if "tinyren: " in line]
    assert len(lines) == 1 and lines[0].startswith(message) and not out.exists()


def test_parameters_of_one_model_are_none_of_another():
    with pytest.raises(ParametersRefused, match="wanted .* of motion"):
        trained.read(find_recipe("motion"), HOST)


def test_parameters_come_back_as_they_were_written(tmp_path):
    found = trained.read(find_recipe("host"), HOST)

    assert trained.write(found) == {name: (HOST / name).read_bytes() for name in (PARAMETERS, FACTS)}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(content=st.binary(max_size=400) | st.recursive(
    st.none() | st.floats() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=11) | st.dictionaries(
        st.sampled_from(["parameters", "losses", "platform", "cpu"]), inner, max_size=4), max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_the_facts_hold_is_refused_or_read(content, tmp_path_factory):
    folder = broken(tmp_path_factory.mktemp("facts"), FACTS, lambda _: content)

    with pytest.raises(ParametersRefused):
        trained.read(find_recipe("host"), folder)


@pytest.mark.parametrize("verb", ["train", "export"])
def test_a_recipe_that_there_is_not_is_refused(verb, capsys, tmp_path):
    assert main(["model", verb, "nothing", "--out", str(tmp_path / "out")]) == 2
    assert "model: got 'nothing', wanted one of host" in capsys.readouterr().err and not (tmp_path / "out").exists()
