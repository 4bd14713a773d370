"""Sums of ciphertexts and the closed set that says who is in them, pure; it reads residues and no message.

A sum is over residues only, with public weights 1..4: no key, no `a`, nothing parsed but N numbers below q. It is
refused by rings.py's arithmetic where it could open to something else. The same ciphertexts and weights give the same
closed set and the same bytes, whatever crashed in between. Source: EDIL.md, section 5.
"""

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from device.agent.errors import WireError
from device.native import edil
from gateway import curve
from gateway.aggregation import rings
from gateway.aggregation.messages import (
    WEIGHT_MAX,
    WEIGHTS_MAX,
    ClosedSet,
    Enrolment,
    Entry,
    Update,
    open_enrolment,
    open_set,
    open_update,
)


class Refused(Exception):
    """Something about a round is refused: reason (a word of EDIL.md's), and what was got and wanted."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Contribution(NamedTuple):
    """A device's ciphertext in a sum: weight 1..4, the `enrol` message that its update names, that update."""

    device: bytes
    weight: int
    enrolment: bytes
    frame: bytes
    ciphertext: bytes


class Part(NamedTuple):
    """A closed set and its aggregate: residues of the sum, packed as a ciphertext."""

    closed: ClosedSet
    aggregate: bytes


def is_ciphertext(ring: int, data: bytes) -> bool:
    """Tell whether bytes are N packed residues, each below q."""
    try:
        edil.unpack(ring, data)
    except ValueError:
        return False
    return True


def check_weights(ring: int, weights: Mapping[bytes, int]) -> None:
    """Refuse weights of a round whose sum could not be opened for certain.

    Raises:
        Refused: a weight is not 1..4, or the noise of the worst sum is too large; the message has the numbers.
    """
    for device, weight in weights.items():
        if not 1 <= weight <= WEIGHT_MAX:
            raise Refused("bounds", f"weight of 0x{device.hex()}: got {weight}, wanted 1..{WEIGHT_MAX}")
    most = max(weights.values(), default=1)
    noise = rings.noise_of_worst_sum(rings.RINGS[ring], WEIGHTS_MAX, most)
    if not noise.suffices:
        raise Refused("bounds", f"noise of weights up to {most}: got {noise}, wanted less")


def close(ring: int, manifest: bytes, contributions: Sequence[Contribution]) -> Part:
    """Sum contributions, one a device, of the round M.

    Raises:
        Refused: there is none.
        ValueError: a ciphertext is none of the ring.
    """
    if not contributions:
        raise Refused("bounds", "devices: got none, wanted at least one")
    aggregate = sum_ciphertexts(ring, ((one.weight, one.ciphertext) for one in contributions))
    enrolments = sorted({one.enrolment for one in contributions})
    ordered = sorted(contributions, key=lambda one: one.device)
    entries = tuple(Entry(one.weight, enrolments.index(one.enrolment), one.frame) for one in ordered)
    return Part(ClosedSet(manifest, tuple(enrolments), entries, hashlib.sha256(aggregate).digest()), aggregate)


def sum_ciphertexts(ring: int, weighted: Iterable[tuple[int, bytes]]) -> bytes:
    """Sum of weight * ciphertext modulo q, packed as a ciphertext.

    Raises:
        ValueError: one of them is no ciphertext of the ring.
    """
    sums = array("Q", bytes(8 * ring))
    for weight, ciphertext in weighted:
        edil.add_packed(ring, ciphertext, sums, weight)
    return bytes(edil.pack(ring, array("I", (residue % rings.RINGS[ring].q for residue in sums))))


def open_part(frame: bytes, aggregate: bytes, gateways: Iterable[bytes]) -> Part:
    """A part that another gateway closed.

    Raises:
        Refused: none of these gateways (addresses) signed it, or the aggregate is another.
        WireError: it is malformed.
    """
    signed = open_set(frame)
    if signed.signer not in gateways or not signed.is_by(signed.signer):
        raise Refused("signature", f"part: got one of 0x{signed.signer.hex()}, wanted a signature of a gateway named")
    closed: ClosedSet = signed.body
    if hashlib.sha256(aggregate).digest() != closed.aggregate:
        raise Refused("digest", f"aggregate: got another than SHA-256 {closed.aggregate.hex()}")
    return Part(closed, aggregate)


def merge(ring: int, parts: Sequence[Part], owners: Mapping[bytes, bytes], holders: bytes) -> Part:
    """Parts of one round, without a device in common, as one set. Every signature in them is checked again.

    Args:
        owners: by device id. holders: the manifest's digest of the share-holders.
    Raises:
        Refused: of another round, a device twice, too many weights, or a signature that is not good; nothing is merged.
    """
    manifest = parts[0].closed.manifest
    entries: dict[bytes, Entry] = {}
    enrolments = sorted({frame for part in parts for frame in part.closed.enrolments})
    for part in parts:
        if part.closed.manifest != manifest:
            raise Refused("round", f"part: got round {part.closed.manifest.hex()}, wanted {manifest.hex()}")
        if not is_ciphertext(ring, part.aggregate):
            raise Refused("residue", "part: got an aggregate that is no ciphertext of the ring")
        for entry in part.closed.entries:
            frame = part.closed.enrolments[entry.enrolment]
            update = check_entry(entry, frame, manifest, owners, holders)
            if update.device in entries:
                raise Refused("twice", f"device 0x{update.device.hex()}: got it in two parts, wanted it in one")
            entries[update.device] = entry._replace(enrolment=enrolments.index(frame))
    total = sum(entry.weight for entry in entries.values())
    if total > WEIGHTS_MAX:
        raise Refused("space", f"sum of weights: got {total}, wanted at most {WEIGHTS_MAX}")
    aggregate = sum_ciphertexts(ring, ((1, part.aggregate) for part in parts))
    ordered = tuple(entries[device] for device in sorted(entries))
    return Part(ClosedSet(manifest, tuple(enrolments), ordered, hashlib.sha256(aggregate).digest()), aggregate)


def check_entry(entry: Entry, enrol: bytes, manifest: bytes, owners: Mapping[bytes, bytes], holders: bytes) -> Update:
    """Check what devices and owners signed of an entry: the update of this round, the enrolment it names.

    Raises:
        Refused: with the reason that the device would have been told.
    """
    update = open_update(entry.frame)
    name = f"device 0x{update.device.hex()}"
    if curve.recover(update.signature, update.signed, update.device) is None:
        raise Refused("signature", f"{name}: got an update that it did not sign")
    if update.manifest != manifest or update.index != 0:
        raise Refused("round", f"{name}: got round {update.manifest.hex()}, wanted {manifest.hex()}")
    owner = owners.get(update.device)
    if owner is None:
        raise Refused("unbound", f"{name}: got a device that is not bound")
    try:
        enrolment: Enrolment = open_enrolment(enrol, owner)
    except WireError as error:
        raise Refused("stranger", f"{name}: {error}") from error
    if enrolment.digest != update.enrolment or enrolment.holders_digest != holders:
        raise Refused("holders", f"{name}: got an enrolment with other holders than the round's")
    return update
