"""Runs of container jobs, by podman: names them, bounds them, tells how they ended; decides nothing.

A container is found again by its label, its name is its run's, and podman lets a name exist once. It has no rights
(no capability, no new privileges), a root that it cannot write to, only the limits and volumes of its workload, and a
time limit that its monitor keeps while the gateway is away.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.workloads import cgroup, logs
from gateway.workloads.errors import Refused, Unavailable
from gateway.workloads.images import MAX_ARCHIVE_BYTES, check_archive
from gateway.workloads.podman import NotThere, Podman, WontDo
from gateway.workloads.runs import CREATED, ENDED, RUNNING, CannotStart, Place, Run, Seen, Usage, parse_run
from gateway.workloads.workload import Workload

LABEL, MEMORY, TIME = "tinyren.run", "tinyren.memory", "tinyren.time"
CPU_PERIOD_US = 100_000
STOP_S = 5.0
KILLED = 137
_STATES = {"configured": CREATED, "created": CREATED, "initialized": CREATED}
_STATES |= {"exited": ENDED, "stopped": ENDED, "dead": ENDED, "removing": ENDED}


class Containers:
    """Runs as containers; the lifetime of podman's program is the caller's."""

    def __init__(self, podman: Podman, group: str, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """group: path of the cgroup that holds all of them. folder: for logs, one folder a run."""
        self._podman, self._group, self._folder, self._clock = podman, group, folder, clock
        self._asked_s: dict[Run, float] = {}
        self._followed: dict[Run, logs.Followed] = {}

    def runs(self) -> list[Seen]:
        options = {"all": "true", "filters": f'{{"label": ["{LABEL}"]}}'}
        rows = self._podman.call("get", "/containers/json", params=options) or []
        return [seen for row in rows if (seen := self._seen(row))]

    def create(self, run: Run, workload: Workload, place: Place) -> None:
        folder = self._folder / run.name
        folder.mkdir(parents=True, exist_ok=True)
        specification = specify(run, workload, place, f"{self._group}/{run.name}", folder / "conmon.log")
        try:
            self._podman.call("get", f"/containers/{run.name}/json")
        except NotThere:
            try:
                self._podman.call("post", "/containers/create", specification)
            except (WontDo, NotThere) as error:
                raise CannotStart(f"podman: {error}") from error

    def start(self, run: Run) -> None:
        try:
            self._podman.call("post", f"/containers/{run.name}/start")
        except (WontDo, NotThere) as error:
            raise CannotStart(f"podman: {error}") from error

    def stop(self, run: Run) -> None:
        now_s = self._clock()
        hard = now_s - self._asked_s.setdefault(run, now_s) >= STOP_S
        try:
            self._podman.call("post", f"/containers/{run.name}/kill", params={"signal": "KILL" if hard else "TERM"})
        except (WontDo, NotThere):  # it has ended
            pass

    def usage(self, run: Run) -> Usage:
        return cgroup.usage(f"{self._group}/{run.name}")

    def follow(self, run: Run, limit_bytes: int) -> None:
        """Copy what a container said since the last look. Unavailable: no space."""
        try:
            if run not in self._followed:
                folder = self._folder / run.name
                self._followed[run] = logs.Followed(folder / "conmon.log", folder, limit_bytes)
            for _ in range(1 + limit_bytes // logs.LONGEST_TAIL_BYTES):
                if not self._followed[run].look():
                    return
        except OSError as error:
            raise Unavailable(f"log of {run.name}: {error}") from error

    def discard(self, run: Run) -> None:
        try:
            self._podman.call("delete", f"/containers/{run.name}", params={"force": "true", "v": "true"})
        except NotThere:
            pass
        except WontDo as error:
            raise Unavailable(f"podman: {error}") from error
        cgroup.remove(f"{self._group}/{run.name}")
        (self._folder / run.name / "conmon.log").unlink(missing_ok=True)
        self._asked_s.pop(run, None)
        if run in self._followed:
            self._followed.pop(run).close()

    def release(self) -> None:
        """Leave no cgroup behind, where there are no runs."""
        cgroup.remove(self._group)

    def run_inside(self, run: Run, command: tuple[str, ...], timeout_s: float) -> str:
        """Run a command in a container; empty if it ended with 0, else why not. What it says is not kept."""
        try:
            found = self._podman.call("get", f"/containers/{run.name}/json")["Id"]
        except (WontDo, NotThere) as error:
            return str(error)
        return self._podman.run_inside(found, command, timeout_s)

    def image(self, workload: Workload, fetch: Callable[[str, int], Path], known: str) -> str:
        """The id of a workload's image, loaded or pulled where it is not here.

        Args:
            fetch: a file with the bytes of a CID, of at most so many. known: the id that this CID had before, or empty.
        Raises:
            Refused: it is another image. CannotStart: nobody has it. Unavailable: R1FS or podman cannot say now.
        """
        try:
            if workload.is_by_cid:
                found = self._loaded(workload, fetch, known)
            else:
                found = self._named(workload)
        except (WontDo, NotThere) as error:
            raise CannotStart(f"image {workload.source}: {error}") from error
        if workload.digest and found != workload.digest:
            raise Refused(f"image {workload.source}: got {found}, wanted {workload.digest}")
        return found

    def _loaded(self, workload: Workload, fetch: Callable[[str, int], Path], known: str) -> str:
        try:
            return self._podman.image(known) if known else self._load(workload, fetch)
        except NotThere:
            return self._load(workload, fetch)

    def _load(self, workload: Workload, fetch: Callable[[str, int], Path]) -> str:
        archive = fetch(workload.source, MAX_ARCHIVE_BYTES)
        try:
            found = check_archive(archive, workload.digest)
            self._podman.load(archive)
        finally:
            archive.unlink()
        return self._podman.image(found)

    def _named(self, workload: Workload) -> str:
        try:
            return self._podman.image(workload.digest or workload.source)
        except NotThere:
            return self._podman.pull(workload.source)

    def _seen(self, row: dict[str, Any]) -> Seen | None:
        run = parse_run(row["Labels"][LABEL])
        state = _STATES.get(row["State"], RUNNING)
        if run is None or state != ENDED:
            return run and Seen(run, state, row["Pid"], 1000 * max(0, row["StartedAt"]))
        try:
            found = self._podman.call("get", f"/containers/{run.name}/json")["State"]
        except NotThere:
            return None
        started_ms, ended_ms = _ms(found["StartedAt"]), _ms(found["FinishedAt"])
        reason = self._reason(run, row["Labels"], found["ExitCode"], ended_ms - started_ms)
        return Seen(run, ENDED, 0, started_ms, ended_ms, found["ExitCode"], reason)

    def _reason(self, run: Run, labels: dict[str, str], code: int, wall_ms: int) -> str:
        """Why it ended. podman's own OOMKilled is not set on cgroups v1, so the peak is compared."""
        if code in (KILLED, -1) and wall_ms >= 1000 * int(labels[TIME]) - 500:
            return f"time limit: ran for {labels[TIME]} s"
        if code == KILLED and self.usage(run).peak_memory_bytes >= int(labels[MEMORY]):
            return f"out of memory: its limit is {labels[MEMORY]} bytes"
        return "ended well" if code == 0 else f"exit code {code}"


