"""Whether an answer to a challenge is right, and what a device's epoch of work comes to; pure, recomputable by anyone.

The rule. Of a claim that was drawn, with the inference drawn:
  missed   no answer in time, signed by the device and naming this inference: silence is no fraud, and is not paid.
  sound    its outputs lead from its chain to the heartbeat's, and the model run on its window gives its first output.
  fraud    it is the device's signed word and one of the two is not so. The proof is the two signed messages.
  sealed   it is for one reader alone, who did not show that it is a fraud (private.py).
Units of a device with a model = floor(claimed * answered^2 / challenged^2), each in units: of its claims with this
model that had a turn; of all its claims that were drawn and found sound; and of those that were drawn. Who computes a
share p and is silent about the rest is paid p^2: skipping costs more than it saves. Without a challenge, or with a
fraud, nothing is paid. Work sealed to a reader is counted alike, by what was answered to this reader, as work of
another model, which only a job for this reader names (private.sealed_model): who changes readers within an epoch loses.
A deed with a fraud in the epoch earns nothing in it, neither work nor availability.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from device.agent import wire
from gateway.oracle.rewards import Deed
from gateway.poai.answers import Answer, Reveal
from gateway.poai.claims import Claim
from gateway.poai.draw import CHALLENGES, Turn, draw
from gateway.poai.jobs import VERIFIED, Kind
from gateway.poai.private import NO_REVEAL, Sealed, sealed_model, uncover

MISSED, SOUND, FRAUD, SEALED = "missed", "sound", "fraud", "sealed"
Run = Callable[[bytes], bytes]
"""A model: window (int8 as bytes) -> output; ValueError if the window has another length."""


@dataclass(frozen=True)
class Checked:
    """A claim that was drawn. reason: what was wrong, "" if nothing; window: SHA-256 of the one that was revealed;
    reader: whom it was sealed to, 33 bytes.
    """

    claim: Claim
    index: int
    outcome: str
    reason: str = ""
    window: bytes = b""
    reader: bytes = b""


@dataclass(frozen=True)
class Work:
    """A device's epoch, in units.

    Attributes:
        models: of each model, by CID, what was claimed and had a turn.
        answered: what was shown to everybody and found sound. sealed: of each reader, what was sealed to it.
        repeated: how many revealed windows it had revealed before in the epoch.
    """

    models: Mapping[bytes, int] = field(default_factory=dict)
    challenged: int = 0
    answered: int = 0
    frauds: int = 0
    repeated: int = 0
    sealed: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def claimed(self) -> int:
        """What had a turn, of all models together."""
        return sum(self.models.values())

    @property
    def units(self) -> int:
        """What counts, of all models together, for everybody or sealed."""
        return sum(self.counted().values())

    def counted(self) -> dict[bytes, int]:
        """What counts, by the model that a job for it names: its CID, or that of sealed_model."""
        if not self.challenged or self.frauds:
            return {}
        found = {}
        for model, claimed in self.models.items():
            found[model] = claimed * self.answered**2 // self.challenged**2
            for reader, answered in self.sealed.items():
                found[sealed_model(model, reader)] = claimed * answered**2 // self.challenged**2
        return {model: units for model, units in found.items() if units}

    def __add__(self, other: "Work") -> "Work":
        """What two gateways heard of one device, no claim in both."""
        return Work(
            _sum(self.models, other.models),
            self.challenged + other.challenged,
            self.answered + other.answered,
            self.frauds + other.frauds,
            self.repeated + other.repeated,
            _sum(self.sealed, other.sealed),
        )


def _sum(one: Mapping[bytes, int], other: Mapping[bytes, int]) -> dict[bytes, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in one.keys() | other.keys()}


def fault_of(claim: Claim, answer: Answer, run: Run) -> str:
    """What is wrong with an answer for an inference of this claim; "" if nothing is, or nobody opened it."""
    if isinstance(answer, Sealed):
        if answer.agreed is None:
            return ""
        content = uncover(answer, answer.agreed)
        if content is None:
            return NO_REVEAL
        return fault_of(claim, Reveal(answer.receipt_ms, answer.place, *content), run)
    return _fault_of(claim, answer, run)


def _fault_of(claim: Claim, reveal: Reveal, run: Run) -> str:
    count, index = reveal.place[3:]
    size = len(reveal.outputs) // (count - index + 1)
    chain = reveal.before
    if index == claim.first and claim.before not in (None, chain):
        return "its chain does not begin where the heartbeat before ended"
    for at in range(0, len(reveal.outputs), size):
        chain = hashlib.sha256(chain + reveal.outputs[at : at + size]).digest()[: wire.CHAIN_BYTES]
    if chain != claim.chain:
        return "its outputs do not lead to the heartbeat's chain"
    try:
        output = run(reveal.window)
    except ValueError as error:
        return f"its window is not the model's: {error}"
    return "" if output == reveal.outputs[:size] else "the model gives another output for its window"


def check(
    claims: Iterable[Claim],
    turns: Mapping[int, Turn],
    hash_of: Callable[[int], bytes],
    reveals: Iterable[Answer],
    runs: Mapping[bytes, Run],
    epoch: int,
    windows: int,
    challenges: int = CHALLENGES,
) -> tuple[dict[bytes, Work], list[Checked]]:
    """What each device that claims anything has worked, and every challenge with its outcome.

    Args:
        hash_of: a turn's block, 32 bytes; what it raises is raised. runs: by model CID. windows: K.
    Raises:
        KeyError: a model is not given.
    """
    answers: dict[tuple[bytes, int, int, int, int], list[Answer]] = {}
    for reveal in reveals:
        answers.setdefault(reveal.place, []).append(reveal)
    claimed: dict[bytes, dict[bytes, int]] = {}
    sums: dict[bytes, list[int]] = {}
    sealed: dict[bytes, dict[bytes, int]] = {}
    seen: set[tuple[bytes, bytes]] = set()
    checked = []
    for claim in claims:
        of_models, work = claimed.setdefault(claim.device, {}), sums.setdefault(claim.device, [0] * 4)
        of_readers = sealed.setdefault(claim.device, {})
        if (turn := turns.get(claim.window)) is None:
            continue
        of_models[claim.model] = of_models.get(claim.model, 0) + claim.units
        index = draw(hash_of(turn.block), claim, epoch, windows, challenges)
        if index is None:
            continue
        place = (claim.device, claim.boot, claim.sequence, claim.count, index)
        found = _checked(claim, index, [r for r in answers.get(place, ()) if r.receipt_ms < turn.until_ms], runs)
        checked.append(found)
        work[0] += claim.units
        work[1] += claim.units * (found.outcome == SOUND)
        work[2] += found.outcome == FRAUD
        work[3] += (claim.device, found.window) in seen
        if found.window:
            seen.add((claim.device, found.window))
        if found.outcome == SEALED:
            of_readers[found.reader] = of_readers.get(found.reader, 0) + claim.units
    works = {
        device: Work(claimed[device], challenged, answered, frauds, repeated, sealed[device])
        for device, (challenged, answered, frauds, repeated) in sums.items()
    }
    return works, checked


def _checked(claim: Claim, index: int, answers: list[Answer], runs: Mapping[bytes, Run]) -> Checked:
    """The first fraud among the answers, or else the first answer."""
    results = []
    for answer in answers:
        fault = fault_of(claim, answer, runs[claim.model])
        if isinstance(answer, Sealed):
            results.append(Checked(claim, index, FRAUD if fault else SEALED, fault, reader=answer.reader))
        else:
            window = hashlib.sha256(answer.window).digest()
            results.append(Checked(claim, index, FRAUD if fault else SOUND, fault, window))
    frauds = [result for result in results if result.outcome == FRAUD]
    return next(iter(frauds or results), Checked(claim, index, MISSED))


def frauds_of(works: Mapping[bytes, Work]) -> set[bytes]:
    """The devices with a fraud."""
    return {device for device, work in works.items() if work.frauds}


def units_of_deeds(works: Mapping[bytes, Work], deeds: Mapping[int, Deed]) -> dict[tuple[Kind, bytes, int], int]:
    """Units of each (kind, model, deed) that has any, as jobs.assign takes them; none of a deed with a fraud."""
    frauds, found = frauds_of(works), dict[tuple[Kind, bytes, int], int]()
    for number, deed in deeds.items():
        for device in () if frauds.intersection(deed.devices) else deed.devices:
            work = works.get(device, Work())
            for model, units in work.counted().items():
                key = VERIFIED, model, number
                found[key] = found.get(key, 0) + units
    return found


def availability_after(
    availability: Mapping[bytes, int], works: Mapping[bytes, Work], deeds: Mapping[int, Deed]
) -> dict[bytes, int]:
    """Availability as it is paid: 0 for every device of a deed with a fraud."""
    frauds = frauds_of(works)
    lost = {device for deed in deeds.values() if frauds.intersection(deed.devices) for device in deed.devices}
    return {device: 0 if device in lost else value for device, value in availability.items()}
