"""Debian's CPython for aarch64 under qemu-aarch64, with what the agent imports, kept in the cache; it installs nothing.

Packages come by apt-get with a configuration of its own, wheels by pip with the hashes of requirements.lock. Kernels
are built by the cross compiler, which runs as a program of this machine.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from boards.sources import cache_folder, locked

ROOT = Path(__file__).resolve().parents[1]
COMPILER = "aarch64-linux-gnu-gcc"
WHEELS = ("cffi", "coincurve", "eth-hash", "pycparser", "safe-pysha3")
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")


class Unavailable(Exception):
    """There is no CPython for aarch64 here; the message says what is missing."""


def find_python(report=print):
    """(command, environment) of the emulated CPython, made if the cache does not hold it; raises Unavailable."""
    for program in ("qemu-aarch64", COMPILER):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed: tinyren setup --aarch64")
    place = cache_folder() / "aarch64"
    with locked("aarch64"):
        if not place.is_dir():
            fresh = place.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            report("CPython for aarch64")
            _unpack_debian(fresh)
            _unpack_wheels(fresh)
            fresh.rename(place)
    root = place / "root"
    path = os.pathsep.join(map(str, (ROOT, place / "wheels")))
    environment = {**os.environ, "CC": COMPILER, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return ["qemu-aarch64", "-L", str(root), str(root / "usr" / "bin" / "python3.11")], environment


def _unpack_debian(fresh):
    """python3.11 and all that it depends on, into fresh/root."""
    apt = fresh / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "state"):
        (apt / folder).mkdir(parents=True)
    (apt / "state" / "status").touch()  # as if nothing were installed, so that everything is downloaded
    settings = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "APT::Sandbox::User": "root",
        "Dir::State": apt / "state", "Dir::State::status": apt / "state" / "status", "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _run("apt-get", "-q", *options, "update")
    _run("apt-get", "-q", *options, "install", "--download-only", "--yes", "--no-install-recommends", "python3.11")
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        _run("dpkg-deb", "-x", package, fresh / "root")
    shutil.rmtree(apt)


def _unpack_wheels(fresh):
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text())
    chosen = [block for block in blocks if block.split("==")[0] in WHEELS]
    (fresh / "wheels.txt").write_text("\n".join(chosen) + "\n")
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    _run(sys.executable, "-m", "pip", "install", "-q", "--target", fresh / "wheels", "--no-deps", "--only-binary=:all:",
         "--python-version=3.11", *platforms, "--require-hashes", "-r", fresh / "wheels.txt")  # fmt: skip


def _run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unavailable(f"{Path(command[0]).name} ended with {done.returncode}: {last}")
