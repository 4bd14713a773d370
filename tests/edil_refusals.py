"""Calls of `encrypt` and `add_moments` that are refused, and their messages, as text for any Python that has them."""

# Names for the calls below. 4 KiB is much on the smallest board: `work` is made once, and has marks instead of a copy.
WORK = "work = bytearray(4096)"
SETUP = """
from array import array
key, other, noise = bytes(range(32)), b"o" * 32, b"n" * 32
values, sums = array("i", [1, -2, 3]), array("i", range(5))
for at in range(4096):
    work[at] = 0
work[0] = work[2000] = work[4095] = 0xAA
def is_unchanged():
    return sum(work) == 3 * 0xAA and list(sums) == [0, 1, 2, 3, 4]
"""
GOOD = ("1024", "key + other", "key", "noise", "values", "1", "1", "work")
_PLACES = [
    (0, "1000", "ring: got 1000, wanted 1024, 2048 or 4096"),
    (0, "-1024", "ring: got -1024, wanted 1024, 2048 or 4096"),
    (1, "b''", "s_keys: got 0 bytes, wanted 32 for each of 1..4 holders"),
    (1, "bytes(63)", "s_keys: got 63 bytes, wanted 32 for each of 1..4 holders"),
    (1, "bytes(160)", "s_keys: got 160 bytes, wanted 32 for each of 1..4 holders"),
    (2, "bytes(31)", "a_key: got 31 bytes, wanted 32"),
    (3, "bytes(33)", "noise: got 33 bytes, wanted 32"),
    (4, "array('h', [1, 2])", "values: got no 32-bit integers, wanted array('i')"),
    (4, "bytes(5)", "values: got no 32-bit integers, wanted array('i')"),
    (4, "memoryview(work)[:4092]", "values: got 1023, wanted at most 1022"),
    (4, "array('i', [0, 128])", "values: got one beyond what 1 digits carry"),
    (4, "array('i', [-129, 0])", "values: got one beyond what 1 digits carry"),
    (5, "0", "digits: got 0, wanted 1..4"),
    (5, "5", "digits: got 5, wanted 1..4"),
    (6, "0", "count: got 0, wanted 1..255"),
    (6, "256", "count: got 256, wanted 1..255"),
    (7, "bytearray(8)", "work: got 8 bytes, wanted 4096"),
]


def call_of(place: int, expression: str) -> str:
    """The good call of encrypt with one argument replaced."""
    return f"encrypt({', '.join((*GOOD[:place], expression, *GOOD[place + 1 :]))})"


REFUSALS = [(call_of(place, expression), message) for place, expression, message in _PLACES] + [
    ("add_moments(sums, bytes(3), b'', 1)", "sums: got 20 bytes, wanted 36"),
    ("add_moments(sums, bytes(2), bytes(1), 1)", "sums: got 20 bytes, wanted 32"),
    ("add_moments(sums, b'', b'', 1)", "z: got no values, wanted an embedding"),
    ("add_moments(sums, bytes(2), b'', 0)", "clip: got 0, wanted 1..127"),
    ("add_moments(sums, bytes(2), b'', 128)", "clip: got 128, wanted 1..127"),
]
# CPython's functions copy what they read, so these hold for MicroPython alone.
SHARED = [
    (call_of(4, "memoryview(work)[8:16]"), "values: shares memory with work"),
    (call_of(1, "memoryview(work)[4064:]"), "s_keys: shares memory with work"),
    (call_of(2, "memoryview(work)[:32]"), "a_key: shares memory with work"),
    (call_of(3, "memoryview(work)[77:109]"), "noise: shares memory with work"),
    (call_of(4, "memoryview(work)[1:5]"), "values: got no 32-bit integers, wanted array('i')"),
]
READ_ONLY = (call_of(7, "bytes(4096)"), "add_moments(bytes(20), bytes(2), b'', 1)")
