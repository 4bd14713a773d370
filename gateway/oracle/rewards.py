"""What each deed has earned since the first epoch, in wei, whole numbers only; does not ask how availability was found.

A Node Deed with S slots earns floor(ND_REWARD_WEI * sum(availability of its devices) / (255 * S)) in an epoch: its
slots share one reward, so inventing devices gains nothing (DESIGN.md D8). Amounts are cumulative: a deed's leaf never
shrinks and never disappears, and one claim takes all that is due.

Source of the constant: Ratio1's published reward of a Node Deed, 1.458508188386985115 R1 an epoch at availability 255.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.oracle.availability import FULL

ND_REWARD_WEI = 1458508188386985115

Leaves = tuple[tuple[int, int], ...]
"""(deed id, cumulative wei) in ascending order of deed id, each deed once."""


@dataclass(frozen=True)
class Deed:
    """A deed at the block where an epoch closed. owner: 20 bytes; devices: ids of 20 bytes, at most one a slot."""

    owner: bytes
    slots: int
    devices: tuple[bytes, ...]


def epoch_reward(availability_sum: int, slots: int) -> int:
    """Wei that a deed earns in one epoch.

    Raises:
        ValueError: no slot, or more availability than the slots can give.
    """
    if slots < 1:
        raise ValueError(f"slots {slots}, wanted at least 1")
    if not 0 <= availability_sum <= FULL * slots:
        raise ValueError(f"availability {availability_sum} in all, wanted 0..{FULL * slots} for {slots} slots")
    return ND_REWARD_WEI * availability_sum // (FULL * slots)


def next_leaves(previous: Leaves, deeds: Mapping[int, Deed], availability: Mapping[bytes, int]) -> Leaves:
    """The leaves after one more epoch: those before, each bound deed's one raised by its reward, new deeds added.

    A deed gets its leaf in the first epoch at whose close it has a device, and keeps it for ever.

    Args:
        availability: 0..255 of every device of `deeds`.
    Raises:
        ValueError: as epoch_reward, or one device in two slots.
        KeyError: a device has no availability.
    """
    devices = [device for deed in deeds.values() for device in deed.devices]
    if len(set(devices)) != len(devices):
        raise ValueError("bindings: a device fills two slots")
    cumulative = dict(previous)
    for number, deed in deeds.items():
        earned = epoch_reward(sum(availability[device] for device in deed.devices), deed.slots)
        cumulative[number] = cumulative.get(number, 0) + earned
    return tuple(sorted(cumulative.items()))


def total(leaves: Leaves) -> int:
    """Wei in all the leaves."""
    return sum(amount for _, amount in leaves)
