"""What a device boots: trials, their end, bad boots and safe mode."""

import pytest

from device.agent import boot
from device.agent.banks import Banks
from device.agent.phases import NOTHING, POSTPONED, READY, TRYING
from tests.update_bench import AGENT, MODEL, PARAMETERS, Device, Eeprom, manifest, suit, trust

OLD, NEW = b"old!" + bytes(700), b"new!" + bytes(900)


@pytest.fixture(params=[MODEL, AGENT])
def kind(request):
    return request.param


def device_of(*artifacts, kind=MODEL):
    device = Device()
    device.hold(OLD, NEW, *artifacts)
    return device.live(manifest(OLD, 1, kind))


def told_of(device, kind=MODEL):
    return [(told[1], told[2], told[3]) for told in device.told if told[0] == kind]


@pytest.mark.parametrize("content, reason", [
    (b"crash" + bytes(500), "error: it crashes"),
    (b"hang" + bytes(500), "watchdog"),
    (b"mute" + bytes(500), "not accepted within 120 s"),
    (b"away" + bytes(500), "not online within 600 s, 3 times"),
])  # fmt: skip
def test_a_trial_that_fails_is_rolled_back_and_the_reason_told(kind, content, reason):
    device = device_of(content, kind=kind)

    device.live(manifest(content, 2, kind))

    assert told_of(device, kind)[-1] == (2, suit.TOLD_FAILED, reason)
    assert device.running()[kind - 1] == OLD and device.units[kind].sequence == 1
    tries = [ran for ran in device.ran if ran[kind - 1] == content]
    assert len(tries) == (3 if content[:4] == b"away" else 1)
    device.live(manifest(NEW, 3, kind))
    assert device.running()[kind - 1] == NEW


def test_a_power_cut_during_a_trial_rolls_it_back_as_power():
    device = device_of()
    device.begin()
    device.offer(manifest(NEW, 2))
    device.begin()  # a power-on, not the reset that was asked for: the trial begins all the same
    assert device.running()[0] == NEW and device.boot.is_accepted
    device = device_of(b"mute" + bytes(9))
    device.begin()
    device.offer(manifest(b"mute" + bytes(9), 2))
    Banks(device.memories[0], device.memories[1:3], device.memories[3:])
    area, *banks = device.memories
    trial = boot.Boot(Banks(area, banks[:2], banks[2:]), "board_a", "asked", 0)
    assert trial.trial == MODEL

    device.live(manifest(b"mute" + bytes(9), 2))

    assert told_of(device)[-1] == (2, suit.TOLD_FAILED, "power") and device.running()[0] == OLD


def test_a_trial_waits_for_an_upstream_that_is_away_and_is_not_charged_for_it():
    device = device_of(b"away" + bytes(9))
    device.begin()
    device.offer(manifest(b"away" + bytes(9), 2))
    device.begin()
    assert device.boot.wants_reset and device.units[MODEL].phase == POSTPONED

    device.reset = "asked"
    device.begin()

    assert device.running()[0] == OLD and (device.units[MODEL].failures, device.boot.banks.bad) == (0, 0)
    device.broker.state = 0
    device.pass_hours(20)
    assert device.units[MODEL].phase == POSTPONED and not device.boot.wants_reset
    device.broker.state = 3
    device.pass_ms(10)
    assert device.boot.wants_reset


def test_a_trial_is_tried_again_only_once_the_one_before_has_ended(kind):
    device = device_of(kind=kind)
    other = AGENT if kind == MODEL else MODEL
    device.begin()
    device.offer(manifest(NEW, 2, kind), manifest(OLD, 1, other))
    device.live(manifest(NEW, 2, kind), manifest(OLD, 1, other))

    assert device.running() == ((NEW, OLD) if kind == MODEL else (OLD, NEW))
    assert sum(ran == device.running() for ran in device.ran) == 1  # each trial changed one of the two


def test_of_two_that_are_ready_one_goes_on_trial():
    device = Device()
    device.hold(OLD, NEW)
    device.begin()
    device.receive("trust", trust())
    for frame in (manifest(OLD, 1, MODEL), manifest(NEW, 1, AGENT)):
        device.receive("manifest", frame)
    for _ in range(20):
        device.pass_ms(100)
        device.answer()
    assert [unit.phase for unit in device.units.values()] == [READY, READY]

    area, *banks = device.memories
    booted = boot.Boot(Banks(area, banks[:2], banks[2:]), "board_a", "asked", 0)

    assert booted.trial == MODEL and booted.bank_of(MODEL) and booted.bank_of(AGENT) is None
    assert [unit.phase for unit in booted.banks.units.values()] == [TRYING, READY]


@pytest.mark.parametrize("frame", [manifest(OLD, 9), manifest(OLD, 1, AGENT)])
def test_a_bank_with_another_manifest_than_the_one_that_was_confirmed_does_not_run(frame):
    device = device_of()
    device.boot.banks.bank(MODEL, 1).begin(frame, True)

    device.begin()

    assert device.running() == (b"", b"") and device.units[MODEL].reason.startswith("bank: got another manifest")


# Bad boots


def end(device, reset):
    """A boot that is not accepted and ends so."""
    area, *banks = device.memories
    booted = boot.Boot(Banks(area, banks[:2], banks[2:]), "board_a", device.reset, 0)
    if reset.startswith("error"):
        booted.fail(reset)
        reset = "asked"
    device.reset = reset
    return booted


