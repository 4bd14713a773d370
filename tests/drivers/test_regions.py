"""Parts of a memory, and chips that are one memory: nothing lands outside, nothing is cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.drivers.at24c import At24c
from device.drivers.region import Region
from tests.drivers.test_drivers import Bus

CHIP_BYTES, PAGE_BYTES, CHIPS = 512, 32, 3


class Chip:
    """An EEPROM without a busy time: two bytes of address, which wrap within the page when written."""

    def __init__(self):
        self.bytes, self.pointer = bytearray(b"\xff" * CHIP_BYTES), 0

    def is_busy(self):
        return False

    def write(self, data):
        self.pointer = int.from_bytes(data[:2], "big") % CHIP_BYTES
        page = self.pointer - self.pointer % PAGE_BYTES
        for byte in data[2:]:
            self.bytes[self.pointer] = byte
            self.pointer = page + (self.pointer + 1) % PAGE_BYTES

    def read(self, length):
        read = [self.bytes[(self.pointer + at) % CHIP_BYTES] for at in range(length)]
        return bytes(read)


class Flash:
    """A memory of four units of 16 bytes that are erased at once."""

    size, erase_bytes = 64, 16

    def __init__(self):
        self.erased = []

    def erase(self, address):
        self.erased.append(address)


def chips():
    found = [Chip() for _ in range(CHIPS)]
    bus = Bus({0x50 + number: chip for number, chip in enumerate(found)})
    return found, At24c(bus, chip_bytes=CHIP_BYTES, page_bytes=PAGE_BYTES, chips=CHIPS)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(0, CHIPS * CHIP_BYTES - 1), st.binary(min_size=1, max_size=700))
def test_what_is_written_over_the_ends_of_chips_is_read_back_and_the_rest_stays(address, data):
    found, memory = chips()
    if address + len(data) > memory.size:
        with pytest.raises(ValueError, match="wanted them within 0x600"):
            memory.write(address, data)
        data = b""
    memory.write(address, data)
    content = bytearray(memory.size)
    memory.read(0, content)
    assert content == b"".join(chip.bytes for chip in found)
    wanted = bytearray(b"\xff" * memory.size)
    wanted[address : address + len(data)] = data
    assert content == wanted


def test_a_chip_that_does_not_answer_is_named_by_its_own_address():
    found, memory = chips()
    del memory._i2c.chips[0x52]
    with pytest.raises(OSError, match="at24c at 0x52: read at 0x0: no answer"):
        memory.read(2 * CHIP_BYTES, bytearray(1))


def test_a_region_begins_at_0_and_ends_at_its_size():
    found, memory = chips()
    region = Region(memory, 500, 100)
    region.write(0, b"a")
    region.write(99, b"z")
    assert found[0].bytes[500:501] + found[1].bytes[87:88] == b"az"
    before = [bytes(chip.bytes) for chip in found]
    for address, length in ((-1, 1), (100, 1), (99, 2)):
        with pytest.raises(ValueError, match="wanted them within 0x64"):
            region.write(address, bytes(length))
        with pytest.raises(ValueError, match="wanted them within 0x64"):
            region.read(address, bytearray(length))
    assert [bytes(chip.bytes) for chip in found] == before


def test_a_region_of_flash_erases_its_own_and_shares_no_unit():
    flash = Flash()
    Region(flash, 32, 32).erase(16)
    assert flash.erased == [48]
    for start, size in ((8, 16), (16, 8), (48, 32), (-16, 16), (0, 0)):
        with pytest.raises(ValueError, match="wanted units of 16 within 0x40"):
            Region(flash, start, size)
