"""Runs a .tflite with tflite-runtime's fastest kernels, on CPython only: nothing that it gives is attested.

Those kernels give other bytes on other machines, so its outputs enter no chain (sampling.py looks at is_attested). It
refuses models that are not int8 with one input and one output.
"""

import hashlib

CID_PREFIX = bytes((0x01, 0x55, 0x12, 0x20))


class FastModel:
    """A .tflite file as the sampler runs models; cid: 36 bytes, its binary CIDv1."""

    is_attested = False

    def __init__(self, content):
        """content: bytes of a .tflite file. Raises ValueError: refused, or no tflite-runtime."""
        try:
            import numpy
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise ValueError(f"{error.name} is not installed: pip install tinyren[models]") from error
        try:
            self._interpreter = Interpreter(model_content=content)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"model: {' '.join(str(error).split())[:200]}") from error
        sources, targets = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if [tensor["dtype"] for tensor in sources + targets] != [numpy.int8] * 2:
            raise ValueError("model: wanted one int8 input and one int8 output")
        self._source, self._target, self._numpy = sources[0], targets[0], numpy
        self.input_bytes = int(numpy.prod(self._source["shape"]))
        self.output_bytes = int(numpy.prod(self._target["shape"]))
        self.cid = CID_PREFIX + hashlib.sha256(content).digest()

    def run(self, window, out):
        """As device.native.shared.Model.run, but the bytes may differ from machine to machine."""
        values = self._numpy.frombuffer(window, self._numpy.int8).reshape(self._source["shape"])
        self._interpreter.set_tensor(self._source["index"], values)
        self._interpreter.invoke()
        out[:] = self._interpreter.get_tensor(self._target["index"]).tobytes()
