"""What requests name: jobs and labels as dag-cbor documents in R1FS, pure; refuses a document that is not whole.

A job: {"tinyren": "job", "name", "target", "rollout", "manifests": [{"frame", "artifact"}], "before", "workload"}.
`frame` is a manifest (device/agent/UPDATE.md, section 2), `artifact` a link to its bytes as one raw block, None for
what the firmware holds; `before` links to the document that this one replaces; `workload` is a table or None.
Labels: {"tinyren": "labels", "device", "labels": {name: text or None}}, None takes a label away.
"""

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from device.agent import suit
from device.agent.errors import WireError
from gateway import curve
from gateway.deeploy.reconcile import Rollout
from gateway.deeploy.requests import Refused
from gateway.storage.cid import DAG_CBOR, MAX_BLOCK_BYTES, cid_from, decode_any, digest_of, encode_text
from gateway.storage.dag_cbor import Link, decode_node, encode_node
from gateway.workloads.errors import Invalid
from gateway.workloads.workload import Workload, check_job, parse

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
LABEL_VALUE_CHARACTERS = 64
LABELS_MAX = 32
LISTED_MAX = 4096
MANIFESTS_MAX = 64
STEPS_MAX = 32
KIND_WORDS = {str: "text", int: "a whole number", bytes: "bytes", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Target:
    """Which devices: those that have all labels and are in every list that is not empty, and of these a share."""

    labels: Mapping[str, str] = field(default_factory=dict)
    boards: tuple[str, ...] = ()
    devices: tuple[bytes, ...] = ()
    deeds: tuple[int, ...] = ()
    percent: int = 100


class Manifest(NamedTuple):
    """A manifest's fields (UPDATE.md, section 2), its frame, who signed it, and the CID of its artifact or None."""

    sequence: int
    kind: int
    board: str
    abi: str
    needs: int
    digest: bytes
    size: int
    parameters: bytes
    frame: bytes
    signer: bytes
    artifact: str | None


@dataclass(frozen=True)
class Job:
    """A job's document."""

    name: str
    target: Target
    rollout: Rollout
    manifests: tuple[Manifest, ...]
    before: str | None = None
    workload: Mapping[str, Any] | None = None

    @property
    def sequences(self) -> dict[tuple[str, int], int]:
        """Sequence by (board, kind)."""
        return {(manifest.board, manifest.kind): manifest.sequence for manifest in self.manifests}

    def manifest(self, board: str, kind: int) -> Manifest | None:
        return next((item for item in self.manifests if (item.board, item.kind) == (board, kind)), None)


def cid_of_job(digest: bytes) -> str:
    """CID of the document that a Request's `job` (32 bytes) names."""
    return encode_text(cid_from(digest, DAG_CBOR))


def job_of_cid(cid: str) -> bytes:
    """The Request's `job` of a document's CID."""
    return digest_of(decode_any(cid))


def open_manifest(frame: bytes, artifact: str | None) -> Manifest:
    """A manifest whose signature verifies. Raises Refused."""
    try:
        manifest, signer, signature, signed = suit.open_manifest(frame)
    except WireError as error:
        raise Refused("malformed", f"manifest: {error}") from None
    if curve.recover(signature, signed, signer) is None:
        raise Refused("signature", f"manifest: got another's signature, wanted that of 0x{signer.hex()}")
    found = Manifest._make([*manifest.values(), frame, signer, artifact])
    if (found.size == 0) != (artifact is None) or found.size > MAX_BLOCK_BYTES:
        wanted = f"wanted a link to an artifact of at most {MAX_BLOCK_BYTES}, or size 0"
        raise Refused("malformed", f"manifest: got {found.size} bytes, {wanted}")
    if artifact is not None and digest_of(decode_any(artifact)) != found.digest:
        raise Refused("malformed", f"manifest: its digest is not that of {artifact}")
    return found


def encode_job(job: Job) -> bytes:
    """The document's bytes. Raises ValueError: larger than a block may be."""
    target, rollout = job.target, job.rollout
    return encode_node(
        {
            "tinyren": "job",
            "name": job.name,
            "target": {**vars(target), "labels": dict(target.labels)},
            "rollout": vars(rollout),
            "manifests": [
                {"frame": item.frame, "artifact": None if item.artifact is None else Link(item.artifact)}
                for item in job.manifests
            ],
            "before": None if job.before is None else Link(job.before),
            "workload": None if job.workload is None else dict(job.workload),
        }
    )


def decode_job(data: bytes) -> Job:
    """A job's document. Raises Refused."""
    fields = _document(data, "job", ("name", "target", "rollout", "manifests", "before", "workload"))
    name, target, rollout, manifests, before, workload = fields
    _check(type(name) is str and NAME.fullmatch(name), f"name: got {str(name)[:60]!r}, wanted a-z, 0-9 and -")
    _check(type(manifests) is list and len(manifests) <= MANIFESTS_MAX, f"manifests: wanted at most {MANIFESTS_MAX}")
    _check(workload is None or type(workload) is dict, "workload: wanted a table")
    found = []
    for row in manifests:
        is_row = type(row) is dict and set(row) == {"frame", "artifact"} and type(row["frame"]) is bytes
        _check(is_row, "manifests: wanted frames with artifacts")
        found.append(open_manifest(row["frame"], _link("artifact", row["artifact"])))
    places = {(item.board, item.kind) for item in found}
    _check(len(places) == len(found), "manifests: got two for one board and kind, wanted one")
    link = _link("before", before)
    return Job(name, decode_target(target), decode_rollout(rollout), tuple(found), link, workload)


def decode_target(table: Any) -> Target:
    """A target of a document. Raises Refused."""
    names = ("labels", "boards", "devices", "deeds", "percent")
    _check(type(table) is dict and set(table) == set(names), f"target: wanted {', '.join(names)}")
    labels, boards, devices, deeds, percent = (table[name] for name in names)
    _check(type(labels) is dict and len(labels) <= LABELS_MAX, f"target.labels: wanted at most {LABELS_MAX}")
    for label, value in labels.items():
        check_label(label, value)
    _check_list("target.boards", boards, str)
    _check_list("target.devices", devices, bytes)
    _check_list("target.deeds", deeds, int)
    _check(all(len(device) == curve.ADDRESS_BYTES for device in devices), "target.devices: wanted ids of 20 bytes")
    _check_int("target.percent", percent, 1, 100)
    return Target(labels, tuple(boards), tuple(devices), tuple(deeds), percent)


def decode_rollout(table: Any) -> Rollout:
    """A rollout of a document. Raises Refused."""
    names = {"steps", "halt_percent", "wait_ms", "timeout_ms"}
    _check(type(table) is dict and set(table) == names, f"rollout: wanted {', '.join(sorted(names))}")
    steps = table["steps"]
    _check(type(steps) is list and 1 <= len(steps) <= STEPS_MAX, f"rollout.steps: wanted 1..{STEPS_MAX} of them")
    for step in steps:
        is_count = type(step) is int and 1 <= step <= LISTED_MAX
        is_share = type(step) is str and re.fullmatch(r"[1-9][0-9]?%|100%", step)
        got = f"rollout.steps: got {str(step)[:20]!r}"
        _check(is_count or is_share, f"{got}, wanted a number of devices or a text as '25%'")
    _check(steps[-1] == "100%", f"rollout.steps: the last is {str(steps[-1])[:20]!r}, wanted '100%'")
    _check_int("rollout.halt_percent", table["halt_percent"], 1, 100)
    _check_int("rollout.wait_ms", table["wait_ms"], 0, 30 * 86_400_000)
    _check_int("rollout.timeout_ms", table["timeout_ms"], 1_000, 30 * 86_400_000)
    return Rollout(tuple(steps), table["halt_percent"], table["wait_ms"], table["timeout_ms"])


def check_workload(job: Job) -> Workload:
    """What a gateway is to run. Raises Refused: it is none that a gateway takes."""
    if job.target != Target() or job.manifests:
        raise Refused("malformed", "target: got one of a job for this gateway, wanted none: it runs here")
    try:
        check_job(job.name)
        return parse(job.workload or {})
    except Invalid as error:
        raise Refused("malformed", str(error)) from None


def encode_labels(device: bytes, labels: Mapping[str, str | None]) -> bytes:
    """The document of a change of a device's labels."""
    return encode_node({"tinyren": "labels", "device": device, "labels": dict(labels)})


def decode_labels(data: bytes) -> tuple[bytes, dict[str, str | None]]:
    """(device, its labels that change). Raises Refused."""
    device, labels = _document(data, "labels", ("device", "labels"))
    _check(type(device) is bytes and len(device) == curve.ADDRESS_BYTES, "device: wanted an id of 20 bytes")
    _check(type(labels) is dict and 1 <= len(labels) <= LABELS_MAX, f"labels: wanted 1..{LABELS_MAX}")
    for label, value in labels.items():
        check_label(label, "" if value is None else value)
    return device, labels


def check_label(label: Any, value: Any) -> None:
    """Raises Refused where name or value of a label cannot be."""
    _check(type(label) is str and LABEL.fullmatch(label), f"label: got {str(label)[:40]!r}, wanted a-z, 0-9, . _ -")
    is_text = type(value) is str and len(value) <= LABEL_VALUE_CHARACTERS and (value.isprintable())
    _check(is_text, f"label {label}: wanted a text of at most {LABEL_VALUE_CHARACTERS} printable characters")


@functools.lru_cache(1 << 16)
def take_order(name: str, device: bytes) -> bytes:
    """By what a job's devices are sorted: another order for each job, so that none is always the first to try."""
    return hashlib.sha256(name.encode() + device).digest()


def _document(data: bytes, kind: str, names: tuple[str, ...]) -> list[Any]:
    try:
        value = decode_node(data)
    except ValueError as error:
        raise Refused("malformed", f"document: {error}") from None
    _check(type(value) is dict and value.get("tinyren") == kind, f"document: wanted one of {kind}")
    _check(set(value) == {"tinyren", *names}, f"document: wanted {', '.join(names)}")
    return [value[name] for name in names]


def _link(name: str, value: Any) -> str | None:
    _check(value is None or isinstance(value, Link), f"{name}: wanted a link or null")
    return None if value is None else str(value.cid)


def _check_list(name: str, items: Any, kind: type) -> None:
    _check(type(items) is list and len(items) <= LISTED_MAX, f"{name}: wanted at most {LISTED_MAX}")
    _check(all(type(item) is kind for item in items), f"{name}: wanted a list, each of it {KIND_WORDS[kind]}")


def _check_int(name: str, value: Any, low: int, high: int) -> None:
    _check(type(value) is int and low <= value <= high, f"{name}: got {ascii(value)[:20]}, wanted {low}..{high}")


def _check(is_good: Any, message: str) -> None:
    if not is_good:
        raise Refused("malformed", message)
