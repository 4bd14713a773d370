"""A reveal that only one reader can open (WIRE.md, section 17); it refuses to keep a key longer than one answer needs.

ECIES of SEC 1 (5.1) with its XOR encryption: a fresh key agrees with the reader's, SHA-256 in counter mode of what they
agreed covers the reveal. The device's signature over all of it stands in the place of ECIES's MAC.
"""

import hashlib

from . import cbor
from .cbor import const
from .errors import WireError
from .fields import check_bytes, check_int, take_claims, take_fields
from .identity import compress, new_secret
from .wire import encode_checked

SEALED_MAX_BYTES = const(800)
SEALED = const(-65551)
KEY_BYTES = const(33)

_U32 = const(0xFFFFFFFF)
_DIGEST_BYTES = const(32)
_INFO = b"tinyren sealed reveal"


def encode_sealed(boot: int, sequence: int, count: int, index: int, reader: bytes, point: bytes, box: bytes) -> bytes:
    """Payload of a sealed reveal -> bytes.

    Args:
        boot, sequence, count, index: the challenge's. reader: the key that it is sealed to, 33 bytes.
        point: the public key that the device made for this answer, 33 bytes.
        box: the payload of the reveal, covered.
    """
    return encode_checked({SEALED: [boot, sequence, count, index, reader, point, box]}, decode_sealed)


def decode_sealed(payload: bytes):
    """Payload of a sealed reveal -> (boot, sequence, count, index, reader, point, box), as encode_sealed takes them.

    Raises:
        WireError
    """
    (body,) = take_claims(cbor.decode(payload, SEALED_MAX_BYTES), "sealed", (SEALED,))
    boot, sequence, count, index, reader, point, box = take_fields(
        body, "sealed", (int, int, int, int, bytes, bytes, bytes)
    )
    check_int(boot, "boot", 1, _U32)
    check_int(sequence, "sequence", 1, _U32)
    check_int(count, "count", 1, _U32)
    check_int(index, "index", 1, count)
    check_key(reader, "reader")
    check_key(point, "point")
    if not box:
        raise WireError("malformed", "box: got nothing, wanted a covered reveal")
    return boot, sequence, count, index, reader, point, box


def check_key(key, name):
    """A compressed public key by its form; whether it is a point is for who computes with it."""
    if check_bytes(key, name, KEY_BYTES)[0] not in (2, 3):
        raise WireError("malformed", f"{name}: got first byte {key[0]}, wanted 2 or 3")
    return key


def cover(agreed: bytes, data: bytes) -> bytes:
    """Cover or uncover data (bytes) by what both agreed: SHA-256 of the compressed shared point, 32 bytes.

    Source: SEC 1, 3.6.1 (ANSI X9.63's key derivation): block i from 1 is SHA-256(agreed | u32 BE i | info).
    """
    out = bytearray(data)
    for at in range(0, len(out), _DIGEST_BYTES):
        block = hashlib.sha256(agreed + (at // _DIGEST_BYTES + 1).to_bytes(4, "big") + _INFO).digest()
        for place in range(at, min(len(out), at + _DIGEST_BYTES)):
            out[place] ^= block[place - at]
    return bytes(out)


class Sealer:
    """Seals to one reader."""

    def __init__(self, port, reader: bytes):
        """port: has pubkey, ecdh and entropy, as `_tinyren`. reader: a point of the curve, 33 bytes."""
        self._port = port
        self._reader = reader
        self._place = self._secret = None

    def seal(self, place, reveal: bytes) -> bytes:
        """The payload of a reveal, sealed -> payload; the same again for the same place, until another was sealed.

        Args:
            place: [boot, sequence, count, index], the challenge's.
        """
        if place != self._place:
            self._place, self._secret = place, new_secret(self._port.entropy)
        point = compress(self._port.pubkey(self._secret))
        box = cover(self._port.ecdh(self._secret, self._reader), reveal)
        return encode_sealed(*place, self._reader, point, box)
