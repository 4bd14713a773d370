"""Sources of samples on a computer: files laid out as Linux lays them, recordings, sounds; none invents a value."""

import wave
from array import array
from math import sin, tau

import pytest

from device.agent.sampling import Sampler
from device.agent.sources import open_source, short
from device.native.shared import Model
from tests.agent_bench import ARTIFACT

STAT = "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 0 0 1 0 0 0 0 0 0\ncpu1 1 0 0 1 0 0 0 0 0 0\nintr 5\n"


def write(root, **files):
    """Files below root, a line each."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def sample(source):
    out = array("h", (9, 9, 9, 9))
    assert source.read(out)
    return list(out)


def test_thermal_zones_are_read_in_their_order_in_256ths_of_a_degree(tmp_path):
    zones = {f"sys/class/thermal/thermal_zone{n}/{file}": text for n, file, text in [
        (0, "type", "cpu-thermal"), (0, "temp", "48312"), (2, "type", "gpu"), (2, "temp", "-10500"),
        (10, "type", "pmic"), (10, "temp", "200000"),
    ]}  # fmt: skip
    write(tmp_path, **zones)
    source = open_source("thermal", tmp_path)

    assert sample(source) == [12368, -2688, 32767, 0]
    assert source.name == "thermal cpu-thermal gpu pmic"
    write(tmp_path, **{"sys/class/thermal/thermal_zone0/temp": "50000"})
    assert sample(source)[0] == 12800


def write_proc(root, busy, idle, load="1.50 1.00 0.50 2/99 1234"):
    memory = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     250 kB"
    write(root, **{"proc/stat": STAT.format(busy=busy, idle=idle), "proc/meminfo": memory, "proc/loadavg": load})


def test_load_is_20_counts_a_percent_of_cpu_since_the_last_sample_memory_and_load_per_core(tmp_path):
    write_proc(tmp_path, busy=100, idle=300)
    source = open_source("load", tmp_path)
    assert sample(source) == [6400, 500, 1500, 1500] and source.name == "load (no thermal zone: 25 degC)"

    write_proc(tmp_path, busy=190, idle=310, load="40.0 1 1 2/9 7")
    assert sample(source) == [6400, 1800, 1500, 32767]
    assert sample(source) == [6400, 1800, 1500, 32767]  # no time has passed

    write(tmp_path, **{"sys/class/thermal/thermal_zone0/temp": "30000"})
    source = open_source("load", tmp_path)
    assert sample(source)[0] == 7680 and source.name == "load"


def test_load_and_its_percents_are_those_of_this_machine():
    values = sample(open_source("load"))

    assert all(0 <= value <= 2000 for value in values[1:3]) and values[2] > 0


IMU = {"name": "bmi160", "in_accel_x_raw": "-120", "in_accel_y_raw": "16384", "in_accel_z_raw": "99999",
       "in_anglvel_x_raw": "1", "in_anglvel_y_raw": "2", "in_anglvel_z_raw": "3"}  # fmt: skip
HUMIDITY = {"name": "hdc100x", "in_temp_raw": "6000", "in_temp_offset": "-15887.5", "in_temp_scale": "-2.5",
            "in_humidityrelative_raw": "700"}  # fmt: skip
INPUT = {"name": "dht11", "in_temp_input": "21500"}


@pytest.mark.parametrize("device, files, wanted", [
    ("bmi160", IMU, [0, -120, 16384, 32767]),
    ("iio:device3", HUMIDITY, [6328, 700, 0, 0]),
    ("dht11", INPUT, [5504, 0, 0, 0]),
])  # fmt: skip
def test_an_iio_device_is_found_by_name_or_folder_and_gives_temperature_and_three_raw_inputs(
    device, files, wanted, tmp_path
):
    for folder, content in (("iio:device0", {"name": "other", "in_voltage0_raw": "1"}), ("iio:device3", files)):
        write(tmp_path, **{f"sys/bus/iio/devices/{folder}/{name}": text for name, text in content.items()})
    source = open_source(f"iio:{device}", tmp_path)

    assert sample(source) == wanted and source.name == f"iio {files['name']}"


def test_a_reading_that_fails_is_counted_and_no_sample(tmp_path):
    zone = "sys/class/thermal/thermal_zone0"
    write(tmp_path, **{f"{zone}/type": "cpu", f"{zone}/temp": "40000"})
    source = open_source("thermal", tmp_path)
    sampler = Sampler(source, Model(ARTIFACT), (0,) * 4, (0,) * 4, 0)
    sampler.tick(0)
    write(tmp_path, **{f"{zone}/temp": "not a number"})
    sampler.tick(50)
    (tmp_path / zone / "temp").unlink()
    sampler.tick(100)

    assert sampler.counts == {"late": 0, "missing": 0, "source": 2}


def write_wav(path, values, rate=8000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(array("h", values).tobytes())


def test_a_sound_gives_level_peak_step_and_crossings_of_each_50_ms_again_and_again(tmp_path):
    tone = [round(10_000 * sin(tau * n / 20)) for n in range(400)]
    write_wav(tmp_path / "hall.wav", tone + [0] * 400 + [-32768, 32767] * 200 + [5] * 100)
    source = open_source(f"wav:{tmp_path / 'hall.wav'}")
    loud, silent, edge, again = (sample(source) for _ in range(4))

    assert loud == [7071, 10_000, pytest.approx(1996, abs=10), 39]
    assert (silent, edge[1:], again) == ([0, 0, 0, 0], [32767, 32767, 399], loud)
    assert source.name == "sound hall.wav"


def test_of_two_channels_the_first_is_heard(tmp_path):
    write_wav(tmp_path / "two.wav", [100, -9000] * 400, channels=2)

    assert sample(open_source(f"wav:{tmp_path / 'two.wav'}")) == [100, 100, 0, 0]


def test_a_csv_is_played_row_by_row(tmp_path):
    (tmp_path / "office.csv").write_text("temperature_c,x,y,z\n21.5,1,2,3\n-1,4,5,6\n")
    source = open_source(f"csv:{tmp_path / 'office.csv'}")

    assert [sample(source) for _ in range(3)] == [[5504, 1, 2, 3], [-256, 4, 5, 6], [5504, 1, 2, 3]]


def test_a_csv_with_labels_says_that_of_the_last_row_and_one_without_says_nothing_of_labels(tmp_path):
    (tmp_path / "plain.csv").write_text("temperature_c,x,y,z\n1,1,2,3\n")
    (tmp_path / "office.csv").write_text("temperature_c,x,y,z,label\n1,1,2,3,0\n1,1,2,3,\n1,1,2,3,255\n1,1,2,3\n")
    source = open_source(f"csv:{tmp_path / 'office.csv'}")

    assert source.label is None
    assert [sample(source) and source.label for _ in range(5)] == [0, None, 255, None, 0]
    assert not hasattr(open_source(f"csv:{tmp_path / 'plain.csv'}"), "label")
    for label in ("256", "-1", "a", "1.0"):
        (tmp_path / "office.csv").write_text(f"temperature_c,x,y,z,label\n1,1,2,3,{label}\n")
        with pytest.raises(ValueError, match=f"row 1: got label '{label}', wanted 0..255"):
            open_source(f"csv:{tmp_path / 'office.csv'}")


def test_a_source_that_cannot_be_is_refused_with_what_is_wanted(tmp_path):
    (tmp_path / "text").write_text("no sound\n")
    write_wav(tmp_path / "short.wav", [1] * 10)
    write_wav(tmp_path / "bytes.wav", [1] * 1000, width=1)
    write(tmp_path, **{"sys/bus/iio/devices/iio:device0/name": "empty"})
    for text, message in [
        ("", "wanted one of waves, link"), ("iio", "wanted one of"), ("csv", "wanted one of"), ("load:x", "wanted one"),
        ("microphone", "got 'microphone'"), ("thermal", "got no zone"), ("iio:bmi", "devices here: empty"),
        ("iio:empty", "wanted one"), (f"wav:{tmp_path / 'text'}", "not a WAV"), (f"csv:{tmp_path / 'text'}", "no row"),
        (f"wav:{tmp_path / 'short.wav'}", "got 10 frames"), (f"wav:{tmp_path / 'bytes.wav'}", "got 8 bits"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            open_source(text, tmp_path)
    for text in (f"wav:{tmp_path / 'none'}", f"csv:{tmp_path / 'none'}", "load"):
        with pytest.raises(OSError):
            open_source(text, tmp_path)


@pytest.mark.parametrize("name", ["a" * 60, "sound " + "é" * 40, "two\nlines\x1b", "bad \udcff"])
def test_a_name_is_cut_to_what_an_announce_takes_and_keeps_its_suffix(name):
    shown = short(name, ", unattested")

    assert len(shown.encode()) <= 48 and shown.isprintable() and shown.endswith(", unattested")
