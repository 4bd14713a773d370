"""Whether a closed set may be answered, and the answer (EDIL.md, section 5); pure. A set that fails gets no share.

What is checked, in this order; the first that fails is the reason:
 1. set and manifest are well formed, the set is of this manifest and signed by the gateway that it names;
 2. the round is one whose sums are opened together (kinds 1, 2, 3, 5), and its sums fit (statistics.py);
 3. every enrolment names the holders of the manifest, this holder among them, and its first holder signed the manifest;
 4. every update is signed by its device, of this manifest, index 0, with a count of windows that the round allows;
 5. every device's enrolment is one of the set's and its owner signed it;
 6. every device, with that owner, is one that this holder may count;
 7. there are k_min devices, and by their weights as many as this holder wants at least (`least`). Entries ascend, so
    no device is there twice; weights are 1..4, together at most 256.
That there was no other answer for (data owner, round) is the store's (answers.py).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from coincurve import PrivateKey, PublicKey

from device.agent import hkdf, rounds, statistics
from device.agent.errors import WireError
from device.agent.rounds import Manifest
from gateway import curve
from gateway.aggregation import messages
from gateway.aggregation.messages import ClosedSet, Enrolment, Entry
from gateway.edil import keys, opening

MayCount = Callable[[bytes, bytes], str]
"""(device id, its owner's address) -> "" or why this device may not be counted."""


class SetRefused(ValueError):
    """A closed set that gets no share; the message says why, in one line."""


@dataclass(frozen=True)
class Counted:
    """A device of a checked set: id, compressed key, weight, digest of its Enrolment, windows."""

    device: bytes
    key: bytes
    weight: int
    enrolment: bytes
    count: int


@dataclass(frozen=True)
class CheckedSet:
    """A set that passed. owner: the data owner's address; digest: SHA-256 of the set's frame; index: the holder's j."""

    manifest: Manifest
    owner: bytes
    digest: bytes
    holders: tuple[bytes, ...]
    index: int
    devices: tuple[Counted, ...]
    aggregate: bytes

    @property
    def weights(self) -> int:
        """Sum of the weights: what coefficient N-1 of the aggregate is."""
        return sum(device.weight for device in self.devices)

    @property
    def windows(self) -> int:
        """Weighted sum of counts: what coefficient N-2 is."""
        return sum(device.weight * device.count for device in self.devices)


def check_set(manifest_frame: bytes, set_frame: bytes, holder: bytes, may_count: MayCount, least: int) -> CheckedSet:
    """Check a closed set as the holder of a compressed key.

    Args:
        least: devices that this holder wants in any sum, by weight: (sum of squared weights) / (largest squared).
    Raises:
        SetRefused
    """
    try:
        manifest, owner, signature, signed = rounds.open_manifest(manifest_frame)
        statistics.check_fits(manifest)
        opened = messages.open_set(set_frame)
    except WireError as error:
        raise SetRefused(f"{error.reason}: {error}") from None
    closed: ClosedSet = opened.body
    if closed.manifest != manifest.digest:
        raise SetRefused(f"set: got one of manifest {closed.manifest.hex()}, wanted {manifest.digest.hex()}")
    if not opened.is_by(opened.signer):
        raise SetRefused(
            f"set: got a signature that is not 0x{opened.signer.hex()}'s, wanted the gateway's that it names"
        )
    if manifest.kind == rounds.INFERENCE:
        raise SetRefused("kind: got inference, which the data owner opens alone; wanted a round of sums")
    if curve.recover(signature, signed, owner) is None:
        raise SetRefused(f"manifest: got a signature that is not 0x{owner.hex()}'s")
    devices, holders = _check_entries(manifest, closed, may_count)
    if holder not in holders:
        raise SetRefused("holders: got others, wanted this holder among them")
    if curve.address(holders[0]) != owner:
        raise SetRefused(f"manifest: signed by 0x{owner.hex()}, wanted the data owner, who is holder 0")
    _check_number(manifest, devices, least)
    digest = hashlib.sha256(set_frame).digest()
    return CheckedSet(manifest, owner, digest, holders, holders.index(holder), devices, closed.aggregate)


def sum_secrets(checked: CheckedSet, secret: PrivateKey) -> opening.Ints:
    """A holder's share: sum over the devices of weight * small(s_key_j), int64[N]."""
    manifest = checked.manifest
    weighted = []
    for device in checked.devices:
        key = keys.derive_device_key(secret, device.key, device.device, device.enrolment)
        weighted.append((device.weight, hkdf.s_key(key, manifest.digest, 0)))
    return opening.sum_secrets(manifest.ring, weighted)


def answer(checked: CheckedSet, secret: PrivateKey, nonce: bytes) -> bytes:
    """The share of the holder of `secret`, sealed for the data owner under a fresh nonce, signed -> frame."""
    share = sum_secrets(checked, secret).astype("<i4").tobytes()
    sealed = seal_of(checked, secret, checked.index).close(nonce, share)
    body = messages.Share(checked.manifest.digest, checked.digest, checked.index, nonce, sealed)
    return messages.sign_share(body, curve.address_of(secret.secret), sign_with(secret))


def seal_of(checked: CheckedSet, secret: PrivateKey, index: int) -> keys.Seal:
    """The seal of holder `index`'s share, by that holder or by the data owner."""
    holder, owner = checked.holders[index], checked.holders[0]
    return keys.Seal(secret, holder, owner, checked.manifest.digest, checked.digest, index)


def sign_with(secret: PrivateKey) -> messages.Sign:
    """What messages are signed with."""

    def sign(digest: bytes) -> bytes:
        return bytes(secret.sign_recoverable(digest, hasher=None))

    return sign


def _check_entries(
    manifest: Manifest, closed: ClosedSet, may_count: MayCount
) -> tuple[tuple[Counted, ...], tuple[bytes, ...]]:
    """The devices, and the holders that every one of them is enrolled with."""
    devices: list[Counted] = []
    holders: tuple[bytes, ...] = ()
    enrolments: dict[tuple[int, bytes], Enrolment] = {}
    for entry in closed.entries:
        device = _check_entry(manifest, entry)
        place = entry.enrolment, device.enrolment
        if place not in enrolments:
            enrolments[place] = _check_enrolment(manifest, closed.enrolments[entry.enrolment], device.enrolment)
        enrolment = enrolments[place]
        holders = enrolment.holders
        if reason := may_count(device.device, enrolment.owner):
            raise SetRefused(f"device 0x{device.device.hex()}: {reason}")
        devices.append(device)
    return tuple(devices), holders


def _check_entry(manifest: Manifest, entry: Entry) -> Counted:
    update = messages.open_update(entry.frame)
    name = f"device 0x{update.device.hex()}"
    key = curve.recover(update.signature, update.signed, update.device)
    if key is None:
        raise SetRefused(f"{name}: got an update that it did not sign")
    if update.manifest != manifest.digest or update.index != 0:
        raise SetRefused(f"{name}: got an update of another round, wanted {manifest.digest.hex()}")
    if update.count > manifest.windows:
        raise SetRefused(f"{name}: got {update.count} windows, wanted at most {manifest.windows}")
    return Counted(update.device, key, entry.weight, update.enrolment, update.count)


def _check_enrolment(manifest: Manifest, frame: bytes, digest: bytes) -> Enrolment:
    """The enrolment of this digest, which the device has signed: by it the signature tells its owner.

    Of another enrolment the digest would be another, and the signature not that owner's.
    """
    signature = rounds.decode_enrol(frame)[4]
    recoverable = signature[:64] + bytes([signature[64] - 27])
    try:
        owner = curve.address(PublicKey.from_signature_and_message(recoverable, digest, hasher=None).format())
        found = messages.open_enrolment(frame, owner)
    except (ValueError, WireError) as error:
        raise SetRefused(f"enrolment {digest.hex()}: {error}") from None
    if found.holders_digest != manifest.holders:
        raise SetRefused(f"enrolment {digest.hex()}: got other holders than the manifest's")
    return found


def _check_number(manifest: Manifest, devices: tuple[Counted, ...], least: int) -> None:
    if len(devices) < manifest.k_min:
        raise SetRefused(f"k_min: got {len(devices)} devices, wanted at least {manifest.k_min}")
    squares = [device.weight**2 for device in devices]
    if sum(squares) < least * max(squares):
        got = f"{len(devices)} devices that weigh as {sum(squares) / max(squares):.1f}"
        raise SetRefused(f"devices: got {got}, wanted at least {least}, which this holder wants in any sum")
