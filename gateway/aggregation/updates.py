"""Which ciphertexts of devices count in a round, pure; it stores nothing and opens nothing.

A header is checked in this order, the cheap checks first; the first that fails is the reason, told to the device and
counted. Where M and index cannot be read, it is only counted.
    EDIL.md's structure                                        wire.REASONS
    the key id is the topic's and the device is known          stranger
    M is a round of this gateway                               round
    stored already: the same ciphertext, or another            stored, twice
    the round is open                                          closed
    received by the deadline                                   late
    the device is bound; its enrolment is its owner's          unbound, stranger
    the enrolment is known and names the round's holders       holders
    index and count are the round's                            bounds
    there is room in the round, and for one upload more        space
    signature                                                  signature
Parts are appended in their order: what is there already is passed over (`repeated`), what leaves a gap is dropped
(`gap`) and comes again when the device sends all of it again. The last part is checked for its time and the round like
the header, then that the bytes are those that were signed (digest) and every residue is below q (residue).
`decide` changes nothing but uploads in the making, one a device and MAX_UPLOADS in all, each at most a ciphertext long.
What it decided holds once the caller has it on the disk and called `keep`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from device.agent import rounds
from device.agent.errors import WireError
from gateway import curve
from gateway.aggregation.messages import WEIGHTS_MAX, Enrolment, Update, open_update
from gateway.intake.ingest import Rejected, split_topic
from gateway.intake.registry import Device

STORED = "stored"
MAX_UPLOADS = 1024
MAX_UPDATES = 16_384
DIGEST_START_BYTES = 8

Item = tuple[str, bytes, int]
Place = tuple[bytes, int]


@dataclass
class Round:
    """A round as far as updates are concerned.

    Attributes:
        weights: of devices, 1..4; a device that is not in it has 1.
        taken: SHA-256 of the ciphertext that is stored, by (device, index).
        weight: sum of the weights in `taken`.
    """

    digest: bytes
    manifest: rounds.Manifest
    weights: Mapping[bytes, int]
    is_open: bool
    taken: dict[Place, bytes] = field(default_factory=dict)
    weight: int = 0

    @property
    def is_sum(self) -> bool:
        return bool(self.manifest.kind != rounds.INFERENCE)

    def weigh(self, device: bytes) -> int:
        """A device's weight; 1 for each embedding of an inference."""
        return self.weights.get(device, 1) if self.is_sum else 1

    def keep(self, device: bytes, index: int, digest: bytes) -> None:
        """A ciphertext of the device is on the disk."""
        if (device, index) not in self.taken:
            self.weight += self.weigh(device)
        self.taken[device, index] = digest


@dataclass
class Upload:
    """A header that was accepted, and as much of its ciphertext as is there."""

    update: Update
    data: bytearray


@dataclass(frozen=True)
class Taken:
    """A ciphertext to store: its signed header, its bytes, when the last of them came."""

    update: Update
    ciphertext: bytes
    received_ms: int


@dataclass
class Batch:
    """What to do about some messages: store, then `keep`, then answer.

    Attributes:
        owners: owner of each device that was bound as this began.
        stored: by (M, device, index).
        answers: (device, M, index, status) for messages on `taken`; those of `stored` hold once they are stored.
        statuses: (device, digest, status), what devices say about enrolments and rounds; not signed.
        rejected: count by reason. coming: sum of the weights in `stored`, by M.
    """

    owners: Mapping[bytes, bytes]
    stored: dict[tuple[bytes, bytes, int], Taken] = field(default_factory=dict)
    answers: list[tuple[bytes, bytes, int, str]] = field(default_factory=list)
    statuses: list[tuple[bytes, bytes, str]] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    coming: Counter[bytes] = field(default_factory=Counter)


