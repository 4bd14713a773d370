"""Memories against models of the chips, samples of several sensors, and both on emulated boards against QEMU's."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError
from boards.signals import encode
from device.drivers.at24c import At24c
from device.drivers.bme280 import Bme280
from device.drivers.cfi_flash import CfiFlash
from device.drivers.lsm303dlhc import Lsm303dlhc
from device.drivers.sample_source import SampleSource
from device.drivers.tmp105 import Tmp105
from tests.chips import at24c, bme280, cfi_flash, lsm303dlhc, tmp105
from tests.chips.bus import Bus


def begin():
    """A TMP105, an LSM303DLHC and a BME280 that show something, and their bus."""
    models = [tmp105.Model(), lsm303dlhc.Model(), bme280.Model()]
    bus = Bus({model.address: model for model in models})
    drivers = [Tmp105(bus), Lsm303dlhc(bus), Bme280(bus)]
    models[0].show(6400)
    models[1].show(1, -2, 3)
    models[2].show(519888, 415148, 28000)
    return drivers, bus


@pytest.mark.parametrize(
    ("chosen", "take", "name", "sample"),
    [
        ((0, 1), None, "tmp105+lsm303dlhc", (6400, 1, -2, 3)),
        ((1,), None, "lsm303dlhc", (7, 1, -2, 3)),
        ((0,), None, "tmp105", (7, 7, 7, 6400)),
        ((2, 1), (0, 3, 4, 5), "bme280+lsm303dlhc", (6421, 1, -2, 3)),
        ((0, 1, 2), (6, 0), "tmp105+lsm303dlhc+bme280", (7, 7, 11473, 6400)),
    ],
)
def test_any_sensors_are_joined_into_a_sample_in_their_order(chosen, take, name, sample):
    drivers, _ = begin()
    source = SampleSource(*[drivers[i] for i in chosen], take=take)
    out = array("h", [7] * 4)
    assert source.read(out) is True
    assert (source.name, tuple(out)) == (name, sample)
    units = [unit for i in chosen for unit in drivers[i].units]
    assert source.units == tuple(units if take is None else [units[place] for place in take])


@pytest.mark.parametrize("take", [(), (4,), (-1,), (0, 99)])
def test_places_that_no_sensor_has_are_refused(take):
    drivers, _ = begin()
    with pytest.raises(ValueError, match="wanted at least one place of 0..3"):
        SampleSource(*drivers[:2], take=take)


def test_a_source_of_nothing_and_a_sample_that_is_too_short_are_refused():
    with pytest.raises(ValueError, match="take: got ()"):
        SampleSource()
    out = array("h", [7, 7])
    with pytest.raises(ValueError, match="out: got 2 values, wanted at least 7"):
        SampleSource(*begin()[0]).read(out)
    assert list(out) == [7, 7]


@pytest.mark.parametrize("address", [0x48, 0x1E, 0x76])
def test_a_chip_that_falls_silent_is_named_and_the_sample_is_unchanged(address):
    drivers, bus = begin()
    source = SampleSource(*drivers)
    out = array("h", range(7))
    del bus.chips[address]
    with pytest.raises(OSError, match=f" at {address:#x}: register "):
        source.read(out)
    assert list(out) == list(range(7))


def test_a_thermometer_that_does_not_keep_its_settings_is_refused():
    with pytest.raises(OSError, match="tmp105 at 0x48: register 0x1: got 0x40, wanted 0x60"):
        Tmp105(Bus({0x48: tmp105.Model(keeps=0xDF)}))


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 511), st.binary(max_size=200)), max_size=5), st.integers(0, 20))
def test_the_eeprom_keeps_what_was_written_whatever_its_pages(writes, silence):
    chip = at24c.Model(512, 32, silence)
    driver = At24c(Bus({0x50: chip}), chip_bytes=512, page_bytes=32)
    shadow = bytearray(chip.memory)
    for address, data in writes:
        if address + len(data) > 512:
            with pytest.raises(ValueError, match="wanted them within 0x200"):
                driver.write(address, data)
        else:
            driver.write(address, data)
            shadow[address : address + len(data)] = data
    buffer = bytearray(512)
    driver.read(0, buffer)
    assert buffer == shadow


def test_an_eeprom_that_never_finishes_is_an_error():
    chip = at24c.Model(512, 32, 10**9)
    with pytest.raises(OSError, match="at24c at 0x50: write at 0x7: not done after 400 polls"):
        At24c(Bus({0x50: chip}), chip_bytes=512, page_bytes=32).write(7, b"x")


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2047), st.binary(max_size=20), st.booleans()), max_size=8))
def test_the_flash_keeps_what_was_written_and_refuses_to_set_a_bit(steps):
    chip = cfi_flash.Model()
    driver = CfiFlash(chip, chip.bytes_at, cfi_flash.BASE)
    assert (driver.size, driver.erase_bytes) == (2048, 1024)
    shadow = bytearray(b"\xff" * 2048)
    for address, data, erases in steps:
        fits = address + len(data) <= 2048
        if erases:
            driver.erase(address)
            shadow[address // 1024 * 1024 : address // 1024 * 1024 + 1024] = b"\xff" * 1024
        elif fits and not any(byte & ~old for byte, old in zip(data, shadow[address:], strict=False)):
            driver.write(address, data)
            shadow[address : address + len(data)] = data
        else:
            with pytest.raises(ValueError, match="wanted"):
                driver.write(address, data)
        buffer = bytearray(2048)
        driver.read(0, buffer)
        assert buffer == shadow
    assert chip.memory[2048:] == b"\xff" * 1024


def test_a_fault_in_the_flash_is_an_error_and_it_reads_again():
    chip = cfi_flash.Model(faults=0x10)
    driver = CfiFlash(chip, chip.bytes_at, cfi_flash.BASE)
    with pytest.raises(OSError, match="flash at 0x22000004: status register: got 0x900090, wanted 0x800080"):
        driver.write(4, b"x")
    assert chip.mode == "array"


@pytest.fixture(scope="module")
def emulate(tmp_path_factory):
    """name -> a running emulator of that board, with firmware built as `make up` builds it."""
    emulators = []

    def start(name):
        board = load_board(name)
        firmware = build(board, lambda *progress: None)
        emulators.append(Emulator(board, firmware.elf, tmp_path_factory.mktemp(name)))
        emulators[-1].start()
        return emulators[-1]

    yield start
    for emulator in emulators:
        emulator.stop()


@pytest.fixture(scope="module")
def mps2(emulate):
    return emulate("qemu_mps2_an385")


SOURCE = """
from array import array
from _tinyren import I2C
from drivers.at24c import At24c
from drivers.lsm303dlhc import Lsm303dlhc
from drivers.sample_source import SampleSource
from drivers.tmp105 import Tmp105
i2c = I2C(3)
source = SampleSource(Tmp105(i2c), Lsm303dlhc(i2c))
memory = At24c(i2c)
out = array("h", [0] * 4)
"""


def test_a_board_reads_what_its_sensors_are_told(mps2):
    low, high = (-55, 0, 2047, 999), (127.9375, 1023, 1024, 2047)
    with mps2.open_repl() as repl:
        repl.exec(SOURCE)
        for values in ((0, 0, 0, 0), (25.07, 1, 2, 3), (-0.01, 2047, 0, 1000), low, high):
            mps2.set_sample(encode(values))
            assert repl.exec("print(source.read(out), list(out))") == f"True {list(encode(values))}\n"
        with pytest.raises(EmulatorError, match="tmp105 at 0x49: register 0x1: no answer"):
            repl.exec("Tmp105(i2c, 0x49)")


# The agent keeps its record in the first kilobyte; these tests write elsewhere.
def test_the_boards_eeprom_survives_a_kill(mps2):
    mps2.exec(SOURCE + "memory.write(40100, bytes(range(200)))")
    mps2._process.kill()
    assert mps2.wait() == -9
    mps2.restart()
    read = "data = bytearray(202)\nmemory.read(40099, data)\nprint(data == b'\\xff' + bytes(range(200)) + b'\\xff')"
    assert mps2.exec(SOURCE + read) == "True\n"


FLASH = """
from machine import mem32
from uctypes import bytearray_at
from drivers.cfi_flash import CfiFlash
flash = CfiFlash(mem32, bytearray_at, 0x22000000)
data = bytearray(8)
def show(address):
    flash.read(address, data)
    print(bytes(data))
"""


def test_the_boards_flash_survives_a_kill_and_erases_by_sector(emulate):
    virt = emulate("qemu_virt_rv32")
    write = "show(0x3fff8)\nflash.write(0x3fffb, b'hello')\nflash.write(0x7fff9, b'x')\nshow(0x3fff8)"
    assert virt.exec(FLASH + write).splitlines() == [str(b"\xff" * 8), str(b"\xff\xff\xffhello")]
    virt._process.kill()
    assert virt.wait() == -9
    virt.restart()
    erase = "show(0x3fff8)\nflash.erase(9)\nshow(0x3fff8)\nshow(0x7fff8)"
    expected = [b"\xff\xff\xffhello", b"\xff" * 8, b"\xffx" + b"\xff" * 6]
    assert virt.exec(FLASH + erase).splitlines() == [str(line) for line in expected]
    with pytest.raises(EmulatorError, match="flash: 0x7fff9: got 0xff over 0x78, wanted it erased"):
        virt.exec(FLASH + "flash.write(0x7fff9, b'\\xff')")
