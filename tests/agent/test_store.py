"""The device's store: power cut at every byte that is written, damaged records, both kinds of memory."""

from binascii import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent.errors import StoreError
from device.agent.records import RING_SLOTS
from device.agent.store import RECORD_BYTES, SLOT_BYTES, Store

OWNER = b"\x0a" * 20
SECTOR_BYTES = 4 * SLOT_BYTES
LIVES = 6


class PowerCut(Exception):
    pass


class Memory:
    """EEPROM, or NOR flash if it has sectors; the power fails after `budget` more bytes, tearing the one it hits."""

    def __init__(self, erase_bytes=0, size=4096, fill=0xFF):
        self.size = size
        self.erase_bytes = erase_bytes
        self.bytes = bytearray([fill]) * size
        self.budget = None
        self.spent = 0

    def read(self, addr, buf):
        buf[:] = self.bytes[addr : addr + len(buf)]

    def write(self, addr, data):
        for at, byte in enumerate(data, addr):
            old = self.bytes[at]
            wanted = old & byte if self.erase_bytes else byte
            torn = (old & wanted) | ((old ^ wanted) & 0x55)
            self._put(at, wanted, torn & old if self.erase_bytes else torn)

    def erase(self, addr):
        assert self.erase_bytes and addr % self.erase_bytes == 0
        for at in range(addr, addr + self.erase_bytes):
            self._put(at, 0xFF, self.bytes[at] | 0xAA)

    def _put(self, at, value, torn):
        if self.budget is not None:
            if self.budget == 0:
                self.bytes[at] = torn
                raise PowerCut
            self.budget -= 1
        self.bytes[at] = value
        self.spent += 1


class Device:
    """A device through its lives: asserts at every boot what must never break."""

    def __init__(self, memory):
        self.memory = memory
        self.secret = None
        self.owner = None
        self.boot = 0
        self.rounds = (0, 0)  # number of the enrolment, round
        self.made = 0

    def new_secret(self):
        self.made += 1
        return bytes([self.made]) * 32

    def live(self, bind=False):
        store = Store(self.memory)
        secret = store.open(self.new_secret)
        assert self.secret in (None, secret)
        assert store.boot > self.boot
        assert self.owner is None or store.owner == self.owner
        assert (store.number, store.round) >= self.rounds
        self.secret, self.boot = secret, store.boot
        if store.boot % 3:
            store.take_part(store.round + 2)
        else:
            store.enrol(store.number + 1)
            assert store.round == 0
        self.rounds = (store.number, store.round)
        if bind:
            store.bind(OWNER)
            assert store.owner == OWNER
            self.owner = OWNER

    def live_through(self, lives):
        """Boots; binds in the third and the last. A cut ends one life, and the next begins with power."""
        for life in range(lives):
            try:
                self.live(bind=life in (2, lives - 1))
            except PowerCut:
                self.memory.budget = None


MEMORIES = pytest.mark.parametrize("erase_bytes", [0, SECTOR_BYTES], ids=["EEPROM", "flash"])


@MEMORIES
def test_a_new_device_makes_one_key_and_counts_its_boots_from_one(erase_bytes):
    device = Device(Memory(erase_bytes))

    device.live()

    assert (device.boot, device.made) == (1, 1)
    device.live_through(40)
    assert (device.boot, device.made, device.owner) == (41, 1, OWNER)


@MEMORIES
def test_a_power_cut_at_any_byte_loses_no_key_no_owner_and_repeats_no_boot(erase_bytes):
    whole = Device(Memory(erase_bytes))
    whole.live_through(LIVES)

    for budget in range(whole.memory.spent):
        device = Device(Memory(erase_bytes))
        device.memory.budget = budget
        device.live_through(LIVES)
        device.live()


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.sampled_from([0, SECTOR_BYTES]), st.lists(st.integers(0, 3 * RECORD_BYTES), min_size=2, max_size=6))
def test_power_cuts_while_recovering_from_power_cuts_lose_nothing(erase_bytes, budgets):
    device = Device(Memory(erase_bytes))
    device.live()

    for budget in budgets:
        device.memory.budget = budget
        device.live_through(3)
    device.memory.budget = None
    device.live()

    assert device.made == 1


