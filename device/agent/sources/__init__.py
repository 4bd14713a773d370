"""Where a device of this computer takes its samples from (sampling.py says what a source is); nothing is for boards.

A source refuses when it is opened, with ValueError or OSError, and invents nothing afterwards: a reading that fails is
an OSError, which the sampler counts.
"""

from pathlib import Path

from ..sampling import SAMPLE_MS, LinkSource
from .files import Recording, Sound, Waves
from .linux import Iio, Load, Thermal

KINDS = "waves, link, thermal, load, iio:DEVICE, csv:FILE, wav:FILE"

NAME_BYTES = 48


def open_source(text, root="/", sample_ms=SAMPLE_MS):
    """The source that text names, one of KINDS; root: the folder that holds sys and proc; sample_ms: the model's.

    Raises:
        ValueError: no such kind or device, or a file that holds something else. OSError: it cannot be read.
    """
    kind, _, place = text.partition(":")
    devices = {"thermal": Thermal, "load": Load}
    if kind == "csv" and place:
        return Recording(place)
    if kind == "wav" and place:
        return Sound(place, sample_ms)
    if kind == "iio" and place:
        return Iio(Path(root), place)
    if kind in devices and not place:
        return devices[kind](Path(root))
    if text in ("waves", "link"):
        return Waves() if text == "waves" else LinkSource()
    raise ValueError(f"source: got {text!r}, wanted one of {KINDS}")


def short(name, suffix=""):
    """A source's name as an announce takes it, printable, at most 48 bytes; what is too long is cut before suffix."""
    shown = "".join(character if character.isprintable() else "?" for character in name)
    room = NAME_BYTES - len(suffix.encode())
    return shown.encode(errors="replace")[:room].decode(errors="ignore") + suffix
