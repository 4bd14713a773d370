"""Availability of each bound device in one epoch, from windows and heartbeats; knows no clock, file, key or chain.

The rule. A heartbeat answers window w when all of these hold:
  1. its device is bound;
  2. its (boot, sequence) is greater than every earlier one that this device signed, in file order;
  3. its signature is the device's;
  4. its beacon is window w's;
  5. opened_ms(w) <= receipt_ms < opened_ms(w) + window_ms.
A heartbeat that meets 1 to 3 moves the device's last (boot, sequence), whether it then answers a window or not. One
that fails 3 moves nothing: nobody can spoil another's sequence. A window is answered once or not at all; one that was
never opened, by nobody. availability = floor(255 * windows answered / K), K = windows of the epoch, opened or not.
Every step is one look-up: O(heartbeats).

Several gateways may hear one device. Each one's heartbeats are judged against its own windows and by its own clock, and
a device has answered a window if it did so at any of them. A (boot, sequence) counts once, whoever heard it; two
different heartbeats under one (boot, sequence) are two devices with one key, and neither counts.

Source: DESIGN.md D6; the 0..255 scale is Ratio1's (12 of 24 hours: 127).
"""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass

from device.agent import wire

FULL = 255
BEACON_BYTES = 14
HASH_BYTES = 32
MAX_WINDOWS = 1 << 16


class EvidenceError(Exception):
    """The evidence as a whole cannot be judged: it is torn, or it contradicts itself or the chain."""


@dataclass(frozen=True)
class Window:
    """One opened window: opened_ms since 1970, the block from whose hash (32 bytes) its beacon (14 bytes) is made."""

    window: int
    opened_ms: int
    block: int
    block_hash: bytes
    beacon: bytes


@dataclass(frozen=True)
class Windows:
    """Windows of one epoch, `count` (K) of window_ms each; `opened` may lack some. Bindings are read at `block`."""

    epoch: int
    count: int
    window_ms: int
    opened: tuple[Window, ...]
    block: int


@dataclass(frozen=True)
class Heartbeat:
    """What a heartbeat says before anyone believes it; receipt_ms is the gateway's, signature r | s of the digest."""

    receipt_ms: int
    device: bytes
    beacon: bytes
    boot: int
    sequence: int
    digest: bytes
    signature: bytes


def verify_windows(windows: Windows) -> None:
    """Check what needs no chain: order, range and beacons.

    Raises:
        EvidenceError: a window out of 0..K-1, twice or out of order, opened before the one before it, from an older
            block or one after the close, or with a beacon that its block hash does not give.
    """
    if not 1 <= windows.count <= MAX_WINDOWS or windows.window_ms < 1:
        raise EvidenceError(f"windows: {windows.count} of {windows.window_ms} ms, wanted 1..{MAX_WINDOWS} of 1 ms up")
    if not 0 <= windows.epoch < 1 << 32:
        raise EvidenceError(f"epoch {windows.epoch}, wanted 0..{(1 << 32) - 1}")
    before: Window | None = None
    for window in windows.opened:
        if not 0 <= window.window < windows.count:
            raise EvidenceError(f"window {window.window}, wanted 0..{windows.count - 1}")
        if window.beacon != wire.make_beacon(windows.epoch, window.window, window.block_hash):
            raise EvidenceError(f"window {window.window}: beacon {window.beacon.hex()} is not made from its block hash")
        if before is not None:
            _verify_order(before, window)
        before = window
    if before is not None and before.block > windows.block:
        raise EvidenceError(f"window {before.window}: block {before.block}, the epoch closed at {windows.block}")


def _verify_order(before: Window, window: Window) -> None:
    if window.window <= before.window:
        raise EvidenceError(f"window {window.window} after window {before.window}")
    if window.opened_ms <= before.opened_ms:
        raise EvidenceError(f"window {window.window}: opened at {window.opened_ms} ms, last at {before.opened_ms} ms")
    if window.block < before.block:
        raise EvidenceError(f"window {window.window}: block {window.block}, last was {before.block}")


def score(
    windows: Windows, heartbeats: Iterable[Heartbeat], is_signed: Callable[[Heartbeat], bool], devices: Iterable[bytes]
) -> dict[bytes, int]:
    """Availability 0..255 of each device (20-byte id) of `devices`, and of no other; see the rule above.

    Args:
        heartbeats: in file order, consumed once; memory does not grow with them.
        is_signed: whether the signature of the digest is the device's; asked only where the answer matters.
    """
    answered: dict[bytes, set[int]] = {device: set() for device in devices}
    for beat, window in answers(windows, heartbeats, is_signed, answered.keys()):
        answered[beat.device].add(window)
    return {device: FULL * len(numbers) // windows.count for device, numbers in answered.items()}


def score_union(
    sources: Iterable[tuple[Windows, Iterable[Heartbeat]]],
    is_signed: Callable[[Heartbeat], bool],
    devices: Iterable[bytes],
) -> dict[bytes, int]:
    """As `score`, of what several gateways heard, in any order of them; memory grows with the answers.

    Raises:
        EvidenceError: epochs, or numbers or lengths of windows, differ.
    """
    heard: dict[bytes, dict[tuple[int, int], tuple[bytes, int]]] = {device: {} for device in devices}
    cloned: set[tuple[bytes, int, int]] = set()
    shapes = set()
    for windows, heartbeats in sources:
        shapes.add((windows.epoch, windows.count, windows.window_ms))
        for beat, window in answers(windows, heartbeats, is_signed, heard.keys()):
            place, found = (beat.boot, beat.sequence), (beat.digest, window)
            if heard[beat.device].setdefault(place, found) != found:
                cloned.add((beat.device, *place))
    if len(shapes) != 1:
        raise EvidenceError(f"gateways have {len(shapes)} kinds of epoch, number or length of windows; wanted one")
    ((_, count, _),) = shapes
    result = {}
    for device, places in heard.items():
        numbers = {window for place, (_, window) in places.items() if (device, *place) not in cloned}
        result[device] = FULL * len(numbers) // count
    return result


def answers(
    windows: Windows,
    heartbeats: Iterable[Heartbeat],
    is_signed: Callable[[Heartbeat], bool],
    devices: Container[bytes],
) -> Iterator[tuple[Heartbeat, int]]:
    """Each heartbeat of `devices` that answers a window, and which, by the rule above; a stream."""
    for beat, window, broken in judge(windows, heartbeats, is_signed, devices):
        if window is not None and not broken:
            yield beat, window.window


def judge(
    windows: Windows,
    heartbeats: Iterable[Heartbeat],
    is_signed: Callable[[Heartbeat], bool],
    devices: Container[bytes],
) -> Iterator[tuple[Heartbeat, Window | None, int]]:
    """Each heartbeat of `devices`, the window whose beacon it has, and which point of the rule it fails: 2 to 5, or 0.

    A stream; of several points the first.
    """
    by_beacon = {window.beacon: window for window in windows.opened}
    last: dict[bytes, tuple[int, int]] = {}
    for beat in heartbeats:
        if beat.device not in devices:
            continue
        place, window = (beat.boot, beat.sequence), by_beacon.get(beat.beacon)
        if place <= last.get(beat.device, (-1, -1)):
            yield beat, window, 2
        elif not is_signed(beat):
            yield beat, window, 3
        else:
            last[beat.device] = place
            if window is None:
                yield beat, None, 4
            else:
                is_in_time = window.opened_ms <= beat.receipt_ms < window.opened_ms + windows.window_ms
                yield beat, window, 0 if is_in_time else 5
