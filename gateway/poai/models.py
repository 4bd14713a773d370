"""The models whose work can be checked here: artifacts by the CID that devices sign, run by the device's own C."""

import functools
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from device.agent.sampling import kept_inferences
from device.native.shared import ArtifactError, Model, NativeError
from gateway.errors import CommandError, Exit
from gateway.poai.verdict import Run

SHIPPED = tuple(sorted((Path(__file__).resolve().parents[2] / "models").glob("*/encoder.ren")))


@dataclass(frozen=True)
class Models:
    """By model CID (36 bytes): how many inferences of a heartbeat a device keeps, the model itself, and bytes of its
    input and output.
    """

    kept: Mapping[bytes, int]
    runs: Mapping[bytes, Run]
    sizes: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)


def load(paths: Iterable[Path] = SHIPPED) -> Models:
    """Load artifacts (`tinyren model compile`).

    Raises:
        CommandError: one cannot be read or is refused, or there is no C compiler to build the runner.
    """
    kept, runs, sizes = dict[bytes, int](), dict[bytes, Run](), dict[bytes, tuple[int, int]]()
    for path in paths:
        try:
            model = Model(path.read_bytes())
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}; wanted an artifact", Exit.USAGE) from error
        except ArtifactError as error:
            raise CommandError(f"{path}: {error}; wanted an artifact of `tinyren model compile`", Exit.USAGE) from error
        except NativeError as error:
            raise CommandError(f"{error}", Exit.USAGE) from error
        kept[model.cid] = kept_inferences(model.input_bytes, model.output_bytes)
        runs[model.cid] = _runner(model)
        sizes[model.cid] = model.input_bytes, model.output_bytes
    return Models(kept, runs, sizes)


@functools.cache
def shipped() -> Models:
    """The models whose work counts in every epoch: those of this version, so that all oracles have the same."""
    return load()


def _runner(model: Model) -> Run:
    lock = threading.Lock()

    def run(window: bytes) -> bytes:
        output = bytearray(model.output_bytes)
        with lock:
            model.run(window, output)
        return bytes(output)

    return run
