"""Instructions per multiply-accumulate on the emulated cores, which do not depend on the machine below: no more than
was wanted, and at most 0.8 of what TensorFlow Lite Micro takes. ResNet-8 is in shape only, with random weights."""

import pytest

from boards.board import board_names
from gateway.benchmarks.models import TFLM, WANTED, WANTED_OF_ANY
from models.check import check_model
from models.export import write_chain
from models.qualify import further_models, shipped_models
from tests.tiny_models import resnet8


def read(name):
    if name == "pretrainedResnet_quant":
        return write_chain(*resnet8())
    found = [path for path in further_models() if path.stem == name]
    if not found:
        pytest.skip(f"{name}.tflite is not in TINYREN_MLPERF_TINY, the folders of MLPerf Tiny's models")
    return found[0].read_bytes()


@pytest.mark.parametrize("name", WANTED)
def test_a_public_model_takes_no_more_than_was_wanted_and_less_than_tflm(name):
    result = check_model(read(name), board_names(), 1, 1, lambda *_: None)

    ran = {row["core"]: row["instructions_per_mac"] for row in result["boards"] if "skipped" not in row}
    assert ran.keys() >= {"Cortex-M3", "Cortex-M4", "Cortex-M7", "RV32IMAC"}
    for core, per_mac in ran.items():
        assert per_mac <= (WANTED[name] | WANTED_OF_ANY)[core], core
        assert core not in TFLM[name] or per_mac <= 0.8 * TFLM[name][core], core
    assert result["arena_bytes"] <= TFLM[name]["arena_bytes"]


@pytest.mark.parametrize("path", shipped_models(), ids=lambda path: path.parent.name)
def test_a_shipped_model_takes_no_more_than_was_wanted_of_any_where_nothing_multiplies_in_pairs(path):
    result = check_model(path.read_bytes(), ["qemu_microbit", "qemu_virt_rv32"], 1, 1, lambda *_: None)

    assert {row["core"] for row in result["boards"]} == WANTED_OF_ANY.keys()
    for row in result["boards"]:
        assert row["identical"] and row["instructions_per_mac"] <= WANTED_OF_ANY[row["core"]], row
