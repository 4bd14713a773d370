"""The ATECC608's driver against a model of the chip: serial number and random numbers, and who is refused."""

import pytest

from device.drivers.atecc608 import Atecc608
from tests.chips.atecc608 import LowLine, Model, drawn
from tests.chips.bus import Bus


def begin(model):
    return Atecc608(Bus({0: LowLine(model), model.address: model}))


def test_a_chip_gives_its_serial_number_and_random_numbers_and_sleeps():
    model = Model()
    driver = begin(model)
    assert driver.serial == bytes([0x01, 0x23, 9, 8, 7, 6, 5, 4, 0xEE])
    buffers = [bytearray(length) for length in (32, 70, 1)]
    for buffer in buffers:
        driver.random(buffer)
        assert not model.awake
    assert buffers == [drawn(1), drawn(2) + drawn(3) + drawn(4)[:6], drawn(5)[:1]]
    driver.random(bytearray())
    assert model.count == 5


@pytest.mark.parametrize(
    ("model", "errno", "message"),
    [
        (Model(locked=False), 19, "configuration not locked, wanted it locked"),
        (Model(revision=0x50), 19, "revision and serial number: got "),
        (Model(busy=10**6), 19, "atecc608 at 0x60: no answer"),
    ],
)
def test_a_chip_that_is_another_or_not_locked_or_never_done_is_refused(model, errno, message):
    with pytest.raises(OSError, match=message) as caught:
        begin(model)
    assert caught.value.args[0] == errno


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("refuses", "command 0x1b: the chip says 0xf, wanted 32 bytes"),
        ("damages", "command 0x1b: got 35 bytes or a wrong"),
    ],
)
def test_a_fault_is_an_error_and_no_random_number(fault, message):
    model = Model()
    driver = begin(model)
    setattr(model, fault, True)
    buffer = bytearray(8)
    with pytest.raises(OSError, match=message) as caught:
        driver.random(buffer)
    assert caught.value.args[0] == 5 and buffer == bytes(8) and not model.awake
    setattr(model, fault, False)
    driver.random(buffer)
    assert buffer != bytes(8)


def test_a_stuck_or_empty_bus_is_an_error():
    model = Model()
    driver = begin(model)
    driver._i2c.fault = 110
    with pytest.raises(OSError, match="atecc608 at 0x60: no answer") as caught:
        driver.random(bytearray(4))
    assert caught.value.args[0] == 110
    with pytest.raises(OSError, match="atecc608 at 0x60: no answer"):
        Atecc608(Bus({}))
