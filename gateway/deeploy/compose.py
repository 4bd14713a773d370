"""From job.toml to what is put into R1FS: artifacts, signed manifests and the document; it sends nothing to a site.

A job gives each kind one sequence above all that the site knows, and each board of its devices a manifest of its own.
To roll back is a document too, with higher sequences and the artifacts before: of each board and kind those of the
newest older manifest, else what the firmware holds. It is signed when it is wanted, not beforehand: a gateway is
trusted with delivery alone, and must not hold a signed way back that it could use on its own.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from coincurve import PrivateKey

from boards.board import BoardError
from device.agent import suit
from device.agent.errors import LocalError, WireError
from device.agent.version import CORE_ABI, SEALING_ABI
from gateway import curve
from gateway.deeploy.documents import Job, Manifest, decode_job, encode_job, open_manifest
from gateway.deeploy.reconcile import AGENT, KINDS, MODEL
from gateway.deeploy.requests import Refused
from gateway.deeploy.spec import ModelSpec, Spec
from gateway.deeploy.targets import Known, check
from gateway.storage.cid import DAG_CBOR, MAX_BLOCK_BYTES, RAW, cid_of, codec_of, decode_any, encode_text
from gateway.storage.dag_cbor import decode_node
from gateway.storage.r1fs import R1FS

SHIPPED = Path(__file__).parents[2] / "models" / "host" / "host.json"
ARTIFACT_MAGIC = b"REN3"
MODEL_ABI = "ren3"
MODELS_ABI = 1  # of agents, the first: parameters without a reader have been the same since
CPYTHON = "cpython"


class Composed(NamedTuple):
    """A document (job, its CID and bytes), the artifacts that it links to, and ids of the devices that it is for."""

    job: Job
    cid: str
    content: bytes
    artifacts: tuple[bytes, ...]
    devices: tuple[bytes, ...]


class Body(NamedTuple):
    """What a manifest says but for sequence, kind and board; content None: it is in R1FS already, or the firmware's."""

    abi: str
    needs: int
    digest: bytes
    size: int
    parameters: bytes
    artifact: str | None
    content: bytes | None = None


def known_devices(about: Mapping[str, Any]) -> list[Known]:
    """The devices that a site tells of."""
    rows = about["devices"]
    return [Known(bytes.fromhex(row["id"][2:]), row["board"], row["deed"], row["labels"]) for row in rows]


def compose(
    spec: Spec,
    about: Mapping[str, Any],
    r1fs: R1FS,
    key: PrivateKey,
    build: Callable[[Path, str], tuple[str, bytes]],
    boards: Iterable[str],
) -> Composed:
    """The document of a job.toml.

    Args:
        about: what the site says (service.Deeploy.about). key: the update key.
        build: (folder of agent sources, board) -> (abi, package). boards: names of those that there are.
    Raises:
        Refused: the target matches nothing, or a part of the job cannot be. OSError, StoreError.
    """
    known, before = known_devices(about), about["documents"].get(spec.name)
    if spec.workload is not None:
        return _composed(Job(spec.name, spec.target, spec.rollout, (), before, spec.workload), (), ())
    devices = check(spec.name, spec.target, known, boards)
    meant = sorted({device.board for device in known if device.id in devices} | set(spec.target.boards))
    bodies: dict[tuple[str, int], Body] = {}
    for board in meant:
        if spec.model is not None:
            bodies[board, MODEL] = model_body(spec.model, r1fs)
        if spec.agent is not None:
            bodies[board, AGENT] = agent_body(*build(spec.agent, board))
    manifests = _signed(bodies, about, key)
    job = Job(spec.name, spec.target, spec.rollout, manifests, before)
    return _composed(job, bodies.values(), devices)


def roll_back(name: str, about: Mapping[str, Any], r1fs: R1FS, key: PrivateKey) -> Composed:
    """The document that takes a job's devices back to what was before it.

    Raises:
        Refused: there is no such job, or it has nothing to go back from. StoreError.
    """
    documents = about["documents"]
    if name not in documents:
        raise Refused("unknown", f"job: got {name!r}, wanted one of {', '.join(sorted(documents)) or 'none yet'}")
    job = decode_job(r1fs.block(documents[name]))
    history = _history(job, r1fs)
    if job.workload is not None:
        if not history:
            raise Refused("nothing", f"job {name}: nothing was before it; `tinyren job pause {name}` ends it")
        return _composed(replace(history[0], before=documents[name]), (), ())
    others = [decode_job(r1fs.block(cid)) for other, cid in documents.items() if other != name] + history
    bodies = {(item.board, item.kind): _before(item, others) for item in job.manifests}
    manifests = _signed(bodies, about, key)
    back = Job(name, job.target, job.rollout, manifests, documents[name])
    return _composed(back, (), check(name, job.target, known_devices(about), [item.board for item in job.manifests]))


def store(composed: Composed, r1fs: R1FS) -> None:
    """Keep a document and its artifacts, pinned by the document. StoreError."""
    for content in composed.artifacts:
        r1fs.put_block(content)
    r1fs.put_block(composed.content, DAG_CBOR)
    r1fs.pin(composed.cid)