@MEMORIES
@pytest.mark.parametrize("lives", range(1, 11))
def test_any_one_damaged_record_costs_no_key_and_repeats_no_boot_while_another_is_valid(erase_bytes, lives):
    whole = Device(Memory(erase_bytes))
    whole.live_through(lives + 1)

    for slot in range(8):
        device = Device(Memory(erase_bytes))
        device.live_through(lives + 1)
        device.memory.bytes[slot * SLOT_BYTES + 20] ^= 0x10
        device.owner = None
        device.rounds = (0, 0)
        device.live()
        assert device.made == 1


@MEMORIES
def test_a_round_that_was_stored_outlives_any_one_damaged_record(erase_bytes):
    for boots in range(1, 9):
        for slot in range(8):
            memory = Memory(erase_bytes)
            for _ in range(boots):
                store = Store(memory)
                store.open(lambda: bytes(32))
            store.enrol(7)
            store.take_part(5)
            memory.bytes[slot * SLOT_BYTES + 20] ^= 0x10

            again = Store(memory)
            again.open(lambda: bytes(32))

            assert (again.number, again.round) == (7, 5)


def test_a_higher_number_begins_at_round_0_and_both_are_stored():
    memory = Memory()
    store = Store(memory)
    store.open(lambda: bytes(32))
    store.bind(OWNER)
    store.take_part(2**32 - 1)
    store.enrol(2**32 - 1)

    again = Store(memory)
    again.open(lambda: bytes(32))

    assert (again.owner, again.number, again.round) == (OWNER, 2**32 - 1, 0)


@MEMORIES
def test_a_record_of_version_1_keeps_its_key_owner_and_boot(erase_bytes):
    memory, secret = Memory(erase_bytes), bytes(range(32))
    older = Store(memory)
    older.open(lambda: bytes(32))
    older.enrol(3)
    for serial, flag in ((3, 0), (4, 1)):
        body = b"tr\x01" + bytes([flag]) + serial.to_bytes(4, "big") + (40 + serial).to_bytes(4, "big") + secret
        body += OWNER if flag else bytes(20)
        record = body + crc32(body).to_bytes(4, "big")
        memory.bytes[serial * SLOT_BYTES : serial * SLOT_BYTES + len(record)] = record
    store = Store(memory)

    assert store.open(lambda: bytes(32)) == secret
    assert (store.boot, store.owner, store.number, store.round, store.damaged) == (45, OWNER, 0, 0, 0)
    store.take_part(9)
    again = Store(memory)
    assert again.open(lambda: bytes(32)) == secret and (again.boot, again.owner, again.round) == (46, OWNER, 9)


@MEMORIES
@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x5A])
def test_memory_that_holds_no_record_gets_a_key(erase_bytes, fill):
    device = Device(Memory(erase_bytes, fill=fill))

    device.live_through(20)

    assert device.made == 1


@pytest.mark.parametrize(
    "change, name",
    [
        (lambda store: store.bind(OWNER), "owner"),
        (lambda store: store.enrol(4), "number"),
        (lambda store: store.take_part(10), "round"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_changes(change, name):
    memory = Memory()
    store = Store(memory)
    store.open(lambda: bytes(32))
    store.enrol(3)
    store.take_part(9)
    before, memory.write = bytes(memory.bytes), lambda addr, data: None

    with pytest.raises(StoreError, match=name):
        change(store)

    assert (store.owner, store.number, store.round) == (None, 3, 9) and bytes(memory.bytes) == before
    del memory.write
    store.take_part(11)
    again = Store(memory)
    again.open(lambda: b"\x02" * 32)
    assert (again.boot, again.owner, again.number, again.round) == (2, None, 3, 11)


def test_a_slot_that_holds_no_record_any_more_is_passed_over():
    class Worn(Memory):
        def write(self, addr, data):
            if addr != 3 * SLOT_BYTES:
                super().write(addr, data)

    device = Device(Worn())

    device.live_through(30)

    assert device.boot == 30


@pytest.mark.parametrize(
    "erase_bytes, size",
    [(0, RING_SLOTS * SLOT_BYTES - 1), (4096, 4096), (100, 4096), (64, 4096)],
)
def test_memory_of_a_wrong_shape_is_refused(erase_bytes, size):
    with pytest.raises(StoreError, match="got .* wanted"):
        Store(Memory(erase_bytes, size))


def test_a_store_does_not_show_its_secret():
    memory = Memory()
    store = Store(memory)
    secret = store.open(lambda: b"\x5c" * 32)

    assert secret == b"\x5c" * 32
    assert "5c5c" not in repr(store) and "\\\\" not in str(store)
