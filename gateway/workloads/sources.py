"""What a job runs and reads, brought from R1FS and looked at before it may run; `rehearse` looks alone, runs nothing.

The same checks before a run and for `tinyren job apply --dry-run`, which asks no gateway.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from gateway.storage.errors import Missing, StoreError
from gateway.storage.errors import Refused as StoreRefused
from gateway.storage.r1fs import R1FS
from gateway.workloads.errors import Unavailable
from gateway.workloads.images import MAX_ARCHIVE_BYTES, check_archive
from gateway.workloads.limits import CONTAINER, WASM
from gateway.workloads.podman import missing
from gateway.workloads.runs import CannotStart
from gateway.workloads.workload import Workload, needed

MAX_MODULE_BYTES = 64 << 20
_MODULE = b"\0asm\x01\0\0\0"


def fetch(r1fs: R1FS, cid: str, most_bytes: int, folder: Path) -> Path:
    """A file in `folder` with the bytes of a CID, the caller's to remove.

    Raises:
        CannotStart: it is no content of at most so many bytes. Unavailable: R1FS cannot now.
    """
    size = 0
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as file:
            for chunk in r1fs.read(cid):
                size += len(chunk)
                if size > most_bytes:
                    raise CannotStart(f"{cid}: got more than {most_bytes} bytes")
                file.write(chunk)
    except BaseException as error:
        Path(file.name).unlink(missing_ok=True)
        if isinstance(error, StoreRefused):
            raise CannotStart(f"{cid}: {error}") from error
        if isinstance(error, StoreError | OSError):
            raise Unavailable(f"{cid}: {error}") from error
        raise
    return Path(file.name)


def check_module(cid: str, path: Path) -> None:
    """CannotStart: what was fetched is no module of WebAssembly."""
    with path.open("rb") as file:
        head = file.read(len(_MODULE))
    if head != _MODULE:
        raise CannotStart(f"module {cid}: got bytes that begin with {head.hex()}, wanted a WebAssembly module")


def check_folder(path: str, is_folder: bool) -> None:
    """CannotStart: what a module is to have at `path` is no folder."""
    if not is_folder:
        raise CannotStart(f"volume {path}: got a file, wanted a folder; a [wasm] job has no others")


def rehearse(workload: Workload, r1fs: R1FS | None) -> Iterator[str]:
    """What stands between a job and its run, as far as R1FS can tell, in sentences; nothing is kept.

    Args:
        r1fs: the site's; None: there is none here.
    Raises:
        CannotStart, Refused: content that is there is not what the job says. Unavailable: R1FS cannot say.
    """
    if workload.kind == CONTAINER and (absent := missing()):
        yield absent
    if workload.escrow:
        limits = ", ".join(needed(workload))
        yield f"paid work: it begins only where these limits hold, which the gateway tries: {limits}"
    if not workload.is_by_cid:
        yield f"the image {workload.source} is pulled by podman when the job begins"
    elif r1fs and _has(r1fs, workload.source):
        _check_source(workload, r1fs)
    else:
        yield _awaited(workload.source)
    for volume in (volume for volume in workload.volumes if volume.cid):
        if not r1fs or not _has(r1fs, volume.cid):
            yield _awaited(volume.cid)
        elif workload.kind == WASM:
            check_folder(volume.path, r1fs.entries(volume.cid) is not None)


def _awaited(cid: str) -> str:
    return f"{cid} is not in this site's R1FS, the job waits for it; `tinyren r1fs add FILE --plain` puts it there"


def _has(r1fs: R1FS, cid: str) -> bool:
    try:
        r1fs.entries(cid)
    except Missing:
        return False
    except StoreRefused as error:
        raise CannotStart(f"{cid}: {error}") from error
    except StoreError as error:
        raise Unavailable(f"{cid}: {error}") from error
    return True


def _check_source(workload: Workload, r1fs: R1FS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if workload.kind == CONTAINER:
            check_archive(fetch(r1fs, workload.source, MAX_ARCHIVE_BYTES, Path(folder)), workload.digest)
        else:
            check_module(workload.source, fetch(r1fs, workload.source, MAX_MODULE_BYTES, Path(folder)))
