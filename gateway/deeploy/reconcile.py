"""What to do so that devices run what jobs desire: (desired, observed, now) -> actions, pure; it sends nothing.

Rules:
1. A device follows, of each kind, the job with the highest sequence among those that have a manifest for its board; any
   older job is superseded there. Manifests never go down, so nothing else could be reached.
2. A device that has something under way, asked, fetching or trying, is sent nothing else: it never has two trials. What
   ended on it, well or not, is not sent to it again; only a higher sequence is.
3. An agent goes before a model, which may need it. A device whose agent failed is not sent the job's model.
4. A step admits so many devices, those that were asked already first, then those that are ready, each in the job's
   order. It is over when those of them that were asked or are ready, at least one, have ended and `wait_ms` passed.
5. A job halts when its failures reach `halt_percent` of the devices that its step admits. Failed is also who was asked
   and did not end within `timeout_ms`, wherever it is. `forgiven` failures, before a person resumed it, do not count.
6. Paused and halted jobs lead to no action. At most AT_ONCE devices fetch at a time.
The same arguments give the same actions, and actions that were carried out are not given again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MODEL, AGENT = 1, 2
KINDS = (AGENT, MODEL)
FETCHING, TRYING, CONFIRMED, REFUSED, FAILED, SAFE = range(1, 7)
RUNNING, PAUSED, HALTED = "running", "paused", "halted"

AT_ONCE = 16
RETRY_MS = 15_000


@dataclass(frozen=True)
class Rollout:
    """steps: how many devices each admits, an int of devices or a text "25%"; the last is "100%"."""

    steps: tuple[int | str, ...] = ("100%",)
    halt_percent: int = 5
    wait_ms: int = 0
    timeout_ms: int = 600_000


@dataclass(frozen=True)
class Desired:
    """A job. `sequences` by (board, kind); `devices` in the order in which they are taken."""

    name: str
    devices: tuple[bytes, ...]
    sequences: Mapping[tuple[str, int], int]
    rollout: Rollout = field(default_factory=Rollout)
    state: str = RUNNING
    step: int = 0
    step_ms: int = 0
    forgiven: int = 0


@dataclass(frozen=True)
class Progress:
    """What is known of one kind on a device.

    running: sequence that is confirmed and runs. sequence, state, reason: the last manifest that it spoke of, state 0
    when of none; at_ms: when. asked: the sequence that was sent last, first at asked_ms and last at sent_ms.
    """

    running: int = 0
    sequence: int = 0
    state: int = 0
    reason: str = ""
    fetched: int = 0
    at_ms: int = 0
    asked: int = 0
    asked_ms: int = 0
    sent_ms: int = 0


@dataclass(frozen=True)
class Observed:
    """A device. `trusts`: its owner signed that the update key may; `kinds`: each kind that anything is known of."""

    board: str
    is_online: bool
    kinds: Mapping[int, Progress] = field(default_factory=dict)
    trusts: bool = True

    @property
    def is_ready(self) -> bool:
        """Whether a manifest that is sent now can be heard and believed."""
        return self.is_online and self.trusts

    def of(self, kind: int) -> Progress:
        return self.kinds.get(kind, _NOTHING)


class Send(NamedTuple):
    """Give a device the job's manifest of a kind."""

    device: bytes
    job: str
    kind: int


class Advance(NamedTuple):
    """Begin a job's step."""

    job: str
    step: int


class Halt(NamedTuple):
    """Stop a job's rollout."""

    job: str
    why: str


Action = Send | Advance | Halt

_NOTHING = Progress()
WAITING, ASKED, DONE, LOST = "waiting", "asked", "done", "no answer"
_NAMES = {FETCHING: "fetching", TRYING: "trying", CONFIRMED: DONE, REFUSED: "refused", FAILED: "failed", SAFE: "safe"}
BAD = ("refused", "failed", "safe", LOST)
BUSY = (ASKED, "fetching", "trying")


def reconcile(jobs: Sequence[Desired], observed: Mapping[bytes, Observed], now_ms: int) -> list[Action]:
    """The actions that are due."""
    leading = lead(jobs, observed)
    busy = {device for device, seen in observed.items() if _is_busy(seen, now_ms)}
    room = AT_ONCE - sum(_is_fetching(seen, now_ms) for seen in observed.values())
    actions: list[Action] = []
    for job in sorted(jobs, key=lambda job: job.name):
        if job.state != RUNNING:
            continue
        phases = {device: phase(job, device, observed, leading, now_ms) for device in led(job, observed, leading)}
        admitted = admit(job, phases, observed)
        if why := _why_halt(job, admitted, phases):
            actions.append(Halt(job.name, why))
        elif _is_over(job, admitted, phases, observed, now_ms):
            actions.append(Advance(job.name, job.step + 1))
        else:
            due = _due(job, admitted, observed, leading, now_ms)
            sends = [send for send in due if send.device not in busy][: max(0, room)]
            room -= len(sends)
            busy.update(send.device for send in sends)
            actions += sends
    return actions


def lead(jobs: Iterable[Desired], observed: Mapping[bytes, Observed]) -> dict[tuple[bytes, int], str]:
    """Which job each (device, kind) follows (rule 1)."""
    found: dict[tuple[bytes, int], tuple[int, str]] = {}
    for job in jobs:
        for device in job.devices:
            for kind in KINDS:
                sequence = _sequence(job, device, kind, observed)
                if sequence:
                    found[device, kind] = max(found.get((device, kind), (0, "")), (sequence, job.name))
    return {place: name for place, (_, name) in found.items()}


