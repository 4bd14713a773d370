"""Saves a gateway, running or stopped, as one moment of it; refuses to save one that cannot be had as a whole.

Kept: configuration, keys, every SQLite file, evidence, settlements, oracles' choices, emulated boards' memories, TLS,
and R1FS unless the backup goes there. Not kept: logs, volumes and images of containers, the broker's queues.

Rules that make it one moment, in this order:
1. state.sqlite counts evidence up to an offset, so it is copied before the evidence's lengths are taken.
2. Heartbeats belong to windows, so an epoch's heartbeats are measured before its windows.
3. Windows name blocks and the chain settles epochs, so the chain is copied after the lengths are taken, and all is done
   again if an epoch was opened or closed meanwhile.
4. R1FS's index is copied before its packs are listed, while no collection may run.
"""

import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gateway.configuration.configuration import files, folder_of
from gateway.edge import running
from gateway.edge.backup_file import Member, pieces
from gateway.edge.ownership import hand_over
from gateway.errors import CommandError, Exit
from gateway.intake import evidence
from gateway.site import site_file
from gateway.site.site_file import Site

TRIES = 20
STATE, CHAIN, WINDOWS = "state.sqlite", "chain.sqlite", ".windows.cborseq"
NOTE = "backup.json"
STAGING, CHAIN_COPY = "backup.part", "chain.copy.sqlite"
LEFT_OUT = {"lock", "logs", "workloads", STAGING, "backup.lock", CHAIN_COPY, NOTE}
LEFT_OUT_NAMES = ("mosquitto.db", "mosquitto.log")
LEFT_OUT_SUFFIXES = (".part", "-wal", "-shm", "-journal")


class Moment(NamedTuple):
    """What is to be kept: members, and how the gateway was."""

    members: list[Member]
    about: dict[str, Any]


