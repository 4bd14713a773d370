"""What a gateway runs for a job, read from the [container] or [wasm] table of job.toml; refuses by field, runs nothing.

Words of the table: docs/workloads.md. A workload keeps the table that it was read from, so that it can be stored as it
was signed and read again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.storage.dag import parse as parse_cid
from gateway.storage.errors import StoreError
from gateway.workloads.errors import Invalid
from gateway.workloads.limits import CONTAINER, PROVEN, WASM, Limits, parse_limits, whole
from gateway.workloads.restart import POLICIES, Restart

JOB = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
MAX_WORDS, MAX_WORD_BYTES, MAX_VOLUMES, MAX_SCRATCH_BYTES = 64, 4096, 16, 1 << 36
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9./:_-]{0,254}")
_ESCROW = re.compile(r"0x[0-9a-f]{64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FOLDER = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.-]*){1,8}")
_SYSTEM = {"proc", "sys", "dev", "etc", "run"}


@dataclass(frozen=True)
class Health:
    """One of tcp (a port), http (a port and a path) and command; checked within the container, on its loopback."""

    tcp: int = 0
    http: str = ""
    command: tuple[str, ...] = ()
    interval_s: int = 10
    timeout_s: int = 5
    retries: int = 3
    start_s: int = 0


@dataclass(frozen=True)
class Volume:
    """At `path`: what R1FS has by `cid`, read-only, or a scratch of size_bytes, into R1FS at the end if `publish`."""

    path: str
    cid: str = ""
    size_bytes: int = 0
    publish: bool = False


@dataclass(frozen=True)
class Workload:
    """source: CID of an image's archive or of a module, or an image's name. digest: the image's id, or empty."""

    kind: str
    source: str
    digest: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    limits: Limits
    health: Health | None
    restart: Restart
    volumes: tuple[Volume, ...]
    escrow: str
    table: Mapping[str, object] = field(repr=False)

    @property
    def is_by_cid(self) -> bool:
        return is_cid(self.source)


def is_cid(text: str) -> bool:
    """Whether a text is a CID."""
    try:
        parse_cid(text)
    except StoreError:
        return False
    return True


def parse(table: Mapping[str, object]) -> Workload:
    """A workload of a table with one of [container] and [wasm].

    Raises:
        Invalid: a field is missing, unknown or not what it must be; the message names it.
    """
    kinds = [kind for kind in (CONTAINER, WASM) if kind in table]
    if len(kinds) != 1 or len(table) != 1:
        raise Invalid(f"workload: got the tables {sorted(table)}, wanted one of [container] and [wasm]")
    kind = kinds[0]
    fields = _table(kind, table[kind])
    source_name = "image" if kind == CONTAINER else "module"
    known = {source_name, "command", "environment", "limits", "restart", "volumes", "escrow"}
    known |= {"digest", "health"} if kind == CONTAINER else set()
    _only(kind, fields, known)
    workload = Workload(
        kind=kind,
        source=_source(f"{kind}.{source_name}", fields.get(source_name), kind),
        digest=_matching(f"{kind}.digest", fields.get("digest", ""), _DIGEST, "sha256: and 64 hex digits"),
        command=_words(f"{kind}.command", fields.get("command", [])),
        environment=_environment(f"{kind}.environment", fields.get("environment", {})),
        limits=parse_limits(_table("limits", fields.get("limits", {})), kind),
        health=_health(fields["health"]) if "health" in fields else None,
        restart=_restart(fields.get("restart", {})),
        volumes=_volumes(fields.get("volumes", [])),
        escrow=_matching(f"{kind}.escrow", fields.get("escrow", ""), _ESCROW, "0x and 64 hex digits"),
        table=table,
    )
    if workload.escrow and kind == CONTAINER and not workload.is_by_cid and not workload.digest:
        raise Invalid("container.digest: got none, wanted the image's digest: paid work says what runs, not a name")
    return workload


def needed(workload: Workload) -> list[str]:
    """The limits that have to hold before a paid workload may begin."""
    names = [*PROVEN[workload.kind], *(["scratch"] if any(volume.size_bytes for volume in workload.volumes) else [])]
    return [name for name in names if name != "network" or workload.limits.network == "none"]


def check_job(name: str) -> str:
    """A job's name. Invalid: it is none, or of those that the canary uses."""
    if name.startswith("canary-"):
        raise Invalid(f"job: got {name!r}, wanted a name that does not begin with canary-")
    if not JOB.fullmatch(name):
        raise Invalid(f"job: got {name!r}, wanted 1 to 48 of a-z, 0-9 and -, none of them - at an end")
    return name


