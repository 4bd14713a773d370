"""Whole models: MLPerf Tiny's two, where their files are, on 1,000 inputs, two of the shapes of its others on 200. The
arena is within what TensorFlow Lite Micro needs for them."""

import os
import random
from pathlib import Path

import pytest

from device.native.shared import Model
from models.artifact import compile_model, macs
from models.export import write_chain
from tests.models.test_int8 import random_windows, run_ours, run_reference
from tests.tiny_models import mobilenet, resnet8

FOLDERS = [Path(path) for path in os.environ.get("TINYREN_MLPERF_TINY", "").split(":") if path]
# file or shape: inputs, arena bytes at most (of TFLM's; keyword spotting half), multiply-accumulates
WHOLE = {
    "kws_ref_model.tflite": (1000, 22800 // 2, 2_656_768),
    "ad01_int8.tflite": (1000, 2600, 264_192),
    "ResNet-8": (200, 55000, 12_501_632),
    "MobileNet 0.25": (200, 104000, 7_489_664),
}


def read(name):
    """Content of a model and the shape of its window."""
    made = {"ResNet-8": resnet8, "MobileNet 0.25": mobilenet}.get(name)
    if made:
        source, steps = made()
        return write_chain(source, steps), source.shape
    path = next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)
    if path is None:
        pytest.skip(f"{name} is not in TINYREN_MLPERF_TINY, the folders of MLPerf Tiny's models")
    content = path.read_bytes()
    return content, (Model(compile_model(content)).input_bytes,)


@pytest.mark.parametrize("name", WHOLE)
def test_all_outputs_are_the_reference_resolvers_and_the_arena_is_small(name):
    content, shape = read(name)
    inputs, arena_bytes, count = WHOLE[name]
    windows = random_windows(random.Random(name), shape, inputs)

    outputs = run_ours(content, windows)

    assert outputs == run_reference(content, windows)
    assert len(set(outputs)) > 4
    assert Model(compile_model(content)).arena_bytes <= arena_bytes
    assert macs(content) == count


def test_the_same_model_gives_the_same_artifact():
    content, _ = read("ResNet-8")
    assert compile_model(content) == compile_model(write_chain(*resnet8()))
