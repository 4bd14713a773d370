"""What `tinyren job` prints for a person, pure; what devices and workloads said is shortened, never obeyed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.errors import Exit
from gateway.text import one_line

if TYPE_CHECKING:
    from gateway.deeploy.compose import Composed

MODEL = 1


def plan(composed: "Composed") -> dict[str, Any]:
    """What would be sent to whom, as JSON values."""
    job = composed.job
    return {
        "name": job.name,
        "document": composed.cid,
        "devices": [f"0x{device.hex()}" for device in composed.devices],
        "steps": list(job.rollout.steps),
        "manifests": [
            {
                "board": item.board,
                "kind": item.kind,
                "sequence": item.sequence,
                "size": item.size,
                "artifact": item.artifact,
            }
            for item in job.manifests
        ],
        "workload": job.workload,
    }


def rehearsed(name: str, table: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The plan of a container or module that no gateway was asked about; notes: what it would wait for."""
    nobody: dict[str, Any] = {"document": None, "devices": [], "steps": [], "manifests": []}
    return {"name": name, **nobody, "workload": table, "notes": notes}


def planned(plan: dict[str, Any]) -> list[str]:
    """A `plan`, or what `rehearsed` gave, in lines."""
    if plan["workload"]:
        notes = (f"  {note}" for note in plan.get("notes", ()))
        return [f"job {plan['name']}: {' and '.join(plan['workload'])} on this gateway", *notes]
    lines = [f"job {plan['name']}: {len(plan['devices'])} devices, steps {', '.join(map(str, plan['steps']))}"]
    for item in plan["manifests"]:
        what = f"{item['size']:,} bytes, {item['artifact']}" if item["artifact"] else "what the firmware holds"
        kind = "model" if item["kind"] == MODEL else "agent"
        lines.append(f"  {item['board']} {kind} {item['sequence']}: {what}")
    return lines


def job(status: dict[str, Any]) -> list[str]:
    """A job and each of its devices."""
    return [head(status), *map(_device, status["devices"])]


def head(status: dict[str, Any]) -> str:
    """A job in one line."""
    why = f" ({one_line(status['why'])})" if status["why"] else ""
    if status["workload"]:
        asked = "" if status["state"] == "running" else f"{status['state']}{why}: "
        return f"{status['name']}  {asked}{_workload(status['workload'])}"
    state = "finished" if status["finished"] and status["state"] == "running" else status["state"]
    counts = ", ".join(f"{count} {phase}" for phase, count in status["counts"].items())
    return f"{status['name']}  {state}{why}, step {status['step']} of {len(status['steps'])}: {counts or 'no devices'}"


def outcome(status: dict[str, Any]) -> tuple[Exit, str]:
    """How a job went of which nothing more is to come: the exit code and, if it is not OK, why and what to do next."""
    name, seen, done = status["name"], status["workload"], status["counts"].get("done", 0)
    if status["failed"]:
        why = f"{status['failed']} devices went back or did not answer, `tinyren job show {name}` says why"
        next_ = f"`tinyren job resume {name}` goes on with the others, `tinyren job rollback {name}` takes all back"
        return Exit.PARTLY if done else Exit.ROLLED_BACK, f"job {name}: {why}; {next_}"
    if status["state"] != "running" and (seen or not status["finished"]):
        why = f"{status['state']} before it ended{status['why'] and ': '}{one_line(status['why'])}"
        code = Exit.PARTLY if done else Exit.REFUSED if status["why"] else Exit.FAILED
        return code, f"job {name}: {why}; then `tinyren job resume {name}` goes on"
    if seen and seen["state"] == "held":
        return Exit.REFUSED, f"job {name}: {_workload(seen)}; it begins by itself when that is mended"
    if seen and seen["state"] == "failed":
        return Exit.FAILED, f"job {name}: {_workload(seen)}; its last lines: `tinyren job logs {name}`"
    return Exit.OK, ""


def known(device: dict[str, Any]) -> str:
    """A device that a target may name."""
    where = f"deed {device['deed']}" if device["deed"] is not None else "not bound"
    return f"{device['id']}  {device['board']:18} {where:10} {labels(device['labels'])}".rstrip()


def labels(given: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(given.items()))


def _workload(seen: dict[str, Any]) -> str:
    said = ", ".join(one_line(seen[name]) for name in ("state", "health", "reason") if seen[name])
    used = f"; {seen['cpu_s']:.1f} CPU seconds, measured by the gateway, not verified" if seen["cpu_s"] else ""
    return f"{seen['kind']} {said}{used}"


def _device(device: dict[str, Any]) -> str:
    model = f", its heartbeats sign model {device['model']}" if device["model"] else ""
    output = f", output {device['output']['bytes']}" if device["output"] else ""
    reason = f": {one_line(device['reason'])}" if device["reason"] else ""
    return f"  {device['id']}  {device['board']:18} {device['phase']}{reason}{model}{output}"
