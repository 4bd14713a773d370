"""Samples that are no live sensor's: computed waves, a recording, a microphone's file. Their names say what they are.

A recording is played again and again, a row whenever a sample is due, whatever time it was recorded at.
"""

import csv
import wave
from array import array
from math import isqrt
from pathlib import Path

INT16_MAX = 32767
LABEL_MAX = 255


class Waves:
    """Triangles of four periods: no measurement, but input that changes."""

    name = "computed waves"

    def __init__(self):
        self._step = 0

    def read(self, out) -> bool:
        self._step += 1
        out[0] = 6400 + 16 * abs(self._step % 200 - 100)
        for channel, period in ((1, 60), (2, 90), (3, 130)):
            out[channel] = 20 * abs(self._step % period - period // 2)
        return True


class Recording:
    """A CSV file with the columns temperature_c, x, y, z, a row a sample.

    A further column label holds a class, 0..255, or nothing; then `label` is that of the last sample that was read, or
    None, and without the column there is no such attribute.

    Raises:
        ValueError: a column is missing, a value is no number or outside its range, or there is no row.
    """

    def __init__(self, path):
        with open(path, newline="") as file:
            rows = csv.DictReader(file)
            self._labels = None
            if "label" in (rows.fieldnames or ()):
                self._labels, self.label = [], None
            self._rows = [self._sample(row, number) for number, row in enumerate(rows, 1)]
        if not self._rows:
            raise ValueError(f"{path}: got no row, wanted one")
        self.name = f"recorded {Path(path).name}"
        self._next = 0

    def read(self, out) -> bool:
        out[:] = array("h", self._rows[self._next])
        if self._labels:
            self.label = self._labels[self._next]
        self._next = (self._next + 1) % len(self._rows)
        return True

    def _sample(self, row, number):
        try:
            sample = (round(float(row["temperature_c"]) * 256), *(round(float(row[name])) for name in "xyz"))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"row {number}: got {row}, wanted numbers temperature_c, x, y, z") from error
        if not all(-32768 <= value <= INT16_MAX for value in sample):
            raise ValueError(f"row {number}: got {sample}, wanted values of 16 bits")
        if self._labels is not None:
            self._labels.append(_label(row["label"], number))
        return sample


def _label(text, number):
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= LABEL_MAX):
        raise ValueError(f"row {number}: got label {text!r}, wanted 0..{LABEL_MAX} or nothing")
    return int(text)


class Sound:
    """A WAV file, 16-bit PCM, first channel; of each sample_ms: root mean square, peak, mean step, crossings of zero.

    All four are at most 32767 and none is below 0; the step is the mean distance of neighbours.

    Raises:
        ValueError: not such a file, or shorter than a sample.
    """

    def __init__(self, path, sample_ms):
        try:
            self._file = wave.open(str(path), "rb")
        except (wave.Error, EOFError) as error:
            raise ValueError(f"{path}: not a WAV file of PCM: {error}") from error
        if self._file.getsampwidth() != 2:
            raise ValueError(f"{path}: got {8 * self._file.getsampwidth()} bits, wanted 16")
        self._frames = max(1, self._file.getframerate() * sample_ms // 1000)
        if self._file.getnframes() < self._frames:
            raise ValueError(f"{path}: got {self._file.getnframes()} frames, wanted {self._frames}")
        self.name = f"sound {Path(path).name}"

    def read(self, out) -> bool:
        values = array("h", self._file.readframes(self._frames))[:: self._file.getnchannels()]
        if len(values) < self._frames:
            self._file.rewind()
            values = array("h", self._file.readframes(self._frames))[:: self._file.getnchannels()]
        steps = sum(abs(after - before) for before, after in zip(values, values[1:], strict=False))
        crossings = sum((before < 0) != (after < 0) for before, after in zip(values, values[1:], strict=False))
        features = (isqrt(sum(value * value for value in values) // len(values)), max(map(abs, values)),
                    steps // len(values), crossings)  # fmt: skip
        for channel in range(4):
            out[channel] = min(INT16_MAX, features[channel])
        return True
