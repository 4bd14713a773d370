"""What a job finds at its paths: content of R1FS, read-only, and scratch of a fixed size that may go into R1FS.

A scratch is a tmpfs, because its size is a limit that the kernel keeps whoever writes; so it costs memory, needs root,
and is gone when the machine restarts. Content is written out once for all jobs that name its CID.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gateway.storage import folders
from gateway.storage.cid import encode_text
from gateway.storage.dag import parse
from gateway.storage.errors import Refused, StoreError
from gateway.storage.r1fs import R1FS
from gateway.workloads.errors import Unavailable
from gateway.workloads.runs import CannotStart, Run
from gateway.workloads.workload import Volume, Workload

SCRATCH_INODES = 16_384
MAX_CONTENT = folders.Limits(bytes=64 << 30, entries=100_000)


class Volumes:
    """The volumes of a gateway's jobs, within one folder."""

    def __init__(self, folder: Path, r1fs: R1FS) -> None:
        self._content, self._scratch, self._r1fs = folder / "content", folder / "scratch", r1fs
        for path in (self._content, self._scratch):
            path.mkdir(parents=True, exist_ok=True)

    def prepare(self, run: Run, workload: Workload) -> tuple[tuple[Path, str, bool], ...]:
        """The volumes of a run as runs.Place has them; what is there already is used.

        Raises:
            CannotStart: content is not what a volume can be, or a scratch cannot be had. Unavailable: R1FS cannot.
        """
        return tuple(
            (self.content(volume.cid), volume.path, False)
            if volume.cid
            else (self._made_scratch(run, number, volume), volume.path, True)
            for number, volume in enumerate(workload.volumes)
        )

    def content(self, cid: str) -> Path:
        """The file or folder of a CID on this disk. Raises as `prepare`."""
        path = self._content / encode_text(parse(cid))
        if not path.exists():
            try:
                folders.save(self._r1fs, cid, path, limits=MAX_CONTENT)
            except Refused as error:
                if not path.exists():  # else another run has brought it meanwhile
                    raise CannotStart(f"{cid}: {error}") from error
            except (StoreError, OSError) as error:
                raise Unavailable(f"{cid}: {error}") from error
        return path

    def publish(self, run: Run, workload: Workload) -> tuple[dict[str, str], list[str]]:
        """Add the scratches of an ended run that are to be published to R1FS: {path: CID}, and what went wrong.

        Raises:
            Unavailable: R1FS cannot take them now.
        """
        published, wrong = {}, []
        for number, volume in enumerate(workload.volumes):
            path = self._path(run, number)
            if not volume.publish or not path.exists():
                continue
            if not path.is_mount():
                wrong.append(f"{volume.path} is not published: it went when the machine stopped")
                continue
            try:
                _check_size(path, volume.size_bytes)
                published[volume.path] = self._r1fs.add_folder(path).cid
            except Refused as error:
                wrong.append(f"{volume.path} is not published: {error}")
            except (StoreError, OSError) as error:
                raise Unavailable(f"{volume.path}: {error}") from error
        return published, wrong

    def release(self, run: Run) -> None:
        """Remove the scratches of an ended run."""
        for path in self._scratch.glob(f"{run.name}.*"):
            _remove(path)

    def sweep(self, runs: Iterable[Run], contents: Iterable[str]) -> None:
        """Remove scratches of no run of these, and contents of no CID of these."""
        names = {run.name for run in runs}
        for path in self._scratch.iterdir():
            if path.name.rpartition(".")[0] not in names:
                _remove(path)
        kept = {encode_text(parse(cid)) for cid in contents}
        for path in self._content.iterdir():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _made_scratch(self, run: Run, number: int, volume: Volume) -> Path:
        path = self._path(run, number)
        mount_scratch(path, volume.size_bytes)
        return path

    def _path(self, run: Run, number: int) -> Path:
        return self._scratch / f"{run.name}.{number}"


def mount_scratch(path: Path, size_bytes: int) -> None:
    """Have an empty tmpfs of a size at a path. CannotStart: the system does not let us."""
    path.mkdir(parents=True, exist_ok=True)
    if path.is_mount():
        return
    options = f"size={size_bytes},nr_inodes={SCRATCH_INODES},mode=1777,nosuid,nodev"
    try:
        command = ["mount", "-t", "tmpfs", "-o", options, "tinyren", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CannotStart(f"scratch: {error}") from error
    if done.returncode:
        raise CannotStart(f"scratch: {done.stderr.strip()}; a size that is kept needs root, or do without the volume")


def unmount(path: Path) -> None:
    """End a tmpfs, also one that something still has open."""
    if path.is_mount():
        subprocess.run(["umount", "-l", str(path)], capture_output=True, check=False)


def _check_size(folder: Path, most_bytes: int) -> None:
    """Refused: its files claim more than its size: a hole costs nothing here, but it does in R1FS."""
    total = 0
    for above, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(above, name)).st_size for name in names)
        if total > most_bytes:
            raise Refused(f"its files claim more than {most_bytes} bytes")


def _remove(path: Path) -> None:
    unmount(path)
    if not path.is_mount():
        path.rmdir()
