"""The ring of late records: power cut at every byte that is written, EEPROM and flash, what is dropped and counted."""

import contextlib
import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent.errors import StoreError
from device.agent.ring import PAGE_BYTES, RECORD_BYTES, SLOT_BYTES, Ring
from tests.agent.test_store import Memory, PowerCut

DAY_RECORDS = 1440
DAY_BYTES = 61_440
SHAPES = {"EEPROM": (0, 2), "flash of small sectors": (PAGE_BYTES, 2), "flash": (2 * PAGE_BYTES, 4)}
MEMORIES = pytest.mark.parametrize(("erase_bytes", "pages"), SHAPES.values(), ids=SHAPES)


def record(number):
    return number.to_bytes(4, "big") + bytes([number % 251]) * (RECORD_BYTES - 4)


def beacon(boot, change):
    return bytes([boot % 256, change]) + bytes(12)


def memory_of(erase_bytes, pages, fill=0xFF):
    return Chip(erase_bytes, pages * PAGE_BYTES, fill)


class Chip(Memory):
    """As Memory; the power may also fail between any two parts of an erase, 64 bytes each."""

    def erase(self, addr):
        for at in range(addr, addr + self.erase_bytes, 64):
            self._put(at, 0xFF, self.bytes[at] | 0xAA)
            self.bytes[at : at + 64] = b"\xff" * 64


def image(memory):
    """A copy of what a memory holds now, that can be looked at without a change."""
    copy = Chip(memory.erase_bytes, memory.size)
    copy.bytes[:] = memory.bytes
    return copy


class Owner:
    """Who uses a ring: knows what it added and what was taken, and asserts that nothing is lost uncounted."""

    def __init__(self, memory):
        self.memory = memory
        self.boot, self.change = 0, 0
        self.added = []  # in order
        self.torn = None  # what was being added when the power failed: it may be there
        self.taken = set()
        self.known = set()  # taken, but the power failed before that was stored: they may be dropped and counted, too
        self.unsaved = set()
        self.begin()

    def begin(self):
        self.memory.budget = None
        self.boot += 1
        self.ring = Ring(self.memory)
        self.ring.open()
        self.known |= self.unsaved
        self.unsaved = set()
        self.check()

    def add(self):
        self.torn = (self.added[-1] if self.added else 0) + 1
        self.ring.append(self.boot, beacon(self.boot, self.change), record(self.torn))
        self.added.append(self.torn)
        self.torn = None

    def take(self):
        """Take a batch as the gateway does."""
        found = self.ring.batch(7)
        if found:
            self.taken |= set(numbers(found[2]))
            self.unsaved |= set(numbers(found[2]))
            self.ring.free()
            stored = Ring(image(self.memory))
            stored.open()
            if stored.held == self.ring.held:
                self.unsaved.clear()

    def check(self):
        """What is kept is the newest of what was added, in order; all else was taken or is counted as dropped."""
        held, copy = [], Ring(image(self.memory))
        copy.open()
        while found := copy.batch(12):
            boot, shared, records = found
            held += numbers(records)
            assert boot == shared[0] <= self.boot
            copy.free()
        if self.torn in held:
            self.added.append(self.torn)
        self.torn = None
        assert held == self.added[len(self.added) - len(held) :]
        missing = set(self.added) - set(held) - self.taken
        assert len(missing) <= self.ring.dropped <= len(missing) + len(self.known)
        return held


def numbers(records):
    found = [int.from_bytes(records[at : at + 4], "big") for at in range(0, len(records), RECORD_BYTES)]
    assert records == b"".join(map(record, found))
    return found


def turns(owner):
    """A life with everything in it: outages, changes of the beacon, resets, deliveries, a ring that overflows."""
    yield from [owner.add] * 12
    yield from [owner.take] * 2
    for number in range(owner.ring.room + 33):
        owner.change = number // 23
        yield owner.add
        if number % 40 == 10:
            yield owner.begin
        if number % 25 == 0:
            yield owner.take
    while owner.ring.held:
        yield owner.take
    yield from [owner.add] * 6


def live(owner):
    for turn in turns(owner):
        turn()
    return owner


@MEMORIES
def test_what_is_kept_comes_out_in_order_with_its_boot_and_beacon_and_the_rest_is_counted(erase_bytes, pages):
    owner = Owner(memory_of(erase_bytes, pages))

    for turn in turns(owner):
        turn()
        owner.check()

    assert owner.ring.held == 6 and not owner.known
    assert owner.ring.dropped == len(set(owner.added) - owner.taken) - 6 > 20


