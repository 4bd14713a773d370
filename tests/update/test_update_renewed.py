"""What a device boots after its own agent was renewed, as by `tinyren flash` on a board with stock MicroPython."""

import contextlib

import pytest

from device.agent.banks import Banks
from device.agent.boot import RENEWED, Boot
from device.agent.phases import NOTHING, READY
from tests.update_bench import AGENT, MODEL, Device, PowerCut, manifest, suit

OLD, NEW = b"old!" + bytes(700), b"new!" + bytes(900)


def device_of(*frames):
    device = Device()
    device.hold(OLD, NEW)
    for frame in frames:
        device.live(frame)
    return device


def renewed(device, reset="asked"):
    """Its next boot, with another agent of its own."""
    area, *banks = device.memories
    return Boot(Banks(area, banks[:2], banks[2:]), "board_a", reset, 0, True)


def test_what_was_confirmed_of_agents_gives_way_and_that_is_told_and_the_model_stays():
    device = device_of(manifest(OLD, 1, MODEL), manifest(NEW, 4, AGENT))
    assert device.running() == (OLD, NEW)

    booted = renewed(device)

    assert booted.bank_of(AGENT) is None and booted.bank_of(MODEL) is not None and not booted.trial
    device.told.clear()
    device.live()
    assert device.running() == (OLD, b"")
    assert [told[1:4] for told in device.told if told[0] == AGENT] == [[4, suit.TOLD_FAILED, RENEWED]]
    device.live(manifest(NEW, 5, AGENT))  # a job that is applied again
    assert device.running() == (OLD, NEW)


@pytest.mark.parametrize(
    "frame", [manifest(b"", 2, AGENT), manifest(OLD, 1, MODEL)], ids=["the firmware's own", "none"]
)
def test_a_device_whose_own_agent_runs_has_nothing_to_give_way(frame):
    device = device_of(frame)
    kept = device.kept[1:]

    unit = renewed(device).banks.units[AGENT]

    assert (unit.failed, unit.reason, unit.sequence) == (0, "", device.units[AGENT].sequence)
    assert device.kept[1:] == kept


def test_what_is_ready_to_be_tried_is_tried():
    device = device_of(manifest(OLD, 1, AGENT))
    device.begin()
    device.offer(manifest(NEW, 2, AGENT))
    assert device.units[AGENT].phase == READY

    booted = renewed(device)

    assert booted.trial == AGENT and booted.agent.sequence == 2


def test_bad_boots_of_the_agent_before_are_forgotten():
    device = device_of(manifest(OLD, 1, AGENT))
    banks = device.boot.banks
    banks.bad, banks.is_open = 3, 0
    banks.keep()

    booted = renewed(device)

    assert (booted.is_safe, booted.banks.bad, booted.agent) == (False, 0, None)
    assert (booted.banks.units[AGENT].reason, booted.banks.units[AGENT].phase) == (RENEWED, NOTHING)
    assert len(RENEWED.encode()) <= 64


def test_a_power_cut_at_any_write_of_such_a_boot_leaves_a_device_that_says_so_all_the_same():
    for cut in range(4):
        device = device_of(manifest(OLD, 1, AGENT))
        device.power.cut = device.power.writes + cut
        with contextlib.suppress(PowerCut):
            renewed(device)
        device.power.cut = None
        unit = renewed(device, "power").banks.units[AGENT]
        assert (unit.bank, unit.reason) == (0, RENEWED), cut
