"""What a data owner does with its key (EDIL.md): asks for rounds, opens their sums; refuses those that do not add up.

Without the share of every share-holder there is nothing to see. The checks of a set are those of a share-holder
(shares.py); then the aggregate must be the published one, every share its holder's, and of the opened polynomial the
number of devices, the count of windows and the places that no value has must be right.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from coincurve import PrivateKey

from device.agent import eip712, hkdf, rounds, statistics
from device.agent.errors import WireError
from device.agent.rounds import Manifest
from gateway import curve
from gateway.aggregation import messages
from gateway.aggregation.rings import T
from gateway.edil import opening, shares
from gateway.edil.client import Closed
from gateway.edil.keys import TAG_BYTES
from gateway.edil.opening import SMALL_MAX, Ints
from gateway.edil.shares import CheckedSet, MayCount
from gateway.storage.cid import encode_text


class NotOpened(ValueError):
    """A round that cannot be opened, or whose sum is wrong; the message says why, in one line."""


@dataclass(frozen=True)
class Opened:
    """A round's sums: values as EDIL.md, section 4 orders them, exact."""

    checked: CheckedSet
    values: list[int]

    def as_json(self) -> dict[str, Any]:
        """What `tinyren edil open` writes and `fit` reads; "gateway_trusted" says that nobody but the holders could."""
        manifest = self.checked.manifest
        named = {name: value for name, value in zip(Manifest.FIELDS, manifest.values(), strict=True)}
        return {
            "manifest": manifest.digest.hex(),
            "gateway_trusted": False,
            **named,
            "model": encode_text(manifest.model),
            "holders": [key.hex() for key in self.checked.holders],
            "devices": {"0x" + device.device.hex(): device.weight for device in self.checked.devices},
            "count": self.checked.windows,
            "values": self.values,
        }


def sign_enrolment(owner: PrivateKey, chain_id: int, contract: bytes, holders: list[bytes], number: int) -> bytes:
    """An owner's consent that its devices encrypt to these holders, the data owner first -> `enrol` message."""
    address = curve.address_of(owner.secret)
    digest = eip712.enrolment_digest(curve.keccak, chain_id, contract, address, holders, number)
    signature = shares.sign_with(owner)(digest)
    signed = signature[:64] + bytes([27 + signature[64]])
    return bytes(rounds.encode_enrol(chain_id, contract, holders, number, signed))


def sign_manifest(secret: PrivateKey, manifest: Manifest) -> bytes:
    """A round, asked for by its data owner -> frame."""
    return bytes(rounds.sign_manifest(manifest, curve.address_of(secret.secret), shares.sign_with(secret)))


def open_round(closed: Closed, frames: Iterable[bytes], secret: PrivateKey, may_count: MayCount, least: int) -> Opened:
    """Open a closed round with the share-holders' frames and the data owner's own share.

    Raises:
        SetRefused: the set fails a check. NotOpened: a share is missing or wrong, or the sum does not add up.
    """
    checked = shares.check_set(closed.manifest, closed.closed_set, secret.public_key.format(), may_count, least)
    if checked.index != 0:
        raise NotOpened(f"holders: got this key as holder {checked.index}, wanted the data owner's")
    if hashlib.sha256(closed.aggregate).digest() != checked.aggregate:
        raise NotOpened("aggregate: got other bytes than those of the closed set")
    found = read_shares(checked, frames, secret)
    missing = [index for index in range(1, len(checked.holders)) if index not in found]
    if missing:
        who = ", ".join(f"{index} ({checked.holders[index].hex()})" for index in missing)
        raise NotOpened(f"shares: got none of holder {who}; without it nobody can open this round")
    total = shares.sum_secrets(checked, secret) + np.sum(list(found.values()), axis=0)
    return Opened(checked, read_sum(checked, closed.aggregate, total))


def read_shares(checked: CheckedSet, frames: Iterable[bytes], secret: PrivateKey) -> dict[int, Ints]:
    """Shares of this set by holder, int64[N] each; those of another set are passed over.

    Raises:
        NotOpened: a share that its holder did not sign or seal, or of impossible size.
    """
    found: dict[int, Ints] = {}
    size = 4 * checked.manifest.ring
    for frame in frames:
        try:
            opened = messages.open_share(frame)
        except WireError as error:
            raise NotOpened(f"share: {error}") from None
        share: messages.Share = opened.body
        if (share.manifest, share.set_digest) != (checked.manifest.digest, checked.digest):
            continue
        name = f"share of holder {share.holder}"
        if share.holder >= len(checked.holders) or not opened.is_by(curve.address(checked.holders[share.holder])):
            raise NotOpened(f"{name}: got a signature of another")
        if len(share.sealed) != size + TAG_BYTES:
            raise NotOpened(f"{name}: got {len(share.sealed)} bytes, wanted {size + TAG_BYTES}")
        try:
            plain = shares.seal_of(checked, secret, share.holder).open(share.nonce, share.sealed)
        except ValueError:
            raise NotOpened(f"{name}: got one that it did not seal for this key and set") from None
        found[share.holder] = np.frombuffer(plain, "<i4").astype(np.int64)
        if np.abs(found[share.holder]).max() > SMALL_MAX * checked.weights:
            raise NotOpened(f"{name}: got more than {checked.weights} devices' keys add up to")
    return found


def read_sum(checked: CheckedSet, aggregate: bytes, s: Ints) -> list[int]:
    """The values of an aggregate, opened with the sum of all shares.

    Raises:
        NotOpened: it does not add up: wrong shares, or a device or gateway that sent something else than it said.
    """
    manifest = checked.manifest
    try:
        opened = opening.open_sum(manifest.ring, aggregate, hkdf.a_key(manifest.digest), s)
    except ValueError as error:
        raise NotOpened(f"aggregate: {error}") from None
    used = statistics.count_values(manifest) * manifest.digits
    windows, devices = int(opened[-2]) % T, int(opened[-1]) % T
    if devices != checked.weights:
        raise NotOpened(f"devices: the sum says {devices}, wanted {checked.weights}, the set's weights")
    if windows != checked.windows:
        raise NotOpened(f"windows: the sum says {windows}, wanted {checked.windows}, the set's counts")
    if opened[used:-2].any():
        raise NotOpened(f"sum: got values beyond coefficient {used}, which this round does not use")
    return opening.join_digits(opened[:used], manifest.digits)
