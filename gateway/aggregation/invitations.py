"""Which devices are told of which enrolments and rounds, pure; it repeats what was not answered.

A device is told the newest enrolment of its owner, then each open round that names the same holders. Telling is
repeated at each announce, and each RETRY_MS until the device has said what it did (topic `edil`), because messages get
lost and a device that restarts has forgotten. What a device says is not signed: it stops the repeating and shows on the
page.
"""

from collections.abc import Iterable, Mapping

from device.agent import rounds, wire
from gateway.aggregation.messages import Enrolment
from gateway.aggregation.updates import Round

RETRY_MS = 15_000
AGAIN = {"unbound", "holders", "store"}  # cured by a binding, by the enrolment, or by the next try
JOINED = "joined"

Message = tuple[str, bytes]


class Invitations:
    """What was said and told so far.

    Args:
        enrolments: by digest. open_rounds: by M, those that are open or were. frames: of manifests, by M.
        All are read at each call, never changed here.
    """

    def __init__(
        self, enrolments: Mapping[bytes, Enrolment], known: Mapping[bytes, Round], frames: Mapping[bytes, bytes]
    ) -> None:
        self._enrolments, self._rounds, self._frames = enrolments, known, frames
        self._said: dict[bytes, dict[bytes, str]] = {}
        self._next_ms = 0

    def heard(self, device: bytes, digest: bytes, status: str) -> bool:
        """A device said what it did with an enrolment or a round; False: with one that is not known here."""
        if digest in self._rounds:
            self._said.setdefault(digest, {})[device] = status
        return digest in self._rounds or digest in self._enrolments

    def said(self, manifest: bytes) -> dict[bytes, str]:
        """What devices said about a round, by id."""
        return dict(self._said.get(manifest, {}))

    def greet(self, device: bytes, owner: bytes | None) -> list[Message]:
        """What a device of this owner is told now; nothing if no round is open for it."""
        enrolment = self.newest(owner)
        if enrolment is None:
            return []
        told = [
            (wire.topic(device, "round"), self._frames[manifest])
            for manifest, found in self._rounds.items()
            if found.is_open and found.manifest.holders == enrolment.holders_digest
        ]
        return [(wire.topic(device, "enrol"), enrolment.frame), *told]

    def due(self, now_ms: int, owners: Mapping[bytes, bytes]) -> list[Message]:
        """What is repeated now to devices that did not answer; nothing before the next RETRY_MS."""
        if now_ms < self._next_ms:
            return []
        self._next_ms = now_ms + RETRY_MS
        waiting = (device for device in owners if self._waits(device, owners[device]))
        return [message for device in waiting for message in self.greet(device, owners[device])]

    def hurry(self) -> None:
        """Have the next `due` tell those who have not answered at once."""
        self._next_ms = 0

    def newest(self, owner: bytes | None) -> Enrolment | None:
        """The enrolment of an owner that counts: the one of the highest number."""
        own = (enrolment for enrolment in self._enrolments.values() if enrolment.owner == owner)
        return max(own, key=lambda enrolment: enrolment.number, default=None)

    def _waits(self, device: bytes, owner: bytes) -> bool:
        enrolment = self.newest(owner)
        if enrolment is None:
            return False
        return any(self._is_unanswered(device, found, enrolment) for found in self._open())

    def _is_unanswered(self, device: bytes, found: Round, enrolment: Enrolment) -> bool:
        if found.manifest.holders != enrolment.holders_digest:
            return False
        if found.is_sum and (device, 0) in found.taken:
            return False
        status = self._said.get(found.digest, {}).get(device)
        return status is None or status in AGAIN

    def _open(self) -> Iterable[Round]:
        return (found for found in self._rounds.values() if found.is_open)


def encode_label(device: bytes, label: int | None) -> Message:
    """What tells a device which class its windows belong to from now on."""
    return wire.topic(device, "label"), bytes(rounds.encode_label(label))
