"""Whom the device belongs to (WIRE.md, sections 6 and 13): the first owner who asks, until that one releases it.

Rules:
  1. A binding is signed only for this board, and for the stored owner or, if there is none, the first who asks; the
     owner is stored before the signature leaves.
  2. An owner is forgotten by that owner's own signature, which names this boot: after the next it is void.
  3. With the owner goes the trust in the owner's update key.
It publishes nothing: what it returns is the answer.
"""

from . import cbor, eip712, wire
from .cbor import const
from .errors import WireError
from .fields import check_bytes, check_int, take_fields
from .identity import device_id

RELEASE_MAX_BYTES = const(128)

_NOBODY = bytes(20)
_U64 = const(0xFFFFFFFFFFFFFFFF)
_U32 = const(0xFFFFFFFF)


def encode_release(chain_id: int, contract: bytes, boot: int, signature: bytes) -> bytes:
    """Message on tinyren/ID/release: chain_id u64, contract 20 bytes, boot u32 from 1, the owner's signature over the
    Release (eip712.py), 65 bytes r | s | v with v 27 or 28 -> bytes.
    """
    return wire.encode_checked([chain_id, contract, boot, signature], decode_release)


def decode_release(frame: bytes) -> tuple[int, bytes, int, bytes]:
    """Message on tinyren/ID/release -> (chain_id, contract, boot, signature). Raises WireError."""
    body = cbor.decode(frame, RELEASE_MAX_BYTES)
    chain_id, contract, boot, signature = take_fields(body, "release", (int, bytes, int, bytes))
    check_int(chain_id, "chain_id", 0, _U64)
    check_bytes(contract, "contract", 20)
    check_int(boot, "boot", 1, _U32)
    if check_bytes(signature, "signature", 65)[64] not in (27, 28):
        raise WireError("malformed", f"v: got {signature[64]}, wanted 27 or 28")
    return chain_id, contract, boot, signature


def bind(identity, store, port, _banks, frame) -> bytes:
    """Answer a bind message: the frame of `bound`.

    Args:
        identity: identity.Identity. store: store.Store after open. port: has BOARD and keccak256, as `_tinyren`.
        _banks: unused, so that both are called alike.
    Raises:
        WireError: it is none, or of another board or owner. StoreError: the owner could not be stored.
    """
    chain_id, contract, deed, owner, board, nonce, deadline = wire.decode_bind(frame)
    if board != port.BOARD:
        raise WireError("malformed", f"board: got {board}, wanted {port.BOARD}")
    if owner == _NOBODY or store.owner not in (None, owner):
        raise WireError("malformed", "owner: got another, wanted the stored one, and not zero")
    if store.owner is None:
        store.bind(owner)
    fields = (chain_id, contract, deed, identity.id, owner, board, nonce, deadline)
    return _sign(identity, nonce, eip712.binding_digest(port.keccak256, *fields))


def release(identity, store, port, banks, frame) -> bytes:
    """Forget the owner: the frame of `bound`, with the boot for its nonce and the device's signature over the Release.

    Args:
        port: has keccak256 and recover, as `_tinyren`. banks: banks.Banks, or None; the others as of bind.
    Raises:
        WireError: it is none, of another boot, or not signed by the owner. StoreError, OSError: it could not be stored;
            the owner is what it was.
    """
    chain_id, contract, boot, signature = decode_release(frame)
    if boot != store.boot:
        raise WireError("malformed", f"boot: got {boot}, wanted {store.boot}")
    if store.owner is None:
        raise WireError("malformed", "release: got one, wanted an owner first")
    digest = eip712.release_digest(port.keccak256, chain_id, contract, identity.id, store.owner, boot)
    if _signer(port, digest, signature) != store.owner:
        raise WireError("malformed", "release: got another's signature, wanted the owner's")
    forget(store, banks)
    return _sign(identity, boot, digest)


def forget(store, banks):
    """Forget the owner and the trust in its update key, asking nobody: for who holds the device at its console.

    Raises:
        StoreError, OSError: it could not be stored; the owner is what it was.
    """
    if banks and banks.number:
        banks.key = _NOBODY
        banks.keep(True)
    store.release()


def _sign(identity, nonce, digest):
    signature = identity.sign(digest)
    return wire.encode_bound(nonce, signature[:64] + bytes([27 + signature[64]]))


def _signer(port, digest, signature):
    """Address (20 bytes) that signed, or None."""
    try:
        return device_id(port.recover(digest, signature[:64] + bytes([signature[64] - 27])), port.keccak256)
    except ValueError:
        return None
