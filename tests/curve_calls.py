"""Calls of the curve's functions that are refused, and what is raised: in our firmware and in the native module."""

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
NO_KEYS = ("bytes(32)", f"({ORDER}).to_bytes(32, 'big')", "b'\\xff' * 32")
BAD_KEY = "ValueError: key: got 0 or n or more, wanted 1..n-1"
NO_POINT = "ValueError: public: got no point, or key: got 0 or n or more"
NO_SIGNATURE = "ValueError: signature: got one of no key, wanted r, s and 0..3"
NO_BUFFER = "TypeError: object with buffer protocol required"
GENERATOR = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")

REFUSALS = [
    *((f"pubkey({key})", BAD_KEY) for key in NO_KEYS),
    *((f"sign({key}, bytes(32))", BAD_KEY) for key in NO_KEYS),
    *((f"ecdh({key}, {GENERATOR!r})", NO_POINT) for key in NO_KEYS),
    ("pubkey(b'1' * 31)", "ValueError: key: got 31 bytes, wanted 32"),
    ("pubkey(1)", NO_BUFFER),
    ("sign(b'1' * 31, bytes(32))", "ValueError: key: got 31 bytes, wanted 32"),
    ("sign(b'1' * 32, bytes(33))", "ValueError: digest: got 33 bytes, wanted 32"),
    ("sign(b'1' * 32, None)", NO_BUFFER),
    ("ecdh(b'', bytes(33))", "ValueError: key: got 0 bytes, wanted 32"),
    ("ecdh(b'1' * 32, bytes(65))", "ValueError: public: got 65 bytes, wanted 33"),
    ("ecdh(b'1' * 32, bytes(33))", NO_POINT),
    ("ecdh(b'1' * 32, b'\\x04' + b'1' * 32)", NO_POINT),
    ("ecdh(b'1' * 32, b'\\x02' + bytes(31) + b'\\x05')", NO_POINT),  # x = 5: x^3 + 7 is no square
    ("ecdh(b'1' * 32, b'\\x02' + b'\\xff' * 32)", NO_POINT),  # x is not below p
    ("recover(bytes(31), bytes(65))", "ValueError: digest: got 31 bytes, wanted 32"),
    ("recover(bytes(32), bytes(64))", "ValueError: signature: got 64 bytes, wanted 65"),
    ("recover(bytes(32), bytes(65))", NO_SIGNATURE),
    ("recover(bytes(32), b'1' * 64 + b'\\x04')", NO_SIGNATURE),
    ("recover(bytes(32), b'1' * 64 + b'\\xff')", NO_SIGNATURE),
    ("recover(bytes(32), b'\\xff' * 32 + b'1' * 32 + b'\\x00')", NO_SIGNATURE),
    ("keccak256(1)", NO_BUFFER),
]
