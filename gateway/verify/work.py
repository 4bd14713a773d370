"""Checks a second time, for verify.py, what devices worked in an epoch; refuses to take anything from the first check.

Rules (docs/poai.md; device/agent/WIRE.md, section 16; contracts/src/interfaces/IEscrow.sol):
1. A heartbeat that answered a window claims the inferences since the device's last one that did, if that was of the
   same boot and model and had the sequence before; the first of a boot claims those since boot. At most the last
   `kept` count, floor(640 / (16 + input + output bytes)). The claim has a turn if a later window was opened, with a
   block below that at which the epoch closed: the block after it draws, the answer has to come before that window ends.
2. SHA-256("tinyren challenge" | hash | device | epoch u32 | window u16): drawn if its first 8 bytes are below
   floor(2^64 * min(14, K) / K); which inference, by the next 8 modulo the number claimed.
3. An answer in time that names this inference is sound if SHA-256(chain | output)[:16], from its chain over its
   outputs, ends at the heartbeat's chain, and the model gives its first output for its window. Else it is a fraud. No
   answer earns nothing: units of a model = floor(claimed * sound^2 / drawn^2), all zero with a fraud.
   Of a sealed answer none of this is known unless its reader opened it: then what is no reveal of this inference, or
   not sound, is a fraud. What was first sealed to a reader counts alike, as of the model that SHA-256("tinyren sealed
   model" | model | reader) names.
4. A job takes its model's units from its workers by ascending deed, up to its deposit; dearest first, then by number.
"""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.verify.messages import RAW_SHA256_CID, Heartbeat, Opening, Reveal, Sealed
from gateway.verify.openings import is_opened, uncovered
from gateway.verify.read import ChainReader, Findings, Job, Models, Windows
from gateway.verify.tree import Work

KEPT_BYTES, CHAIN_BYTES, CHALLENGES = 640, 16, 14
Place = tuple[bytes, int, int, int, int]


@dataclass(frozen=True)
class Drawn:
    """A claim that is challenged: inferences first..count, of which `index` is drawn, to be shown before until_ms."""

    beat: Heartbeat
    first: int
    index: int
    until_ms: int
    before: bytes | None


