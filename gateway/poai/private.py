"""Answers that only their reader can open, and how it shows that one is a lie; pure; it opens nothing without a proof.

A device whose owner turned its work over to a reader (a buyer) seals what it reveals to the reader's key (WIRE.md, 17).
Gateway and oracles cannot look, so such units count as sealed, and only a job that names model and reader pays them.
The reader opens each with its key. Where the model was not run it signs an opening:

    { -65552: [digest, shared, proof] }   COSE_Sign1 by the reader, at most 288 bytes

    digest  SHA-256 of the sealed frame      shared  the point that reader and device agreed on for this frame alone
    proof   that it is that point (dleq.py), with digest for its message

With it anyone uncovers this one reveal and runs the model: if it fails it is a fraud as any other. A reader cannot
lie: the frame is the device's, and another point has no proof. A device cannot hide: whatever it sealed, its reader
can open, and what is no right reveal is a fraud.
"""

import hashlib
from dataclasses import dataclass

from coincurve import PrivateKey, PublicKey

from device.agent import cbor, cose, seal, wire
from device.agent import reveal as messages
from device.agent.fields import check_bytes, take_claims, take_fields
from gateway import curve
from gateway.poai import dleq

OPENING = -65552
OPENING_MAX_BYTES = 288
NO_REVEAL = "what it sealed is no reveal of this inference"
_MODEL_HEAD = bytes.fromhex("01551220")


@dataclass(frozen=True)
class Sealed:
    """A device's sealed answer, as signed.

    Attributes:
        place: device, boot, sequence, count, index.
        reader, point: public keys, 33 bytes each, both points of the curve. digest: SHA-256 of the frame.
        agreed: 32 bytes that uncover the box, where an opening showed them.
    """

    receipt_ms: int
    place: tuple[bytes, int, int, int, int]
    reader: bytes
    point: bytes
    box: bytes
    digest: bytes
    agreed: bytes | None = None

    @property
    def device(self) -> bytes:
        """20 bytes."""
        return self.place[0]


@dataclass(frozen=True)
class Opening:
    """What a reader shows of one frame: digest (32 bytes), shared point (33), proof (64), and its own key (33)."""

    digest: bytes
    shared: bytes
    proof: bytes
    reader: bytes


def sealed_model(model: bytes, reader: bytes) -> bytes:
    """What a job names that pays work of `model` sealed to `reader`: a CID of 36 bytes, as a model's."""
    return _MODEL_HEAD + hashlib.sha256(b"tinyren sealed model" + model + reader).digest()


def read_sealed(receipt_ms: int, frame: bytes) -> tuple[Sealed, bytes, bytes]:
    """(sealed answer, signature of 64 bytes, digest that is signed) of a frame; the signature is not checked.

    Raises:
        WireError: it is none, or one of its keys is no point, so that nobody could open it.
    """
    device, payload, signature, digest = wire.open_sign1(frame, seal.SEALED_MAX_BYTES)
    boot, sequence, count, index, reader, point, box = seal.decode_sealed(payload)
    try:
        PublicKey(reader), PublicKey(point)
    except ValueError:
        raise wire.WireError("malformed", "reader, point: got no point of the curve, wanted public keys") from None
    place = device, boot, sequence, count, index
    return Sealed(receipt_ms, place, reader, point, box, hashlib.sha256(frame).digest()), signature, digest


def decode_opening(payload: bytes) -> tuple[bytes, bytes, bytes]:
    """Payload of an opening -> (digest, shared, proof). Raises WireError."""
    (body,) = take_claims(cbor.decode(payload, OPENING_MAX_BYTES), "opening", (OPENING,))
    digest, shared, proof = take_fields(body, "opening", (bytes, bytes, bytes))
    check_bytes(digest, "digest", 32)
    check_bytes(proof, "proof", dleq.PROOF_BYTES)
    return digest, seal.check_key(shared, "shared"), proof


def read_opening(frame: bytes) -> Opening:
    """The opening in a frame; raises WireError: it is none, or not signed by the key that its kid is the address of."""
    signer, payload, signature, digest = wire.open_sign1(frame, OPENING_MAX_BYTES)
    fields = decode_opening(payload)
    reader = curve.recover(signature, digest, signer)
    if reader is None:
        raise wire.WireError("malformed", "opening: got another's signature, wanted that of its kid")
    return Opening(*fields, reader)


def sign_opening(sealed: Sealed, key: PrivateKey, entropy: bytes) -> bytes:
    """The reader's opening of a sealed answer -> frame; entropy: 32 fresh random bytes."""
    point = PublicKey(sealed.point)
    shared = point.multiply(key.secret).format()
    proof = dleq.prove(key, point, entropy, sealed.digest)
    payload = wire.encode_checked({OPENING: [sealed.digest, shared, proof]}, decode_opening)
    signer = curve.address_of(key.secret)
    return bytes(cose.sign1(payload, signer, lambda digest: key.sign_recoverable(digest, hasher=None)))


def agreed_of(sealed: Sealed, opening: Opening) -> bytes | None:
    """The 32 bytes that uncover a sealed answer, if an opening of its reader proves them."""
    if (opening.digest, opening.reader) != (sealed.digest, sealed.reader):
        return None
    try:
        reader, point, shared = (PublicKey(key) for key in (sealed.reader, sealed.point, opening.shared))
    except ValueError:
        return None
    is_proven = dleq.is_proven(reader, point, shared, opening.proof, sealed.digest)
    return hashlib.sha256(opening.shared).digest() if is_proven else None


def uncover(sealed: Sealed, agreed: bytes) -> tuple[bytes, bytes, bytes] | None:
    """(window, outputs, chain before) that were sealed; None if it was anything else than a reveal of this inference.

    Args:
        agreed: 32 bytes of agreed_of, or what the reader's own key agrees with sealed.point.
    """
    try:
        boot, sequence, count, index, *content = messages.decode_reveal(seal.cover(agreed, sealed.box))
    except wire.WireError:
        return None
    window, outputs, before = content
    return (window, outputs, before) if (boot, sequence, count, index) == sealed.place[1:] else None
