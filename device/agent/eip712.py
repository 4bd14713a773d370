"""EIP-712 digests of what a device and its owner sign; keccak is passed in; refuses fields that do not fit a word.

Only the atomic types that the structs here need: uint256 (an int), address (20 bytes), bytes32 (32 bytes).
Source: EIP-712; `encodeData` puts each member in one 32-byte word.
"""

from .errors import LocalError

DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
BINDING_TYPE = b"Binding(uint256 deed,address device,address owner,bytes32 board,uint256 nonce,uint256 deadline)"
BINDING_NAME = b"tinyren Devices"
RELEASE_TYPE = b"Release(address device,address owner,uint256 boot)"
ENROLMENT_TYPE = b"Enrolment(address owner,bytes32 holders,uint256 number)"
ENROLMENT_NAME = b"tinyren EDIL"
TRUST_TYPE = b"Trust(address owner,address key,uint256 number)"
TRUST_NAME = b"tinyren Updates"
VERSION = b"1"


def word(value) -> bytes:
    """Encode int, 20 bytes (address) or 32 bytes (bytes32) as one 32-byte word.

    Raises:
        LocalError: a negative or too large int, or bytes of another length.
    """
    if type(value) is int:
        if not 0 <= value < 1 << 256:
            raise LocalError("word: got an integer out of range, wanted 0 .. 2**256 - 1")
        return value.to_bytes(32, "big")
    if len(value) == 20:
        return bytes(12) + bytes(value)
    if len(value) == 32:
        return bytes(value)
    raise LocalError(f"word: got {len(value)} bytes, wanted 20 or 32")


def board_word(board: str) -> bytes:
    """Board name (str, 1..32 ASCII characters) -> bytes32, right-padded with zeros.

    Raises:
        LocalError: empty, longer, or not ASCII.
    """
    name = board.encode()
    if not 1 <= len(name) <= 32 or max(name) > 127:
        raise LocalError(f"board: got {len(name)} bytes, wanted 1..32 of ASCII")
    return name + bytes(32 - len(name))


def hash_struct(keccak, type_text, *members) -> bytes:
    """hashStruct of a struct whose members are ints, addresses (20 bytes) and bytes32 -> 32 bytes.

    keccak: function bytes -> 32 bytes. Raises LocalError as word does.
    """
    return keccak(keccak(type_text) + b"".join([word(member) for member in members]))


def hash_domain(keccak, name, chain_id, contract) -> bytes:
    """Domain separator of `name` (bytes), version 1, chain_id (int), contract (20 bytes) -> 32 bytes."""
    return hash_struct(keccak, DOMAIN_TYPE, keccak(name), keccak(VERSION), chain_id, contract)


def digest(keccak, domain: bytes, struct: bytes) -> bytes:
    """What is signed, from the domain separator and the struct's hash (32 bytes each) -> 32 bytes."""
    return keccak(b"\x19\x01" + domain + struct)


def binding_digest(keccak, chain_id, contract, deed, device, owner, board, nonce, deadline) -> bytes:
    """Digest of a Binding -> 32 bytes.

    Args:
        chain_id, deed, nonce, deadline: int; deadline in seconds since 1970.
        contract, device, owner: 20 bytes each.
        board: str, the board's name.
    Raises:
        LocalError: a field does not fit its type.
    """
    struct = hash_struct(keccak, BINDING_TYPE, deed, device, owner, board_word(board), nonce, deadline)
    return digest(keccak, hash_domain(keccak, BINDING_NAME, chain_id, contract), struct)


def release_digest(keccak, chain_id, contract, device, owner, boot) -> bytes:
    """Digest of a Release (WIRE.md, section 13) -> 32 bytes.

    Args:
        chain_id, boot: int. contract, device, owner: 20 bytes each.
    Raises:
        LocalError: a field does not fit its type.
    """
    struct = hash_struct(keccak, RELEASE_TYPE, device, owner, boot)
    return digest(keccak, hash_domain(keccak, BINDING_NAME, chain_id, contract), struct)


def holders_digest(keccak, holders) -> bytes:
    """Digest of share-holders' compressed keys (33 bytes each), in their order -> 32 bytes."""
    return keccak(b"".join(holders))


def enrolment_digest(keccak, chain_id, contract, owner, holders, number) -> bytes:
    """Digest of an Enrolment (EDIL.md, section 2) -> 32 bytes.

    Args:
        chain_id, number: int. contract, owner: 20 bytes each.
        holders: the share-holders' compressed keys, 33 bytes each, the data owner's first.
    Raises:
        LocalError: a field does not fit its type.
    """
    struct = hash_struct(keccak, ENROLMENT_TYPE, owner, holders_digest(keccak, holders), number)
    return digest(keccak, hash_domain(keccak, ENROLMENT_NAME, chain_id, contract), struct)


def trust_digest(keccak, chain_id, contract, owner, key, number) -> bytes:
    """Digest of a Trust (UPDATE.md, section 1) -> 32 bytes.

    Args:
        chain_id, number: int. contract, owner, key: 20 bytes each.
    Raises:
        LocalError: a field does not fit its type.
    """
    struct = hash_struct(keccak, TRUST_TYPE, owner, key, number)
    return digest(keccak, hash_domain(keccak, TRUST_NAME, chain_id, contract), struct)
