"""Content identifiers: names of blocks, binary and text; refuses every hash but sha2-256 and codecs that R1FS has not.

CIDv1 (multiformats/cid): version 1, codec (raw 0x55, dag-pb 0x70, dag-cbor 0x71), multihash sha2-256 (0x12) of 32
bytes. Text is multibase `b`: RFC 4648 base32, lower case, no padding; that of a raw block begins with `bafkrei`. IPFS
gives a file added with `--cid-version 1 --raw-leaves` the raw name of its content while it fits into one block
(256 KiB). Other implementations also write CIDv0 (`Qm...`, base58 of the bare multihash, dag-pb) and base58 CIDv1
(`z...`): `normalise` turns both into the one text that is used here.
"""

import base64
import binascii
import hashlib

RAW, DAG_PB, DAG_CBOR = 0x55, 0x70, 0x71
CODECS = {"raw": RAW, "dag-pb": DAG_PB, "dag-cbor": DAG_CBOR}
PREFIX = bytes([0x01, RAW, 0x12, 0x20])
CID_BYTES = len(PREFIX) + 32
MAX_BLOCK_BYTES = 2 << 20  # what one CID may name here, as elsewhere
TEXT_CHARACTERS = 59
_MULTIHASH = b"\x12\x20"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def cid_of(content: bytes, codec: int = RAW) -> bytes:
    """The 36-byte CID of content."""
    return cid_from(hashlib.sha256(content).digest(), codec)


def cid_from(digest: bytes, codec: int) -> bytes:
    """The 36-byte CID of what has this SHA-256 digest."""
    return bytes((0x01, codec)) + _MULTIHASH + digest


def codec_of(cid: bytes) -> int:
    return cid[1]


def digest_of(cid: bytes) -> bytes:
    """The SHA-256 digest, 32 bytes, of the block that a CID names."""
    return cid[4:]


def is_cid(cid: bytes) -> bool:
    return len(cid) == CID_BYTES and cid[0] == 1 and cid[1] in CODECS.values() and cid[2:4] == _MULTIHASH


def read_cid(data: bytes) -> tuple[bytes, int]:
    """The CID that data begin with, version 0 or 1, as version 1; and how many bytes it took.

    Raises:
        ValueError: none of these is there, or one of another hash or codec.
    """
    if data[:2] == _MULTIHASH and len(data) >= 34:
        return cid_from(data[2:34], DAG_PB), 34
    if not is_cid(data[:CID_BYTES]):
        raise ValueError(f"cid: got {data[:CID_BYTES].hex()}, wanted sha2-256 of raw, dag-pb or dag-cbor")
    return data[:CID_BYTES], CID_BYTES


def encode_text(cid: bytes) -> str:
    """The 59-character text of a 36-byte CID; ValueError for other bytes."""
    if not is_cid(cid):
        raise ValueError(f"cid: got {cid[: CID_BYTES + 1].hex()}, wanted {PREFIX.hex()} (or codec 70, 71) and 32 bytes")
    return "b" + base64.b32encode(cid).decode().rstrip("=").lower()


def decode_text(text: str, codecs: tuple[int, ...] = (RAW,)) -> bytes:
    """The 36-byte CID of a text; ValueError unless it has such a codec and encode_text gives exactly that text back."""
    shown = text[: TEXT_CHARACTERS + 1]
    if len(text) != TEXT_CHARACTERS or not text.startswith("b"):
        raise ValueError(f"cid text: got {shown!r}, wanted b and {TEXT_CHARACTERS - 1} base32 characters")
    try:
        cid = base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))
    except (binascii.Error, ValueError):
        raise ValueError(f"cid text: got {shown!r}, wanted lower-case base32") from None
    if encode_text(cid) != text:
        raise ValueError(f"cid text: got {shown!r}, wanted {encode_text(cid)!r}")
    if codec_of(cid) not in codecs:
        raise ValueError(f"cid text: got {shown!r}, wanted a codec of {', '.join(map(hex, codecs))}")
    return cid


def decode_any(text: str) -> bytes:
    """The 36-byte CID of a text of any codec that R1FS has; ValueError otherwise."""
    return decode_text(text, tuple(CODECS.values()))


def normalise(text: str) -> str:
    """The text that is used here of a CID as other implementations write it (`Qm...`, `z...`, `b...`).

    Raises:
        ValueError: it is none.
    """
    foreign = text[:1] == "z" or text[:2] == "Qm"
    if not foreign or len(text) > TEXT_CHARACTERS:
        return encode_text(decode_any(text))
    number = 0
    for character in text.removeprefix("z"):
        place = _BASE58.find(character)
        if place < 0:
            raise ValueError(f"cid text: got {text!r}, wanted base58")
        number = number * 58 + place
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    cid, size = read_cid(data)
    if size != len(data) or (size == CID_BYTES) != text.startswith("z"):
        raise ValueError(f"cid text: got {text!r}, wanted one CID")
    return encode_text(cid)
