"""Tries at start to go over each limit, and tells which ones hold; believes no runtime that it limits something.

For containers it runs this computer's own Python, bound read-only into an image without a file, with each limit set low
and a program that goes over it. For WebAssembly it runs small modules. A limit holds only if what was tried failed
*and* the counter that shows it says so; everything else, also a canary that could not run, is "not enforced".
"""

import io
import os
import socket
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gateway.storage.errors import StoreError
from gateway.workloads import logs, volumes
from gateway.workloads.canary_programs import CPU, FILES, FLOOD, FORKS, MEMORY, MODULES, NETWORK, SLEEP
from gateway.workloads.containers import Containers
from gateway.workloads.errors import WorkloadError
from gateway.workloads.limits import CONTAINER, WASM, Limits
from gateway.workloads.podman import Podman
from gateway.workloads.restart import Restart
from gateway.workloads.runs import ENDED, CannotStart, Engine, Place, Run, Seen
from gateway.workloads.workload import Workload

PATIENCE_S = 20.0
LOOK_S = 0.05
MEMORY_BYTES, PIDS, CPU_PERCENT, LOG_BYTES, SCRATCH_BYTES = 64 << 20, 16, 20, 64 << 10, 1 << 20
MOST_CPU_SHARE = 0.35
MOST_TIME_S = 5.0


class Finding(NamedTuple):
    """Whether a limit holds, and what was seen, in words."""

    enforced: bool
    found: str


class Tried(NamedTuple):
    """A canary's run: how it ended, what it said, what it used."""

    seen: Seen
    said: str
    cpu_s: float
    peak_bytes: int
    log_bytes: int

    @property
    def wall_s(self) -> float:
        return (self.seen.ended_ms - self.seen.started_ms) / 1000


Try = Callable[[str, str, Limits], Tried]
LIMITS = Limits(memory_bytes=256 << 20, cpu_percent=100, pids=64, time_s=15, fuel=1 << 40, log_bytes=LOG_BYTES)


def try_containers(podman: Podman, engine: Containers, folder: Path) -> dict[str, Finding]:
    """{limit: finding} of all that limits.PROVEN names for containers, and "scratch"."""
    try:
        image = podman.import_root(_empty_archive())
    except WorkloadError as error:
        return _nothing(CONTAINER, str(error)) | {"scratch": try_scratch(folder)}
    host = {os.path.realpath(path) for path in ("/usr", sys.base_prefix) if path != "/"}
    places = [Path(path) for path in sorted(host) if not any(path.startswith(f"{other}/") for other in host)]
    mounts = tuple((path, str(path), False) for path in [*places, *_links_to_usr()])

    def attempt(name: str, program: str, limits: Limits) -> Tried:
        command = (os.path.realpath(sys.executable), "-I", "-S", "-c", program)
        place = Place(mounts, image)
        return _attempt(engine, Run(f"canary-{name}", 1), _workload(CONTAINER, command, limits), place, folder)

    findings = _judged(CONTAINER, attempt)
    return findings | {"scratch": try_scratch(folder)}


def try_wasm(engine: Engine, folder: Path) -> dict[str, Finding]:
    """{limit: finding} of all that limits.PROVEN names for WebAssembly, and "scratch"."""

    def attempt(name: str, program: str, limits: Limits) -> Tried:
        with tempfile.TemporaryDirectory(dir=folder) as below:
            module = Path(below) / "module.wasm"
            module.write_text(program)  # wasmtime reads the text form too
            return _attempt(
                engine, Run(f"canary-{name}", 1), _workload(WASM, (), limits), Place((), str(module)), folder
            )

    return _judged(WASM, attempt) | {"scratch": try_scratch(folder)}


def try_scratch(folder: Path) -> Finding:
    """Whether a scratch takes no more than its size."""
    path = folder / "canary.scratch"
    try:
        volumes.mount_scratch(path, SCRATCH_BYTES)
        with (path / "file").open("wb", buffering=0) as file:
            for _ in range(2):
                file.write(bytes(SCRATCH_BYTES))
        written = (path / "file").stat().st_size
        return Finding(written <= SCRATCH_BYTES, f"{written} bytes were written into {SCRATCH_BYTES}")
    except OSError as error:
        return Finding(True, f"{error.strerror} at {SCRATCH_BYTES} bytes")
    except CannotStart as error:
        return Finding(False, str(error))
    finally:
        volumes.unmount(path)


def _judged(kind: str, attempt: Try) -> dict[str, Finding]:
    findings = {}
    for name, judge in (_CONTAINER if kind == CONTAINER else _WASM).items():
        try:
            findings[name] = judge(attempt)
        except (WorkloadError, StoreError, OSError) as error:
            findings[name] = Finding(False, f"not tried: {error}")
    return findings


def _memory(attempt: Try) -> Finding:
    tried = attempt("memory", MEMORY, replace(LIMITS, memory_bytes=MEMORY_BYTES))
    kept = tried.seen.exit_code == 137 and "had all" not in tried.said and "began" in tried.said
    words = f"{tried.seen.reason}; peak {tried.peak_bytes >> 20} MiB of 256 asked for"
    return Finding(kept and tried.peak_bytes < 2 * MEMORY_BYTES, words)


