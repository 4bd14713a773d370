"""Challenges devices while an epoch is open; it chooses nothing: draw.py does, from blocks that come later than claims.

    a window opens ─▶ claims of the window before, from the evidence ─▶ the turn's block ─▶ draws ─▶ challenges told

Answers go through ingest into the evidence, where anyone can draw and check again; what this thread fails to ask counts
as missed. What each failure does:
1. The turn's block is not there yet: it is asked for again until the window is over.
2. A crash: the windows of before it are not challenged any more. The device keeps only its last two heartbeats.
3. A message is lost: the challenge is told once more in the same window; a device answers both with the same bytes.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from device.agent import reveal, wire
from gateway.intake import evidence, evidence_file
from gateway.intake.evidence_file import EpochWindows, EvidenceDamaged
from gateway.intake.ingest import Challenge
from gateway.oracle.availability import Windows
from gateway.poai.claims import Claim, Counts
from gateway.poai.draw import CHALLENGES, draw, turns
from gateway.poai.models import Models

POLL_S = 0.25
AGAIN_POLLS = 6
NO_END = 1 << 63


class Challenger:
    """The thread that challenges. Others may call `wake` and `stop`.

    Args:
        folder: of the evidence. block_hash: of a block (32 bytes), None while there is none of that number.
        publish: (topic, payload), to the devices. challenges: ingest's, with whether they are answered;
        those of a window stay until the second window after it, for answers that are late or come twice.

    Attributes:
        failure: why `run` ended without being asked to, or None.
        told: how many challenges were told since the start.
    """

    def __init__(
        self,
        folder: Path,
        models: Models,
        block_hash: Callable[[int], bytes | None],
        publish: Callable[[str, bytes], None],
        challenges: dict[Challenge, bool],
        wanted: int = CHALLENGES,
    ) -> None:
        self.failure: Exception | None = None
        self.told = 0
        self._folder, self._models, self._wanted = folder, models, wanted
        self._block_hash, self._publish, self._challenges = block_hash, publish, challenges
        self._now: list[Challenge] = []
        self._before: list[Challenge] = []
        self._wake, self._is_stopping = threading.Event(), False
        self._drawn: tuple[int, bytes] | None = None
        self._begin(0)

    def wake(self) -> None:
        """A window was opened."""
        self._wake.set()

    def stop(self) -> None:
        """Ask `run` to return."""
        self._is_stopping = True
        self._wake.set()

    def run(self) -> None:
        """Serve until `stop`."""
        try:
            polls = 0
            while not self._is_stopping:
                if self._wake.wait(POLL_S if polls else None):
                    self._wake.clear()
                    polls = AGAIN_POLLS
                if self.turn():
                    polls -= 1
                if polls == 1:
                    self._tell_again()
        except Exception as error:
            self.failure = error
            raise

    def turn(self) -> bool:
        """Challenge what the window before the newest claimed; whether nothing is left to do in this window."""
        epoch = evidence.last_epoch(self._folder)
        if epoch == 0:
            return True
        if epoch != self._epoch:
            self._begin(epoch)
        try:
            found = evidence.read_windows(evidence.windows_path(self._folder, epoch))
            self._read_claims()
        except (EvidenceDamaged, FileNotFoundError):  # it is being written; what is whole was read
            return False
        if len(found.windows) < 2 or found.is_closed:
            return True
        window = found.windows[-2].window
        if self._drawn is None or self._drawn[0] != window:
            self._drawn = None
            block_hash = self._block_hash(turns(_open(found))[window].block)
            if block_hash is None:
                return False
            self._drawn = window, block_hash
            for challenge in self._before:
                self._challenges.pop(challenge, None)
            self._before, self._now = self._now, []
        self._challenge(*self._drawn, found.count)
        return True

    def _begin(self, epoch: int) -> None:
        self._epoch, self._offset = epoch, 0
        self._drawn = None
        self._counts = Counts(self._models.kept)
        self._claims: dict[int, list[Claim]] = {}

    def _read_claims(self) -> None:
        """What was stored since the last call; ingest stores only heartbeats that answer a window."""
        for end, _, frame in evidence_file.walk(evidence.heartbeats_path(self._folder, self._epoch), self._offset):
            self._offset = end
            try:
                device, payload, _, _ = wire.open_sign1(frame)
                window = wire.split_beacon(wire.decode_heartbeat(payload)[0])[1]
            except wire.WireError:
                continue
            if (claim := self._counts.take(device, payload, window)) is not None:
                self._claims.setdefault(window, []).append(claim)

    def _challenge(self, window: int, block_hash: bytes, count: int) -> None:
        """Tell the challenges of what was claimed in the window and is not drawn yet; older claims are let go."""
        for claim in self._claims.get(window, ()):
            index = draw(block_hash, claim, self._epoch, count, self._wanted)
            if index is not None:
                challenge = claim.device, claim.boot, claim.sequence, claim.count, index
                self._now.append(challenge)
                self._challenges[challenge] = False
                self._tell(challenge)
                self.told += 1
        self._claims = {number: claims for number, claims in self._claims.items() if number > window}

    def _tell_again(self) -> None:
        for challenge in self._now:
            if not self._challenges[challenge]:
                self._tell(challenge)

    def _tell(self, challenge: Challenge) -> None:
        device, *place = challenge
        self._publish(wire.topic(device, "challenge"), reveal.encode_challenge(*place))


def _open(found: EpochWindows) -> Windows:
    """The windows of an epoch whose close is not known yet."""
    return Windows(found.epoch, found.count, found.window_ms, found.windows, NO_END)
