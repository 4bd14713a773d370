"""The drivers against models of the chips, written from their data sheets, and on emulated boards against QEMU's."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError
from boards.signals import encode
from device.drivers.at24c import At24c
from device.drivers.cfi_flash import CfiFlash
from device.drivers.lsm303dlhc import Lsm303dlhc
from device.drivers.sample_source import SampleSource
from device.drivers.tmp105 import Tmp105

BASE = 0x22000000


class Bus:
    """machine.I2C with chips on it, {address: chip}; a chip that is absent or busy does not acknowledge."""

    def __init__(self, chips):
        self.chips = chips

    def _chip(self, address):
        chip = self.chips.get(address)
        if chip is None or chip.is_busy():
            raise OSError(19)
        return chip

    def writeto(self, address, data):
        self._chip(address).write(bytes(data))

    def writeto_mem(self, address, register, data, addrsize=8):
        self._chip(address).write(register.to_bytes(addrsize // 8, "big") + bytes(data))

    def readfrom_mem(self, address, register, length, addrsize=8):
        chip = self._chip(address)
        chip.write(register.to_bytes(addrsize // 8, "big"))
        return chip.read(length)

    def readfrom_mem_into(self, address, register, buffer, addrsize=8):
        buffer[:] = self.readfrom_mem(address, register, len(buffer), addrsize)


class Thermometer:
    """TMP105: pointer register, then temperature (two bytes), configuration (one)."""

    def __init__(self, keeps=0xFF):
        self.raw = 0
        self.configuration = 0
        self.keeps = keeps
        self.pointer = 0

    def is_busy(self):
        return False

    def write(self, data):
        self.pointer = data[0]
        if self.pointer == 1 and len(data) > 1:
            self.configuration = data[1] & self.keeps

    def read(self, length):
        step = 0x80 >> (self.configuration >> 5 & 3)
        register = {0: (self.raw & 0xFFFF & -step).to_bytes(2, "big"), 1: bytes([self.configuration])}[self.pointer]
        return register[:length]


class Magnetometer:
    """LSM303DLHC: twelve registers, big-endian x, z, y; one register a write."""

    def __init__(self, identity=b"H43"):
        self.registers = bytearray(b"\x10\x20\x03" + bytes(6) + b"\x01" + identity)
        self.pointer = 0

    def is_busy(self):
        return False

    def set(self, x, y, z):
        self.registers[3:9] = b"".join(value.to_bytes(2, "big", signed=True) for value in (x, z, y))

    def write(self, data):
        assert len(data) <= 2
        self.pointer = data[0]
        self.registers[self.pointer : self.pointer + len(data) - 1] = data[1:]

    def read(self, length):
        return bytes(self.registers[self.pointer : self.pointer + length])


class Eeprom:
    """AT24C: 16-bit address; a write wraps within its page, and is followed by silence."""

    def __init__(self, size, page_bytes, silence):
        self.memory = bytearray(b"\xff" * size)
        self.page_bytes, self.silence, self.busy, self.pointer = page_bytes, silence, 0, 0

    def is_busy(self):
        self.busy -= self.busy > 0
        return self.busy > 0

    def write(self, data):
        self.pointer = int.from_bytes(data[:2], "big")
        page = self.pointer // self.page_bytes * self.page_bytes
        for i, byte in enumerate(data[2:]):
            self.memory[page + (self.pointer - page + i) % self.page_bytes] = byte
        self.busy = self.silence if len(data) > 2 else 0

    def read(self, length):
        return bytes(self.memory[self.pointer : self.pointer + length])


class Flash:
    """Two 16-bit CFI 01 chips side by side; programming clears bits, and status comes ready at the second look."""

    SECTOR = 1024

    def __init__(self, sectors=3, faults=0):
        self.memory = bytearray(b"\xff" * sectors * self.SECTOR)
        self.mode, self.looks, self.faults = "array", 0, faults

    def bytes_at(self, address, length):
        return memoryview(self.memory)[address - BASE : address - BASE + length]

    def __getitem__(self, address):
        at = address - BASE
        if self.mode == "query":
            table = {0x10: 0x51, 0x11: 0x52, 0x12: 0x59, 0x13: 1, 0x2F: self.SECTOR // 512, 0x30: 0}
            return table[at // 4] * 0x10001
        if self.mode == "status":
            self.looks += 1
            return (0x80 | self.faults) * 0x10001 if self.looks > 1 else 0x00000080
        return int.from_bytes(self.memory[at : at + 4], "little")

    def __setitem__(self, address, word):
        at = address - BASE
        if self.mode == "program":
            old = int.from_bytes(self.memory[at : at + 4], "little")
            self.memory[at : at + 4] = (old & word).to_bytes(4, "little")
        elif self.mode == "erase":
            assert word == 0x00D000D0
            start = at // self.SECTOR * self.SECTOR
            self.memory[start : start + self.SECTOR] = b"\xff" * self.SECTOR
        if self.mode in ("program", "erase"):
            self.mode, self.looks = "status", 0
        else:
            modes = {0xFF: "array", 0x98: "query", 0x40: "program", 0x20: "erase", 0x50: "array"}
            assert word >> 16 == word & 0xFFFF
            self.mode = modes[word & 0xFFFF]


@pytest.mark.parametrize("raw", [0, 16, 6400, 0x7FF0, -16, -256, -14080, -32768])
def test_the_thermometer_gives_each_temperature_in_256ths(raw):
    chip = Thermometer()
    out = array("h", [7, 7, 7])
    driver = Tmp105(Bus({0x48: chip}))
    chip.raw = raw + 15
    driver.read(out, 1)
    assert list(out) == [7, raw, 7]


@pytest.mark.parametrize("field", [(0, 0, 0), (1, 2, 3), (2047, -2048, -1), (-4096, 256, -256)])
def test_the_magnetometer_gives_each_field_in_counts(field):
    chip = Magnetometer()
    out = array("h", [7] * 5)
    driver = Lsm303dlhc(Bus({0x1E: chip}))
    assert bytes(chip.registers[:3]) == b"\x18\x20\x00"
    chip.set(*field)
    driver.read(out, 1)
    assert list(out) == [7, *field, 7]


@pytest.mark.parametrize(
    ("chips", "message"),
    [
        ({}, "tmp105 at 0x48: configuration register: no answer"),
        ({0x48: Thermometer(keeps=0xDF)}, "tmp105 at 0x48: configuration register: got 0x40, wanted 0x60"),
        ({0x48: Thermometer()}, "lsm303dlhc at 0x1e: register 0xa: no answer"),
        ({0x48: Thermometer(), 0x1E: Magnetometer(b"H44")}, "lsm303dlhc at 0x1e: register 0xa: got b'H44'"),
    ],
)
def test_a_missing_or_other_chip_is_named(chips, message):
    with pytest.raises(OSError, match=message):
        SampleSource(Tmp105(Bus(chips)), Lsm303dlhc(Bus(chips)))


def test_a_chip_that_falls_silent_is_named_and_the_sample_is_unchanged():
    bus = Bus({0x48: Thermometer(), 0x1E: Magnetometer()})
    source = SampleSource(Tmp105(bus), Lsm303dlhc(bus))
    assert source.name == "tmp105+lsm303dlhc"
    del bus.chips[0x48]
    out = array("h", [1, 2, 3, 4])
    with pytest.raises(OSError, match="tmp105 at 0x48: temperature register: no answer"):
        source.read(out)
    assert list(out) == [1, 2, 3, 4]


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 511), st.binary(max_size=200)), max_size=5), st.integers(0, 20))
def test_the_eeprom_keeps_what_was_written_whatever_its_pages(writes, silence):
    chip = Eeprom(512, 32, silence)
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
    chip = Eeprom(512, 32, 10**9)
    with pytest.raises(OSError, match="at24c at 0x50: write at 0x7: not done after 400 polls"):
        At24c(Bus({0x50: chip}), chip_bytes=512, page_bytes=32).write(7, b"x")


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2047), st.binary(max_size=20), st.booleans()), max_size=8))
def test_the_flash_keeps_what_was_written_and_refuses_to_set_a_bit(steps):
    chip = Flash()
    driver = CfiFlash(chip, chip.bytes_at, BASE)
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
    chip = Flash(faults=0x10)
    driver = CfiFlash(chip, chip.bytes_at, BASE)
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
        with pytest.raises(EmulatorError, match="tmp105 at 0x49: configuration register: no answer"):
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