def _cpu(attempt: Try) -> Finding:
    tried = attempt("cpu", CPU, replace(LIMITS, cpu_percent=CPU_PERCENT))
    share = tried.cpu_s / tried.wall_s if tried.wall_s > 0 else 1.0
    words = f"{100 * share:.0f} % of a core over {tried.wall_s:.1f} s at a limit of {CPU_PERCENT} %"
    return Finding("ended" in tried.said and 0 < share <= MOST_CPU_SHARE, words)


def _pids(attempt: Try) -> Finding:
    tried = attempt("pids", FORKS, replace(LIMITS, pids=PIDS))
    made = [int(word) for word in tried.said.split() if word.isdigit()]
    count = made[-1] if made else -1
    return Finding(0 <= count <= PIDS, f"{count} of 200 processes were made at a limit of {PIDS}")


def _network(attempt: Try) -> Finding:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tried = attempt("network", NETWORK.replace("PORT", str(listener.getsockname()[1])), LIMITS)
    said = " ".join(line.split(" ", 3)[-1] for line in tried.said.splitlines())
    return Finding("interfaces lo" in said and "tried" in said and "reached" not in said, said or tried.seen.reason)


def _root(attempt: Try) -> Finding:
    tried = attempt("root", FILES, LIMITS)
    said = " ".join(line.split(" ", 3)[-1] for line in tried.said.splitlines())
    return Finding("tried" in said and "wrote" not in said, said or tried.seen.reason)


def _time(attempt: Try) -> Finding:
    tried = attempt("time", SLEEP, replace(LIMITS, time_s=1))
    kept = tried.seen.exit_code != 0 and tried.wall_s < MOST_TIME_S and "began" in tried.said
    return Finding(kept, f"{tried.seen.reason}; ended after {tried.wall_s:.1f} s at a limit of 1 s")


def _log(attempt: Try) -> Finding:
    tried = attempt("log", FLOOD, LIMITS)
    words = f"{tried.log_bytes} bytes of a log of {LOG_BYTES} after 4 MiB were said"
    return Finding(tried.seen.exit_code == 0 and 0 < tried.log_bytes <= 2 * LOG_BYTES, words)


def _wasm_memory(attempt: Try) -> Finding:
    tried = attempt("memory", MODULES["memory"], replace(LIMITS, memory_bytes=MEMORY_BYTES))
    words = f"{tried.peak_bytes >> 20} MiB of 1024 asked for, at a limit of {MEMORY_BYTES >> 20}"
    return Finding(tried.seen.exit_code == 0 and 0 < tried.peak_bytes <= MEMORY_BYTES, words)


def _wasm_fuel(attempt: Try) -> Finding:
    tried = attempt("fuel", MODULES["loop"], replace(LIMITS, fuel=1_000_000))
    return Finding(tried.seen.reason == "out of fuel", f"an endless loop: {tried.seen.reason}")


def _wasm_time(attempt: Try) -> Finding:
    tried = attempt("time", MODULES["loop"], replace(LIMITS, time_s=1))
    kept = tried.seen.reason.startswith("time limit") and tried.wall_s < MOST_TIME_S
    return Finding(kept, f"an endless loop: {tried.seen.reason}; ended after {tried.wall_s:.1f} s")


def _wasm_root(attempt: Try) -> Finding:
    tried = attempt("root", MODULES["open"], LIMITS)
    return Finding(tried.seen.exit_code == 8, f"opening a file without a volume: {tried.seen.reason} (8 is EBADF)")


_CONTAINER = {
    "memory": _memory,
    "cpu": _cpu,
    "pids": _pids,
    "network": _network,
    "root": _root,
    "time": _time,
    "log": _log,
}
_WASM = {"memory": _wasm_memory, "fuel": _wasm_fuel, "time": _wasm_time, "root": _wasm_root}


def _attempt(engine: Engine, run: Run, workload: Workload, place: Place, folder: Path) -> Tried:
    """Run one canary to its end; nothing of it is left."""
    engine.discard(run)
    logs.remove(folder / run.name)
    try:
        engine.create(run, workload, place)
        engine.start(run)
        seen = _ended(engine, run)
        paths = [path for path in (folder / run.name).iterdir() if "log" in path.name]
        used = engine.usage(run)
        log_bytes = sum(path.stat().st_size for path in paths)
        said = "\n".join(logs.tail(paths, 100))
        return Tried(seen, said, used.cpu_s, used.peak_memory_bytes, log_bytes)
    finally:
        engine.discard(run)
        logs.remove(folder / run.name)


def _ended(engine: Engine, run: Run) -> Seen:
    end_s = time.monotonic() + PATIENCE_S
    while True:
        for seen in engine.runs():
            if seen.run == run and seen.state == ENDED:
                return seen
        if time.monotonic() > end_s:
            engine.stop(run)
            raise CannotStart(f"canary {run.job}: did not end within {PATIENCE_S:g} s")
        time.sleep(LOOK_S)


def _workload(kind: str, command: tuple[str, ...], limits: Limits) -> Workload:
    return Workload(kind, "", "", command, {}, limits, None, Restart("never"), (), "", {})


def _nothing(kind: str, why: str) -> dict[str, Finding]:
    return {name: Finding(False, f"not tried: {why}") for name in (_CONTAINER if kind == CONTAINER else _WASM)}


def _links_to_usr() -> list[Path]:
    """What a program needs beside /usr to be loaded: where its loader lies."""
    return [path for name in ("/lib", "/lib64") if (path := Path(name)).is_dir()]


def _empty_archive() -> Iterator[bytes]:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        folder = tarfile.TarInfo("canary")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    yield file.getvalue()