@pytest.mark.parametrize("resets, is_safe", [
    (("watchdog", "watchdog", "watchdog"), True),
    (("error: a", "watchdog", "error: b"), True),
    (("watchdog", "watchdog"), False),
    (("watchdog", "watchdog", "power"), False),
    (("power", "power", "power", "power"), False),
    (("asked", "asked", "asked", "asked"), False),
    (("watchdog", "power", "watchdog", "asked", "watchdog"), True),
])  # fmt: skip
def test_three_boots_in_a_row_that_end_badly_before_a_heartbeat_was_accepted_lead_to_safe_mode(resets, is_safe):
    device = device_of()
    device.reset = "asked"
    for reset in resets:
        assert not end(device, reset).is_safe

    device.begin()

    assert device.boot.is_safe == is_safe and device.running()[0] == (b"" if is_safe else OLD)


def test_an_accepted_heartbeat_ends_the_row_and_its_boot_is_never_a_bad_one():
    device = device_of()
    for reset in ("asked", "watchdog", "watchdog", "watchdog", "watchdog"):
        device.reset = reset
        device.begin()
        assert device.boot.is_accepted and not device.boot.is_safe and device.boot.banks.bad == 0


def test_safe_mode_tells_why_takes_an_update_and_ends_with_it():
    device = device_of()
    device.reset = "asked"
    for reset in ("error: one", "error: two", "error: three"):
        end(device, reset)
    device.told.clear()

    device.live(manifest(NEW, 2))

    assert told_of(device, AGENT)[0] == (0, suit.TOLD_SAFE, "error: three")
    assert [told[-2:] for told in device.told if told[0] == AGENT][0] == [0, 0]
    assert not device.boot.is_safe and device.running()[0] == NEW and device.boot.banks.bad == 0


def test_an_update_that_fails_in_safe_mode_leaves_it_safe_and_a_power_on_gives_one_more_chance():
    device = device_of(b"crash" + bytes(9))
    device.reset = "asked"
    for reset in ("watchdog", "watchdog", "watchdog"):
        end(device, reset)
    device.live(manifest(b"crash" + bytes(9), 2))
    assert device.boot.is_safe and device.units[MODEL].failed == 2

    device.reset = "power"
    assert not end(device, "watchdog").is_safe
    assert end(device, "asked").is_safe
    device.reset = "power"
    device.begin()
    assert not device.boot.is_safe and device.boot.banks.bad == 0


def test_a_device_that_never_was_updated_writes_nothing_until_a_boot_ends_badly():
    device = Device()
    for reset in ("power", "asked", "power"):
        device.reset = reset
        device.begin()
    assert device.power.writes == 0

    device.reset = "watchdog"
    assert not end(device, "watchdog").is_safe and device.power.writes > 0
    end(device, "watchdog")
    assert end(device, "asked").is_safe


# What runs must fit


@pytest.mark.parametrize("change, reason", [
    ({"board": "board_b"}, "board: got board_a, wanted board_b"),
    ({"model_abi": "ren4"}, "abi: got ren3, wanted ren4"),
])  # fmt: skip
def test_what_a_new_firmware_cannot_run_it_does_not_run(monkeypatch, change, reason):
    device = device_of()
    area, *banks = device.memories
    if "model_abi" in change:
        monkeypatch.setattr(boot.Boot, "model_abi", change["model_abi"])

    booted = boot.Boot(Banks(area, banks[:2], banks[2:]), change.get("board", "board_a"), "power", 0)

    unit = booted.banks.units[MODEL]
    assert booted.model is None and booted.bank_of(MODEL) is None
    assert (unit.bank, unit.sequence, unit.highest, unit.phase, unit.reason) == (0, 0, 1, NOTHING, reason)


def test_the_firmwares_own_can_be_asked_for_with_parameters(kind):
    device = device_of(kind=kind)

    device.live(manifest(b"", 2, kind))

    assert device.running() == (b"", b"") and device.boot.bank_of(kind) is None
    assert (device.boot.wants is not None) == (kind == MODEL)
    if kind == MODEL:
        assert device.boot.wants == suit.decode_parameters(PARAMETERS)[:3]


@pytest.mark.parametrize("phase", [1, 2, 4])
def test_a_device_that_takes_no_models_this_time_leaves_what_it_has_of_them_as_it_is(phase):
    device = device_of()
    device.units[MODEL].phase, device.units[MODEL].wanted = phase, 2
    device.boot.banks.keep()
    device.memories[1:3], models = [], device.memories[1:3]
    area, *agents = device.memories

    booted = boot.Boot(Banks(area, (), agents), "board_a", "power", 0)
    install = device.install.__class__(device.identity, device.store, device.broker, device.port, booted, 0)
    install.tick(10)

    assert booted.bank_of(MODEL) is None and not booted.trial and not booted.wants_reset
    unit = Banks(area, models, agents).units[MODEL]
    assert (unit.bank, unit.sequence, unit.wanted) == (1, 1, 2)


def test_nothing_of_a_boot_that_cannot_be_kept_runs():
    device = device_of()
    area, *banks = device.memories

    def fail(addr, data):
        raise OSError(5, "no answer")

    area.write = fail
    with pytest.raises(OSError):
        boot.Boot(Banks(area, banks[:2], banks[2:]), "board_a", "watchdog", 0)


def test_memories_that_are_too_small_are_refused():
    power = Device().power
    with pytest.raises(ValueError, match="got .* wanted"):
        Banks(Eeprom(power, 4095), (), ())
    with pytest.raises(ValueError, match="got .* wanted"):
        Banks(Eeprom(power, 4096), [Eeprom(power, 512)] * 2, ())
