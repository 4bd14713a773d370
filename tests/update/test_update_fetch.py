"""How an artifact comes into the idle bank, goes on after a reset, and waits for its trial."""

import pytest

from device.agent.phases import FETCHING, NOTHING, POSTPONED, READY, TRYING
from tests.update_bench import AGENT, MODEL, Banks, Boot, Device, Eeprom, Nor, PowerCut, manifest, suit, trust

OLD, NEW = b"old!" + bytes(range(256)) * 4, b"new!" + bytes(range(255)) * 17
MUTE, AWAY = b"mute" + bytes(700), b"away" + bytes(700)


@pytest.fixture
def device():
    """A device that runs OLD, sequence 3, and is up."""
    device = Device()
    device.hold(OLD, NEW, MUTE, AWAY)
    device.live(manifest(OLD, 3))
    device.told.clear()
    return device


def told_of(device):
    device.pass_ms(10)
    device.answer()
    return [(told[1], told[2], told[3]) for told in device.told]


@pytest.mark.parametrize("memory", [Eeprom, Nor])
def test_a_chunk_that_is_not_the_next_of_what_is_fetched_changes_nothing(memory):
    device = Device(memory, 8192 if memory is Eeprom else 3 * Nor.erase_bytes)
    device.begin()
    device.receive("trust", trust())
    device.receive("manifest", manifest(NEW))
    digest = suit.open_manifest(manifest(NEW))[0].digest
    before = device.kept

    for chunk in (
        suit.encode_chunk(bytes(8), 0, NEW[:480]),
        suit.encode_chunk(digest, 480, NEW[480:960]),
        suit.encode_chunk(digest, 0, NEW[:479]),
        suit.encode_chunk(digest, 4320, NEW[4320:]),
    ):
        device.receive("chunk", chunk)
    for broken in (b"", b"\x80", suit.encode_chunk(digest, 0, NEW[:480])[:-1]):
        assert device.receive("chunk", broken)

    assert device.kept == before and device.install.counts["chunks"] == 0
    device.receive("chunk", suit.encode_chunk(digest, 0, NEW[:480]))
    device.receive("chunk", suit.encode_chunk(digest, 0, NEW[:480]))  # once more
    assert device.install.counts["chunks"] == 1


def test_chunks_are_asked_for_by_four_and_again_after_3_s_without_one(device):
    device.receive("manifest", manifest(NEW, 4))

    def wants(ms):
        device.pass_ms(ms)
        sent, device.broker.sent = device.broker.sent, []
        return [suit.decode_want(payload)[1:] for name, payload in sent if name == "want"]

    digest = suit.open_manifest(manifest(NEW))[0].digest
    assert wants(10) == [(0, 4)]
    device.give(digest[:8], 0, 1)
    assert wants(2990) == [] and wants(20) == [(480, 4)]
    device.give(digest[:8], 480, 4)
    assert wants(0) == [(2400, 4)]
    device.give(digest[:8], 2400, 4)
    assert wants(0) == [(4320, 1)]


def test_bytes_that_are_not_the_manifests_are_refused_and_fetched_again_only_after_the_back_off(device):
    good, start = manifest(NEW, 4), suit.open_manifest(manifest(NEW))[0].digest[:8]
    device.artifacts[start] = NEW[:700] + b"\x00" + NEW[701:]

    device.offer(good)

    assert told_of(device)[-1] == (4, suit.TOLD_REFUSED, "digest: got another, wanted the manifest's")
    device.hold(NEW)
    device.chunks = 0
    device.offer(good)
    assert device.chunks == 0 and device.running()[0] == OLD
    device.pass_hours(1)
    device.offer(good)
    device.reset = "asked"
    assert device.live().running()[0] == NEW and device.chunks == 10


# Resets


def test_a_fetch_whose_bank_is_no_longer_its_own_is_forgotten(device):
    device.receive("manifest", manifest(NEW, 4))
    device.boot.banks.idle(MODEL).begin(manifest(NEW, 9), False)

    device.begin()

    assert device.units[MODEL].phase == NOTHING
    device.offer(manifest(NEW, 4))
    assert device.units[MODEL].phase == READY


