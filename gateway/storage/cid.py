"""Content identifiers of raw bytes, binary and text; refuses every other codec, hash and base.

CIDv1 (multiformats/cid): version 1, codec raw (0x55), multihash sha2-256 (0x12) of 32 bytes. Text is multibase `b`:
RFC 4648 base32, lower case, no padding; every such CID begins with `bafkrei`. IPFS gives a file added with
`--cid-version 1 --raw-leaves` the same name while the file fits into one block (256 KiB).
"""

import base64
import binascii
import hashlib

PREFIX = bytes([0x01, 0x55, 0x12, 0x20])
CID_BYTES = len(PREFIX) + 32
TEXT_CHARACTERS = 59


def cid_of(content: bytes) -> bytes:
    """The 36-byte CID of content."""
    return PREFIX + hashlib.sha256(content).digest()


def encode_text(cid: bytes) -> str:
    """The 59-character text of a 36-byte CID; ValueError for other bytes."""
    if len(cid) != CID_BYTES or not cid.startswith(PREFIX):
        raise ValueError(f"cid: got {cid[: CID_BYTES + 1].hex()}, wanted {PREFIX.hex()} and 32 bytes")
    return "b" + base64.b32encode(cid).decode().rstrip("=").lower()


def decode_text(text: str) -> bytes:
    """The 36-byte CID of a text; ValueError unless encode_text gives exactly that text back."""
    shown = text[: TEXT_CHARACTERS + 1]
    if len(text) != TEXT_CHARACTERS or not text.startswith("b"):
        raise ValueError(f"cid text: got {shown!r}, wanted b and {TEXT_CHARACTERS - 1} base32 characters")
    try:
        cid = base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))
    except (binascii.Error, ValueError):
        raise ValueError(f"cid text: got {shown!r}, wanted lower-case base32") from None
    if encode_text(cid) != text:
        raise ValueError(f"cid text: got {shown!r}, wanted {encode_text(cid)!r}")
    return cid
