"""Sensors that Linux shows as files: thermal zones, load, and the IIO subsystem. It writes to none of them.

Every sample reads the files again. Values beyond int16 are cut to it.
Sources: Linux Documentation/ABI/testing/sysfs-class-thermal and sysfs-bus-iio; proc(5).
"""

INT16 = -32768, 32767
ROOM_C = 25
COUNTS_A_PERCENT = 20  # as boards/signals.py tells emulated sensors, so that one encoder serves both
AXES = ("accel", "anglvel", "magn")


class Thermal:
    """Up to four thermal zones, each in 1/256 degC; a channel without a zone is 0."""

    def __init__(self, root):
        zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"), key=lambda path: (len(path.name), path.name))
        self._files = [zone / "temp" for zone in zones[:4]]
        if not zones:
            raise ValueError(f"thermal: got no zone in {root}/sys/class/thermal, wanted one")
        self.name = "thermal " + " ".join(_text(zone / "type") for zone in zones[:4])

    def read(self, out) -> bool:
        for channel in range(4):
            out[channel] = _degrees(_number(self._files[channel])) if channel < len(self._files) else 0
        return True


class Load:
    """Temperature of the first thermal zone, then 20 counts a percent of cpu, memory, and load per core.

    Without a zone the temperature is 25 degC throughout, and the name says so.
    """

    def __init__(self, root):
        self._proc = root / "proc"
        self._thermal = root / "sys/class/thermal/thermal_zone0/temp"
        self._has_thermal = self._thermal.is_file()
        self.name = "load" if self._has_thermal else "load (no thermal zone: 25 degC)"
        self._cores = max(1, _text(self._proc / "stat").count("\ncpu"))
        self._busy, self._all, self._cpu = 0, 0, 0.0
        self._read_memory()

    def read(self, out) -> bool:
        percents = self._read_cpu(), self._read_memory(), self._read_load()
        out[0] = _degrees(_number(self._thermal) if self._has_thermal else 1000 * ROOM_C)
        for channel, percent in enumerate(percents, 1):
            out[channel] = _cut(round(COUNTS_A_PERCENT * percent))
        return True

    def _read_cpu(self):
        """Percent since the last reading; the kernel counts hundredths of a second, so a short time may show none."""
        times = [int(word) for word in _text(self._proc / "stat").split("\n")[0].split()[1:9]]
        whole, busy = sum(times), sum(times) - times[3] - times[4]
        if whole > self._all:
            self._cpu = 100 * (busy - self._busy) / (whole - self._all)
            self._busy, self._all = busy, whole
        return self._cpu

    def _read_memory(self):
        lines = dict(line.split(":", 1) for line in _text(self._proc / "meminfo").splitlines() if ":" in line)
        whole, free = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
        return 100 * (whole - free) / whole

    def _read_load(self):
        return 100 * float(_text(self._proc / "loadavg").split()[0]) / self._cores


class Iio:
    """One IIO device: temperature in 1/256 degC if it has one, else 0; then raw counts of three more of its inputs.

    Those are x, y, z of its accelerometer, gyroscope or magnetometer, the first of them that it has, else the first
    three inputs by name; an input that it lacks is 0.
    """

    def __init__(self, root, device):
        """device: folder below sys/bus/iio/devices ("iio:device0"), or what its file `name` holds."""
        folders = sorted((root / "sys/bus/iio/devices").glob("iio:device*"))
        names = {folder: _text(folder / "name") for folder in folders}
        matches = [folder for folder in folders if device in (folder.name, names[folder])]
        if not matches:
            known = ", ".join(names.values()) or "none"
            raise ValueError(f"iio: got {device!r}, wanted one of the devices here: {known}")
        self._folder = matches[0]
        self.name = f"iio {names[self._folder]}"
        self._offset, self._scale = 0.0, 1000.0
        self._temperature = self._find_temperature()
        self._inputs = self._find_inputs()
        if not self._inputs and not self._temperature:
            raise ValueError(f"iio: {device}: got no in_*_raw, wanted one")

    def read(self, out) -> bool:
        out[0] = 0
        if self._temperature:
            out[0] = _degrees((_number(self._temperature) + self._offset) * self._scale)
        for channel in (1, 2, 3):
            out[channel] = _cut(round(_number(self._inputs[channel - 1]))) if channel <= len(self._inputs) else 0
        return True

    def _find_temperature(self):
        """The file to read; the unit of (raw + offset) * scale, and of `input`, is 1/1000 degC."""
        given, raw = self._folder / "in_temp_input", self._folder / "in_temp_raw"
        if given.is_file():
            self._scale = 1.0
            return given
        if not raw.is_file():
            return None
        offset, scale = self._folder / "in_temp_offset", self._folder / "in_temp_scale"
        self._offset = _number(offset) if offset.is_file() else 0.0
        self._scale = _number(scale) if scale.is_file() else 1.0
        return raw

    def _find_inputs(self):
        for kind in AXES:
            files = [self._folder / f"in_{kind}_{axis}_raw" for axis in "xyz"]
            if all(file.is_file() for file in files):
                return files
        return [file for file in sorted(self._folder.glob("in_*_raw")) if file.name != "in_temp_raw"][:3]


def _text(path):
    return path.read_text(errors="replace").strip()


def _number(path):
    """The number that a file holds; OSError if it holds something else, as a sensor does that is not there."""
    text = _text(path)
    try:
        return float(text)
    except ValueError:
        raise OSError(f"{path}: got {text[:20]!r}, wanted a number") from None


def _degrees(thousandths):
    return _cut(round(thousandths * 256 / 1000))


def _cut(value):
    return min(INT16[1], max(INT16[0], value))
