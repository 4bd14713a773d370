"""What each deed earns in an epoch, in wei, whole numbers only; does not ask how availability was found.

A Node Deed with S slots earns floor(ND_REWARD_WEI * sum(availability of its devices) / (255 * S)) in an epoch: its
slots share one reward, so inventing devices gains nothing (DESIGN.md D8).

Source of the constant: Ratio1's published reward of a Node Deed, 1.458508188386985115 R1 an epoch at availability 255.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.oracle.availability import FULL

ND_REWARD_WEI = 1458508188386985115


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


def rewards_of(deeds: Mapping[int, Deed], availability: Mapping[bytes, int]) -> dict[int, int]:
    """Wei that each deed earns in one epoch.

    Args:
        availability: 0..255 of every device of `deeds`, as it is paid.
    Raises:
        ValueError: as epoch_reward, or one device in two slots.
        KeyError: a device has no availability.
    """
    devices = [device for deed in deeds.values() for device in deed.devices]
    if len(set(devices)) != len(devices):
        raise ValueError("bindings: a device fills two slots")
    return {
        number: epoch_reward(sum(availability[device] for device in deed.devices), deed.slots)
        for number, deed in deeds.items()
    }
