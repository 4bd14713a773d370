"""What `tinyren job` prints for a person, pure; what devices and workloads said is shortened, never obeyed."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.deeploy.compose import Composed

MODEL = 1
PRINTED_CHARACTERS = 400


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


def planned(plan: dict[str, Any]) -> list[str]:
    """A `plan` in lines."""
    if plan["workload"]:
        return [f"job {plan['name']}: {' and '.join(plan['workload'])} on this gateway"]
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
    state = "finished" if status["finished"] and status["state"] == "running" else status["state"]
    why = f" ({status['why']})" if status["why"] else ""
    if status["workload"]:
        return f"{status['name']}  {state}{why}: {_workload(status['workload'])}"
    counts = ", ".join(f"{count} {phase}" for phase, count in status["counts"].items())
    return f"{status['name']}  {state}{why}, step {status['step']} of {len(status['steps'])}: {counts or 'no devices'}"


def known(device: dict[str, Any]) -> str:
    """A device that a target may name."""
    where = f"deed {device['deed']}" if device["deed"] is not None else "not bound"
    return f"{device['id']}  {device['board']:18} {where:10} {labels(device['labels'])}".rstrip()


def labels(given: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(given.items()))


def printable(value: object) -> str:
    """Foreign text on one line, cut, without what a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in str(value))[:PRINTED_CHARACTERS]


def _workload(seen: dict[str, Any]) -> str:
    said = ", ".join(printable(seen[name]) for name in ("state", "health", "reason") if seen[name])
    used = f"; {seen['cpu_s']:.1f} CPU seconds, measured by the gateway, not verified" if seen["cpu_s"] else ""
    return f"{seen['kind']} {said}{used}"


def _device(device: dict[str, Any]) -> str:
    model = f", its heartbeats sign model {device['model']}" if device["model"] else ""
    output = f", output {device['output']['bytes']}" if device["output"] else ""
    reason = f": {printable(device['reason'])}" if device["reason"] else ""
    return f"  {device['id']}  {device['board']:18} {device['phase']}{reason}{model}{output}"