def _table(field: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{field}: got {value!r}, wanted a table")
    return value


def _only(field: str, fields: Mapping[str, object], known: set[str]) -> None:
    for name in fields:
        if name not in known:
            raise Invalid(f"{field}.{name}: got an unknown field, wanted some of {', '.join(sorted(known))}")


def _matching(field: str, value: object, pattern: re.Pattern[str], wanted: str) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Invalid(f"{field}: got {value!r}, wanted {wanted}")
    return value


def _source(field: str, value: object, kind: str) -> str:
    if not isinstance(value, str) or not (is_cid(value) or (kind == CONTAINER and _NAME.fullmatch(value))):
        raise Invalid(f"{field}: got {value!r}, wanted a CID{' or the name of an image' if kind == CONTAINER else ''}")
    return value


def _words(field: str, value: object) -> tuple[str, ...]:
    is_list = isinstance(value, list) and len(value) <= MAX_WORDS
    if not is_list or not all(_is_word(word) for word in value):  # type: ignore[attr-defined]
        raise Invalid(
            f"{field}: got {value!r:.200}, wanted at most {MAX_WORDS} texts of at most {MAX_WORD_BYTES} bytes"
        )
    return tuple(value)  # type: ignore[arg-type]


def _is_word(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    return len(value.encode("utf-8", "replace")) <= MAX_WORD_BYTES


def _environment(field: str, value: object) -> dict[str, str]:
    fields = _table(field, value)
    for name, text in fields.items():
        if not _VARIABLE.fullmatch(name) or not _is_word(text):
            raise Invalid(f"{field}.{name}: got a name or value that no variable has, wanted A-Z a-z 0-9 _ and a text")
    if len(fields) > MAX_WORDS:
        raise Invalid(f"{field}: got {len(fields)} variables, wanted at most {MAX_WORDS}")
    return {name: str(text) for name, text in fields.items()}


def _health(value: object) -> Health:
    fields = _table("health", value)
    times = {"interval_s": (1, 3600), "timeout_s": (1, 300), "retries": (1, 100), "start_s": (0, 3600)}
    _only("health", fields, {"tcp", "http", "command", *times})
    if len({"tcp", "http", "command"} & set(fields)) != 1:
        raise Invalid("health: wanted exactly one of tcp, http and command")
    numbers = {name: whole(f"health.{name}", fields[name], *bounds) for name, bounds in times.items() if name in fields}
    tcp = whole("health.tcp", fields["tcp"], 1, 65535) if "tcp" in fields else 0
    http = _matching("health.http", fields.get("http", ""), re.compile(r"[1-9]\d{0,4}/[!-~]{0,200}"), "PORT/PATH")
    if http and int(http.partition("/")[0]) > 65535:
        raise Invalid(f"health.http: got {http!r}, wanted a port from 1 to 65535 before the path")
    command = _words("health.command", fields.get("command", []))
    if not tcp and not http and not command:
        raise Invalid("health: got nothing to check, wanted a port or a command")
    return Health(tcp=tcp, http=http, command=command, **numbers)


def _restart(value: object) -> Restart:
    fields = _table("restart", value)
    _only("restart", fields, {"policy", "most"})
    policy = fields.get("policy", Restart.policy)
    if policy not in POLICIES:
        raise Invalid(f"restart.policy: got {policy!r}, wanted one of {', '.join(POLICIES)}")
    return Restart(str(policy), whole("restart.most", fields.get("most", Restart.most), 0, 1_000_000))


def _volumes(value: object) -> tuple[Volume, ...]:
    if not isinstance(value, list) or len(value) > MAX_VOLUMES:
        raise Invalid(f"volumes: got {value!r:.200}, wanted at most {MAX_VOLUMES} tables")
    volumes = tuple(_volume(f"volumes[{number}]", row) for number, row in enumerate(value))
    for number, volume in enumerate(volumes):
        for other in volumes[:number]:
            if f"{volume.path}/".startswith(f"{other.path}/") or f"{other.path}/".startswith(f"{volume.path}/"):
                raise Invalid(f"volumes[{number}].path: got {volume.path!r}, wanted one apart from {other.path!r}")
    return volumes


def _volume(field: str, value: object) -> Volume:
    fields = _table(field, value)
    _only(field, fields, {"path", "cid", "size_bytes", "publish"})
    path, cid, publish = fields.get("path"), fields.get("cid", ""), fields.get("publish", False)
    if not isinstance(path, str) or not _FOLDER.fullmatch(path) or path.split("/")[1] in _SYSTEM:
        raise Invalid(f"{field}.path: got {path!r}, wanted a path like /data, outside of the system's folders")
    if ("cid" in fields) == ("size_bytes" in fields):
        raise Invalid(f"{field}: wanted exactly one of cid (read-only) and size_bytes (scratch)")
    if not isinstance(cid, str) or ("cid" in fields and not is_cid(cid)):
        raise Invalid(f"{field}.cid: got {cid!r}, wanted a CID")
    if not isinstance(publish, bool) or (publish and cid):
        raise Invalid(f"{field}.publish: got {publish!r}, wanted true or false, and only of a scratch")
    size = whole(f"{field}.size_bytes", fields["size_bytes"], 4096, MAX_SCRATCH_BYTES) if not cid else 0
    return Volume(path, cid, size, publish)
