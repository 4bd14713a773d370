"""job.toml: what a person writes of a job (docs/jobs.md), pure; refuses an unknown field and an impossible value."""

import tomllib
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coincurve import PublicKey

from gateway.deeploy.documents import KIND_WORDS, NAME, Job, Target, check_workload, decode_rollout, decode_target
from gateway.deeploy.reconcile import Rollout
from gateway.deeploy.requests import Refused

WORKLOADS = ("container", "wasm")


@dataclass(frozen=True)
class ModelSpec:
    """[model] and [report]: file or cid, and sampling; what is None follows from the JSON beside the file.

    reader: public key (33 bytes) that what devices reveal is sealed to; empty: to nobody.
    """

    file: Path | None
    cid: str | None
    sample_ms: int | None = None
    offsets: tuple[int, ...] | None = None
    shifts: tuple[int, ...] | None = None
    every: int = 0
    index: int = 255
    least: int = -128
    reader: bytes = b""


@dataclass(frozen=True)
class Spec:
    """A job.toml. Paths in it are relative to its folder. `workload` is a whole table, {"container": ...} or so."""

    name: str
    target: Target
    rollout: Rollout
    model: ModelSpec | None = None
    agent: Path | None = None
    workload: Mapping[str, Any] | None = field(default=None)


def parse(text: str, folder: Path) -> Spec:
    """The job that a job.toml's text describes; folder: of the file.

    Raises:
        Refused: no TOML, or a field, with what was got and what was wanted.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused("malformed", f"job.toml: {error}") from None
    kinds = {"name": str, **dict.fromkeys(("target", "model", "report", "agent", "rollout", *WORKLOADS), dict)}
    if "edil" in table:
        next_ = (
            "`tinyren edil enrol` and `tinyren edil announce` do, by the keys of owners and data owners (docs/edil.md)"
        )
        raise Refused("malformed", f"edil: a job signs neither enrolments nor rounds; {next_}")
    given = _fields("", table, kinds)
    name = given.get("name", "")
    if not NAME.fullmatch(name):
        raise Refused("malformed", f"name: got {name[:60]!r}, wanted a-z, 0-9 and -, at most 48 of them")
    workloads = {kind: given[kind] for kind in WORKLOADS if kind in given}
    if len(workloads) + ("model" in given or "agent" in given) != 1:
        raise Refused("malformed", "job.toml: wanted [model] or [agent] or both, or one of [container] and [wasm]")
    if workloads and "rollout" in given:
        raise Refused("malformed", "rollout: got one of a job for this gateway, wanted none: it runs here, at once")
    if "report" in given and "model" not in given:
        raise Refused("malformed", "report: got one without [model], wanted both")
    agent = _fields("agent", given.get("agent", {}), {"folder": str}, {"folder"} if "agent" in given else set())
    found = Spec(
        name,
        _target(given.get("target", {})),
        _rollout(given.get("rollout", {})),
        _model(given["model"], given.get("report", {}), folder) if "model" in given else None,
        folder / agent["folder"] if agent else None,
        workloads or None,
    )
    if workloads:
        check_workload(Job(found.name, found.target, found.rollout, (), None, workloads))
    return found


def _target(table: Any) -> Target:
    kinds = {"labels": dict, "boards": list, "devices": list, "deeds": list, "percent": int}
    given = {"labels": {}, "boards": [], "devices": [], "deeds": [], "percent": 100, **_fields("target", table, kinds)}
    try:
        devices = [bytes.fromhex(str(device).removeprefix("0x")) for device in given["devices"]]
    except ValueError:
        raise Refused("malformed", f"target.devices: got {given['devices']!r:.60}, wanted ids as 0x...") from None
    return decode_target({**given, "devices": devices})


def _rollout(table: Any) -> Rollout:
    kinds = {"steps": list, "halt_percent": int, "wait_s": int, "timeout_s": int}
    given: dict[str, Any] = {"steps": [1, "25%", "100%"], "halt_percent": 5, "wait_s": 0, "timeout_s": 600}
    given |= _fields("rollout", table, kinds)
    times = {f"{name}_ms": given.pop(f"{name}_s") * 1000 for name in ("wait", "timeout")}
    return decode_rollout({**given, **times})


def _model(table: Any, report: Any, folder: Path) -> ModelSpec:
    kinds = {"file": str, "cid": str, "sample_ms": int, "offsets": list, "shifts": list}
    given = _fields("model", table, kinds)
    if ("file" in given) == ("cid" in given):
        raise Refused("malformed", "model: wanted file or cid, one of them")
    if "cid" in given and not {"sample_ms", "offsets", "shifts"} <= set(given):
        raise Refused(
            "malformed", "model: with cid, wanted sample_ms, offsets and shifts too: there is no JSON beside it"
        )
    for name in ("offsets", "shifts"):
        if not all(type(number) is int for number in given.get(name, [])):
            raise Refused("malformed", f"model.{name}: got {given[name]!r:.60}, wanted whole numbers")
    offsets, shifts = (tuple(given[name]) if name in given else None for name in ("offsets", "shifts"))
    file = folder / given["file"] if "file" in given else None
    limits = _fields("report", report, {"every": int, "index": int, "least": int, "reader": str})
    reader = _key(limits.pop("reader", ""))
    return ModelSpec(file, given.get("cid"), given.get("sample_ms"), offsets, shifts, **limits, reader=reader)


def _key(text: str) -> bytes:
    """A public key as `tinyren buyer key` prints it, or none."""
    try:
        return PublicKey(bytes.fromhex(text)).format() if text else b""
    except ValueError:
        wanted = "wanted a buyer's public key: the 66 hex digits that tinyren buyer key prints"
        raise Refused("malformed", f"report.reader: got {text[:70]!r}, {wanted}") from None


def _fields(name: str, table: Any, kinds: Mapping[str, type], needed: Set[str] = frozenset()) -> dict[str, Any]:
    """The table, whose fields are known, of their kinds, and those needed there."""
    place = f"{name}." if name else ""
    for key, value in table.items():
        if key not in kinds:
            raise Refused("malformed", f"{place}{key}: unknown; wanted {', '.join(kinds)}")
        if type(value) is not kinds[key]:
            raise Refused("malformed", f"{place}{key}: got {value!r:.60}, wanted {KIND_WORDS[kinds[key]]}")
    for key in sorted(needed - set(table)):
        raise Refused("malformed", f"{place}{key} is missing")
    return dict(table)
