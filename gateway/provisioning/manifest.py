"""The factory's manifest, pure: which devices left it, signed by the factory's key; nothing in it opens a label.

    COSE_Sign1 (ES256K, kid the factory's address) over CBOR [version, entries], each entry an array:
    [serial, device, board, firmware, version, salt, hash, when_s, result]

device is 20 bytes, firmware the SHA-256 of what was written (b"" where nothing was), salt and hash those of the label's
set-up code (gateway/labels/codes.py), when_s seconds since 1970, result "ok" or why not; of a board that failed, what
it did not come to is b"". Source: RFC 9052; the same subset of CBOR and COSE as the devices' (device/agent/WIRE.md, 2).
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

from device.agent import cbor, cose
from device.agent.errors import WireError
from device.agent.fields import check_int, check_text, take_fields
from gateway import curve

VERSION = 1
MAX_BYTES = 8 << 20
MAX_TEXT_BYTES = 300
_U64 = (1 << 64) - 1
_KINDS = (str, bytes, str, bytes, str, bytes, bytes, int, str)
_SIZES = {"device": 20, "firmware": 32, "salt": 16, "hash": 32}


class ManifestError(ValueError):
    """Bytes are no manifest, or its signature is another's; the message says what was got and what was wanted."""


@dataclass(frozen=True)
class Entry:
    """One board, as in the manifest."""

    serial: str
    device: bytes
    board: str
    firmware: bytes
    version: str
    salt: bytes
    hash: bytes
    when_s: int
    result: str


def sign(entries: Sequence[Entry], factory: bytes, sign_digest: Callable[[bytes], bytes]) -> bytes:
    """The manifest of entries; factory: address of the key that signs digests, 65 bytes r | s | recovery id."""
    payload = cbor.encode([VERSION, [list(astuple(entry)) for entry in entries]])
    return bytes(cose.sign1(payload, factory, sign_digest))


def verify(frame: bytes) -> tuple[bytes, list[Entry]]:
    """(address of the factory's key, entries) of a manifest that this key signed.

    Raises:
        ManifestError: it is none, or was changed after it was signed.
    """
    try:
        factory, payload, signature, digest = cose.open_sign1(frame, MAX_BYTES)
        if curve.recover(signature, digest, factory) is None:
            raise ManifestError(f"signature: not made by 0x{factory.hex()} over these entries: it was changed since")
        version, rows = take_fields(cbor.decode(payload, MAX_BYTES), "manifest", (int, list))
        check_int(version, "version", VERSION, VERSION)
        return factory, [_entry(row) for row in rows]
    except WireError as error:
        raise ManifestError(f"this is no manifest: {error}") from error


def _entry(row: object) -> Entry:
    entry = Entry(*take_fields(row, "entry", _KINDS))
    for name in ("serial", "board", "result"):
        check_text(getattr(entry, name), name, MAX_TEXT_BYTES)
    for name, size in _SIZES.items():
        if len(getattr(entry, name)) not in (0, size):
            raise WireError("malformed", f"{name}: got {len(getattr(entry, name))} bytes, wanted {size} or none")
    check_int(entry.when_s, "when_s", 0, _U64)
    return entry
