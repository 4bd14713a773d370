"""How fast R1FS adds and gets beside plain SHA-256 of the same file, and beside js-ipfs where it has been installed.

In turns, so that what else the machine does slows all alike; the share is the median of the turns'. "Hash" reads the
file in pieces of 256 KiB and hashes each; "add" does it too, lays the file out, and has it on the disk when it ends;
"get" reads every block and hashes it again; "sealed" is add behind AES-256-GCM. Each turn has a store of its own.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from coincurve import PrivateKey

from gateway.benchmarks import jsipfs
from gateway.storage import sealed
from gateway.storage.dag import Added
from gateway.storage.embedded import Embedded
from gateway.storage.folders import read_path
from gateway.storage.kubo import Kubo
from gateway.storage.streams import ahead

FILE_BYTES = 512 << 20
TURNS = 3
READERS = [PrivateKey(bytes(31) + b"\x01").public_key.format()]


def measure(folder: Path, file_bytes: int = FILE_BYTES) -> dict[str, Any]:
    """{"hash_mb_per_s", "add_...", "get_...", "sealed_...", "share", "jsipfs_add_mb_per_s", "jsipfs_get_..."}.

    Those of js-ipfs are None where it is not in the cache folder.
    Args:
        folder: on the disk that a site would use.
    Raises:
        AssertionError: js-ipfs gives the file another CID.
    """
    path = folder / "r1fs-file"
    path.write_bytes(hashlib.shake_128(b"tinyren r1fs bench").digest(file_bytes))
    seconds: dict[str, list[float]] = {"hash": [], "add": [], "get": [], "sealed": []}
    for _ in range(TURNS):
        seconds["hash"].append(_timed(lambda: [hashlib.sha256(piece).digest() for piece in read_path(path)]))
        added, *turn = _turn(Embedded(folder / "r1fs-store"), lambda: read_path(path))
        for name, value in zip(("add", "get"), turn, strict=True):
            seconds[name].append(value)
        shutil.rmtree(folder / "r1fs-store")
        _, sealed_s, _ = _turn(Embedded(folder / "r1fs-store"), lambda: ahead(sealed.seal(read_path(path), READERS)))
        seconds["sealed"].append(sealed_s)
        shutil.rmtree(folder / "r1fs-store")
    shares = [hash_s / add_s for hash_s, add_s in zip(seconds["hash"], seconds["add"], strict=True)]
    rates: dict[str, Any] = {f"{name}_mb_per_s": _rate(file_bytes, median(series)) for name, series in seconds.items()}
    return {**rates, "share": round(median(shares), 3), **_beside(folder, path, added)}


def _beside(folder: Path, path: Path, added: Added) -> dict[str, int | None]:
    if jsipfs.why_not():
        return {"jsipfs_add_mb_per_s": None, "jsipfs_get_mb_per_s": None}
    with jsipfs.jsipfs(folder) as address:
        other, add_s, get_s = _turn(Kubo(address), lambda: read_path(path))
    if other != added:
        raise AssertionError(f"js-ipfs gives {other}, R1FS {added}")
    file_bytes = path.stat().st_size
    return {"jsipfs_add_mb_per_s": _rate(file_bytes, add_s), "jsipfs_get_mb_per_s": _rate(file_bytes, get_s)}


def _turn(store: Embedded | Kubo, chunks: Callable[[], Any]) -> tuple[Added, float, float]:
    """(what was added, seconds to add it, seconds to read it)."""
    found: list[Added] = []
    add_s = _timed(lambda: found.append(store.add(chunks())))
    get_s = _timed(lambda: sum(map(len, store.read(found[0].cid))))
    store.close()
    return found[0], add_s, get_s


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _rate(file_bytes: int, seconds: float) -> int:
    return round(file_bytes / seconds / 1e6)
