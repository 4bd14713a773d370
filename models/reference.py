"""What a .tflite gives in tflite-runtime 2.14's reference kernels (BUILTIN_REF); refuses any other version of it.

It runs in a process of its own (`python -m models.reference SEED COUNT`, model on stdin, outputs on stdout), its memory
limited: a file that passed our own checks may still end tflite-runtime by a signal, and must not end its caller.
Source for the choice: tflite-runtime's other resolvers give other bytes for a part of all inputs.
"""

import importlib.metadata
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from models.inputs import make_inputs

NAME = "tflite-runtime 2.14.0 BUILTIN_REF"
VERSION = "2.14.0"
MEMORY_BYTES = 4 << 30
TIMEOUT_S = 1800


class ReferenceFailed(ValueError):
    """The reference is missing, or did not run the model; one line."""


def demand_reference():
    """Raises ReferenceFailed unless tflite-runtime 2.14.0 is installed."""
    try:
        found = importlib.metadata.version("tflite-runtime")
    except importlib.metadata.PackageNotFoundError:
        raise ReferenceFailed("tflite-runtime is not installed: pip install tinyren[models]") from None
    if found != VERSION:
        raise ReferenceFailed(f"tflite-runtime: got {found}, wanted {VERSION}: pip install tinyren[models]")


def reference_outputs(content, seed, count, output_bytes):
    """Outputs of the seeded inputs, int8[count, output_bytes]; raises ReferenceFailed."""
    demand_reference()
    command = [sys.executable, "-m", "models.reference", str(seed), str(count)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, input=content, capture_output=True, cwd=root, timeout=TIMEOUT_S)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise ReferenceFailed(f"{NAME} ended with {done.returncode}: {lines[-1]}")
    if len(done.stdout) != count * output_bytes:
        raise ReferenceFailed(f"{NAME}: got {len(done.stdout)} bytes, wanted {count} outputs of {output_bytes}")
    return np.frombuffer(done.stdout, np.int8).reshape(count, output_bytes)


def main(seed, count):
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    content = sys.stdin.buffer.read()
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for window in make_inputs(int(np.prod(source["shape"])), seed, count):
        interpreter.set_tensor(source["index"], np.frombuffer(window, np.int8).reshape(source["shape"]))
        interpreter.invoke()
        sys.stdout.buffer.write(interpreter.get_tensor(target["index"]).tobytes())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
