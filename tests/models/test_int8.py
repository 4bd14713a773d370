"""The int8 kernels against tflite-runtime's reference resolver, byte for byte: small random models of each operator."""

import random

import numpy as np
import pytest
from tflite_runtime.interpreter import Interpreter, OpResolverType

from device.native.shared import Model
from models.artifact import compile_model
from models.export import write_chain
from tests.int8_operators import OPERATORS

MODELS, INPUTS = 40, 12


def run_reference(content, windows):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outs = []
    for window in windows:
        interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
        interpreter.invoke()
        outs.append(interpreter.get_tensor(target["index"]).tobytes())
    return outs


def run_ours(content, windows):
    model = Model(compile_model(content))
    outs, out = [], bytearray(model.output_bytes)
    for window in windows:
        model.run(window.tobytes(), out)
        outs.append(bytes(out))
    return outs


def random_windows(rng, shape, count):
    """The first holds only -128, the second only 127, the third counts up."""
    windows = np.random.default_rng(rng.getrandbits(32)).integers(-128, 128, (count, *shape), dtype=np.int8)
    windows[0], windows[1] = -128, 127
    windows[2] = (np.arange(windows[2].size) % 256 - 128).reshape(shape)
    return list(windows)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_byte_is_the_reference_resolvers(name):
    rng = random.Random(name)
    for index in range(MODELS):
        source, steps = OPERATORS[name](rng)
        content = write_chain(source, steps)
        windows = random_windows(rng, source.shape, INPUTS)
        assert run_ours(content, windows) == run_reference(content, windows), f"{name}, model {index}"