def model_body(spec: ModelSpec, r1fs: R1FS) -> Body:
    """A model of [model] and [report]. Raises Refused, OSError, StoreError."""
    if spec.file is not None:
        content, facts = _model_file(spec.file)
    else:
        content, facts = _model_block(spec.cid or "", r1fs), {}
    if content[:4] != ARTIFACT_MAGIC or hashlib.sha256(content[:-32]).digest() != content[-32:]:
        what = spec.file or spec.cid
        raise Refused(
            "malformed", f"model: {what} is no artifact of REN3, or damaged; `tinyren model compile` makes one"
        )
    sampling = {name: getattr(spec, name) for name in ("offsets", "shifts", "sample_ms")}
    sampling = {name: facts.get(name) if value is None else value for name, value in sampling.items()}
    missing = [name for name, value in sampling.items() if value is None]
    if missing:
        raise Refused("malformed", f"model: {', '.join(missing)}: neither in job.toml nor in the JSON beside the file")
    try:
        report = spec.every, spec.index, spec.least
        parameters = suit.encode_parameters(**sampling, report=report, reader=spec.reader)
    except (LocalError, WireError, TypeError) as error:
        raise Refused("malformed", f"model, report: {error}") from None
    return _body(MODEL_ABI, SEALING_ABI if spec.reader else MODELS_ABI, parameters, content)


def agent_body(abi: str, package: bytes) -> Body:
    """An agent of a package. Raises Refused."""
    return _body(abi, CORE_ABI, suit.NO_PARAMETERS, package)


def _body(abi: str, needs: int, parameters: bytes, content: bytes) -> Body:
    if not 0 < len(content) <= MAX_BLOCK_BYTES:
        raise Refused("malformed", f"artifact: got {len(content)} bytes, wanted 1..{MAX_BLOCK_BYTES}")
    digest, artifact = hashlib.sha256(content).digest(), encode_text(cid_of(content))
    return Body(abi, needs, digest, len(content), parameters, artifact, content)


def _model_file(path: Path) -> tuple[bytes, dict[str, Any]]:
    """An artifact's bytes, compiled if the file is a .tflite, and the JSON beside it."""
    beside = path.with_name(path.resolve().parent.name + ".json")
    try:
        if path.suffix == ".tflite":
            from gateway.commands.model_verbs import compiled

            content = compiled(path)[1]
        else:
            content = path.read_bytes()
        facts = json.loads(beside.read_text()) if beside.exists() else {}
    except OSError as error:
        raise Refused("malformed", f"model.file: {error.filename}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", f"model.file: {beside}: {error}; wanted JSON") from None
    return content, facts if isinstance(facts, dict) else {}


def _model_block(cid: str, r1fs: R1FS) -> bytes:
    """An artifact by its CID, or by that of the node that `tinyren model publish` made."""
    try:
        codec = codec_of(decode_any(cid))
    except ValueError as error:
        raise Refused("malformed", f"model.cid: {error}") from None
    content = r1fs.block(cid)
    if codec == DAG_CBOR:
        node = decode_node(content)
        if not isinstance(node, dict) or "artifact" not in node:
            raise Refused("malformed", f"model.cid: {cid} is no model; `tinyren model publish` gives one's CID")
        content = r1fs.block(node["artifact"].cid)
    elif codec != RAW:
        raise Refused("malformed", f"model.cid: {cid} is a file of several blocks, wanted an artifact in one")
    return content


def _signed(bodies: Mapping[tuple[str, int], Body], about: Mapping[str, Any], key: PrivateKey) -> tuple[Manifest, ...]:
    signer = curve.address_of(key.secret)
    sequences = {kind: about["next_sequence"][str(kind)] for kind in KINDS}
    found = []
    for (board, kind), body in sorted(bodies.items()):
        values = sequences[kind], kind, board, body.abi, body.needs, body.digest, body.size, body.parameters
        try:
            frame = suit.sign_manifest(signer, lambda digest: key.sign_recoverable(digest, hasher=None), *values)
        except (LocalError, WireError) as error:
            raise Refused("malformed", f"manifest of {board}: {error}") from None
        found.append(open_manifest(frame, body.artifact))
    return tuple(found)


def _composed(job: Job, bodies: Iterable[Body], devices: tuple[bytes, ...]) -> Composed:
    content = encode_job(job)
    if len(content) > MAX_BLOCK_BYTES:
        raise Refused("malformed", f"job: got a document of {len(content)} bytes, wanted at most {MAX_BLOCK_BYTES}")
    artifacts = {body.content for body in bodies if body.content is not None}
    return Composed(job, encode_text(cid_of(content, DAG_CBOR)), content, tuple(sorted(artifacts)), devices)


def _history(job: Job, r1fs: R1FS) -> list[Job]:
    """The documents before a job's, newest first."""
    found = []
    while job.before is not None:
        job = decode_job(r1fs.block(job.before))
        found.append(job)
    return found


def _before(item: Manifest, others: Iterable[Job]) -> Body:
    """What a board ran before a manifest: the newest that is older, or the firmware's own."""
    older = [
        other for job in others if (other := job.manifest(item.board, item.kind)) and other.sequence < item.sequence
    ]
    if older:
        last = max(older, key=lambda other: other.sequence)
        return Body(last.abi, last.needs, last.digest, last.size, last.parameters, last.artifact)
    parameters = item.parameters if item.kind == AGENT else _shipped_parameters()
    return Body(item.abi, item.needs, bytes(32), 0, parameters, None)


def _shipped_parameters() -> bytes:
    """Of the encoder in the firmware, which models/host is."""
    facts = json.loads(SHIPPED.read_text())
    parameters: bytes = suit.encode_parameters(facts["offsets"], facts["shifts"], facts["sample_ms"])
    return parameters


def build_agent(folder: Path, board: str) -> tuple[str, bytes]:
    """(abi, package) of a folder of agent sources for a board.

    Raises:
        Refused: there is no such folder or board, or the sources do not compile.
    """
    from boards.package import PYTHON_ABI, abi_of, build_package

    try:
        abi = PYTHON_ABI if board == CPYTHON else abi_of(board)
        return abi, build_package(folder, abi)
    except BoardError as error:
        raise Refused("malformed", f"agent: {error}") from None
