"""Rounds of a running gateway: bus, store and clock joined to the decisions; it has no key that opens a ciphertext.

What other programs use, from any thread. M is a manifest's digest (32 bytes), addresses and device ids are 20 bytes:
    enrol(owner, frame) -> Enrolment digest     an owner's `enrol` message (messages.open_enrolment)
    open_round(frame, weights, is_part) -> M    a data owner's manifest; the same again gives the same M
    close_round(M)                              before its deadline
    merge(M, parts, gateways)                   parts (set frame, aggregate) of other gateways, with the one closed here
    rounds() -> [status], status(M) -> status   JSON values, hex; "state" is open, part, closed, failed or ended
    closed(M) -> (set frame, aggregate)         of a closed round or part; the aggregate is packed as a ciphertext
    give_share(frame), shares(M) -> [frame]     of share-holders 1.., sealed for the data owner
    tell_head(frame), answers(M) -> [Answer]    kind 4: the data owner's head; encrypted logits
    headers(M) -> {(device, index): frame}      the devices' updates, which whoever reads logits checks
    label(device, class or None)
What is refused raises Refused or WireError, which both have a `reason`, and changes nothing; an unknown M: KeyError.

`trusted` has the rounds that are not EDIL (trusted.py), and only those. Beside the API: `take` for messages of devices,
`turn` for what is due (receiver.py calls both, and says what happens when something fails), `greet` for devices that
announce themselves.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from coincurve import PrivateKey

from device.agent import rounds, statistics, wire
from gateway import curve
from gateway.aggregation import aggregate, messages
from gateway.aggregation.aggregate import Part, Refused
from gateway.aggregation.answering import Answering
from gateway.aggregation.invitations import Invitations, encode_label
from gateway.aggregation.known import Known, describe
from gateway.aggregation.rounds_store import CLOSED, ENDED, FAILED, PART, Answer, Ciphertext, RoundsStore, StoreFull
from gateway.aggregation.trusted import TrustedRounds
from gateway.aggregation.updates import Item, Round, Taken, Updates
from gateway.intake.registry import Device


class Aggregation:
    """EDIL of one site.

    Args:
        key: the gateway's. domain: chain id and address of Devices; enrolments of another are refused.
        devices: what the registry knows, by id. owners: gives the owner's address of each bound device.
        publish: (topic, payload). clock: the site's time in ms. say: tells a person.

    Attributes:
        rejected: count of devices' messages by reason since the start.
        on_change: called when something may be due at once.
    """

    def __init__(
        self,
        store: RoundsStore,
        key: PrivateKey,
        domain: tuple[int, bytes],
        devices: Mapping[bytes, Device],
        owners: Callable[[], Mapping[bytes, bytes]],
        publish: Callable[[str, bytes], object],
        clock: Callable[[], int],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.rejected: Counter[str] = Counter()
        self._store, self._key, self._domain = store, key, domain
        self._devices, self._owners = devices, owners
        self._publish, self._clock, self._say = publish, clock, say
        self._address = curve.address_of(key.secret)
        self._lock = threading.RLock()
        self.on_change: Callable[[], None] = lambda: None
        self._known = Known(store)
        self._rounds = self._known.rounds
        self._updates = Updates(devices, owners, self._known.enrolments, self._rounds, aggregate.is_ciphertext)
        self._invitations = Invitations(self._known.enrolments, self._rounds, self._known.frames)
        self._answering = Answering(store)
        self.trusted = TrustedRounds(store, key, devices, owners, clock, self._lock)

    def enrol(self, owner: bytes, frame: bytes) -> bytes:
        enrolment = messages.open_enrolment(frame, owner)
        if (enrolment.chain_id, enrolment.contract) != self._domain:
            got = f"chain {enrolment.chain_id}, contract 0x{enrolment.contract.hex()}"
            raise Refused("stranger", f"enrolment: got {got}, wanted this site's")
        with self._lock:
            newest = self._invitations.newest(owner)
            if enrolment.digest in self._known.enrolments:
                return enrolment.digest
            if newest is not None and enrolment.number <= newest.number:
                raise Refused("number", f"number: got {enrolment.number}, wanted above {newest.number}")
            self._keep(self._store.keep_enrolment, enrolment.digest, owner, frame)
            self._known.enrolments[enrolment.digest] = enrolment
            self._invitations.hurry()
        self.on_change()
        return enrolment.digest

    def open_round(self, frame: bytes, weights: Mapping[bytes, int] | None = None, is_part: bool = False) -> bytes:
        manifest, data_owner, signature, signed = rounds.open_manifest(frame)
        by_device = dict(weights or {})
        if curve.recover(signature, signed, data_owner) is None:
            raise Refused("signature", f"manifest: got another's signature, wanted that of 0x{data_owner.hex()}")
        statistics.check_fits(manifest)
        aggregate.check_weights(manifest.ring, by_device)
        digest: bytes = manifest.digest
        with self._lock:
            if digest in self._rounds:
                return digest
            self._known.check_new(manifest, data_owner, self._clock())
            self._keep(self._store.keep_round, digest, frame, by_device, is_part, self._clock())
            self._known.remember(frame, Round(digest, manifest, by_device, True), data_owner)
            self._attempt(self._drop_old)
            self._invitations.hurry()
        self.on_change()
        return digest

    def close_round(self, manifest: bytes) -> None:
        with self._lock:
            if self._rounds[manifest].is_open:
                self._close(self._rounds[manifest])

    def merge(self, manifest: bytes, parts: Sequence[tuple[bytes, bytes]], gateways: Iterable[bytes]) -> None:
        with self._lock:
            kept, found = self._store.round(manifest), self._rounds[manifest].manifest
            if kept.state != PART:
                raise Refused("closed", f"round: got one that is {kept.state}, wanted a part")
            own = aggregate.open_part(kept.set_frame, kept.aggregate, [self._address])
            named = set(gateways)
            others = [aggregate.open_part(*part, named) for part in parts]
            merged = aggregate.merge(found.ring, [own, *others], self._owners(), found.holders)
            if len(merged.closed.entries) < found.k_min:
                got = f"devices: got {len(merged.closed.entries)}, wanted k_min {found.k_min}"
                raise Refused("bounds", f"{got}; more parts may come")
            self._publish_set(manifest, CLOSED, merged)

    def rounds(self) -> list[dict[str, Any]]:
        with self._lock:
            return [self.status(digest) for digest in self._rounds]

    def status(self, manifest: bytes) -> dict[str, Any]:
        with self._lock:
            found, kept = self._rounds[manifest], self._store.round(manifest)
            said = self._invitations.said(manifest)
            data_owner, devices = self._known.data_owners[manifest], self._store.devices(manifest)
            shown = describe(found, kept, data_owner, devices, said, self._invitations.refused(manifest))
            shown["shares"] = sorted(self._shares(manifest, kept.set_frame))
            shown["has_head"] = self._store.head(manifest) is not None
            shown["answers"] = self._store.count_answers(manifest)
            return shown

    def closed(self, manifest: bytes) -> tuple[bytes, bytes]:
        with self._lock:
            kept = self._store.round(manifest)
        if kept.state not in (CLOSED, PART):
            raise Refused("closed", f"round: got one that is {kept.state}{': ' if kept.why else ''}{kept.why}")
        return kept.set_frame, kept.aggregate

    def give_share(self, frame: bytes) -> None:
        signed = messages.open_share(frame)
        share: messages.Share = signed.body
        with self._lock:
            kept = self._store.round(share.manifest)
            if kept.state != CLOSED or hashlib.sha256(kept.set_frame).digest() != share.set_digest:
                raise Refused("digest", f"share: got one of set {share.set_digest.hex()}, wanted the closed set's")
            enrolment = self._known.enrolment_of(self._rounds[share.manifest].manifest.holders)
            if not signed.is_by(messages.holder_address(enrolment, share.holder)):
                raise Refused("signature", f"share: got 0x{signed.signer.hex()}'s, wanted holder {share.holder}'s")
            if self._shares(share.manifest, kept.set_frame).get(share.holder, frame) != frame:
                raise Refused("twice", f"share: got another one of holder {share.holder}, wanted one a set")
            self._keep(self._store.keep_share, share.manifest, share.holder, share.set_digest, frame)

    def shares(self, manifest: bytes) -> list[bytes]:
        with self._lock:
            return list(self._shares(manifest, self._store.round(manifest).set_frame).values())

    def tell_head(self, frame: bytes) -> None:
        signed = messages.open_head(frame)
        with self._lock:
            found = self._rounds[signed.body.manifest]
            if not signed.is_by(self._known.data_owners[found.digest]):
                raise Refused("signature", f"head: got one by 0x{signed.signer.hex()}, wanted the round's data owner's")
            self._keep(self._answering.tell, found.manifest, frame, signed.body)
        self.on_change()

    def answers(self, manifest: bytes) -> list[Answer]:
        with self._lock:
            self._store.round(manifest)
            return self._store.answers(manifest)

    def headers(self, manifest: bytes) -> dict[tuple[bytes, int], bytes]:
        with self._lock:
            return {(row.device, row.place): row.frame for row in self._store.ciphertexts(manifest)}

    def label(self, device: bytes, label: int | None) -> None:
        self._publish(*encode_label(device, label))

    def greet(self, device: bytes) -> None:
        """Tell a device that has announced itself of its enrolment and of the rounds that are open for it."""
        with self._lock:
            messages_for_it = self._invitations.greet(device, self._owners().get(device))
        for message in messages_for_it:
            self._publish(*message)

    def take(self, items: Sequence[Item]) -> None:
        """Deal with devices' messages (topic, payload, receipt time in ms) as one batch: judge, store, answer."""
        with self._lock:
            batch, failed = self._updates.decide(items), set()
            try:
                if batch.stored:
                    self._store.add(map(_row, batch.stored.values()))
            except StoreFull:
                failed = set(batch.stored)
                batch.rejected["space"] += len(failed)
                batch.stored.clear()
            for (manifest, device, index), taken in batch.stored.items():
                self._rounds[manifest].keep(device, index, taken.update.digest)
                self._answering.wake(manifest)
            for device, digest, said in batch.statuses:
                batch.rejected["unknown_digest"] += not self._invitations.heard(device, digest, said)
            self.rejected += batch.rejected
        for device, manifest, index, answer in batch.answers:
            answer = "space" if (manifest, device, index) in failed else answer
            if device in self._devices:
                self._invitations.answered(device, manifest, answer)
            self._publish(wire.topic(device, "taken"), rounds.encode_taken(manifest, index, answer))

    def turn(self) -> bool:
        """Do what is due: rounds past their deadline, heads, invitations. True: there is more to do at once."""
        now_ms = self._clock()
        with self._lock:
            for found in [found for found in self._rounds.values() if found.is_open]:
                if now_ms > found.manifest.deadline_ms:
                    self._attempt(self._close, found)
            self._attempt(self.trusted.turn)
            due = self._invitations.due(now_ms, self._owners())
            inferences = [found.manifest for found in self._rounds.values() if not found.is_sum]
            is_more = any([self._attempt(self._answering.work, manifest) for manifest in inferences])
        for message in due:
            self._publish(*message)
        return is_more

    def _keep(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            call(*arguments)
        except StoreFull as error:
            raise Refused("space", str(error)) from error

    def _attempt(self, call: Callable[..., object], *arguments: object) -> bool:
        """Call, and count why it could not be: the next turn tries again. The answer, if there is one."""
        try:
            return bool(call(*arguments))
        except StoreFull:
            self.rejected["space"] += 1
        except Refused as error:
            self.rejected[error.reason] += 1
        return False

    def _drop_old(self) -> None:
        for digest in self._known.drop_old(self._clock()):
            self._invitations.forget(digest)
            self._answering.forget(digest)

    def _close(self, found: Round) -> None:
        digest, is_part = found.digest, self._store.round(found.digest).is_part
        if not found.is_sum:
            self._end(found, ENDED, "")
            return
        given = self._known.contributions(found, self._say)
        wanted = 1 if is_part else found.manifest.k_min
        if len(given) < wanted:
            self._end(found, FAILED, f"got {len(given)} devices, wanted at least {wanted}")
            return
        self._publish_set(digest, PART if is_part else CLOSED, aggregate.close(found.manifest.ring, digest, given))

    def _publish_set(self, manifest: bytes, state: str, part: Part) -> None:
        def sign(digest: bytes) -> bytes:
            return self._key.sign_recoverable(digest, hasher=None)

        frame = messages.sign_set(part.closed, self._address, sign)
        self._end(self._rounds[manifest], state, "", frame, part.aggregate)

    def _end(self, found: Round, state: str, why: str, set_frame: bytes = b"", summed: bytes = b"") -> None:
        self._keep(self._store.close_round, found.digest, state, why, set_frame, summed)
        found.is_open = False
        self._updates.forget(found.digest)
        self._say(f"EDIL round {found.manifest.round} is {state}{': ' if why else ''}{why}")

    def _shares(self, manifest: bytes, set_frame: bytes) -> dict[int, bytes]:
        return self._store.shares(manifest, hashlib.sha256(set_frame).digest())


def _row(taken: Taken) -> Ciphertext:
    update = taken.update
    place = update.manifest, update.device, update.index
    return Ciphertext(*place, update.digest, update.enrolment, update.frame, taken.ciphertext, taken.received_ms)
