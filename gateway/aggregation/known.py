"""What a gateway knows of enrolments and rounds, as its store has it; judges new rounds, and gathers what one sums.

Of rounds that are done it keeps ROUNDS_KEPT, the newest; done is one that failed, that all its share-holders answered,
whose embeddings all have logits, or a part PART_KEPT_MS after its deadline. What is open or unanswered is never
dropped, nor a data owner's newest round, whose number the next one has to exceed.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from device.agent import rounds
from gateway.aggregation import messages
from gateway.aggregation.aggregate import Contribution, Refused
from gateway.aggregation.invitations import JOINED
from gateway.aggregation.messages import Enrolment
from gateway.aggregation.rounds_store import CLOSED, ENDED, FAILED, OPEN, PART, RoundsStore, StoredRound
from gateway.aggregation.updates import Round

MAX_OPEN = 16
ROUNDS_KEPT = 64
PART_KEPT_MS = 7 * 24 * 3600 * 1000
CONFIDENTIALITY = "encrypted-on-device"
SHOWN = ("round", "kind", "ring", "k_min", "windows", "deadline_ms")


class Known:
    """Read from the store once; from then on whoever writes there tells this too.

    Attributes:
        enrolments: by digest. rounds: by M, in the order in which they were opened.
        frames, data_owners: manifest's frame, and its signer, by M.
    """

    def __init__(self, store: RoundsStore) -> None:
        self._store = store
        self.enrolments: dict[bytes, Enrolment] = {}
        self.rounds: dict[bytes, Round] = {}
        self.frames: dict[bytes, bytes] = {}
        self.data_owners: dict[bytes, bytes] = {}
        for digest, owner, frame in store.enrolments():
            self.enrolments[digest] = messages.open_enrolment(frame, owner)
        for row in store.rounds():
            manifest, data_owner, *_ = rounds.open_manifest(row.frame)
            found = Round(row.manifest, manifest, store.weights(row.manifest), row.state == OPEN)
            for device, index, digest in store.places(row.manifest):
                found.keep(device, index, digest)
            self.remember(row.frame, found, data_owner)

    def remember(self, frame: bytes, found: Round, data_owner: bytes) -> None:
        """A round that is in the store."""
        self.frames[found.digest], self.data_owners[found.digest] = frame, data_owner
        self.rounds[found.digest] = found

    def drop_old(self, now_ms: int) -> Iterator[bytes]:
        """Forget the oldest rounds that are done, all but ROUNDS_KEPT; the digest of each. Raises StoreFull."""
        if len(self.rounds) <= ROUNDS_KEPT:
            return
        newest: dict[bytes, int] = {}
        for digest, owner in self.data_owners.items():
            newest[owner] = max(newest.get(owner, 0), self.rounds[digest].manifest.round)
        done = [digest for digest, found in self.rounds.items() if self._is_done(found, now_ms)]
        for digest in done[:-ROUNDS_KEPT]:
            if self.rounds[digest].manifest.round < newest[self.data_owners[digest]]:
                self._store.drop_round(digest)
                for known in (self.rounds, self.frames, self.data_owners):
                    known.pop(digest)
                yield digest

    def _is_done(self, found: Round, now_ms: int) -> bool:
        kept = self._store.round(found.digest)
        if kept.state == CLOSED:
            given = self._store.shares(found.digest, hashlib.sha256(kept.set_frame).digest())
            return len(given) >= len(self.enrolment_of(found.manifest.holders).holders) - 1
        if kept.state == ENDED:
            return not self._store.unanswered(found.digest, 1)
        return kept.state == FAILED or (kept.state == PART and now_ms > found.manifest.deadline_ms + PART_KEPT_MS)

    def enrolment_of(self, holders: bytes) -> Enrolment:
        """One that names these share-holders (their keys' digest). Raises Refused: there is none."""
        for enrolment in self.enrolments.values():
            if enrolment.holders_digest == holders:
                return enrolment
        raise Refused("holders", f"holders: got {holders.hex()}, wanted some that an enrolment names")

    def check_new(self, manifest: rounds.Manifest, data_owner: bytes, now_ms: int) -> None:
        """Refuse a round that nobody could take part in, or that would repeat a number.

        Raises:
            Refused
        """
        if manifest.deadline_ms <= now_ms:
            raise Refused("late", f"deadline_ms: got {manifest.deadline_ms}, wanted later than {now_ms}")
        first = messages.holder_address(self.enrolment_of(manifest.holders), 0)
        if first != data_owner:
            raise Refused("holders", f"manifest: got one by 0x{data_owner.hex()}, wanted the first holder's")
        own = [self.rounds[other].manifest.round for other, owner in self.data_owners.items() if owner == data_owner]
        if manifest.round <= max(own, default=0):
            raise Refused("round", f"round: got {manifest.round}, wanted above {max(own)}")
        if sum(found.is_open for found in self.rounds.values()) >= MAX_OPEN:
            raise Refused("space", f"rounds: got {MAX_OPEN} that are open, wanted fewer")

    def contributions(self, found: Round, say: Callable[[str], None]) -> list[Contribution]:
        """What a round sums: each ciphertext in the store that is still the one its device signed."""
        given = []
        for row in self._store.ciphertexts(found.digest):
            if hashlib.sha256(row.content).digest() != row.digest:
                say(f"EDIL round {found.manifest.round}: a ciphertext of 0x{row.device.hex()} is damaged and left out")
                continue
            weight, enrol = found.weights.get(row.device, 1), self.enrolments[row.enrolment].frame
            given.append(Contribution(row.device, weight, enrol, row.frame, row.content))
        return given


def describe(
    found: Round,
    kept: StoredRound,
    data_owner: bytes,
    devices: Iterable[bytes],
    said: Mapping[bytes, str],
    refused: Mapping[bytes, str],
) -> dict[str, Any]:
    """A round for a page: JSON values, bytes in hex.

    Args:
        devices: whose ciphertexts are stored, by id. said: what devices said they did with the round.
        refused: why the last update of a device was not stored.
    """
    return {
        "digest": found.digest.hex(),
        "frame": kept.frame.hex(),
        "confidentiality": CONFIDENTIALITY,
        "data_owner": data_owner.hex(),
        **{name: getattr(found.manifest, name) for name in SHOWN},
        "state": kept.state,
        "why": kept.why,
        "is_part": kept.is_part,
        "devices": [device.hex() for device in devices],
        "joined": sum(status == JOINED for status in said.values()),
        "said": {device.hex(): status for device, status in said.items()},
        "refused": {device.hex(): reason for device, reason in refused.items()},
        "set": hashlib.sha256(kept.set_frame).hexdigest() if kept.set_frame else None,
    }
