"""The operating system's programs that tinyren runs or builds with: looks for them, installs them by apt if it may.

A program is looked for by what is needed of it (a command on the PATH, a C library that the cross compiler finds), so a
machine that got it another way than by apt is left alone.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import CommandError, Exit

Report = Callable[[str], None]
SBIN = "/usr/sbin:/usr/local/sbin"  # where Debian puts daemons, and not on the PATH of who is not root


@dataclass(frozen=True)
class Need:
    """One thing that must be there. `library`: a file the compiler `command` must find, empty for the command alone."""

    command: str
    package: str
    library: str = ""

    def is_met(self) -> bool:
        if not (shutil.which(self.command) or shutil.which(self.command, path=SBIN)):
            return False
        if not self.library:
            return True
        ask = [self.command, f"-print-file-name={self.library}"]
        return os.path.isabs(subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip())


NEEDS = (
    Need("mosquitto", "mosquitto"),
    Need("qemu-system-arm", "qemu-system-arm"),
    Need("qemu-system-riscv32", "qemu-system-misc"),
    Need("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
    Need("arm-none-eabi-gcc", "libnewlib-arm-none-eabi", "libc.a"),
    Need("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"),
    Need("riscv64-unknown-elf-gcc", "picolibc-riscv64-unknown-elf", "picolibc.specs"),
    Need("gcc", "gcc"),
    Need("gcc", "libc6-dev", "crt1.o"),
    Need("make", "make"),
    Need("xz", "xz-utils"),
)
# What no site needs: to check models as programs for 64-bit Arm, CSTORE on a cluster, container jobs, and flashing.
NEEDS_OF_TESTS = (
    Need("qemu-aarch64", "qemu-user"),
    Need("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    Need("aarch64-linux-gnu-gcc", "libc6-dev-arm64-cross", "libc.a"),
    Need("nats-server", "nats-server"),
    Need("podman", "podman"),
    Need("runc", "runc"),
    Need("busybox", "busybox-static"),
    Need("dfu-util", "dfu-util"),
    Need("openocd", "openocd"),
    Need("fusefat", "fusefat"),
    Need("mkfs.vfat", "dosfstools"),
)


def missing_packages(needs: tuple[Need, ...] = NEEDS) -> list[str]:
    """Debian packages of the needs that are not met, each once, in their order."""
    return list(dict.fromkeys(need.package for need in needs if not need.is_met()))


def ensure_packages(report: Report, needs: tuple[Need, ...] = NEEDS) -> None:
    """Install what is missing by apt when root; say what to install otherwise.

    Raises:
        CommandError: not root, no apt, or apt failed; the message holds the command to run.
    """
    packages = missing_packages(needs)
    if not packages:
        return
    names = ", ".join(packages)
    command = "apt-get install --no-install-recommends " + " ".join(packages)
    if shutil.which("apt-get") is None:
        raise CommandError(f"missing, by Debian's names: {names}; there is no apt-get here, install them", Exit.USAGE)
    if os.geteuid() != 0:
        raise CommandError(f"missing: {names}, and not root; run: sudo {command}", Exit.USAGE)
    report(f"system packages: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]):
        if subprocess.run(step, env=environment, stdout=sys.stderr, check=False).returncode != 0:
            raise CommandError(f"`{' '.join(step)}` failed; its own words are above")
    still = missing_packages(needs)
    if still:
        raise CommandError(f"apt installed {names}, but {', '.join(still)} is still not usable; look at the PATH")
