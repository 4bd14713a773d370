"""Runs of WebAssembly jobs, each a folder and a process that outlives this one (wasm.py); decides nothing.

Whether a run that has begun goes on is whether somebody holds its folder's lock: no process number that another could
have got is believed for more than to send it a signal while the lock is held.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from gateway.storage.errors import StoreError
from gateway.workloads.errors import Unavailable
from gateway.workloads.runs import CREATED, ENDED, RUNNING, CannotStart, Place, Run, Seen, Usage, parse_run, write_json
from gateway.workloads.sources import check_folder
from gateway.workloads.workload import Workload

STOP_S = 5.0
LOST = "its process was killed, or the machine stopped"


class WasmRuns:
    """Runs as processes of this machine, in one folder."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._asked_s: dict[Run, float] = {}
        self._children: dict[Run, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def runs(self) -> list[Seen]:
        found = (parse_run(path.parent.name) for path in self._folder.glob("*/run.json"))
        return [self._seen(run) for run in found if run]

    def create(self, run: Run, workload: Workload, place: Place) -> None:
        folder = self._folder / run.name
        if (folder / "run.json").exists():
            return
        limits = workload.limits
        asked = {
            "module": place.source,
            "command": [run.job, *workload.command],
            "environment": dict(workload.environment),
            "volumes": [(str(path), at, writable) for path, at, writable in place.volumes],
            "memory_bytes": limits.memory_bytes,
            "fuel": limits.fuel,
            "time_s": limits.time_s,
            "log_bytes": limits.log_bytes,
        }
        for path, at, _ in place.volumes:
            check_folder(at, path.is_dir())
        try:
            folder.mkdir(exist_ok=True)
            write_json(folder / "run.json", asked)
        except (OSError, StoreError) as error:
            raise Unavailable(f"{folder}: {error}") from error

    def start(self, run: Run) -> None:
        command = [sys.executable, "-m", "gateway.workloads.wasm", str(self._folder / run.name)]
        try:
            self._children[run] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ},
            )
        except OSError as error:
            raise CannotStart(f"process: {error}") from error

    def stop(self, run: Run) -> None:
        now_s = self._clock()
        hard = now_s - self._asked_s.setdefault(run, now_s) >= STOP_S
        started = _read(self._folder / run.name / "started.json")
        if started and self._is_held(run):
            with suppress(ProcessLookupError):
                os.kill(started["pid"], signal.SIGKILL if hard else signal.SIGTERM)

    def usage(self, run: Run) -> Usage:
        folder = self._folder / run.name
        if result := _read(folder / "result.json"):
            return Usage(result["cpu_s"], result["memory_bytes"], result["fuel"])
        started = _read(folder / "started.json")
        if not started or not self._is_held(run):
            return Usage()
        try:
            process = psutil.Process(started["pid"])
            used = process.cpu_times()
            return Usage(used.user + used.system, process.memory_info().rss)
        except psutil.Error:
            return Usage()

    def discard(self, run: Run) -> None:
        (self._folder / run.name / "run.json").unlink(missing_ok=True)
        self._asked_s.pop(run, None)

    def _seen(self, run: Run) -> Seen:
        folder = self._folder / run.name
        child = self._children.get(run)
        if child and child.poll() is not None:  # reaped by this
            del self._children[run]
        now_ms = int(time.time() * 1000)
        started, result = _read(folder / "started.json"), _read(folder / "result.json")
        if result:
            return Seen(run, ENDED, 0, result["started_ms"], result["ended_ms"], result["exit_code"], result["reason"])
        if started:
            state = RUNNING if self._is_held(run) else ENDED
            reason = "" if state == RUNNING else LOST
            return Seen(run, state, started["pid"], started["started_ms"], started["started_ms"], None, reason)
        if child is None:
            return Seen(run, CREATED)
        if run in self._children or self._is_held(run):
            return Seen(run, RUNNING, 0, now_ms)
        return Seen(run, ENDED, 0, now_ms, now_ms, None, f"its process ended at once (code {child.returncode})")

    def _is_held(self, run: Run) -> bool:
        try:
            lock = os.open(self._folder / run.name / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
