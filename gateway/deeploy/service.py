"""Deeploy of a running site: desired state, what devices say and the bus joined to `reconcile`; it has no device's key.

    request(Request)            a person's signed request (requests.py); what it led to
    jobs() -> [status]          of each job, JSON values; job(name) -> one with its devices: KeyError
    about() -> what a client needs in order to make documents
    greet(device), gone(device) a device announced itself; its link ended
    take(items), turn()         devices' messages; what is due (receiver.py calls both)
What is refused raises Refused, which has a `reason`, and changes nothing. From any thread.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from device.agent import suit, wire
from device.agent.errors import WireError
from gateway.deeploy import reconcile as decide
from gateway.deeploy import requests, statuses
from gateway.deeploy.chunks import Chunks
from gateway.deeploy.desired import DesiredStore, Entry, Labelled, check_signers
from gateway.deeploy.documents import LABELS_MAX, Job, cid_of_job, decode_labels
from gateway.deeploy.observed import Devices, Rejected
from gateway.deeploy.reconcile import Advance, Desired, Halt, Send
from gateway.deeploy.requests import Refused, Request
from gateway.deeploy.targets import Known, check, match
from gateway.deeploy.trust import Trust
from gateway.ingest import Rejected as BadTopic
from gateway.ingest import split_topic
from gateway.registry import Device
from gateway.registry import Progress as Heartbeat
from gateway.storage.cid import encode_text
from gateway.storage.cstore_record import CstoreError
from gateway.storage.errors import StoreError
from gateway.storage.r1fs import R1FS

Item = tuple[str, bytes, int]


class Deeploy:
    """Used from any thread.

    Args:
        store: desired state. r1fs: where documents and artifacts are. trust: what owners sign for the update key.
        domain: chain id and address of Devices. devices: what the registry knows, by id; heartbeats: the last of each.
        deeds: the deed of each bound device.
        boards: names of the boards that there are. publish: (topic, payload). clock: the site's time in ms.
        wall_s: seconds since 1970. say: tells a person.

    Attributes:
        rejected: count of devices' messages by reason since the start.
        on_change: called when something may be due at once.
    """

    def __init__(
        self,
        store: DesiredStore,
        r1fs: R1FS,
        trust: Trust,
        domain: tuple[int, bytes],
        devices: Mapping[bytes, Device],
        heartbeats: Mapping[bytes, Heartbeat],
        deeds: Callable[[], Mapping[bytes, int]],
        boards: Sequence[str],
        publish: Callable[[str, bytes], object],
        clock: Callable[[], int],
        wall_s: Callable[[], float],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.rejected: Counter[str] = Counter()
        self.on_change: Callable[[], None] = lambda: None
        self._store, self._r1fs, self._trust, self._domain = store, r1fs, trust, domain
        self._devices, self._heartbeats, self._deeds, self._boards = devices, heartbeats, deeds, boards
        self._publish, self._clock, self._wall_s, self._say = publish, clock, wall_s, say
        self._lock = threading.RLock()
        self._seen = Devices(devices, heartbeats, clock())
        self._seen.restore(store.seen())
        self._chunks = Chunks(r1fs)
        self._outputs: dict[bytes, tuple[int, bytes, int]] = {}

    def request(self, request: Request) -> dict[str, Any]:
        """Apply a signed request, once; the job's status, or the labels.

        Raises:
            Refused: as requests.judge, or what it names cannot be. StoreError, CstoreError: nothing changed.
        """
        with self._lock:
            allowed = {self._trust.key, *self._store.operators()}
            signer = requests.judge(request, self._domain, allowed, self._store.last_nonce, int(self._wall_s()))
            by = {signer.hex(): request.nonce}
            if request.action == requests.LABEL:
                return self._label(cid_of_job(request.job), by)
            if request.action in (requests.APPLY, requests.ROLLBACK):
                entry = self._apply(cid_of_job(request.job), by)
            else:
                entry = self._switch(cid_of_job(request.job), request.action, by)
            self._say(f"job {entry.job.name} is {entry.state}")
        self.on_change()
        return self.job(entry.job.name)

    def jobs(self) -> list[dict[str, Any]]:
        with self._lock:
            jobs, observed, now_ms = self._desired(), self._observed(), self._clock()
            return [
                statuses.summary(self._store.jobs[job.name], job, jobs, observed, now_ms)
                for job in sorted(jobs, key=lambda job: job.name)
            ]

    def job(self, name: str) -> dict[str, Any]:
        with self._lock:
            entry, jobs, observed = self._store.jobs[name], self._desired(), self._observed()
            now_ms = self._clock()
            job = next(job for job in jobs if job.name == name)
            found = statuses.summary(entry, job, jobs, observed, now_ms)
            models = {device: _model_of(last) for device, last in dict(self._heartbeats).items()}
            found["devices"] = statuses.devices(entry, job, jobs, observed, now_ms, models, self._outputs)
            return found

    def devices(self) -> list[dict[str, Any]]:
        """Each device that a target may name: JSON values."""
        with self._lock:
            observed = self._observed()
            return [
                {
                    "id": f"0x{known.id.hex()}",
                    "board": known.board,
                    "deed": known.deed,
                    "labels": dict(known.labels),
                    "online": known.id in observed and observed[known.id].is_online,
                }
                for known in self._known()
            ]

    def about(self, signer: bytes) -> dict[str, Any]:
        """What a client needs to make documents: domain, keys, the signer's next nonce, sequences, devices, jobs."""
        with self._lock:
            observed = self._observed()
            return {
                "chain_id": self._domain[0],
                "contract": f"0x{self._domain[1].hex()}",
                "update_key": f"0x{self._trust.key.hex()}",
                "nonce": self._store.last_nonce(signer) + 1,
                "next_sequence": self._next_sequence(observed),
                "devices": self.devices(),
                "documents": {name: entry.document for name, entry in self._store.jobs.items()},
            }

    def greet(self, device: bytes) -> None:
        with self._lock:
            self._seen.announced(device, self._clock())
        self.on_change()

    def gone(self, device: bytes) -> None:
        with self._lock:
            self._seen.gone(device, self._clock())

    def take(self, items: Iterable[Item]) -> None:
        """Deal with devices' messages: topic, payload, receipt time in ms."""
        for topic, payload, at_ms in items:
            try:
                device, name = split_topic(topic)
                with self._lock:
                    self._take(device, name, payload, at_ms)
            except (Rejected, BadTopic, WireError) as rejection:
                self.rejected[rejection.reason] += 1
            except (StoreError, CstoreError) as error:
                self.rejected["store"] += 1
                self._say(f"jobs: {error}")

    def turn(self) -> bool:
        """Do what is due; whether there was anything."""
        with self._lock:
            actions = decide.reconcile(self._desired(), self._observed(), self._clock())
            for action in actions:
                self._carry_out(action)
            return bool(actions)

    def _apply(self, cid: str, by: Mapping[str, int]) -> Entry:
        job = self._store.open_job(cid)
        check_signers(job, self._trust.key)
        check(job.name, job.target, self._known(), self._boards)
        before = self._store.jobs.get(job.name)
        if job.before != (before.document if before else None):
            wanted = before.document if before else "none"
            raise Refused("stale", f"before: got {job.before or 'none'}, wanted {wanted}; apply it anew")
        self._check_sequences(job)
        for manifest in job.manifests:
            if manifest.artifact and len(self._r1fs.block(manifest.artifact)) != manifest.size:
                raise Refused("malformed", f"manifest: {manifest.artifact} is not {manifest.size} bytes long")
        nonces = {**(before.nonces if before else {}), **by}
        return self._store.keep_job(
            Entry(cid, job, step_ms=self._clock(), nonces=nonces, revision=before.revision if before else 0)
        )

    def _check_sequences(self, job: Job) -> None:
        """Above every other one: a manifest that is not would be refused by devices, or leave two jobs even."""
        for manifest in job.manifests:
            highest = max(self._store.sequences(manifest.kind), default=0)
            if manifest.sequence <= highest:
                raise Refused("stale", f"sequence: got {manifest.sequence}, wanted above {highest}; apply it anew")

    def _switch(self, cid: str, action: int, by: Mapping[str, int]) -> Entry:
        entry = next((entry for entry in self._store.jobs.values() if entry.document == cid), None)
        if entry is None:
            raise Refused("unknown", f"job: no job has the document {cid}; see `tinyren job ls`")
        if action == requests.PAUSE:
            changed = replace(entry, state=decide.PAUSED, why="")
        elif action == requests.RESUME:
            jobs, observed = self._desired(), self._observed()
            job = next(job for job in jobs if job.name == entry.job.name)
            forgiven = decide.failures(job, statuses.phases(job, jobs, observed, self._clock()))
            changed = replace(entry, state=decide.RUNNING, why="", forgiven=forgiven)
        else:
            raise Refused("malformed", f"action: got {action}, wanted 1..5")
        return self._store.keep_job(replace(changed, nonces={**entry.nonces, **by}))

    def _label(self, cid: str, by: Mapping[str, int]) -> dict[str, Any]:
        device, changes = decode_labels(self._r1fs.block(cid))
        if device not in self._devices:
            wanted = "wanted one of this site; see `tinyren job ls --devices`"
            raise Refused("unknown", f"device: got 0x{device.hex()}, {wanted}")
        before = self._store.labels.get(device, Labelled())
        labels = {name: value for name, value in {**before.labels, **changes}.items() if value is not None}
        if len(labels) > LABELS_MAX:
            raise Refused("malformed", f"labels: got {len(labels)}, wanted at most {LABELS_MAX}; take some away")
        self._store.keep_labels(device, replace(before, labels=labels, nonces={**before.nonces, **by}))
        self.on_change()
        return {"device": f"0x{device.hex()}", "labels": labels}

    def _take(self, device: bytes, name: str, payload: bytes, at_ms: int) -> None:
        if name == "want":
            for chunk in self._chunks.answer(device, payload):
                self._publish(wire.topic(device, "chunk"), chunk)
        elif name == "output":
            count, output = suit.decode_output(payload)
            if device not in self._devices:
                raise Rejected("unknown_device")
            self._outputs[device] = count, output, at_ms
        elif name == "installed":
            kind, progress = self._seen.take(device, payload, at_ms)
            if progress.state != decide.FETCHING:
                self._store.keep_seen(device, kind, payload)
        else:
            raise Rejected("malformed")

    def _carry_out(self, action: decide.Action) -> None:
        entry = self._store.jobs[action.job]
        if isinstance(action, Send):
            self._send(entry, action.device, action.kind)
        elif isinstance(action, Advance):
            self._store.keep_job(replace(entry, step=action.step, step_ms=self._clock()))
            step = f"{action.step + 1} of {len(entry.job.rollout.steps)}"
            self._say(f"job {action.job}: step {step}: {entry.job.rollout.steps[action.step]} of its devices")
        elif isinstance(action, Halt):
            self._store.keep_job(replace(entry, state=decide.HALTED, why=action.why))
            self._say(f"job {action.job} is halted: {action.why}")

    def _send(self, entry: Entry, device: bytes, kind: int) -> None:
        """Whom to trust goes first; a device without an owner who trusts the update key waits for one."""
        manifest, trust = entry.job.manifest(self._devices[device].board, kind), self._trust.frame(device)
        if manifest is None or trust is None:
            return
        self._publish(wire.topic(device, "trust"), trust)
        if manifest.artifact:
            self._chunks.grant(device, manifest.digest, manifest.artifact)
        self._publish(wire.topic(device, "manifest"), manifest.frame)
        self._seen.asked(device, kind, manifest.sequence, self._clock())

    def _observed(self) -> dict[bytes, decide.Observed]:
        return self._seen.observed(lambda device: self._trust.frame(device) is not None)

    def _desired(self) -> list[Desired]:
        known = self._known()
        return [entry.desired(match(name, entry.job.target, known)) for name, entry in self._store.jobs.items()]

    def _known(self) -> list[Known]:
        deeds = self._deeds()
        return [
            Known(id, device.board, deeds.get(id), self._store.labels.get(id, Labelled()).labels)
            for id, device in dict(self._devices).items()
        ]

    def _next_sequence(self, observed: Mapping[bytes, decide.Observed]) -> dict[str, int]:
        """By kind, above all that jobs have and devices know."""
        found = {}
        for kind in decide.KINDS:
            known = self._store.sequences(kind)
            known += [max(seen.of(kind).sequence, seen.of(kind).running) for seen in observed.values()]
            found[str(kind)] = max(known, default=0) + 1
        return found


def _model_of(heartbeat: Heartbeat) -> str:
    """CID of the model that a device signed last, text."""
    return encode_text(wire.decode_heartbeat(wire.open_sign1(heartbeat.frame)[1])[3])
