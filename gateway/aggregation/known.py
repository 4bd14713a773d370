"""What a gateway knows of enrolments and rounds, as its store has it; judges new rounds, and gathers what one sums."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from device.agent import rounds
from gateway.aggregation import messages
from gateway.aggregation.aggregate import Contribution, Refused
from gateway.aggregation.invitations import JOINED
from gateway.aggregation.messages import Enrolment
from gateway.aggregation.rounds_store import OPEN, RoundsStore, StoredRound
from gateway.aggregation.updates import Round

MAX_OPEN = 16
ROUNDS_REMEMBERED = 64
CONFIDENTIALITY = "encrypted-on-device"
SHOWN = ("round", "kind", "ring", "k_min", "windows", "deadline_ms")


class Known:
    """Read from the store once; from then on whoever writes there tells this too.

    Attributes:
        enrolments: by digest. rounds: by M, in the order in which they were opened; of those before the last
            ROUNDS_REMEMBERED it is not known any more whose ciphertexts they hold.
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
        kept = store.rounds()
        for number, row in enumerate(kept):
            manifest, data_owner, *_ = rounds.open_manifest(row.frame)
            found = Round(row.manifest, manifest, store.weights(row.manifest), row.state == OPEN)
            if found.is_open or number >= len(kept) - ROUNDS_REMEMBERED:
                for device, index, digest in store.places(row.manifest):
                    found.keep(device, index, digest)
            self.remember(row.frame, found, data_owner)

    def remember(self, frame: bytes, found: Round, data_owner: bytes) -> None:
        """A round that is in the store."""
        self.frames[found.digest], self.data_owners[found.digest] = frame, data_owner
        self.rounds[found.digest] = found

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
    found: Round, kept: StoredRound, data_owner: bytes, devices: Iterable[bytes], said: Mapping[bytes, str]
) -> dict[str, Any]:
    """A round for a page: JSON values, bytes in hex.

    Args:
        devices: whose ciphertexts are stored, by id. said: what devices said they did with the round.
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
        "set": hashlib.sha256(kept.set_frame).hexdigest() if kept.set_frame else None,
    }
