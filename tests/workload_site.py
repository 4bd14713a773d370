"""What the tests of workloads share: images made from busybox, modules, and a gateway's jobs that are ended after."""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import wasmtime

from gateway.storage.embedded import Embedded
from gateway.workloads.canary_programs import MODULES
from gateway.workloads.service import Workloads
from gateway.workloads.workload import parse

MISSING = [name for name in ("podman", "runc", "busybox") if not shutil.which(name)]
needs_podman = pytest.mark.skipif(
    bool(MISSING) or os.geteuid() != 0, reason=f"needs root, podman, runc and busybox-static; not here: {MISSING}"
)
ESCROW = "0x" + "5a" * 32
SAYS = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 64) "hello from a module\\n")
  (func (export "_start") (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 20))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32))) CODE))"""
PROGRAMS = {
    "well": SAYS.replace("CODE", ""),
    "fails": SAYS.replace("CODE", "(call $exit (i32.const 3))"),
    "flood": SAYS.replace("CODE", "")
    .replace("(drop (call", "(loop $again (drop (call")
    .replace("32))) ", "32))) (br $again)) "),
    "no start": '(module (memory (export "memory") 1))',
    "start is a number": '(module (global (export "_start") i32 (i32.const 1)))',
    "unknown import": '(module (import "env" "connect" (func)) (func (export "_start")))',
    "threads": '(module (import "env" "m" (memory 1 2 shared)) (func (export "_start")))',
    "loop": MODULES["loop"],
    "grows": MODULES["memory"],
    "large": '(module (memory (export "memory") 20000) (func (export "_start")))',
    "traps": '(module (func (export "_start") unreachable))',
}


def module(name):
    """The bytes of a program in WebAssembly."""
    return bytes(wasmtime.wat2wasm(PROGRAMS[name]))


def tar_of(entries):
    """A tar of (name, bytes, or a TarInfo with its bytes)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def layer():
    """The tar of a root with busybox alone."""
    return tar_of([("bin/busybox", Path(shutil.which("busybox")).read_bytes())])


def image(layers=None, config=None):
    """(an OCI archive's entries, its id) of an image, by the specification; no program of containers had part in it."""
    layers = [layer()] if layers is None else layers
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    rows = [blob(data, "layer.v1.tar") for data in layers]
    root = {"type": "layers", "diff_ids": [row["digest"] for row in rows]}
    about = {"architecture": "amd64", "os": "linux", "rootfs": root, "config": config or {}}
    described = blob(json.dumps(about).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "config": described, "layers": rows}
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
    entries = [("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), ("index.json", json.dumps(index).encode())]
    return entries + [(f"blobs/sha256/{name}", data) for name, data in blobs.items()], described["digest"]


def shell(cid, script, **fields):
    """The workload of a shell script in busybox's image."""
    command = ["/bin/busybox", "sh", "-c", f"PATH=/bin; alias s='busybox sleep'; {script}"]
    return parse({"container": {"image": cid, "command": command, **fields}})


def wasm(store, name, **fields):
    """The workload of one of PROGRAMS."""
    return parse({"wasm": {"module": store.add([module(name)]).cid, **fields}})


def until(condition, patience_s=30.0):
    """What a condition gives, once it gives something."""
    end_s = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < end_s, "it did not come"
        time.sleep(0.05)
    return found


class Site:
    """A folder with R1FS and jobs; its gateway can be stopped and started again."""

    def __init__(self, folder):
        self.folder, self.said = Path(folder), []
        self.r1fs = Embedded(self.folder / "r1fs")
        self.workloads = None

    def start(self):
        self.workloads = Workloads(self.folder / "w", self.r1fs, report=self.said.append)
        self.workloads.start()
        self.workloads.limits(60.0)
        return self.workloads

    def stop(self):
        self.workloads.stop()

    def row(self, name):
        return next(row for row in self.workloads.observed() if row.job == name)

    def results(self, name):
        return [row for row in self.workloads.usage() if row.job == name]

    def pid(self, name, run=1):
        """The first process of a run, once it is there."""
        return until(lambda: (row := self.row(name)).run == run and row.pid)

    def until_result(self, name, count=1):
        return until(lambda: len(found := self.results(name)) >= count and found)

    def until_state(self, name, state):
        return until(lambda: (row := self.row(name)).state == state and row)

    def end(self):
        """End all jobs, and remove what they left."""
        for row in self.workloads.observed():
            self.workloads.remove(row.job)
        until(lambda: not self.workloads._looks.seen)
        self.workloads.stop()
        self.r1fs.close()
        shutil.rmtree(self.folder)


@contextmanager
def running(podman=True):
    """A site in a folder with a short path, for podman's socket; or one where podman is not installed."""
    site = Site(tempfile.mkdtemp(prefix="tw-"))
    with pytest.MonkeyPatch.context() as patch:
        if not podman:
            which = shutil.which
            patch.setattr(shutil, "which", lambda name: None if name in ("podman", "runc") else which(name))
        try:
            site.start()
            yield site
        finally:
            site.end()
