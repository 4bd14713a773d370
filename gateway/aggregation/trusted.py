"""Gateway-trusted rounds: sums for devices that can sign but not encrypt; refuses to be taken for EDIL.

The gateway sees each device's values for as long as it takes to encrypt them under the data owner's CKKS key (TenSEAL),
and keeps only the encrypted total. That protects the sum from whoever gets the store later, and no device from this
gateway: every status, record and configuration has "confidentiality": "gateway-trusted" in it, and a round is opened by
a configuration that says so in these words, never by default and never in place of another. Source: EDIL.md, section 8.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey

from gateway import curve
from gateway.aggregation import messages
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.known import MAX_OPEN, ROUNDS_KEPT
from gateway.aggregation.messages import GATEWAY_TRUSTED, TrustedSet
from gateway.aggregation.rounds_store import CLOSED, FAILED, OPEN, RoundsStore, StoredTrusted, StoreFull
from gateway.intake.registry import Device

if TYPE_CHECKING:
    from gateway.aggregation.seal import CkksSum

FIELDS = {
    "confidentiality": str,
    "name": str,
    "values": int,
    "bound": int,
    "k_min": int,
    "deadline_ms": int,
    "context": str,
}
MAX_VALUES = 4096
MAX_BOUND = (1 << 31) - 1


class TrustedRounds:
    """For any thread.

    Args:
        key: the gateway's. devices: what the registry knows, by id. owners: owner of each bound device.
        clock: the site's time in ms. lock: of the store, reentrant.
    """

    def __init__(
        self,
        store: RoundsStore,
        key: PrivateKey,
        devices: Mapping[bytes, Device],
        owners: Callable[[], Mapping[bytes, bytes]],
        clock: Callable[[], int],
        lock: AbstractContextManager[object],
    ) -> None:
        self._store, self._key, self._lock = store, key, lock
        self._devices, self._owners, self._clock = devices, owners, clock
        self._rounds = {row.digest: row for row in store.trusted()}

    def open(self, configuration: Mapping[str, Any]) -> bytes:
        """Open a round by its configuration -> its digest R (32 bytes); the same again gives the same.

        Raises:
            Refused: a field is missing or out of range, or the mode is not named in words; nothing is opened.
        """
        check_configuration(configuration)
        text = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).digest()
        with self._lock:
            if digest in self._rounds:
                return digest
            if configuration["deadline_ms"] <= self._clock():
                raise Refused("late", f"deadline_ms: got {configuration['deadline_ms']}, wanted later")
            if sum(found.state == OPEN for found in self._rounds.values()) >= MAX_OPEN:
                raise Refused("space", f"rounds: got {MAX_OPEN} that are open, wanted fewer")
            make_sum(configuration, b"")
            self._keep(self._store.keep_trusted, digest, text)
            self._rounds[digest] = StoredTrusted(digest, text, OPEN, b"", b"")
            self._drop_old()
        return digest

    def give(self, frame: bytes) -> None:
        """Take a device's values (device/agent/plain.py); they are in the total on the disk when this returns.

        Raises:
            WireError: malformed. KeyError: no such round.
            Refused: with its reason; the total is as it was.
        """
        signed = messages.open_plain(frame)
        plain: messages.Plain = signed.body
        with self._lock:
            found = self._rounds[plain.round]
            configuration = json.loads(found.configuration)
            self._check(found, configuration, signed)
            if len(plain.values) != configuration["values"] or max(map(abs, plain.values)) > configuration["bound"]:
                wanted = f"{configuration['values']} up to {configuration['bound']}"
                raise Refused("bounds", f"values: got {len(plain.values)}, or one too large, wanted {wanted}")
            total = make_sum(configuration, found.total)
            total.add(plain.values)
            kept = total.serialize()
            self._keep(self._store.add_trusted, plain.round, signed.signer, kept)
            self._rounds[plain.round] = found._replace(total=kept)

    def turn(self) -> None:
        """Close the rounds whose deadline has passed."""
        with self._lock:
            for digest, found in list(self._rounds.items()):
                if found.state == OPEN and self._clock() > json.loads(found.configuration)["deadline_ms"]:
                    self.close(digest)

    def close(self, digest: bytes) -> None:
        """Close a round: a signed record of who is in it, or a failed one if they are fewer than k_min."""
        with self._lock:
            found = self._rounds[digest]
            devices = self._store.trusted_devices(digest)
            if found.state != OPEN:
                return
            frame = b""
            if len(devices) >= json.loads(found.configuration)["k_min"]:
                record = TrustedSet(digest, tuple(devices), hashlib.sha256(found.total).digest())
                frame = messages.sign_trusted_set(record, curve.address_of(self._key.secret), self._sign)
            closed = found._replace(state=CLOSED if frame else FAILED, set_frame=frame)
            self._keep(self._store.close_trusted, digest, closed.state, frame)
            self._rounds[digest] = closed

    def closed(self, digest: bytes) -> tuple[bytes, bytes]:
        """(record's frame, the total as TenSEAL's ckks_vector_from reads it) of a closed round. Raises Refused."""
        with self._lock:
            found = self._rounds[digest]
        if found.state != CLOSED:
            raise Refused("closed", f"round: got one that is {found.state}, wanted a closed one")
        return found.set_frame, found.total

    def rounds(self) -> list[dict[str, Any]]:
        """Status of each round, JSON values, digests in hex."""
        with self._lock:
            return [self._describe(found) for found in self._rounds.values()]

    def _describe(self, found: StoredTrusted) -> dict[str, Any]:
        configuration = json.loads(found.configuration)
        return {
            "digest": found.digest.hex(),
            "confidentiality": GATEWAY_TRUSTED,
            **{name: configuration[name] for name in ("name", "values", "bound", "k_min", "deadline_ms")},
            "state": found.state,
            "devices": [device.hex() for device in self._store.trusted_devices(found.digest)],
            "set": hashlib.sha256(found.set_frame).hexdigest() if found.set_frame else None,
        }

    def _check(self, found: StoredTrusted, configuration: Mapping[str, Any], signed: messages.Signed) -> None:
        name = f"device 0x{signed.signer.hex()}"
        if signed.signer not in self._devices:
            raise Refused("stranger", f"{name}: got one that is not known")
        if found.state != OPEN:
            raise Refused("closed", f"round: got one that is {found.state}, wanted an open one")
        if self._clock() > configuration["deadline_ms"]:
            raise Refused("late", f"deadline_ms: got {self._clock()}, wanted at most {configuration['deadline_ms']}")
        if signed.signer not in self._owners():
            raise Refused("unbound", f"{name}: got one that is not bound")
        if signed.signer in self._store.trusted_devices(found.digest):
            raise Refused("twice", f"{name}: got it twice, wanted it once")
        if not signed.is_by(signed.signer):
            raise Refused("signature", f"{name}: got values that it did not sign")

    def _drop_old(self) -> None:
        ended = [digest for digest, found in self._rounds.items() if found.state != OPEN]
        for digest in ended[:-ROUNDS_KEPT]:
            with suppress(StoreFull):  # then it is dropped when the next one is opened
                self._store.drop_trusted(digest)
                del self._rounds[digest]

    def _sign(self, digest: bytes) -> bytes:
        return self._key.sign_recoverable(digest, hasher=None)

    def _keep(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            call(*arguments)
        except StoreFull as error:
            raise Refused("space", str(error)) from error


def check_configuration(configuration: Mapping[str, Any]) -> None:
    """Refuse a configuration that is not exactly section 8's.

    Raises:
        Refused
    """
    if configuration.get("confidentiality") != GATEWAY_TRUSTED:
        got = str(configuration.get("confidentiality"))[:32]
        raise Refused("bounds", f"confidentiality: got {got!r}, wanted {GATEWAY_TRUSTED!r} in so many words")
    for name, kind in FIELDS.items():
        if type(configuration.get(name)) is not kind:
            raise Refused("malformed", f"{name}: got {type(configuration.get(name)).__name__}, wanted {kind.__name__}")
    if unknown := sorted(set(configuration) - set(FIELDS)):
        raise Refused("malformed", f"{unknown[0][:32]}: got an unknown field, wanted {', '.join(FIELDS)}")
    for name, low, high in (("values", 1, MAX_VALUES), ("bound", 1, MAX_BOUND), ("k_min", 2, MAX_BOUND)):
        if not low <= configuration[name] <= high:
            raise Refused("bounds", f"{name}: got {configuration[name]}, wanted {low}..{high}")


def make_sum(configuration: Mapping[str, Any], total: bytes) -> CkksSum:
    """The encrypted total of a round to go on with. Raises Refused: TenSEAL is not installed, or does not take it."""
    try:
        from gateway.aggregation import seal
    except ImportError as error:
        raise Refused("context", f"{error.name} is not installed: pip install tinyren[edil]") from error
    try:
        return seal.CkksSum(base64.b64decode(configuration["context"], validate=True), total)
    except (binascii.Error, ValueError) as error:
        raise Refused("context", str(error)) from error