@MEMORIES
def test_a_power_cut_at_any_byte_loses_no_record_uncounted(erase_bytes, pages):
    """After every cut what is kept is right; after a third of them the device also goes on."""
    whole, cuts = Owner(memory_of(erase_bytes, pages)), 0

    for turn in turns(whole):
        before, spent = pickle.dumps(whole), whole.memory.spent
        turn()
        for budget in range(whole.memory.spent - spent):
            owner = pickle.loads(before)
            owner.memory.budget = budget
            with pytest.raises(PowerCut):
                getattr(owner, turn.__name__)()
            owner.begin()
            if budget % 3 == 0:
                for again in (owner.add, owner.take, owner.add, owner.check):
                    again()
            cuts += 1

    assert cuts == whole.memory.spent > 2500


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.sampled_from(list(SHAPES.values())), st.lists(st.integers(0, 4000), min_size=2, max_size=8))
def test_power_cuts_while_recovering_from_power_cuts_lose_nothing_uncounted(shape, budgets):
    owner = Owner(memory_of(*shape))

    for budget in budgets:
        owner.memory.budget = budget
        with contextlib.suppress(PowerCut):
            live(owner)
        owner.begin()
    live(owner)
    owner.check()


@MEMORIES
@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x5A])
def test_memory_that_holds_something_else_is_an_empty_ring(erase_bytes, pages, fill):
    owner = Owner(memory_of(erase_bytes, pages, fill))

    assert (owner.ring.held, owner.ring.dropped, owner.ring.batch(12)) == (0, 0, None)
    live(owner).check()


def test_a_day_of_a_record_a_minute_fits_and_costs_a_slot_a_page_and_two_pages_at_boot():
    memory = memory_of(0, DAY_BYTES // PAGE_BYTES)
    owner = Owner(memory)
    assert owner.ring.room >= DAY_RECORDS

    for _ in range(DAY_RECORDS):
        owner.add()
    reads, read = [], memory.read
    memory.read = lambda addr, buf: (reads.append(addr), read(addr, buf))
    again = Ring(memory)
    again.open()

    assert (again.held, again.dropped) == (DAY_RECORDS, 0)
    assert len(reads) <= 3 * DAY_BYTES // PAGE_BYTES + 2 * PAGE_BYTES // SLOT_BYTES


@MEMORIES
def test_room_is_never_more_than_what_can_be_added_before_one_is_dropped(erase_bytes, pages):
    owner = Owner(memory_of(erase_bytes, pages))
    owner.begin()

    for turn in turns(owner):
        turn()
        room, copy = owner.ring.room, pickle.loads(pickle.dumps(owner))
        dropped = copy.ring.dropped
        for _ in range(room):
            copy.add()
        assert copy.ring.dropped == dropped
        if owner.ring.held > 60 or len(owner.added) > 60:
            break


def test_every_slot_wears_alike():
    memory = memory_of(0, 4)
    writes, write = Counter(), memory.write
    memory.write = lambda addr, data: (writes.update([addr]), write(addr, data))
    owner = Owner(memory)

    for _ in range(1000):
        owner.add()

    assert set(writes) == set(range(0, 4 * PAGE_BYTES, SLOT_BYTES)) and max(writes.values()) - min(writes.values()) <= 1


def test_a_slot_that_holds_nothing_any_more_is_passed_over():
    class Worn(Chip):
        def write(self, addr, data):
            if addr not in (5 * SLOT_BYTES, PAGE_BYTES, PAGE_BYTES + SLOT_BYTES):
                super().write(addr, data)

    owner = Owner(Worn(0, 4 * PAGE_BYTES))

    live(owner).check()


@pytest.mark.parametrize("fault", [OSError("no answer"), None], ids=["an error", "nothing is written"])
def test_a_record_that_cannot_be_kept_leaves_the_others(fault):
    memory = memory_of(0, 3)
    owner = Owner(memory)
    for _ in range(40):
        owner.add()

    def fail(addr, data):
        if fault:
            raise fault

    memory.write = fail
    for _ in range(40):
        with pytest.raises((OSError, StoreError)):
            owner.ring.append(owner.boot, beacon(owner.boot, 0), record(999))
    del memory.write

    owner.torn = None
    owner.add()
    owner.check()
    assert len(owner.check()) + owner.ring.dropped == 41


def test_what_made_room_while_it_was_on_its_way_is_not_counted_once_it_arrived():
    owner = Owner(memory_of(0, 2))
    for _ in range(30):
        owner.add()
    batch = numbers(owner.ring.batch(12)[2])
    for _ in range(31):
        owner.add()
    assert owner.ring.dropped == 30

    owner.ring.free()
    owner.taken |= set(batch)

    assert owner.ring.dropped == 18
    owner.begin()
    owner.check()


@pytest.mark.parametrize(("erase_bytes", "size"), [(0, 2047), (1000, 4000), (4096, 4096), (512, 4096)])
def test_memory_of_a_wrong_shape_is_refused(erase_bytes, size):
    with pytest.raises(StoreError, match="got .* wanted"):
        Ring(Memory(erase_bytes, size))
