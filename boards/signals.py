"""What the emulated sensors are told: live readings of the host, or a recording. It sets no sensor and keeps no time.

A source has `next()`, which gives (temperature in degC, x, y, z in counts) and is called each SAMPLE_MS; `name` and
`description`, a word and a phrase that say where the values come from; and `clamped`, how many of them lay outside what
the sensors can say. `encode` turns the four values into the sample that a device reads, whether QEMU's chips are set to
it (Emulator.set_sample) or it goes over the link.

Ranges: TMP105 from -55 degC to its register's end. LSM303DLHC 12 bits, of which QEMU's `lsm303dlhc_mag` (7.2) takes
only the positive half: its setter multiplies without sign (muldiv64), and refuses each field below zero.
"""

import csv
import itertools
import math
import os
from pathlib import Path

import psutil

SAMPLE_MS = 50
ROOM_C = 25.0
COLUMNS = ("temperature_c", "x", "y", "z")
RANGES = ((-55.0, 127.9375), (0.0, 2047.0), (0.0, 2047.0), (0.0, 2047.0))
DEFAULTS = (ROOM_C, 0.0, 0.0, 0.0)
LINE_CHARACTERS = 4096


class RecordingError(ValueError):
    """A recording cannot be read; the message names file, line, column, what was got and what was wanted."""


def encode(values):
    """The sample int[4], each an int16, that a device reads when its sensors are told values (in their ranges).

    Temperature in 1/256 degC, cut down to the 1/16 degC of TMP105's 12-bit mode; x, y, z to the nearest count.
    """
    temperature_c, x, y, z = values
    return math.floor(temperature_c * 16) * 16, round(x), round(y), round(z)


class HostSignals:
    """Live readings of this machine; x, y, z are 20 counts a percent of cpu, of memory, of load per core."""

    name = "host"

    def __init__(self):
        self.clamped = 0
        self._cores = os.cpu_count() or 1
        self._thermal = self._read_thermal() is not None
        thermal = "" if self._thermal else f" (no sensor: {ROOM_C} degC)"
        self.description = f"load, memory, cpu and temperature of the host{thermal}"
        psutil.cpu_percent()  # the first reading is the mean since boot

    def next(self):
        """(temperature in degC, x, y, z in counts), all in RANGES."""
        load = 100 * os.getloadavg()[0] / self._cores
        percents = psutil.cpu_percent(), psutil.virtual_memory().percent, load
        temperature_c = self._read_thermal() if self._thermal else None
        values = ROOM_C if temperature_c is None else temperature_c, *(20 * percent for percent in percents)
        values, clamped = _clamp(values)
        self.clamped += clamped
        return values

    def _read_thermal(self):
        for readings in psutil.sensors_temperatures().values():
            for reading in readings:
                return reading.current
        return None


class Replay:
    """A recording: CSV in UTF-8, its first line the columns' names, played a row a sample, never held in memory.

    The columns are temperature_c,x,y,z; or a timestamp, which is not looked at, and one to four numbers in that order,
    the missing ones constant (25 degC, 0 counts). Empty lines are skipped.

    Args:
        path: of the file, text or Path.
        loop: begin again at the end, instead of ending.
    Raises:
        RecordingError: from the constructor for the names and the first row, from `next` for later rows.
        OSError: the file cannot be opened.
    """

    def __init__(self, path, loop=True):
        self.path = Path(path)
        self.loop = loop
        self.clamped = 0
        self.name = self.path.name
        self.description = f"recording {self.path.name}"
        rows = _read_rows(self.path)
        first = next(rows, None)
        if first is None:
            raise RecordingError(f"{self.path}: got no rows, wanted at least one after the columns' names")
        self._rows = itertools.chain([first], rows)

    def next(self):
        """(temperature in degC, x, y, z in counts), all in RANGES; None after the last row unless it loops."""
        values = next(self._rows, None)
        if values is None and self.loop:
            self._rows = _read_rows(self.path)
            values = next(self._rows, None)
        if values is None:
            return None
        values, clamped = _clamp(values)
        self.clamped += clamped
        return values


def _read_rows(path):
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        names = None
        for place, cells in _read_lines(path, file):
            if names is None:
                names = _check_names(place, cells)
                first = 0 if names == list(COLUMNS) else 1
            elif len(cells) != len(names):
                raise RecordingError(f"{place}: got {len(cells)} columns, wanted {len(names)}")
            else:
                named = zip(names[first:], cells[first:], strict=True)
                values = tuple(_parse_number(f"{place}, column {repr(name[:40])[1:-1]}", cell) for name, cell in named)
                yield values + DEFAULTS[len(values) :]


def _read_lines(path, file):
    number = 0
    while line := file.readline(LINE_CHARACTERS):
        number += 1
        place = f"{path}: line {number}"
        if len(line) == LINE_CHARACTERS:
            raise RecordingError(f"{place}: got {LINE_CHARACTERS} characters, wanted fewer")
        if line.strip():
            try:
                yield place, next(csv.reader([line.strip()], strict=True, skipinitialspace=True))
            except csv.Error as error:
                raise RecordingError(f"{place}: got {error}, wanted CSV") from error


def _check_names(place, cells):
    names = [cell.strip() for cell in cells]
    if names != list(COLUMNS) and (not 2 <= len(names) <= 5 or names[0] in COLUMNS):
        wanted = f"{','.join(COLUMNS)}, or a timestamp and one to four numbers"
        raise RecordingError(f"{place}: got columns {','.join(names)[:80]!r}, wanted {wanted}")
    return names


def _parse_number(place, cell):
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RecordingError(f"{place}: got {cell[:40]!r}, wanted a finite number")
    return value


def _clamp(values):
    inside = tuple(min(max(value, low), high) for value, (low, high) in zip(values, RANGES, strict=True))
    return inside, sum(value != original for value, original in zip(inside, values, strict=True))
