"""What a gateway does for readers of sealed work: gives them what is sealed, takes openings; it cannot open any itself.

It lends what devices signed, of the epoch that runs, to anyone who names a reader's key. An opening goes into the
evidence only while the epoch is open and only if it shows a fraud; so there is at most one for each sealed answer.
"""

import threading
from collections.abc import Callable, Iterator, Set
from concurrent.futures import Future
from hashlib import sha256
from pathlib import Path

from device.agent.errors import WireError
from device.agent.wire import HEARTBEAT_MAX_BYTES
from gateway import curve
from gateway.errors import CommandError
from gateway.intake import evidence
from gateway.intake.evidence import EvidenceDamaged
from gateway.oracle.epoch import SignerKeys
from gateway.poai.answers import read_answers
from gateway.poai.audit import Item, audit
from gateway.poai.models import Models
from gateway.poai.private import Sealed, read_opening

STORE_S = 5
KID = slice(10, 30)
"""Where the signer's address stands in every COSE_Sign1 of evidence: its encoding leaves no choice (WIRE.md)."""


class Refused(Exception):
    """An opening that is not taken. reason: "malformed", "unknown", "closed", "sound", "models" or "not stored"."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Readers:
    """For many threads.

    Args:
        folder: of the evidence. models: asked for when an opening comes.
        keep: puts a frame into the evidence; whether it is on the disk, once that is known.
    """

    def __init__(self, folder: Path, models: Callable[[], Models], keep: Callable[[bytes], Future[bool]]) -> None:
        self._folder, self._models, self._keep = folder, models, keep
        self._one_by_one = threading.Lock()

    def sealed_to(self, reader: bytes) -> tuple[int, list[Item]]:
        """(epoch that runs, 0 before the first; what those devices signed in it that sealed anything to a reader, and
        its openings). reader: a public key, 33 bytes.

        Raises:
            ValueError: the key is no point of the curve.
        """
        signer, epoch = curve.address(reader), evidence.last_epoch(self._folder)
        meant = (item for item in self._items(epoch) if reader in item[1])
        answers = read_answers(meant, SignerKeys().is_signed)
        devices = {answer.device for answer in answers if isinstance(answer, Sealed) and answer.reader == reader}
        return epoch, self._items_of(epoch, {*devices, signer}) if devices else []

    def take(self, frame: bytes) -> bytes:
        """Take an opening; the device (20 bytes) that signed what is not so. One that is known changes nothing, and a
        new one is on the disk when this returns.

        Raises:
            Refused: it is none, shows no fraud or cannot be stored, or the epoch of what it opens is over.
        """
        try:
            digest = read_opening(frame).digest
        except WireError as error:
            raise Refused("malformed", str(error)) from None
        with self._one_by_one:
            return self._take(frame, digest)

    def _take(self, frame: bytes, digest: bytes) -> bytes:
        epoch = evidence.last_epoch(self._folder)
        if not epoch or evidence.read_windows(evidence.windows_path(self._folder, epoch)).is_closed:
            raise Refused("closed", "opening: no epoch is open; it counts only in the epoch in which the work was done")
        answers = read_answers(self._about(epoch, digest), SignerKeys().is_signed)
        sealed = next((each for each in answers if isinstance(each, Sealed) and each.digest == digest), None)
        if sealed is None:
            raise Refused("unknown", f"opening: epoch {epoch} has no sealed answer {digest.hex()[:16]}...")
        if sealed.agreed is None:
            self._check([*self._items_of(epoch, {sealed.device}), (0, frame)], digest)
            self._store(frame)
        return sealed.device

    def _store(self, frame: bytes) -> None:
        try:
            is_stored = self._keep(frame).result(STORE_S)
        except TimeoutError:
            is_stored = False
        if not is_stored:
            raise Refused("not stored", "opening: the gateway did not store it now; send it again in a few seconds")

    def _check(self, items: list[Item], digest: bytes) -> None:
        try:
            found = audit(items, SignerKeys().is_signed, self._models())
        except CommandError as error:
            raise Refused("models", f"no work can be checked here: {error}") from error
        if not any(each.sealed.digest == digest and each.fault for each in found):
            raise Refused("sound", "opening: its proof does not hold, or what it opens is right: there is no fraud")

    def _items_of(self, epoch: int, signers: Set[bytes]) -> list[Item]:
        return [item for item in self._items(epoch) if item[1][KID] in signers]

    def _about(self, epoch: int, digest: bytes) -> Iterator[Item]:
        """The frame with this digest, and its openings."""
        for item in self._items(epoch):
            if digest in item[1] or len(item[1]) > HEARTBEAT_MAX_BYTES and sha256(item[1]).digest() == digest:
                yield item

    def _items(self, epoch: int) -> Iterator[Item]:
        """Of an epoch's evidence what is whole: it may be written at this moment."""
        try:
            yield from evidence.read(evidence.heartbeats_path(self._folder, epoch))
        except (EvidenceDamaged, FileNotFoundError):
            return
