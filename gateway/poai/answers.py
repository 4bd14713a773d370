"""Reads what devices answered to challenges out of an epoch's evidence; pure; it judges none (verdict.py)."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from device.agent import cbor, seal, wire
from device.agent import reveal as messages
from gateway.oracle.availability import Heartbeat
from gateway.poai.private import OPENING, Opening, Sealed, agreed_of, read_opening, read_sealed

# Each such message holds one: most of what is read are heartbeats, not worth taking apart.
_LABELS = tuple(cbor.encode(label) for label in (messages.REVEAL, seal.SEALED, OPENING))
IsSigned = Callable[[Heartbeat], bool]


@dataclass(frozen=True)
class Reveal:
    """A device's answer for everybody, as signed: inference `index` of those that heartbeat (boot, sequence) counted.

    place: device, boot, sequence, count, index.
    """

    receipt_ms: int
    place: tuple[bytes, int, int, int, int]
    window: bytes
    outputs: bytes
    before: bytes

    @property
    def device(self) -> bytes:
        """20 bytes."""
        return self.place[0]


Answer = Reveal | Sealed


def read_answers(items: Iterable[tuple[int, bytes]], is_signed: IsSigned) -> list[Answer]:
    """The signed answers among (receipt time in ms, COSE_Sign1), in order; what is none is passed over.

    A sealed one that its reader opened, wherever the opening stands, has what uncovers it.
    """
    found, openings = list[Answer](), defaultdict[bytes, list[Opening]](list)
    for receipt_ms, frame in items:
        if not any(label in frame for label in _LABELS):
            continue
        for read in (_reveal, _sealed):
            try:
                answer, signature, digest = read(receipt_ms, frame)
            except wire.WireError:
                continue
            if is_signed(Heartbeat(receipt_ms, answer.device, b"", *answer.place[1:3], digest, signature)):
                found.append(answer)
        try:
            opening = read_opening(frame)
        except wire.WireError:
            continue
        openings[opening.digest].append(opening)
    return [
        _opened(answer, openings.get(answer.digest, ())) if isinstance(answer, Sealed) else answer for answer in found
    ]


def _reveal(receipt_ms: int, frame: bytes) -> tuple[Answer, bytes, bytes]:
    device, payload, signature, digest = wire.open_sign1(frame, messages.REVEAL_MAX_BYTES)
    boot, sequence, count, index, window, outputs, before = messages.decode_reveal(payload)
    return Reveal(receipt_ms, (device, boot, sequence, count, index), window, outputs, before), signature, digest


def _sealed(receipt_ms: int, frame: bytes) -> tuple[Answer, bytes, bytes]:
    return read_sealed(receipt_ms, frame)


def _opened(sealed: Sealed, openings: Iterable[Opening]) -> Sealed:
    agreed = (agreed_of(sealed, opening) for opening in openings)
    return replace(sealed, agreed=next(filter(None, agreed), None))
