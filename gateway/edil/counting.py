"""Which devices a share-holder or data owner may count in a sum: bound on a chain, listed in a file, or any.

A sum hides a device only among devices that are really there. Whoever runs a gateway can invent keys, so "any device"
makes every k_min worth nothing against that gateway; it says so in words wherever it is chosen.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from gateway import curve
from gateway.edil.shares import MayCount
from gateway.errors import CommandError, Exit
from gateway.oracle.rewards import Deed
from gateway.oracle.rpc import ChainReader

Counting = Callable[[], MayCount]
"""Asked once for each set."""

ANY_DEVICE = (
    "--any-device: every key counts as a device, so whoever runs the gateway can add as many of its own as it likes "
    "and learn the last one's values from the sum: k_min is worth nothing against it"
)


def count_any(device: bytes, owner: bytes) -> str:
    """Any device may be counted."""
    return ""


def count_listed(path: Path) -> MayCount:
    """Devices of a file: a line each, its id and, if its owner is to be checked too, its owner's address.

    Raises:
        CommandError: a line is something else, or there is none. OSError: it cannot be read.
    """
    listed: dict[bytes, bytes | None] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        words = line.split("#")[0].split()
        if words:
            try:
                device, *more = (parse_address(word) for word in words)
                if len(more) > 1:
                    raise ValueError(f"got {len(words)} words")
            except ValueError as error:
                raise CommandError(f"{path}, line {number}: {error}; wanted DEVICE [OWNER]", Exit.USAGE) from None
            listed[device] = more[0] if more else None
    if not listed:
        raise CommandError(f"{path}: got no device, wanted a line for each", Exit.USAGE)

    def may_count(device: bytes, owner: bytes) -> str:
        if device not in listed:
            return f"is not in {path.name}"
        wanted = listed[device]
        return "" if wanted in (None, owner) else f"is enrolled by 0x{owner.hex()}, wanted 0x{wanted.hex()}"

    return may_count


def count_bound(deeds: Mapping[int, Deed]) -> MayCount:
    """Devices that are bound to a deed whose owner signed their enrolment; deeds by number."""
    bound = {device: (number, deed.owner) for number, deed in deeds.items() for device in deed.devices}

    def may_count(device: bytes, owner: bytes) -> str:
        if device not in bound:
            return "is bound to no deed"
        number, wanted = bound[device]
        return "" if wanted == owner else f"is enrolled by 0x{owner.hex()}, but deed {number} is 0x{wanted.hex()}'s"

    return may_count


def follow_chain(url: str, contract: bytes) -> Counting:
    """Devices that are bound now, on a chain (JSON-RPC at url), by the contract Devices (20 bytes).

    What it gives raises ChainAway.
    """
    chain = ChainReader(url, bytes(curve.ADDRESS_BYTES), contract)
    return lambda: count_bound(chain.deeds(chain.block_number()))


def parse_address(text: str) -> bytes:
    """20 bytes from 40 hex digits, an 0x before them or not. Raises ValueError."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
        if len(value) != curve.ADDRESS_BYTES:
            raise ValueError
    except ValueError:
        raise ValueError(f"address: got {text[:80]!r}, wanted 40 hex digits") from None
    return value