def test_a_fetch_goes_on_at_a_whole_chunk(device):
    device.receive("manifest", manifest(NEW, 4))
    device.units[MODEL].fetched = 4096  # as a copy of a bank that is gone leaves it
    device.boot.banks.keep()

    device.begin()
    device.pass_ms(10)

    assert [suit.decode_want(payload)[1:] for name, payload in device.broker.sent if name == "want"] == [(3840, 2)]


def test_a_power_cut_while_another_takes_the_place_of_what_waits_is_no_failure_of_either(device):
    device.begin()
    device.offer(manifest(AWAY, 4))
    device.begin()
    assert device.units[MODEL].phase == POSTPONED
    before = device.kept

    for cut in range(12):
        other = Device()
        other.artifacts = device.artifacts
        for memory, content in zip(other.memories, before, strict=True):
            memory.bytes[:] = content
        other.reset = "asked"
        other.begin()
        other.power.writes, other.power.cut = 0, cut
        with pytest.raises(PowerCut):
            other.receive("manifest", manifest(NEW, 5))
            other.offer()
        other.power.cut = None
        other.live()
        other.live(manifest(NEW, 5))
        assert other.running()[0] == NEW and not [told for told in other.told if told[3].startswith("bank")]


# Trials


def trying(device, artifact):
    """The device in a trial of a model that is not accepted."""
    device.begin()
    device.offer(manifest(artifact, 4))
    area, *banks = device.memories
    device.boot = Boot(Banks(area, banks[:2], banks[2:]), "board_a", "asked", device.now_ms)
    device.install.__init__(device.identity, device.store, device.broker, device.port, device.boot, device.now_ms)
    assert device.boot.trial == MODEL
    return device


def test_the_bank_of_a_trial_is_not_written_while_it_runs(device):
    trying(device, MUTE)
    before = device.kept

    device.offer(manifest(NEW, 5))

    assert device.kept == before and device.units[MODEL].phase == TRYING
    assert told_of(device)[-1][:2] == (4, suit.TOLD_TRYING) and not [told for told in device.told if told[1] == 5]


def test_what_is_ready_waits_until_the_trial_before_it_has_ended(device):
    trying(device, MUTE)

    device.offer(manifest(NEW, 1, AGENT))
    assert device.units[AGENT].phase == READY and not device.boot.wants_reset
    device.boot.accept()
    device.pass_ms(10)

    assert device.boot.wants_reset and device.units[MODEL].sequence == 4 and device.units[AGENT].phase == READY


def test_a_trial_that_was_online_waits_for_its_upstream_however_long_that_is_away(device):
    trying(device, MUTE)
    for is_online, seconds in ((True, 60), (False, 5000), (True, 59)):
        device.boot.tick(device.now_ms, is_online)
        device.now_ms += seconds * 1000
        device.boot.tick(device.now_ms, is_online)
        assert not device.boot.wants_reset
    device.now_ms += 2000
    device.boot.tick(device.now_ms, True)

    assert device.boot.wants_reset and device.units[MODEL].reason == "not accepted within 120 s"


@pytest.mark.parametrize("phase", [FETCHING, POSTPONED])
def test_what_was_on_its_way_when_the_confirmed_bank_is_lost_begins_anew(device, phase):
    device.receive("manifest", manifest(NEW, 4))
    device.units[MODEL].phase = phase
    device.boot.banks.keep()
    device.memories[1].bytes[700] ^= 1

    device.begin()

    assert device.running() == (b"", b"") and device.units[MODEL].phase == NOTHING
    device.offer(manifest(NEW, 4))
    device.reset = "asked"
    assert device.live().running()[0] == NEW


def test_a_damaged_trial_in_safe_mode_stays_in_it(device):
    device.begin()
    device.offer(manifest(NEW, 4))
    device.boot.banks.bad = 3
    device.boot.banks.keep()
    device.memories[2].bytes[700] ^= 1

    device.reset = "asked"
    device.begin()

    assert device.boot.is_safe and device.running() == (b"", b"") and not device.boot.banks.is_open
    assert device.units[MODEL].reason == "digest: got another, wanted the manifest's"