def led(job: Desired, observed: Mapping[bytes, Observed], leading: Mapping[tuple[bytes, int], str]) -> list[bytes]:
    """The devices that follow a job in at least one kind, in its order."""
    return [device for device in job.devices if any(leading.get((device, kind)) == job.name for kind in KINDS)]


def phase(
    job: Desired,
    device: bytes,
    observed: Mapping[bytes, Observed],
    leading: Mapping[tuple[bytes, int], str],
    now_ms: int,
) -> str:
    """How far a device is with a job: WAITING, one of BUSY or of BAD, or DONE."""
    kinds = [kind for kind in KINDS if leading.get((device, kind)) == job.name]
    phases = [_phase(observed[device].of(kind), _sequence(job, device, kind, observed), job, now_ms) for kind in kinds]
    for name in (*BAD, *BUSY, WAITING):
        if name in phases:
            return name
    return DONE


def admit(job: Desired, phases: Mapping[bytes, str], observed: Mapping[bytes, Observed]) -> list[bytes]:
    """The devices that the job's step admits (rule 4)."""
    order = sorted(phases, key=lambda device: (phases[device] == WAITING) + (_is_away(device, phases, observed)))
    return order[: count_of(job.rollout.steps[job.step], len(order))]


def count_of(step: int | str, devices: int) -> int:
    """How many of so many devices a step admits, at least one."""
    if isinstance(step, int):
        return min(step, devices)
    return max(1, -(-devices * int(step.rstrip("% ")) // 100)) if devices else 0


def is_finished(job: Desired, phases: Mapping[bytes, str]) -> bool:
    """Whether every device of a job ended."""
    return all(phase == DONE or phase in BAD for phase in phases.values())


def failures(job: Desired, phases: Mapping[bytes, str]) -> int:
    """How many of a job's devices ended badly."""
    return sum(phase in BAD for phase in phases.values())


def _sequence(job: Desired, device: bytes, kind: int, observed: Mapping[bytes, Observed]) -> int:
    seen = observed.get(device)
    return 0 if seen is None else job.sequences.get((seen.board, kind), 0)


def _phase(progress: Progress, sequence: int, job: Desired, now_ms: int) -> str:
    if progress.running >= sequence:
        return DONE
    if progress.sequence == sequence and progress.state >= CONFIRMED:
        return _NAMES[progress.state]
    if progress.asked != sequence and progress.sequence != sequence:
        return WAITING
    since_ms = progress.asked_ms if progress.asked == sequence else progress.at_ms
    if now_ms - since_ms > job.rollout.timeout_ms:
        return LOST
    return _NAMES[progress.state] if progress.sequence == sequence else ASKED


def _is_away(device: bytes, phases: Mapping[bytes, str], observed: Mapping[bytes, Observed]) -> bool:
    return phases[device] == WAITING and not observed[device].is_ready


def _is_under_way(progress: Progress, now_ms: int) -> bool:
    """Whether a manifest was sent or spoken of that has not ended; one that nobody goes on with is given up."""
    if progress.state == TRYING and progress.sequence > progress.running:
        return True
    is_open = progress.asked > max(progress.running, progress.sequence)
    is_fetching = progress.state == FETCHING and progress.sequence > progress.running
    return (is_open or is_fetching) and not _is_silent(progress, now_ms)


def _is_silent(progress: Progress, now_ms: int) -> bool:
    """Whether nothing was sent or heard for so long that it is sent again; a device goes on with what it has."""
    return now_ms - max(progress.at_ms, progress.sent_ms) >= RETRY_MS


def _is_busy(seen: Observed, now_ms: int) -> bool:
    return any(_is_under_way(progress, now_ms) for progress in seen.kinds.values())


def _is_fetching(seen: Observed, now_ms: int) -> bool:
    """Whether chunks may be on their way to it."""
    return any(_is_under_way(progress, now_ms) and progress.state != TRYING for progress in seen.kinds.values())


def _why_halt(job: Desired, admitted: Sequence[bytes], phases: Mapping[bytes, str]) -> str:
    failed = failures(job, phases) - job.forgiven
    if failed > 0 and failed * 100 >= job.rollout.halt_percent * len(admitted):
        return f"{failed} of {len(admitted)} devices failed, wanted less than {job.rollout.halt_percent} %"
    return ""


def _is_over(
    job: Desired,
    admitted: Sequence[bytes],
    phases: Mapping[bytes, str],
    observed: Mapping[bytes, Observed],
    now_ms: int,
) -> bool:
    """Whether the next step may begin."""
    if job.step + 1 >= len(job.rollout.steps):
        return False
    pending = [device for device in admitted if not _is_away(device, phases, observed)]
    if not pending or any(phases[device] in (WAITING, *BUSY) for device in pending):
        return False
    ended_ms = [progress.at_ms for device in pending for progress in observed[device].kinds.values()]
    return now_ms >= max([*ended_ms, job.step_ms]) + job.rollout.wait_ms


def _due(
    job: Desired,
    admitted: Sequence[bytes],
    observed: Mapping[bytes, Observed],
    leading: Mapping[tuple[bytes, int], str],
    now_ms: int,
) -> list[Send]:
    """What may be sent to devices of the step that are ready, one kind each."""
    found = []
    for device in admitted:
        if not observed[device].is_ready:
            continue
        for kind in KINDS:
            if leading.get((device, kind)) != job.name:
                continue
            now = _phase(observed[device].of(kind), _sequence(job, device, kind, observed), job, now_ms)
            if now == WAITING or (now in (ASKED, "fetching") and _is_silent(observed[device].of(kind), now_ms)):
                found.append(Send(device, job.name, kind))
            if now != DONE:
                break  # an agent first; where it failed, no model (rule 3)
    return found
