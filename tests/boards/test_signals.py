import itertools
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards.signals import DEFAULTS, RANGES, HostSignals, RecordingError, Replay, encode

HEADER = "temperature_c,x,y,z\n"


def recording(folder, text):
    path = folder / "recording.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def in_range(values):
    return len(values) == 4 and all(low <= value <= high for value, (low, high) in zip(values, RANGES, strict=True))


@pytest.mark.parametrize(
    ("values", "sample"),
    [
        ((0.0, 0.0, 0.0, 0.0), (0, 0, 0, 0)),
        ((25.0, 1.0, 2.0, 3.0), (6400, 1, 2, 3)),
        ((25.0624, 1.4, 1.6, 2047.0), (6400, 1, 2, 2047)),
        ((25.0625, 0.0, 0.0, 0.0), (6416, 0, 0, 0)),
        ((-0.01, 0.0, 0.0, 0.0), (-16, 0, 0, 0)),
        ((-55.0, 0.0, 0.0, 0.0), (-14080, 0, 0, 0)),
        ((127.9375, 0.0, 0.0, 0.0), (32752, 0, 0, 0)),
    ],
)
def test_a_sample_is_cut_as_the_chips_cut(values, sample):
    assert encode(values) == sample


def test_the_host_gives_values_that_the_sensors_can_say_and_tells_where_they_come_from():
    signals = HostSignals()
    assert all(in_range(signals.next()) for _ in range(5))
    assert signals.description.startswith("load, memory, cpu and temperature of the host")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (HEADER + "20.5,1,2,3\n21,4,5,6\n", [(20.5, 1, 2, 3), (21, 4, 5, 6)]),
        ("\ufeff temperature_c, x, y, z\r\n 20.5, 1, 2, 3\r\n\r\n", [(20.5, 1, 2, 3)]),
        ("timestamp,value\n2014-07-01 00:00:00,21.5\n", [(21.5, *DEFAULTS[1:])]),
        ("time,room,east\n7,21,3\n", [(21, 3, *DEFAULTS[2:])]),
        ('time,a,b,c,d\n"1, 2",1e1,2,3,4', [(10, 2, 3, 4)]),
    ],
)
def test_a_recording_is_played_in_order_and_ends(tmp_path, text, rows):
    replay = Replay(recording(tmp_path, text), loop=False)
    assert [replay.next() for _ in rows] == rows
    assert replay.next() is None
    assert replay.clamped == 0


def test_a_recording_that_loops_begins_again(tmp_path):
    replay = Replay(recording(tmp_path, HEADER + "1,1,1,1\n2,2,2,2\n"))
    assert [replay.next()[0] for _ in range(5)] == [1, 2, 1, 2, 1]


def test_values_beyond_the_sensors_are_clamped_and_counted(tmp_path):
    replay = Replay(recording(tmp_path, HEADER + "-300,-1,2048,5\n500,0,2047,5\n"))
    assert [replay.next(), replay.next()] == [(-55, 0, 2047, 5), (127.9375, 0, 2047, 5)]
    assert replay.clamped == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got no rows"),
        (HEADER, "got no rows"),
        ("temperature_c,x\n1,2\n", "line 1: got columns 'temperature_c,x', wanted temperature_c,x,y,z, or a timestamp"),
        ("a\n1\n", "line 1: got columns 'a', wanted"),
        ("a,b,c,d,e,f\n", "line 1: got columns 'a,b,c,d,e,f', wanted"),
        (HEADER + "\n1,2,3\n", "line 3: got 3 columns, wanted 4"),
        (HEADER + "1,2,abc,4\n", "line 2, column y: got 'abc', wanted a finite number"),
        (HEADER + "1,2,3,\n", "line 2, column z: got '', wanted a finite number"),
        (HEADER + "nan,2,3,4\n", "line 2, column temperature_c: got 'nan', wanted a finite number"),
        (HEADER + "1,inf,3,4\n", "line 2, column x: got 'inf', wanted a finite number"),
        (HEADER + '1,"2,3,4\n', "line 2: got unexpected end of data, wanted CSV"),
        (HEADER + "1," * 4096, "line 2: got 4096 characters, wanted fewer"),
        (b"\x00\xff" * 9000, "line 1: got 4096 characters, wanted fewer"),
    ],
)
def test_a_bad_recording_is_refused_with_its_place(tmp_path, text, message):
    with pytest.raises(RecordingError) as caught:
        Replay(recording(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_later_bad_row_is_refused_after_the_good_ones(tmp_path):
    replay = Replay(recording(tmp_path, HEADER + "1,2,3,4\n1,2,3,x\n"))
    assert replay.next() == (1, 2, 3, 4)
    with pytest.raises(RecordingError, match="line 3, column z"):
        replay.next()


def test_a_missing_recording_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Replay(tmp_path / "none.csv")


def test_a_recording_without_end_is_read_as_it_comes(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)

    def feed():
        try:
            with open(pipe, "w") as file:
                file.write(HEADER)
                for number in itertools.count():
                    file.write(f"{number % 100},1,2,3\n")
        except BrokenPipeError:
            pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    replay = Replay(pipe)
    assert [replay.next()[0] for _ in range(1000)] == [number % 100 for number in range(1000)]
    del replay
    feeder.join()


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_foreign_bytes_give_values_in_range_or_a_one_line_refusal(tmp_path_factory, noise, headed):
    path = recording(tmp_path_factory.mktemp("noise"), HEADER.encode() * headed + noise)
    try:
        replay = Replay(path, loop=False)
        while values := replay.next():
            assert in_range(values)
            assert all(-32768 <= value <= 32767 for value in encode(values))
    except RecordingError as error:
        assert "\n" not in str(error)
