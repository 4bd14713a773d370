"""Carries out signed requests on desired state, each by one write; refuses what would leave it wrong.

Beside what requests.judge refuses, by name: `stranger` a manifest that the update key did not sign, `stale` a document
made before another change of its job or with a sequence that is used, `unknown` and `nothing` of targets, `malformed`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.deeploy import requests
from gateway.deeploy.desired import DesiredStore, Entry, Labelled, check_signers
from gateway.deeploy.documents import LABELS_MAX, Job, check_workload, cid_of_job, decode_labels
from gateway.deeploy.reconcile import PAUSED, RUNNING
from gateway.deeploy.requests import Refused, Request
from gateway.deeploy.targets import Known, check
from gateway.storage.r1fs import R1FS


class Changes:
    """Used under the service's lock.

    Args:
        update_key: address whose signature owners trust. domain: chain id and address of Devices.
        known: the site's devices. boards: names of those that there are.
        failures: how many devices of a job, by its name, ended badly.
    """

    def __init__(
        self,
        store: DesiredStore,
        r1fs: R1FS,
        update_key: bytes,
        domain: tuple[int, bytes],
        known: Callable[[], Iterable[Known]],
        boards: Sequence[str],
        failures: Callable[[str], int],
    ) -> None:
        self._store, self._r1fs, self._update_key, self._domain = store, r1fs, update_key, domain
        self._known, self._boards, self._failures = known, boards, failures

    def carry_out(self, request: Request, now_s: int, now_ms: int) -> Entry | dict[str, Any]:
        """The job that a request changed, or a device's labels as JSON values.

        Raises:
            Refused. StoreError, CstoreError: nothing changed.
        """
        allowed = {self._update_key, *self._store.operators()}
        signer = requests.judge(request, self._domain, allowed, self._store.last_nonce, now_s)
        cid, by = cid_of_job(request.job), {signer.hex(): request.nonce}
        if request.action == requests.LABEL:
            return self._label(cid, by)
        if request.action in (requests.APPLY, requests.ROLLBACK):
            return self._apply(cid, by, now_ms)
        return self._switch(cid, request.action, by)

    def _apply(self, cid: str, by: Mapping[str, int], now_ms: int) -> Entry:
        job = self._store.open_job(cid)
        check_signers(job, self._update_key)
        if job.workload is None:
            check(job.name, job.target, self._known(), self._boards)
        else:
            check_workload(job)
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
            Entry(cid, job, step_ms=now_ms, nonces=nonces, revision=before.revision if before else 0)
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
            changed = replace(entry, state=PAUSED, why="")
        elif action == requests.RESUME:
            changed = replace(entry, state=RUNNING, why="", forgiven=self._failures(entry.job.name))
        else:
            raise Refused("malformed", f"action: got {action}, wanted 1..5")
        return self._store.keep_job(replace(changed, nonces={**entry.nonces, **by}))

    def _label(self, cid: str, by: Mapping[str, int]) -> dict[str, Any]:
        device, changes = decode_labels(self._r1fs.block(cid))
        if device not in {known.id for known in self._known()}:
            wanted = "wanted one of this site; see `tinyren job ls --devices`"
            raise Refused("unknown", f"device: got 0x{device.hex()}, {wanted}")
        before = self._store.labels.get(device, Labelled())
        labels = {name: value for name, value in {**before.labels, **changes}.items() if value is not None}
        if len(labels) > LABELS_MAX:
            raise Refused("malformed", f"labels: got {len(labels)}, wanted at most {LABELS_MAX}; take some away")
        self._store.keep_labels(device, replace(before, labels=labels, nonces={**before.nonces, **by}))
        return {"device": f"0x{device.hex()}", "labels": labels}
