"""A device's secp256k1 identity: id, public key and `0xai_` address; refuses to show its secret key.

The secret is held only by the functions that use it, so that no repr, print or log of an Identity can reach it.
"""

from binascii import b2a_base64, hexlify

from .errors import LocalError

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def new_secret(entropy) -> bytes:
    """Draw a secret key (32 bytes, 1 .. n - 1); entropy: function that fills a buffer.

    Raises:
        LocalError: 8 draws in a row were no key: the source is broken (chance 2**-1000 otherwise).
    """
    secret = bytearray(32)
    for _ in range(8):
        entropy(secret)
        if 0 < int.from_bytes(bytes(secret), "big") < ORDER:
            return bytes(secret)
    raise LocalError("entropy: got 8 draws that are no key, wanted random bytes")


def compress(public_key: bytes) -> bytes:
    """Public key, 65 bytes uncompressed -> 33 bytes compressed."""
    return bytes([2 + (public_key[64] & 1)]) + public_key[1:33]


def device_id(public_key: bytes, keccak) -> bytes:
    """EVM address (20 bytes) of an uncompressed public key (65 bytes)."""
    return keccak(public_key[1:])[12:]


def eip55(address: bytes, keccak) -> str:
    """An address (20 bytes) as text with the checksum of EIP-55."""
    digits = hexlify(address).decode()
    checks = hexlify(keccak(digits.encode())).decode()
    return "0x" + "".join([digit.upper() if checks[at] >= "8" else digit for at, digit in enumerate(digits)])


def ren_address(compressed: bytes) -> str:
    """Ratio1's address of a compressed public key (33 bytes): 0xai_ and its base64url, 49 characters."""
    return "0xai_" + b2a_base64(compressed).decode().strip().replace("+", "-").replace("/", "_")


class Identity:
    """id (20 bytes), public_key (33 bytes), address (str), and what only the secret's owner can do:

    sign(digest 32 bytes) -> 65 bytes r | s | recovery id; agree(another's public key 33 bytes) -> 32 bytes that both
    share, or ValueError if it is no key.
    """

    def __init__(self, secret: bytes, port):
        """port: has pubkey, sign, ecdh and keccak256 as `_tinyren` (port.py)."""
        public_key = port.pubkey(secret)
        self.id = device_id(public_key, port.keccak256)
        self.public_key = compress(public_key)
        self.sign = lambda digest: port.sign(secret, digest)
        self.agree = lambda other: port.ecdh(secret, other)

    @property
    def address(self) -> str:
        return ren_address(self.public_key)
