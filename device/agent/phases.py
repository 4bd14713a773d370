"""What the record of updates counts in, for core and agents alike: kinds, and how far what is in an idle bank is."""

from .cbor import const

MODEL, AGENT = 1, 2
KINDS = (MODEL, AGENT)
NOTHING, FETCHING, READY, TRYING, POSTPONED = 0, 1, 2, 3, 4
REASON_BYTES = const(64)


def cut(reason: str) -> str:
    """A reason as a record holds it: at most 64 bytes of UTF-8."""
    while len(reason.encode()) > REASON_BYTES:
        reason = reason[:-1]
    return reason
