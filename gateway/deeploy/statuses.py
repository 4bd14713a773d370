"""How far jobs and their devices are, in words and as JSON values, pure; it decides nothing."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gateway.deeploy import reconcile as decide
from gateway.deeploy.desired import Entry
from gateway.deeploy.reconcile import DONE, LOST, WAITING, Desired, Observed, Progress

Leading = Mapping[tuple[bytes, int], str]
"""Which job each (device, kind) follows: reconcile.lead."""

KIND_NAMES = {decide.MODEL: "model", decide.AGENT: "agent"}


STATE_NAMES = {
    decide.FETCHING: "fetching",
    decide.TRYING: "on trial",
    decide.CONFIRMED: "confirmed",
    decide.REFUSED: "refused",
    decide.FAILED: "failed",
    decide.SAFE: "safe mode",
}


def told(seen: Observed) -> list[dict[str, Any]]:
    """What a device said last of each kind of manifest, JSON values."""
    return [
        {
            "kind": KIND_NAMES[kind],
            "sequence": progress.sequence,
            "state": STATE_NAMES.get(progress.state, "unknown"),
            "reason": progress.reason,
            "at_ms": progress.at_ms,
        }
        for kind, progress in seen.kinds.items()
        if progress.sequence
    ]


def phases(job: Desired, leading: Leading, observed: Mapping[bytes, Observed], now_ms: int) -> dict[bytes, str]:
    """The phase of each device that follows a job (reconcile.phase)."""
    followers = decide.led(job, observed, leading)
    return {device: decide.phase(job, device, observed, leading, now_ms) for device in followers}


def summary(
    entry: Entry, job: Desired, leading: Leading, observed: Mapping[bytes, Observed], now_ms: int
) -> dict[str, Any]:
    """A job in a line: `counts` of its devices by phase, `finished` once all ended, `state` and `why` as stored."""
    found = phases(job, leading, observed, now_ms)
    counts = Counter(found.values())
    if len(job.devices) > len(found):
        counts["not led"] = len(job.devices) - len(found)
    return {
        "name": job.name,
        "state": job.state,
        "why": entry.why,
        "document": entry.document,
        "before": entry.job.before,
        "step": job.step + 1,
        "steps": list(job.rollout.steps),
        "counts": dict(sorted(counts.items())),
        "failed": decide.failures(job, found),
        "finished": decide.is_finished(job, found),
        "sequences": [
            {"board": board, "kind": KIND_NAMES[kind], "sequence": sequence}
            for (board, kind), sequence in sorted(job.sequences.items())
        ],
    }


def devices(
    entry: Entry,
    job: Desired,
    leading: Leading,
    observed: Mapping[bytes, Observed],
    now_ms: int,
    models: Mapping[bytes, str],
    outputs: Mapping[bytes, tuple[int, bytes, int]],
) -> list[dict[str, Any]]:
    """Each device of a job's target: its phase, why, and what it says it runs. `models`: as heartbeats sign it."""
    found = phases(job, leading, observed, now_ms)
    rows = []
    for device in job.devices:
        seen = observed[device]
        said = outputs.get(device)
        rows.append(
            {
                "id": f"0x{device.hex()}",
                "board": seen.board,
                "online": seen.is_online,
                "phase": found.get(device, "not led"),
                "reason": _words(entry, job, device, seen, found.get(device), leading),
                "running": {KIND_NAMES[kind]: seen.of(kind).running for kind in decide.KINDS},
                "model": models.get(device),
                "output": None if said is None else {"count": said[0], "bytes": said[1].hex(), "at_ms": said[2]},
            }
        )
    return rows


def _words(
    entry: Entry,
    job: Desired,
    device: bytes,
    seen: Observed,
    phase: str | None,
    leading: Leading,
) -> str:
    """The reason of a phase."""
    if phase is None:
        others = {leading[device, kind] for kind in decide.KINDS if (device, kind) in leading}
        return f"follows job {', '.join(sorted(others))}" if others else f"the job has no manifest for {seen.board}"
    if phase == DONE:
        return ""
    if phase == WAITING:
        if not seen.is_online:
            return "it is not online"
        return "its step has not begun, or others go first" if seen.trusts else "its owner trusts no update key"
    for kind in decide.KINDS:
        progress, manifest = seen.of(kind), entry.job.manifest(seen.board, kind)
        if manifest is None or progress.running >= manifest.sequence:
            continue
        if phase == LOST:
            return f"{KIND_NAMES[kind]}: not ended within {job.rollout.timeout_ms // 1000} s"
        if manifest.sequence in (progress.sequence, progress.asked):
            return f"{KIND_NAMES[kind]}: {_told(progress, manifest.sequence, manifest.size)}"
    return ""


def _told(progress: Progress, sequence: int, size: int) -> str:
    if progress.sequence != sequence:
        return "its manifest was sent"
    if progress.state == decide.FETCHING:
        return f"{progress.fetched:,} of {size:,} bytes fetched"
    if progress.state == decide.TRYING:
        return "it runs, no heartbeat of it was accepted yet"
    return progress.reason
