"""A reader's audit of what was sealed to it, and the proofs that come of it; pure; it shows a window to nobody.

Each sealed answer is opened, by the reader's own key or by an opening that stands among the items, and checked against
the heartbeat that claimed it by the oracles' rule (verdict.py). That it was drawn is for the oracles to say, who have
the windows. A proof is what anyone needs to repeat it: the two heartbeats, the sealed answer and its opening.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from coincurve import PrivateKey

from device.agent import wire
from gateway.oracle.availability import Heartbeat
from gateway.poai.answers import read_answers
from gateway.poai.claims import Claim, Counts
from gateway.poai.models import Models
from gateway.poai.private import Sealed
from gateway.poai.verdict import fault_of

Item = tuple[int, bytes]
"""(receipt time in ms, COSE_Sign1), as evidence holds it."""
IsSigned = Callable[[Heartbeat], bool]


@dataclass(frozen=True)
class Audited:
    """A sealed answer that was opened. fault: what is wrong, "" if nothing; signed: what the device signed of it."""

    sealed: Sealed
    claim: Claim
    fault: str
    signed: tuple[Item, ...]


def audit(
    items: Sequence[Item], is_signed: IsSigned, models: Models, reader: PrivateKey | None = None
) -> list[Audited]:
    """Every sealed answer that can be opened and belongs to a claim, in order.

    Args:
        models: others' work is passed over, as the oracles do. reader: whose answers are opened; None: those with an
        opening among the items.
    """
    found, claims = list[Audited](), dict[tuple[bytes, int, int, int], tuple[Claim, tuple[Item, ...]]]()
    for claim, beats in _claims(items, is_signed, models):
        claims[claim.device, claim.boot, claim.sequence, claim.count] = claim, beats
    frames = {sha256(item[1]).digest(): item for item in items if len(item[1]) > wire.HEARTBEAT_MAX_BYTES}
    key = reader.public_key.format() if reader else b""
    for answer in read_answers(items, is_signed):
        if not isinstance(answer, Sealed) or (reader and answer.reader != key):
            continue
        if reader:
            answer = replace(answer, agreed=reader.ecdh(answer.point))
        claimed = claims.get(answer.place[:4])
        if answer.agreed and claimed and claimed[0].first <= answer.place[4]:
            claim, beats = claimed
            fault = fault_of(claim, answer, models.runs[claim.model])
            found.append(Audited(answer, claim, fault, (*beats, frames[answer.digest])))
    return found


def _claims(items: Iterable[Item], is_signed: IsSigned, models: Models) -> Iterable[tuple[Claim, tuple[Item, ...]]]:
    """Each claim with the heartbeats that it follows from: its own, and the one before it if there is one."""
    counts, last = Counts(models.kept), dict[bytes, Item]()
    for receipt_ms, frame in items:
        try:
            device, payload, signature, digest = wire.open_sign1(frame)
            beacon, boot, sequence, *_ = wire.decode_heartbeat(payload)
        except wire.WireError:
            continue
        if not is_signed(Heartbeat(receipt_ms, device, beacon, boot, sequence, digest, signature)):
            continue
        claim, item = counts.take(device, payload, wire.split_beacon(beacon)[1]), (receipt_ms, frame)
        before = last.get(device)
        last[device] = item
        if claim:
            yield claim, (before, item) if before and sequence > 1 else (item,)