def specify(run: Run, workload: Workload, place: Place, group: str, log: Path) -> dict[str, object]:
    """What podman is asked for; every limit is in it, none is podman's default."""
    limits = workload.limits
    return {
        "name": run.name,
        "labels": {LABEL: run.name, MEMORY: str(limits.memory_bytes), TIME: str(limits.time_s)},
        "image": place.source,
        "image_pull_policy": "never",
        "command": list(workload.command),  # empty: the image's own
        "env": dict(workload.environment),
        "read_only_filesystem": True,
        "cap_drop": ["all"],
        "no_new_privileges": True,
        "netns": {"nsmode": limits.network},
        "cgroup_parent": group,
        "resource_limits": {
            "memory": {"limit": limits.memory_bytes, "swap": limits.memory_bytes},
            "cpu": {"period": CPU_PERIOD_US, "quota": max(1000, CPU_PERIOD_US * limits.cpu_percent // 100)},
            "pids": {"limit": limits.pids},
        },
        "mounts": [
            {"type": "bind", "source": str(path), "destination": at, "options": _mount_options(writable)}
            for path, at, writable in place.volumes
        ],
        "timeout": limits.time_s,
        "restart_policy": "no",
        "log_configuration": {"driver": "k8s-file", "path": str(log), "size": limits.log_bytes},
    }


def _mount_options(writable: bool) -> list[str]:
    return ["bind", "rw" if writable else "ro", "nosuid", "nodev"]


def _ms(text: str) -> int:
    """Milliseconds of a time of podman's; 0 of the year 1, which stands for never."""
    return 0 if text.startswith("0001") else int(1000 * datetime.fromisoformat(text).timestamp())
