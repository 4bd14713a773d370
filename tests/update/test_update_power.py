"""Updates on the device: the power cut at every write, on EEPROM and on NOR flash, and a flipped bit anywhere."""

import pytest

from device.agent.banks import RECORD_BYTES, SLOT_BYTES
from device.agent.records import Records
from tests.update_bench import AGENT, MODEL, PARAMETERS, Device, Eeprom, Nor, PowerCut, manifest, suit

OLD, NEW = b"old!" + bytes(range(256)) * 4, b"new!" + bytes(range(255)) * 17
CRASH = b"crash" + bytes(1200)
OTHER = suit.encode_parameters((5,), (2,), 250, (1, 255, 0))
MEMORIES = pytest.mark.parametrize("memory", [Eeprom, Nor])
TORN = (0.0, 0.4, 0.99)


def device_of(memory, kind=MODEL):
    """A device that runs OLD, sequence 1, confirmed."""
    device = Device(memory, 6 * 1024 if memory is Eeprom else 3 * Nor.erase_bytes)
    device.hold(OLD, NEW, CRASH)
    return device.live(manifest(OLD, 1, kind))


def copy_of(device):
    """The same device, switched off."""
    copy = Device(type(device.memories[0]), device.memories[1].size)
    for to, memory in zip(copy.memories, device.memories, strict=True):
        to.bytes[:] = memory.bytes
    copy.artifacts, copy.store.boot = device.artifacts, device.store.boot
    return copy


UPDATES = {
    "a new one": (lambda kind: manifest(NEW, 2, kind), NEW, {OLD, NEW}),
    "one that crashes": (lambda kind: manifest(CRASH, 2, kind), OLD, {OLD, CRASH}),
    "the same with other parameters": (
        lambda kind: manifest(OLD, 2, kind, **({"parameters": OTHER} if kind == MODEL else {})), OLD, {OLD},
    ),
    "the firmware's own": (lambda kind: manifest(b"", 2, kind), b"", {OLD, b""}),
}  # fmt: skip


@MEMORIES
@pytest.mark.parametrize("kind", [MODEL, AGENT])
@pytest.mark.parametrize("name", UPDATES)
def test_a_power_cut_at_every_write_leaves_the_old_or_the_new_and_the_update_can_be_completed(name, kind, memory):
    make, wanted, may_run = UPDATES[name]
    whole, frame = copy_of(before := device_of(memory, kind)), make(kind)
    whole.live(frame)
    assert whole.running()[kind - 1] == wanted and whole.power.writes > 10

    for cut in range(whole.power.writes):
        for torn in TORN:
            device = copy_of(before)
            device.power.cut, device.power.torn = cut, torn
            with pytest.raises(PowerCut):
                device.live(frame)
            device.power.cut = None
            finish(device, frame)
            assert device.running()[kind - 1] == wanted, (cut, torn)
            assert {content[kind - 1] for content in device.ran} <= may_run, (cut, torn)
            assert not device.boot.is_safe


def finish(device, frame):
    """Power again: the update ends, if need be after the back-off of a trial that the cut ended."""
    device.live(frame)
    if device.told and device.told[-1][2:4] == [suit.TOLD_FAILED, "power"]:
        device.pass_hours(1)
        device.offer(frame)
        device.reset = "asked"
        device.live(frame)


@MEMORIES
def test_a_power_cut_at_every_write_of_a_devices_first_trust_and_update_leaves_it_bootable(memory):
    first = Device(memory, 6 * 1024 if memory is Eeprom else 3 * Nor.erase_bytes)
    first.hold(OLD)
    whole = copy_of(first).live(manifest(OLD, 1))

    for cut in range(whole.power.writes):
        device = copy_of(first)
        device.power.cut, device.power.torn = cut, 0.5
        with pytest.raises(PowerCut):
            device.live(manifest(OLD, 1))
        device.power.cut = None
        finish(device, manifest(OLD, 1))
        assert device.running() == (OLD, b"") and {content[0] for content in device.ran} <= {b"", OLD}


