"""Desired state in CSTORE, bucket "deeploy"; what it gives is what was written, and each write is one record or none.

    job/NAME        {"document", "state", "why", "step", "step_ms", "forgiven", "nonces"}: the newest revision of a job
    device/ID       {"labels", "nonces"}
    trust/OWNER     {"key", "number", "signature"}: what this owner signed for the update key
    seen/ID, field  the newest `installed` frame of a kind that ended or is tried, as the device signed it
    operators       addresses, as text, who may ask for jobs beside the update key

`nonces` has, by signer, the last request that changed this record: request and effect are one write, so after a crash
both are there or neither, and a signer's last nonce is the highest of all records. Records are never deleted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.deeploy.documents import Job, decode_job
from gateway.deeploy.reconcile import RUNNING, Desired
from gateway.deeploy.requests import Refused
from gateway.storage.cstore import PAGE_MAX, Cstore
from gateway.storage.cstore_record import BUCKETS, Access, Record
from gateway.storage.dag_cbor import Link, decode_node, encode_node
from gateway.storage.r1fs import R1FS

BUCKET = "deeploy"
_ADDRESS = re.compile(r"0x([0-9a-fA-F]{40})(?=[\s,]|$)")


@dataclass(frozen=True)
class Entry:
    """A job's record with its document opened; revision is the record's."""

    document: str
    job: Job
    state: str = RUNNING
    why: str = ""
    step: int = 0
    step_ms: int = 0
    forgiven: int = 0
    nonces: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0

    def desired(self, devices: tuple[bytes, ...]) -> Desired:
        """What reconcile takes."""
        job = self.job
        place = self.state, self.step, self.step_ms, self.forgiven
        return Desired(job.name, devices, job.sequences, job.rollout, *place)


@dataclass(frozen=True)
class Labelled:
    """Labels of a device."""

    labels: Mapping[str, str] = field(default_factory=dict)
    nonces: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0


class DesiredStore:
    """The bucket, read once; from then on this is its writer. Used under the service's lock.

    Attributes:
        jobs: by name. labels: by device id.
    """

    def __init__(self, store: Cstore, r1fs: R1FS) -> None:
        """Open the bucket; made if there is none. Raises CstoreError, StoreError (a job's document is missing)."""
        self._store, self._r1fs = store, r1fs
        if store.get(BUCKETS, BUCKET) is None:
            store.define(BUCKET, Access(readers=None))
        self.jobs: dict[str, Entry] = {}
        self.labels: dict[bytes, Labelled] = {}
        for record in self._records("job/"):
            self.jobs[record.key[4:]] = self._entry(record)
        for record in self._records("device/"):
            table = decode_node(record.value or b"")
            self.labels[bytes.fromhex(record.key[7:])] = Labelled(table["labels"], table["nonces"], record.revision)

    def keep_job(self, entry: Entry) -> Entry:
        """Write a job's record in place of its revision. Raises CstoreError, and nothing changed."""
        table = {name: value for name, value in vars(entry).items() if name not in ("job", "revision")}
        content = encode_node({**table, "document": Link(entry.document), "nonces": dict(entry.nonces)})
        record = self._store.cas(BUCKET, f"job/{entry.job.name}", entry.revision, content)
        self.jobs[entry.job.name] = kept = replace(entry, revision=record.revision)
        return kept

    def keep_labels(self, device: bytes, labelled: Labelled) -> None:
        """Write a device's labels. Raises CstoreError, and nothing changed."""
        content = encode_node({"labels": dict(labelled.labels), "nonces": dict(labelled.nonces)})
        record = self._store.cas(BUCKET, f"device/{device.hex()}", labelled.revision, content)
        self.labels[device] = replace(labelled, revision=record.revision)

    def last_nonce(self, signer: bytes) -> int:
        """Of the last request of a signer that was applied; 0: none was."""
        nonces = [entry.nonces for entry in self.jobs.values()] + [kept.nonces for kept in self.labels.values()]
        return max((by.get(signer.hex(), 0) for by in nonces), default=0)

    def sequences(self, kind: int) -> list[int]:
        """Of every manifest of a kind that a job has."""
        manifests = [manifest for entry in self.jobs.values() for manifest in entry.job.manifests]
        return [manifest.sequence for manifest in manifests if manifest.kind == kind]

    def operators(self) -> set[bytes]:
        """Addresses of who may ask for jobs beside the update key."""
        record = self._store.get(BUCKET, "operators")
        text = (record.value or b"").decode(errors="replace") if record else ""
        return {bytes.fromhex(digits) for digits in _ADDRESS.findall(text)}

    def trust(self, owner: bytes) -> tuple[bytes, int, bytes] | None:
        """(key's address, number, signature of 65 bytes) that an owner signed last."""
        record = self._store.get(BUCKET, f"trust/{owner.hex()}")
        if record is None:
            return None
        table = decode_node(record.value or b"")
        return table["key"], table["number"], table["signature"]

    def keep_trust(self, owner: bytes, key: bytes, number: int, signature: bytes) -> None:
        content = encode_node({"key": key, "number": number, "signature": signature})
        self._store.put(BUCKET, f"trust/{owner.hex()}", content)

    def seen(self) -> list[tuple[bytes, bytes, int]]:
        """(device, `installed` frame, when it was kept in ms) of each device and kind."""
        rows = self._records("seen/")
        return [(bytes.fromhex(row.key[5:]), row.value or b"", row.stored_ms) for row in rows]

    def keep_seen(self, device: bytes, kind: int, frame: bytes) -> None:
        self._store.hset(BUCKET, f"seen/{device.hex()}", str(kind), frame)

    def open_job(self, cid: str) -> Job:
        """A job's document out of R1FS. Raises StoreError, Refused."""
        return decode_job(self._r1fs.block(cid))

    def _entry(self, record: Record) -> Entry:
        table = decode_node(record.value or b"")
        cid = table.pop("document").cid
        return Entry(cid, self.open_job(cid), **table, revision=record.revision)

    def _records(self, prefix: str) -> list[Record]:
        found: list[Record] = []
        while page := self._store.ls(BUCKET, prefix, found[-1].name if found else "", PAGE_MAX):
            found += page
            if len(page) < PAGE_MAX:
                break
        return found


def check_signers(job: Job, update_key: bytes) -> None:
    """Every manifest is by the key that owners trust. Raises Refused."""
    for manifest in job.manifests:
        if manifest.signer != update_key:
            wanted = f"wanted the update key, 0x{update_key.hex()}: devices would refuse it"
            raise Refused("stranger", f"manifest: signed by 0x{manifest.signer.hex()}, {wanted}")
