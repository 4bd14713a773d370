"""Reads what a group of processes used from the kernel's own counters, of cgroups v1 and v2; limits nothing.

Each run has a group of its own above the one that the container runtime makes and removes, so the counters are still
there when the container has ended. They hold its monitor (conmon) too: some 0.01 s and 2 MB.
Source: Documentation/admin-guide/cgroup-v1/{memory,cpuacct}.rst and cgroup-v2.rst of Linux.
"""

from contextlib import suppress
from pathlib import Path

from gateway.workloads.runs import Usage

ROOT = Path("/sys/fs/cgroup")
DEEPEST = 4


def usage(group: str) -> Usage:
    """What a group (its path from the root of a hierarchy) has used; zeros where it is not there."""
    cpu_ns, peak_bytes = _number(ROOT / f"cpuacct{group}/cpuacct.usage"), 0
    for name in (f"memory{group}/memory.max_usage_in_bytes", f"{group[1:]}/memory.peak"):
        peak_bytes = max(peak_bytes, _number(ROOT / name))
    with suppress(FileNotFoundError):
        for line in (ROOT / f"{group[1:]}/cpu.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "usage_usec":
                cpu_ns = 1000 * int(value)
    return Usage(cpu_ns / 1e9, peak_bytes)


def remove(group: str) -> None:
    """Remove a group and those below it in every hierarchy; one that has processes stays."""
    for hierarchy in (ROOT, *(path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink())):
        _remove(hierarchy / group[1:], DEEPEST)


def _remove(folder: Path, deep: int) -> None:
    if deep and folder.is_dir():
        for below in folder.iterdir():
            if below.is_dir():
                _remove(below, deep - 1)
        with suppress(OSError):
            folder.rmdir()


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0
