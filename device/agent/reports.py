"""The messages late and journal, pure; refuses every frame that is not exactly what WIRE.md specifies.

Both travel signed, as heartbeats do: the caller signs what encode_* gives (cose.sign1) and opens a frame by
cose.open_sign1 with the message's limit.
"""

import struct

from . import cbor
from .cbor import const
from .errors import WireError
from .fields import check_bytes, check_int, check_text, take_claims, take_fields
from .wire import BEACON_BYTES, TEXT_MAX_BYTES, encode_checked

LATE_MAX_BYTES = const(512)
JOURNAL_MAX_BYTES = const(512)
RECORD_BYTES = const(28)
BATCH_RECORDS = const(12)
LINES = const(16)
LINE_MAX_BYTES = const(64)

_LATE = const(-65548)
_JOURNAL = const(-65549)

_U32 = const(0xFFFFFFFF)
_RECORD = ">III16s"


def pack_record(sequence: int, uptime_s: int, count: int, chain: bytes) -> bytes:
    """A late record: sequence (u32 from 1), seconds since boot, count and chain as in a heartbeat -> 28 bytes."""
    return struct.pack(_RECORD, sequence, uptime_s, count, chain)


def encode_late(boot: int, beacon: bytes, dropped: int, records: bytes) -> bytes:
    """Payload of late -> bytes.

    Args:
        boot: u32 from 1, in which all the records were made.
        beacon: 14 bytes, the last that the device knew then; zeros if none.
        dropped: u32, late records that this device had to drop, since ever.
        records: 1 to 12 of pack_record, sequences rising.
    Raises:
        LocalError: a field does not fit.
    """
    return encode_checked({_LATE: [boot, beacon, dropped, records]}, decode_late)


def decode_late(payload: bytes):
    """Payload of late -> (boot, beacon, dropped, [(sequence, uptime_s, count, chain), ...]); see encode_late.

    Raises:
        WireError
    """
    (body,) = take_claims(cbor.decode(payload, LATE_MAX_BYTES), "late", (_LATE,))
    boot, beacon, dropped, records = take_fields(body, "late", (int, bytes, int, bytes))
    check_int(boot, "boot", 1, _U32)
    check_bytes(beacon, "beacon", BEACON_BYTES)
    check_int(dropped, "dropped", 0, _U32)
    if len(records) % RECORD_BYTES or not 0 < len(records) <= BATCH_RECORDS * RECORD_BYTES:
        raise WireError("malformed", f"records: got {len(records)} bytes, wanted 1 to {BATCH_RECORDS} times 28")
    found = [struct.unpack(_RECORD, records[at : at + RECORD_BYTES]) for at in range(0, len(records), RECORD_BYTES)]
    last = 0
    for sequence, _, _, _ in found:
        if sequence <= last:
            raise WireError("malformed", f"sequence: got {sequence} after {last}, wanted more")
        last = sequence
    return boot, beacon, dropped, found


def encode_journal(boot: int, reason: str, lines: list) -> bytes:
    """Payload of journal: boot (u32 from 1), why it began (1..48 bytes), 0 to 16 lines (1..64 bytes each) -> bytes."""
    return encode_checked({_JOURNAL: [boot, reason, lines]}, decode_journal)


def decode_journal(payload: bytes):
    """Payload of journal -> (boot, reason, lines). Raises WireError."""
    (body,) = take_claims(cbor.decode(payload, JOURNAL_MAX_BYTES), "journal", (_JOURNAL,))
    boot, reason, lines = take_fields(body, "journal", (int, str, list))
    check_int(boot, "boot", 1, _U32)
    check_text(reason, "reason", TEXT_MAX_BYTES)
    if len(lines) > LINES:
        raise WireError("malformed", f"lines: got {len(lines)}, wanted at most {LINES}")
    for line in take_fields(lines, "lines", (str,) * len(lines)):
        check_text(line, "line", LINE_MAX_BYTES)
    return boot, reason, lines