@MEMORIES
def test_power_cuts_while_recovering_from_power_cuts_lose_nothing(memory):
    before = device_of(memory)
    for seed in range(60):
        device = copy_of(before)
        for turn in range(4):
            device.power.writes, device.power.cut = 0, seed * 7 * (turn + 3) % 41
            device.power.torn = TORN[(seed + turn) % 3]
            try:
                device.live(manifest(NEW, 2))
            except PowerCut:
                device.power.cut, device.reset = None, "power"
            assert {content[0] for content in device.ran} <= {OLD, NEW}
        device.power.cut = None
        finish(device, manifest(NEW, 2))
        assert device.running()[0] == NEW


@MEMORIES
def test_a_fetch_goes_on_where_it_stood_after_a_power_cut(memory):
    device = copy_of(device_of(memory))
    device.begin()
    device.receive("manifest", manifest(NEW, 2))
    while device.units[MODEL].fetched < 4096:
        device.pass_ms(100)
        device.answer()
    fetched, device.chunks = device.units[MODEL].fetched, 0

    device.live()

    assert device.running()[0] == NEW and device.chunks == -(-(len(NEW) - fetched) // 480)


@MEMORIES
def test_one_flipped_bit_anywhere_in_a_bank_leads_to_the_firmwares_own_and_the_same_manifest_heals_it(memory):
    before = device_of(memory)
    bank = 1 if before.units[MODEL].bank == 1 else 2
    start = memory.erase_bytes or 512
    places = [*range(0, 300, 7), *range(start, start + len(OLD), 13)]
    for at in places:
        device = copy_of(before)
        device.memories[bank].bytes[at] ^= 0x10
        device.begin()
        if device.running()[0] == OLD:
            assert at > 6 + len(manifest(OLD, 1)) and at < start, "a flip that hits nothing"
            continue
        device.answer()
        assert device.running() == (b"", b"")
        assert (device.units[MODEL].bank, device.units[MODEL].highest) == (0, 1)
        device.pass_hours(1)
        device.offer(manifest(OLD, 1))
        device.reset = "asked"
        device.live()
        assert device.running()[0] == OLD


@MEMORIES
def test_one_damaged_record_brings_back_neither_what_was_confirmed_before_nor_another_trust(memory):
    device = device_of(memory).live(manifest(NEW, 2))
    area = device.memories[0]
    for slot in range(area.size // SLOT_BYTES):
        for at in (0, 4, 8, 28, 32, RECORD_BYTES - 1):
            other = copy_of(device)
            other.memories[0].bytes[slot * SLOT_BYTES + at] ^= 1
            other.begin()
            assert other.running()[0] == NEW and other.boot.banks.number == 1


@MEMORIES
def test_every_torn_byte_of_a_record_leaves_the_one_before(memory):
    area = Device(memory).memories[0]
    power, size = area.power, 76
    for serial in range(1, 40):
        before = bytes(area.bytes)
        records = records_of(area, serial - 1)
        power.writes = 0
        records.append()
        after, writes = bytes(area.bytes), power.writes
        for cut in range(writes):
            for torn in range(size):
                area.bytes[:] = before
                power.writes, power.cut, power.torn = 0, cut, torn / size
                with pytest.raises(PowerCut):
                    records_of(area, serial - 1).append()
                power.cut = None
                records_of(area, serial - 1)
        area.bytes[:] = after


def records_of(area, serial):
    """What is kept, of which the newest must be this one; the next is to hold the next number."""
    records = Records(area, 76, 128, {b"tx\x01\x00": 72})
    assert records.find() == (serial > 0) and (records.serial, records.record[8]) == (serial, serial)
    records.record[:4], records.record[8] = b"tx\x01\x00", serial + 1
    return records


def test_parameters_are_those_of_the_manifest_that_is_confirmed():
    device = device_of(Eeprom)
    assert device.boot.wants == suit.decode_parameters(PARAMETERS)[:3]

    device.live(manifest(OLD, 2, parameters=OTHER))

    assert device.boot.wants == ([5], [2], 250) and device.chunks == -(-len(OLD) // 480)
