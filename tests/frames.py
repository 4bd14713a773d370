"""Frames of the vectors, changed by one byte or cut; for the tests of every message."""


def changed(vector, at, byte, cut):
    """(the vector's frame, the same with another byte at `at`, or cut there)."""
    original = bytes.fromhex(vector["frame"])
    at %= len(original)
    return original, original[:at] if cut else original[:at] + bytes([byte]) + original[at + 1 :]
