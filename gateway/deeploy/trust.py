"""Whom owners trust with their devices' software (UPDATE.md, section 1): signs for the site's owners and keeps it.

An owner's number rises when what it signs changes, the key or the domain, and only then: a device takes it as news.
"""

from collections.abc import Callable, Mapping, Sequence

from coincurve import PrivateKey

from device.agent import eip712, suit
from gateway import curve
from gateway.deeploy.desired import DesiredStore


class Trust:
    """Frames of `trust` for the devices of owners whose keys the site holds; used from any thread.

    Args:
        key: the update key's address. domain: chain id and address of Devices. owners: owner of each bound device.

    Attributes:
        key: as given.
    """

    def __init__(
        self,
        store: DesiredStore,
        key: bytes,
        owner_keys: Sequence[PrivateKey],
        domain: tuple[int, bytes],
        owners: Callable[[], Mapping[bytes, bytes]],
    ) -> None:
        self.key, self._owners = key, owners
        self._frames: dict[bytes, bytes] = {}
        for owner_key in owner_keys:
            owner = curve.address_of(owner_key.secret)
            kept = store.trust(owner)
            number = kept[1] if kept else 1
            signature = _sign(owner_key, domain, owner, key, number)
            if kept is not None and (key, signature) != (kept[0], kept[2]):
                number += 1
                signature = _sign(owner_key, domain, owner, key, number)
            if kept != (key, number, signature):
                store.keep_trust(owner, key, number, signature)
            self._frames[owner] = suit.encode_trust(*domain, key, number, signature)

    def frame(self, device: bytes) -> bytes | None:
        """The `trust` message for a device; None: it is not bound, or its owner signed nothing here."""
        return self._frames.get(self._owners().get(device, b""))


def _sign(owner_key: PrivateKey, domain: tuple[int, bytes], owner: bytes, key: bytes, number: int) -> bytes:
    digest = eip712.trust_digest(curve.keccak, *domain, owner, key, number)
    signature = owner_key.sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])
