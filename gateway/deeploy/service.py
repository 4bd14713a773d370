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
from gateway.deeploy import statuses
from gateway.deeploy.changes import Changes
from gateway.deeploy.chunks import Chunks
from gateway.deeploy.desired import DesiredStore, Entry, Labelled
from gateway.deeploy.observed import Devices, Rejected
from gateway.deeploy.reconcile import Advance, Desired, Halt, Send
from gateway.deeploy.requests import Refused, Request
from gateway.deeploy.targets import Known, match
from gateway.deeploy.trust import Trust
from gateway.deeploy.workload_jobs import WorkloadJobs
from gateway.intake.ingest import Rejected as BadTopic
from gateway.intake.ingest import split_topic
from gateway.intake.registry import Device
from gateway.intake.registry import Progress as Heartbeat
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
        deeds: the deed of each bound device. boards: names of the boards that there are.
        workloads: jobs of this gateway itself. publish: (topic, payload). clock: the site's time in ms.
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
        workloads: WorkloadJobs,
        publish: Callable[[str, bytes], object],
        clock: Callable[[], int],
        wall_s: Callable[[], float],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.rejected: Counter[str] = Counter()
        self.on_change: Callable[[], None] = lambda: None
        self._store, self._r1fs, self._trust, self._domain = store, r1fs, trust, domain
        self._devices, self._heartbeats, self._deeds = devices, heartbeats, deeds
        self._publish, self._clock, self._wall_s, self._say = publish, clock, wall_s, say
        self._lock = threading.RLock()
        self._seen = Devices(devices, heartbeats, clock())
        self._seen.restore(store.seen())
        self._chunks, self._workloads = Chunks(r1fs), workloads
        self._changes = Changes(store, r1fs, trust.key, domain, self._known, boards, self._failures)
        self._outputs: dict[bytes, tuple[int, bytes, int]] = {}

    def request(self, request: Request) -> dict[str, Any]:
        """Apply a signed request, once; the job's status, or the labels.

        Raises:
            Refused: as requests.judge, or what it names cannot be. StoreError, CstoreError: nothing changed.
        """
        with self._lock:
            changed = self._changes.carry_out(request, int(self._wall_s()), self._clock())
            self.on_change()
            if isinstance(changed, dict):
                return changed
            self._say(f"job {changed.job.name} is {changed.state}")
            return self.job(changed.job.name)

    def jobs(self) -> list[dict[str, Any]]:
        with self._lock:
            jobs, observed, now_ms = self._desired(), self._observed(), self._clock()
            leading = decide.lead(jobs, observed)
            return [
                self._with_workload(statuses.summary(self._store.jobs[job.name], job, leading, observed, now_ms))
                for job in sorted(jobs, key=lambda job: job.name)
            ]

    def job(self, name: str) -> dict[str, Any]:
        with self._lock:
            entry, jobs, observed = self._store.jobs[name], self._desired(), self._observed()
            now_ms = self._clock()
            job = next(job for job in jobs if job.name == name)
            leading = decide.lead(jobs, observed)
            found = self._with_workload(statuses.summary(entry, job, leading, observed, now_ms))
            models = {device: _model_of(last) for device, last in dict(self._heartbeats).items()}
            found["devices"] = statuses.devices(entry, job, leading, observed, now_ms, models, self._outputs)
            return found

    def logs(self, name: str, tail: int) -> list[str]:
        """The last lines of a job of this gateway. Raises KeyError, Refused: a job of devices has none."""
        with self._lock:
            if self._store.jobs[name].job.workload is None:
                raise Refused(
                    "nothing", f"job {name}: devices keep no log here; `tinyren job show {name}` has the reasons"
                )
            return self._workloads.logs(name, tail)

    def stop(self) -> None:
        """Let go of this gateway's own jobs; they go on."""
        self._workloads.stop()

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

    def updates(self, device: bytes) -> list[dict[str, Any]]:
        """What a device said last of each kind: kind, sequence, state in a word, reason, when (JSON values)."""
        with self._lock:
            seen = self._observed().get(device)
        return statuses.told(seen) if seen else []

    def outputs(self) -> dict[bytes, tuple[int, bytes, int]]:
        """The last output that each device told: its number, int8 values, when in ms."""
        return dict(self._outputs)

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
            failed = self._workloads.follow(self._store.jobs.values())
            for name, why in failed.items():
                self._carry_out(Halt(name, why))
            actions = decide.reconcile(self._desired(), self._observed(), self._clock())
            for action in actions:
                self._carry_out(action)
            return bool(actions or failed)

    def _take(self, device: bytes, name: str, payload: bytes, at_ms: int) -> None:
        if name == "want":
            for chunk in self._chunks.answer(device, payload):
                self._publish(wire.topic(device, "chunk"), chunk)
            self._seen.wanted(device, at_ms)
        elif name == "output":
            count, output = suit.decode_output(payload)
            if device not in self._devices:
                raise Rejected("unknown_device")
            self._outputs[device] = count, output, at_ms
        elif name == "installed":
            kind, progress = self._seen.take(device, payload, at_ms)
            if progress.state == decide.FETCHING:
                self._grant_again(device, kind, progress.sequence)
            else:
                self._store.keep_seen(device, kind, payload)
        else:
            raise Rejected("malformed")

    def _grant_again(self, device: bytes, kind: int, sequence: int) -> None:
        """What a device signed that it fetches was sent to it, perhaps before a restart of this gateway."""
        for entry in self._store.jobs.values():
            manifest = entry.job.manifest(self._devices[device].board, kind)
            if manifest is not None and manifest.sequence == sequence and manifest.artifact:
                self._chunks.grant(device, manifest.digest, manifest.artifact)

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

    def _with_workload(self, found: dict[str, Any]) -> dict[str, Any]:
        """A job's status, with what is observed of it if it is one of this gateway."""
        entry = self._store.jobs[found["name"]]
        if entry.job.workload is None:
            return {**found, "workload": None}
        row = self._workloads.observed(entry)
        return {**found, "workload": row, "finished": row["finished"]}

    def _failures(self, name: str) -> int:
        jobs = self._desired()
        job = next(job for job in jobs if job.name == name)
        observed = self._observed()
        phases = statuses.phases(job, decide.lead(jobs, observed), observed, self._clock())
        return decide.failures(job, phases)

    def _desired(self) -> list[Desired]:
        known = self._known()
        return [
            entry.desired(() if entry.job.workload else match(name, entry.job.target, known))
            for name, entry in self._store.jobs.items()
        ]

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
