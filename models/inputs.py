"""The seeded inputs of a check: the same bytes on the host and on a board, which make them where they are used.

Input `index` is SHA-256(seed | index | at) for at = 0, 32, ... (each u32, little-endian), cut to the input's length:
every int8 is as likely as any other. SOURCE is what both run; it refuses nothing.
"""

SOURCE = """
from hashlib import sha256
from struct import pack
def fill(window, seed, index):
    for at in range(0, len(window), 32):
        window[at : at + 32] = sha256(pack("<III", seed, index, at)).digest()[: len(window) - at]
"""


def make_inputs(length, seed, count):
    """count inputs, each bytes of int8[length]."""
    names, window = {}, bytearray(length)
    exec(SOURCE, names)
    for index in range(count):
        names["fill"](window, seed, index)
        yield bytes(window)