class WorkCheck:
    """What devices claim and reveal in one epoch; `units` and `frauds` once all of its evidence was taken."""

    def __init__(self, epoch: int, chain: ChainReader, findings: Findings) -> None:
        self._epoch, self._chain, self._findings = epoch, chain, findings
        self._models: Models = chain.models()
        self._counted: set[tuple[bytes, tuple[int, int]]] = set()
        self._outcomes: dict[Place, set[bool]] = {}
        self._readers: dict[Place, bytes] = {}
        self._drawn: dict[Place, Drawn] = {}
        self._begin(Windows(), only_revealing=False)
        self._claimed: dict[bytes, Counter[bytes]] = {}

    def listen(self, windows: Windows, *, only_revealing: bool) -> None:
        """Go on with a gateway's evidence, whose windows draw; what counted at one before does not count again.

        Args:
            only_revealing: pass over devices that revealed nothing to this gateway: it may not challenge at all.
        """
        self._judge()
        self._begin(windows, only_revealing)

    def _begin(self, windows: Windows, only_revealing: bool) -> None:
        self._windows, self._opened, self._only_revealing = windows, sorted(windows.opened), only_revealing
        self._known = set(self._drawn)
        self._last: dict[bytes, Heartbeat] = {}
        self._beats: list[tuple[Heartbeat, int]] = []
        self._answers: list[Reveal | Sealed] = []
        self._openings: dict[bytes, list[Opening]] = {}

    def take_heartbeat(self, beat: Heartbeat, window: int) -> None:
        """One that answered a window, in file order; kept only until it is known who revealed, if that matters."""
        if self._only_revealing:
            self._beats.append((beat, window))
        else:
            self._claim(beat, window)

    def _judge(self) -> None:
        """All that was taken of one gateway's evidence."""
        revealing = {answer.place[0] for answer in self._answers}
        for beat, window in self._beats:
            if beat.device in revealing:
                self._claim(beat, window)
        for answer in self._answers:
            drawn = self._drawn.get(answer.place)
            if drawn and answer.place not in self._known and answer.receipt_ms < drawn.until_ms:
                self._outcomes.setdefault(answer.place, set()).add(self._is_right(drawn, answer))
                self._readers.setdefault(answer.place, answer.reader if isinstance(answer, Sealed) else b"")

    def _claim(self, beat: Heartbeat, window: int) -> None:
        last, self._last[beat.device] = self._last.get(beat.device), beat
        boot, sequence = beat.position
        since, before = (0, bytes(CHAIN_BYTES)) if sequence == 1 else (last.count, last.chain) if last else (0, b"")
        if sequence != 1 and (last is None or (last.position, last.model) != ((boot, sequence - 1), beat.model)):
            return
        kept = 0
        if beat.model in self._models:
            input_bytes, output_bytes, _ = self._models[beat.model]
            kept = KEPT_BYTES // (CHAIN_BYTES + input_bytes + output_bytes)
        units, turn = min(beat.count - since, kept), self._turn(window)
        if units < 1 or turn is None or (beat.device, beat.position) in self._counted:
            return
        if self._only_revealing:
            self._counted.add((beat.device, beat.position))
        self._claimed.setdefault(beat.device, Counter())[beat.model] += units
        first = beat.count - units + 1
        if (index := self._draw(beat.device, window, turn[0], first, units)) is not None:
            known = before if units == beat.count - since else None
            place = beat.device, boot, sequence, beat.count, index
            self._drawn[place] = Drawn(beat, first, index, turn[1], known)

    def take_answer(self, answer: Reveal | Sealed | Opening) -> None:
        """One that was signed; of anybody."""
        if isinstance(answer, Opening):
            self._openings.setdefault(answer.digest, []).append(answer)
        else:
            self._answers.append(answer)

    def end(self) -> tuple[dict[tuple[bytes, bytes], int], set[bytes]]:
        """Units of each (device, model that a job names) that has any, and the devices with a fraud."""
        self._judge()
        outcomes = self._outcomes
        frauds = {device for (device, *_), found in outcomes.items() if False in found}
        drawn_units, right_units = Counter[bytes](), dict[bytes, Counter[bytes]]()
        for place, drawn in self._drawn.items():
            size = drawn.beat.count - drawn.first + 1
            drawn_units[place[0]] += size
            if outcomes.get(place) == {True}:
                right_units.setdefault(place[0], Counter())[self._readers[place]] += size
        units = {
            (device, _named(model, reader)): claimed * right**2 // drawn_units[device] ** 2
            for device, models in self._claimed.items()
            if device not in frauds
            for model, claimed in models.items()
            for reader, right in right_units.get(device, {}).items()
        }
        return {key: count for key, count in units.items() if count}, frauds

    def _turn(self, window: int) -> tuple[int, int] | None:
        """The block that draws for a window, and until when an answer counts; None if it has no turn."""
        following = bisect_right(self._opened, window)
        if following == len(self._opened) or self._windows.block is None:
            return None
        after = self._windows.opened[self._opened[following]]
        if after.block >= self._windows.block:
            return None
        return after.block + 1, after.opened_ms + self._windows.window_ms

    def _draw(self, device: bytes, window: int, block: int, first: int, units: int) -> int | None:
        block_hash = self._chain.block_hash(block)
        if block_hash is None:
            self._findings.add(f"epoch {self._epoch} window {window}: the chain has no block {block} to draw by")
            return None
        place = device + self._epoch.to_bytes(4, "big") + window.to_bytes(2, "big")
        dice = hashlib.sha256(b"tinyren challenge" + block_hash + place).digest()
        windows = self._windows.total
        if int.from_bytes(dice[:8], "big") >= (min(CHALLENGES, windows) << 64) // windows:
            return None
        return first + int.from_bytes(dice[8:16], "big") % units

    def _is_right(self, drawn: Drawn, answer: Reveal | Sealed) -> bool:
        """Whether nothing is known to be wrong with an answer."""
        if isinstance(answer, Reveal):
            return self._is_sound(drawn, answer)
        for opening in self._openings.get(answer.digest, ()):
            if is_opened(answer, opening):
                reveal = uncovered(answer, opening.shared)
                return reveal is not None and self._is_sound(drawn, reveal)
        return True

    def _is_sound(self, drawn: Drawn, reveal: Reveal) -> bool:
        if drawn.index == drawn.first and drawn.before is not None and reveal.before != drawn.before:
            return False
        size, chain = len(reveal.outputs) // (drawn.beat.count - drawn.index + 1), reveal.before
        outputs = [reveal.outputs[at : at + size] for at in range(0, len(reveal.outputs), size)]
        for output in outputs:
            chain = hashlib.sha256(chain + output).digest()[:CHAIN_BYTES]
        input_bytes, _, run = self._models[drawn.beat.model]
        if chain != drawn.beat.chain or len(reveal.window) != input_bytes:
            return False
        return bytes(run(reveal.window)) == outputs[0]


def _named(model: bytes, reader: bytes) -> bytes:
    """The model that a job names for work that was answered to a reader, or to everybody (b"")."""
    return RAW_SHA256_CID + hashlib.sha256(b"tinyren sealed model" + model + reader).digest() if reader else model


def share_out(
    units: Mapping[tuple[bytes, int], int], jobs: Iterable[Job], before: Mapping[Work, int]
) -> dict[Work, int]:
    """Further units of each (escrow, job, deed); units: of each (model, deed), before: of all epochs so far."""
    left, found, taken_before = Counter(units), dict[Work, int](), Counter[tuple[bytes, int]]()
    for (escrow, number, _), count in before.items():
        taken_before[escrow, number] += count
    deeds: dict[bytes, list[int]] = {}
    for model, deed in sorted(units):
        deeds.setdefault(model, []).append(deed)
    for job in sorted(jobs, key=lambda each: (-each.price, each.escrow, each.number)):
        room = job.most_units - taken_before[job.escrow, job.number]
        for deed in deeds.get(job.model, ()):
            if room <= 0:
                break
            taken = min(room, left[job.model, deed]) if job.workers is None or deed in job.workers else 0
            if taken > 0:
                found[job.escrow, job.number, deed] = taken
                left[job.model, deed] -= taken
                room -= taken
    return found
