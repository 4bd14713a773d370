"""What a self-test shows: the key that signed, the board that it is, and that named sensors gave values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards.selftest import OWNER_BYTES, SelfTest, parse_selftest
from device.agent import wire
from gateway.provisioning.shown import Dead, Shown, verify, verify_sensors
from tests.ingest_site import MODEL, Signer

BOARD = "rpi_pico_w"
VALUES = (6400, 110, 220, 330)


@pytest.fixture
def device():
    return Signer(7)


def announce(device, board=BOARD, source="tmp105+lsm303dlhc", key=None):
    return wire.sign_announce(
        device.id, device.sign, board, 3, "0.1", "armv6m", MODEL, key or device.public_key, source
    )


def test_the_device_is_the_one_whose_key_signed(device):
    assert verify(SelfTest(announce(device), VALUES), BOARD) == Shown(device.id, "0.1", "tmp105+lsm303dlhc")


def test_what_proves_nothing_is_dead_with_what_to_do(device):
    good = announce(device)
    for frame, said in (
        (announce(device, "esp32_c3"), "got a esp32_c3, wanted a rpi_pico_w"),
        (announce(device, key=Signer(8).public_key), "its key did not sign"),
        (good[:-1] + bytes([good[-1] ^ 1]), "its key did not sign"),
        (good[:-1], "announce: "),
        (b"", "announce: "),
    ):
        with pytest.raises(Dead, match=said):
            verify(SelfTest(frame, VALUES), BOARD)


@pytest.mark.parametrize("wanted", ["", "tmp105+lsm303dlhc", "tmp105:0+lsm303dlhc:012"])
def test_sensors_that_gave_values_are_good(wanted):
    verify_sensors(SelfTest(b"", VALUES), Shown(b"", "", "tmp105+lsm303dlhc"), wanted)


@pytest.mark.parametrize(
    ("test", "source", "why"),
    [
        (SelfTest(b"", VALUES, None, ("sensors: no module named 'drivers.x'; samples are computed instead",)),
         "waves, computed", "no module named 'drivers.x'"),
        (SelfTest(b"", VALUES), "waves, computed", "got samples of waves, computed"),
        (SelfTest(b"", ()), "tmp105", "no values"),
    ],
)  # fmt: skip
def test_sensors_that_were_named_and_gave_none_are_told(test, source, why):
    with pytest.raises(Dead, match=f"sensors: wanted tmp105, but .*{why}.*wired"):
        verify_sensors(test, Shown(b"", "", source), "tmp105")


def test_what_a_board_printed_is_read_and_its_words_are_shown_as_one_line_each():
    printed = f"a chip\x1b says no\nd284 {'07' * OWNER_BYTES} 1 -2\n"
    assert parse_selftest(printed) == SelfTest(b"\xd2\x84", (1, -2), bytes([7]) * OWNER_BYTES, ("a chip? says no",))
    assert parse_selftest("d284 -\n") == SelfTest(b"\xd2\x84", ())


@pytest.mark.parametrize("printed", ["", "\n", "d284", "d284 07", "d284 - x", "d28 -", "d284 -" + " 1" * 9])
def test_what_is_no_result_is_refused(printed):
    with pytest.raises(ValueError):
        parse_selftest(printed)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="0a- \n", max_size=30))
def test_anything_else_is_no_result(printed):
    try:
        test = parse_selftest(printed)
    except ValueError:
        return
    assert test.owner is None or len(test.owner) == OWNER_BYTES
    assert all(isinstance(value, int) for value in test.values)