@contextmanager
def moment(folder: Path, with_r1fs: bool = True) -> Iterator[Moment]:
    """One moment of a gateway; its copies are removed in the end.

    Raises:
        CommandError: another backup runs, no space, or epochs are too short.
    """
    site = site_file.read(folder)
    with _alone(folder), _no_collection(folder):
        staging = folder / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        try:
            staging.mkdir(mode=0o700)
            lengths = _copies(folder, staging, site, with_r1fs)
            members = list(_members(folder, staging, lengths, with_r1fs))
            yield Moment(members, _about(folder, site, lengths))
        except (OSError, sqlite3.Error) as error:
            raise CommandError(f"{folder}: not saved: {error}; is there space? df -h {folder}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _copies(folder: Path, staging: Path, site: Site | None, with_r1fs: bool) -> dict[Path, int]:
    """Copy the databases; bytes of each evidence file that belong to the same moment."""
    databases = [path for path in folder.glob("*.sqlite") if path.name not in (STATE, CHAIN, CHAIN_COPY)]
    if with_r1fs and (folder / "r1fs" / "index.sqlite").exists():
        databases.append(folder / "r1fs" / "index.sqlite")
    for _ in range(TRIES):
        before = _epoch(folder)
        _copy(folder / STATE, staging)
        lengths = _lengths(folder)
        _copy_chain(folder, staging, site)
        for path in databases:
            _copy(path, staging)
        if _epoch(folder) == before:
            return lengths
    what = f"an epoch ended in each of {TRIES} tries; end the gateway, then save it"
    raise CommandError(f"{folder}: {what}", Exit.TIMEOUT)


def _epoch(folder: Path) -> tuple[int, bool]:
    """(newest epoch, whether it is closed)."""
    number = evidence.last_epoch(folder / "evidence") if (folder / "evidence").is_dir() else 0
    if number == 0:
        return 0, True
    return number, evidence.read_windows(evidence.windows_path(folder / "evidence", number)).is_closed


def _lengths(folder: Path) -> dict[Path, int]:
    paths = sorted((folder / "evidence").rglob("epoch-*.cbor*"), key=lambda path: path.name.endswith(WINDOWS))
    return {path: path.stat().st_size for path in paths}


def _copy_chain(folder: Path, staging: Path, site: Site | None) -> None:
    """The running gateway alone can read its chain, so it is asked for a copy."""
    if not (folder / CHAIN).exists():
        return
    if site is not None and running.is_running(folder):
        running.ask(site.page_port, "/backup/chain", {})
        os.replace(folder / CHAIN_COPY, staging / CHAIN)
    else:
        _copy(folder / CHAIN, staging)


def _copy(path: Path, staging: Path) -> None:
    if not path.exists():
        return
    target = staging / (path.name if path.parent.name != "r1fs" else "r1fs." + path.name)
    target.unlink(missing_ok=True)
    with running.reading(path) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


def _members(folder: Path, staging: Path, lengths: dict[Path, int], with_r1fs: bool) -> Iterator[Member]:
    if (config := folder_of(folder)) != folder:
        for path in files(config):
            yield _whole(path, path.relative_to(config).as_posix())
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        name = path.relative_to(folder).as_posix()
        top = name.partition("/")[0]
        if top in LEFT_OUT or path.name in LEFT_OUT_NAMES or name.endswith(LEFT_OUT_SUFFIXES) or "/logs/" in name:
            continue
        if top == "r1fs" and (not with_r1fs or name == "r1fs/lock"):
            continue
        mode, size = path.stat().st_mode & 0o777, path.stat().st_size
        if path.suffix == ".sqlite":
            copy = staging / name.replace("/", ".")
            if copy.exists():
                yield Member(name, copy.stat().st_size, mode, pieces(copy, copy.stat().st_size))
        elif top == "evidence":
            if path in lengths:
                yield Member(name, lengths[path], mode, pieces(path, lengths[path]))
        elif top == "r1fs":
            yield Member(name, size, mode, pieces(path, size))
        else:
            yield _whole(path, name)


def _whole(path: Path, name: str) -> Member:
    """A file that is replaced or changed at any time, as it is now."""
    content = path.read_bytes()
    return Member(name, len(content), path.stat().st_mode & 0o777, [content])


def note(folder: Path, about: dict[str, Any], to: str) -> None:
    """Remember the newest backup, for who asks how old it is."""
    part = folder / (NOTE + ".part")
    part.write_text(json.dumps({"made_ms": about["made_ms"], "epoch": about["epoch"], "to": to}))
    hand_over([part], folder)
    os.replace(part, folder / NOTE)


def noted(folder: Path) -> dict[str, Any] | None:
    """What `note` remembered: made_ms, epoch, to; None: no backup is known."""
    try:
        found = json.loads((folder / NOTE).read_text())
        return {name: kind(found[name]) for name, kind in (("made_ms", int), ("epoch", int), ("to", str))}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _about(folder: Path, site: Site | None, lengths: dict[Path, int]) -> dict[str, Any]:
    from gateway.cli import VERSION

    number = max((int(path.name.split("-")[1].split(".")[0]) for path in lengths), default=0)
    made_ms = time.time_ns() // 1_000_000
    gateway = site.gateway if site else ""
    return {"version": VERSION, "made_ms": made_ms, "gateway": gateway, "epoch": number, "pins": _pins(folder)}


def _pins(folder: Path) -> list[str]:
    """What R1FS keeps, by CID."""
    path = folder / "r1fs" / "index.sqlite"
    if not path.exists():
        return []
    with running.reading(path) as database:
        return [row[0] for row in database.execute("SELECT cid FROM pin ORDER BY cid")]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One backup at a time."""
    with (folder / "backup.lock").open("w") as file:
        hand_over([folder / "backup.lock"], folder)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"{folder}: another backup is being made; wait for it", Exit.REFUSED) from None
        yield


@contextmanager
def _no_collection(folder: Path) -> Iterator[None]:
    """While R1FS may be added to and not collected."""
    path = folder / "r1fs" / "lock"
    if not path.exists():
        yield
        return
    with path.open("r") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