class Updates:
    """Decides on batches.

    Args:
        devices: what the registry knows, by id. owners: owner (20 bytes) of each bound device, asked for each batch.
        enrolments: by digest. rounds_known: by M. All are read at each decision, never changed here.
        is_ciphertext: tells whether packed residues of a ring (N) are all below q.
    """

    def __init__(
        self,
        devices: Mapping[bytes, Device],
        owners: Callable[[], Mapping[bytes, bytes]],
        enrolments: Mapping[bytes, Enrolment],
        rounds_known: Mapping[bytes, Round],
        is_ciphertext: Callable[[int, bytes], bool],
    ) -> None:
        self._devices, self._owners = devices, owners
        self._enrolments, self._rounds = enrolments, rounds_known
        self._is_ciphertext = is_ciphertext
        self._uploads: dict[bytes, Upload] = {}
        self._keys: dict[bytes, Any] = {}

    def decide(self, items: Iterable[Item]) -> Batch:
        """Judge (topic, payload, receipt time in ms) in their order. Never raises, whatever they hold."""
        batch = Batch(self._owners())
        for topic, payload, receipt_ms in items:
            try:
                device, name = split_topic(topic)
                if name == "update":
                    self._header(batch, device, payload, receipt_ms)
                elif name == "part":
                    self._part(batch, device, payload, receipt_ms)
                elif name == "edil":
                    self._status(batch, device, payload)
                else:
                    raise Rejected("malformed")
            except (Rejected, WireError) as rejection:
                batch.rejected[rejection.reason] += 1
        return batch

    def forget(self, round_digest: bytes) -> None:
        """Let go of what was on its way to a round that is closed."""
        for device, upload in list(self._uploads.items()):
            if upload.update.manifest == round_digest:
                del self._uploads[device]

    def _status(self, batch: Batch, device: bytes, payload: bytes) -> None:
        digest, status = rounds.decode_status(payload)
        if device not in self._devices:
            raise Rejected("stranger")
        batch.statuses.append((device, digest, status))

    def _header(self, batch: Batch, device: bytes, frame: bytes, receipt_ms: int) -> None:
        current = self._uploads.get(device)
        if current is not None and current.update.frame == frame:
            return  # sent again: the parts that were lost follow
        update = open_update(frame)
        try:
            self._check_header(batch, device, update, receipt_ms)
        except Rejected as rejection:
            batch.answers.append((device, update.manifest, update.index, rejection.reason))
            if rejection.reason != STORED:
                raise
            return
        self._uploads[device] = Upload(update, bytearray())

    def _check_header(self, batch: Batch, device: bytes, update: Update, receipt_ms: int) -> None:
        if update.device != device or device not in self._devices:
            raise Rejected("stranger")
        found = self._rounds.get(update.manifest)
        if found is None:
            raise Rejected("round")
        in_batch = batch.stored.get((update.manifest, device, update.index))
        known = in_batch.update.digest if in_batch else found.taken.get((device, update.index))
        if known is not None:
            raise Rejected(STORED if known == update.digest else "twice")
        _check_open(found, receipt_ms)
        self._check_enrolment(batch, found, update)
        if update.index >= (1 if found.is_sum else found.manifest.windows):
            raise Rejected("bounds")
        if update.count > (found.manifest.windows if found.is_sum else 1):
            raise Rejected("bounds")
        self._check_room(batch, found, device)
        if not curve.verify(self._key(device), update.signed, update.signature):
            raise Rejected("signature")

    def _check_enrolment(self, batch: Batch, found: Round, update: Update) -> None:
        owner = batch.owners.get(update.device)
        if owner is None:
            raise Rejected("unbound")
        enrolment = self._enrolments.get(update.enrolment)
        if enrolment is None or enrolment.holders_digest != found.manifest.holders:
            raise Rejected("holders")
        if enrolment.owner != owner:
            raise Rejected("stranger")

    def _check_room(self, batch: Batch, found: Round, device: bytes) -> None:
        if device not in self._uploads and len(self._uploads) >= MAX_UPLOADS:
            raise Rejected("space")
        weight = found.weight + batch.coming[found.digest] + found.weigh(device)
        if weight > (WEIGHTS_MAX if found.is_sum else MAX_UPDATES):
            raise Rejected("space")

    def _part(self, batch: Batch, device: bytes, payload: bytes, receipt_ms: int) -> None:
        start, offset, data = rounds.decode_part(payload)
        upload = self._uploads.get(device)
        if upload is None or upload.update.digest[:DIGEST_START_BYTES] != start:
            raise Rejected("part")
        if offset < len(upload.data):
            raise Rejected("repeated")
        if offset > len(upload.data):
            raise Rejected("gap")
        update = upload.update
        found = self._rounds[update.manifest]
        size = rounds.RINGS[found.manifest.ring]
        upload.data += data[: size + 1 - offset]
        if len(upload.data) < size:
            return
        del self._uploads[device]
        ciphertext = bytes(upload.data)
        try:
            _check_open(found, receipt_ms)
            self._check_room(batch, found, device)
            if len(ciphertext) != size or hashlib.sha256(ciphertext).digest() != update.digest:
                raise Rejected("digest")
            if not self._is_ciphertext(found.manifest.ring, ciphertext):
                raise Rejected("residue")
        except Rejected as rejection:
            batch.answers.append((device, update.manifest, update.index, rejection.reason))
            raise
        batch.stored[update.manifest, device, update.index] = Taken(update, ciphertext, receipt_ms)
        batch.coming[update.manifest] += found.weigh(device)
        batch.answers.append((device, update.manifest, update.index, STORED))

    def _key(self, device: bytes) -> Any:
        key = self._keys.get(device)
        if key is None:
            key = self._keys[device] = curve.parse_public_key(self._devices[device].public_key)
        return key


def _check_open(found: Round, receipt_ms: int) -> None:
    if not found.is_open:
        raise Rejected("closed")
    if receipt_ms > found.manifest.deadline_ms:
        raise Rejected("late")
