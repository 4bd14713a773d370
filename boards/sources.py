"""Gets the sources of MicroPython, of libsecp256k1 and, for tests, of mbedTLS into the cache. It names no host, and
changes nothing outside it.

1. TINYREN_MICROPYTHON, TINYREN_SECP256K1 and TINYREN_MBEDTLS name checkouts of one's own; they are used as they are,
   where they lie.
2. Otherwise they come as Debian source packages, through an apt configuration of our own inside the cache: the address
   is read from the machine's, the signatures are checked by apt against the machine's Debian keys, and the tarballs'
   SHA-256 are pinned below. Root is not needed.

Sources: apt-get(8), apt.conf(5), sources.list(5) for the deb822 format; APT's README.progress-reporting.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boards.board import BoardError

ROOT = Path(__file__).parent.parent
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Package:
    """A Debian source package. `variable` names a checkout instead; `mark` is a file that every such source has."""

    name: str
    suite: str
    tarball: str
    sha256: str
    variable: str
    mark: str


@dataclass(frozen=True)
class Source:
    """A source tree to read, and a text that changes when it does."""

    path: Path
    digest: str


MICROPYTHON = Package(
    "micropython",
    "trixie",
    "micropython_1.25.0+ds.orig.tar.xz",
    "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",
    "TINYREN_MICROPYTHON",
    "ports/qemu/Makefile",
)
SECP256K1 = Package(
    "libsecp256k1",
    "trixie",
    "libsecp256k1_0.5.0.orig.tar.xz",
    "13b70138be52d7a23bdf0ea39ed79799a30eb855f2ed82c028357f6432cd536b",
    "TINYREN_SECP256K1",
    "src/secp256k1.c",
)
MBEDTLS = Package(
    "mbedtls",
    "trixie",
    "mbedtls_3.6.6.orig.tar.bz2",
    "8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a",
    "TINYREN_MBEDTLS",
    "library/ssl_tls.c",
)
PACKAGES = (MICROPYTHON, SECP256K1)  # what is built for users; of MBEDTLS tests make a MicroPython with TLS


def cache_folder() -> Path:
    """TINYREN_CACHE, else .cache of the checkout that this file is in, else tinyren's folder of the user's cache."""
    if named := os.environ.get("TINYREN_CACHE"):
        return Path(named).resolve()
    return ROOT / ".cache" if (ROOT / "pyproject.toml").is_file() else Path.home() / ".cache" / "tinyren"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock of that name in the cache; waits for another process or thread.

    Children that were started with close_fds=False hold it too: a make that outlives a killed build keeps the next one
    out until it has ended. The system frees a lock whose holders are gone.
    """
    folder = cache_folder() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / name, "w")
    except OSError as error:
        raise BoardError(f"cache folder {folder}: {error.strerror}; name another by TINYREN_CACHE") from error
    with file:
        os.set_inheritable(file.fileno(), True)
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def get_sources(report: Report, packages: tuple[Package, ...] = PACKAGES) -> dict[Package, Source]:
    """The sources of packages, downloaded if they are neither named nor in the cache.

    Raises:
        BoardError: a named checkout is not one, or there is no way to download; one line that says what to do.
    """
    sources = {package: _find_source(package) for package in packages}
    missing = [package for package in packages if sources[package] is None]
    if missing:
        with locked("sources"):
            missing = [package for package in missing if _find_source(package) is None]
            if missing:
                _download(missing, report)
    found = {package: _find_source(package) for package in packages}
    return {package: source for package, source in found.items() if source}


def _find_source(package: Package) -> Source | None:
    if named := os.environ.get(package.variable):
        path = Path(named).resolve()
        if not (path / package.mark).is_file():
            raise BoardError(f"{package.variable}: got {named}, wanted a folder that holds {package.mark}")
        return Source(path, _fingerprint(path))
    path = _unpacked(package)
    return Source(path, package.sha256) if path.is_dir() else None


def _unpacked(package: Package) -> Path:
    return cache_folder() / "sources" / f"{package.name}-{package.sha256[:12]}"


def _fingerprint(path: Path) -> str:
    """Names, sizes and times of all C, Python and make files: fast, and changes with any edit."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "build", "tests", "docs")))
        for name in sorted(names):
            if name.endswith((".c", ".h", ".S", ".s", ".py", ".mk", ".ld", "Makefile")):
                status = os.stat(os.path.join(folder, name))
                digest.update(f"{folder}/{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _download(packages: list[Package], report: Report) -> None:
    folder = cache_folder() / "apt"
    shutil.rmtree(folder, ignore_errors=True)
    options = _apt_configuration(folder)
    stage = "source of " + " and ".join(package.name for package in packages)
    _apt([*options, "update"], folder, lambda fraction: report(stage, fraction * 0.6))
    names = [f"{package.name}/{package.suite}" for package in packages]
    _apt([*options, "source", "--download-only", *names], folder, lambda fraction: report(stage, 0.6 + fraction * 0.3))
    for package in packages:
        _unpack(package, folder / package.tarball)
    shutil.rmtree(folder)
    report(stage, 1.0)


def _apt_configuration(folder: Path) -> list[str]:
    """Lays an apt configuration into folder and returns the options that make apt use it."""
    instead = " and ".join(f"{package.variable}" for package in PACKAGES)
    if not shutil.which("apt-get"):
        raise BoardError(f"no apt-get to download sources with: name checkouts by {instead}")
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    addresses = subprocess.run(targets, capture_output=True, text=True, check=False).stdout.split()
    if not addresses or not os.path.isfile(KEYRING):
        raise BoardError(
            f"apt knows no Debian archive (run: apt-get update) or {KEYRING} is missing: or name checkouts by {instead}"
        )
    for name in ("parts", "lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    suites = " ".join(sorted({package.suite for package in PACKAGES}))
    (folder / "parts" / "debian.sources").write_text(
        f"Types: deb-src\nURIs: {addresses[0]}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"
    )
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": folder / "parts",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "APT::Status-Fd": 1,
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _apt(arguments: list[str], folder: Path, report: Callable[[float], None]) -> None:
    """Runs apt-get in folder; reports 0..1."""
    log = folder / "apt.log"
    with open(log, "ab") as errors:
        process = subprocess.Popen(
            ["apt-get", "-q", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout
        for line in process.stdout:
            if line.startswith("dlstatus:"):
                report(float(line.split(":")[2]) / 100)
    if process.wait() != 0:
        lines = [line for line in log.read_text().splitlines() if line.startswith("E:")] or ["no reason given"]
        raise BoardError(f"apt-get could not download a source package: {lines[-1][3:]}")


def _unpack(package: Package, tarball: Path) -> None:
    got = hashlib.sha256(tarball.read_bytes()).hexdigest() if tarball.is_file() else "no file"
    if got != package.sha256:
        raise BoardError(f"{package.tarball}: SHA-256: got {got}, wanted {package.sha256}")
    fresh = _unpacked(package).with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    subprocess.run(["tar", "-xf", tarball, "--strip-components=1", "-C", fresh], check=True)
    fresh.rename(_unpacked(package))
