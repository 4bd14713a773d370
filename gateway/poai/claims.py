"""What a heartbeat claims of inferences, and which of them may be challenged; pure; believes none of it.

A heartbeat commits to the count of inferences since boot and to the chain of their outputs. It claims those since the
device's heartbeat before it, of which at most the last `kept` can be revealed: these are its units, and no other
inference is ever paid. So who computes only what may be challenged earns for what it computed, and for nothing else.

It claims none if it is the device's first in the epoch (unless it is the first of a boot), if a heartbeat between the
two is not in the evidence, or if the model changed. Heartbeats that answer no window are not taken.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from device.agent import wire
from gateway.oracle import availability
from gateway.oracle.availability import Heartbeat, Windows

NO_CHAIN = bytes(wire.CHAIN_BYTES)


@dataclass(frozen=True)
class Claim:
    """Inferences first..count of a device's boot, claimed in a window.

    Attributes:
        device: 20 bytes; model: binary CIDv1, 36 bytes.
        chain: 16 bytes, after inference `count`.
        before: 16 bytes, the chain before inference `first`, where the heartbeat before told it; else None.
    """

    device: bytes
    window: int
    boot: int
    sequence: int
    model: bytes
    first: int
    count: int
    chain: bytes
    before: bytes | None

    @property
    def units(self) -> int:
        """How many inferences are claimed and can be challenged."""
        return self.count - self.first + 1


class Counts:
    """Where each device stood at its last heartbeat of one epoch.

    Args:
        kept: of each model (CID), how many of the last inferences devices keep; others' work is no unit.
    """

    def __init__(self, kept: Mapping[bytes, int]) -> None:
        self._kept = kept
        self._last: dict[bytes, tuple[int, int, bytes, int, bytes]] = {}

    def take(self, device: bytes, payload: bytes, window: int) -> Claim | None:
        """Take a heartbeat that answers a window; what it claims, or None.

        Raises:
            WireError: the payload is no heartbeat's.
        """
        _, boot, sequence, model, count, chain, *_ = wire.decode_heartbeat(payload)
        before = self._last.get(device)
        self._last[device] = boot, sequence, model, count, chain
        if sequence == 1:
            before = boot, 0, model, 0, NO_CHAIN
        if before is None or (boot, sequence - 1, model) != before[:3]:
            return None
        since, chain_then = before[3:]
        units = min(count - since, self._kept.get(model, 0))
        if units < 1:
            return None
        first = count - units + 1
        return Claim(
            device, window, boot, sequence, model, first, count, chain, chain_then if first == since + 1 else None
        )


def claims_of(
    windows: Windows,
    items: Iterable[tuple[int, bytes]],
    is_signed: Callable[[Heartbeat], bool],
    devices: Container[bytes],
    kept: Mapping[bytes, int],
) -> Iterator[Claim]:
    """The claims of `devices` in one gateway's evidence, in its order; a stream.

    Args:
        items: (receipt time in ms, COSE_Sign1) as the evidence holds them; what is no heartbeat is passed over.
    """
    counts = Counts(kept)
    payload = b""

    def heartbeats() -> Iterator[Heartbeat]:
        nonlocal payload
        for receipt_ms, frame in items:
            try:
                device, payload, signature, digest = wire.open_sign1(frame)
                beacon, boot, sequence, *_ = wire.decode_heartbeat(payload)
            except wire.WireError:
                continue
            yield Heartbeat(receipt_ms, device, beacon, boot, sequence, digest, signature)

    for beat, window in availability.answers(windows, heartbeats(), is_signed, devices):
        claim = counts.take(beat.device, payload, window)
        if claim is not None:
            yield claim
