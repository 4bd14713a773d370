"""What is missing is named by its Debian package, with the command that installs it; nothing is installed unasked."""

import os
import shutil
import stat

import pytest

from gateway import system
from gateway.errors import CommandError
from gateway.system import NEEDS, NEEDS_OF_TESTS, Need

COMMANDS = sorted({need.command for need in NEEDS})


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH with every program that is needed, and apt-get, which here must not be run."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in COMMANDS:
        (folder / command).symlink_to(shutil.which(command) or shutil.which(command, path=system.SBIN))
    (folder / "apt-get").write_text("#!/bin/sh\nexit 9\n")
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(system, "SBIN", str(tmp_path / "sbin"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return folder


def missing(path, command):
    (path / command).unlink()
    said = []
    with pytest.raises(CommandError) as raised:
        system.ensure_packages(said.append)
    assert said == [] and raised.value.code == 2 and "\n" not in str(raised.value)
    return str(raised.value)


def test_nothing_is_done_where_nothing_is_missing(path):
    said = []
    system.ensure_packages(said.append)
    assert said == [] and system.missing_packages() == []


@pytest.mark.parametrize(
    ("command", "packages"),
    [
        ("mosquitto", "mosquitto"),
        ("qemu-system-arm", "qemu-system-arm"),
        ("qemu-system-riscv32", "qemu-system-misc"),
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"),
        ("gcc", "gcc libc6-dev"),
        ("make", "make"),
        ("xz", "xz-utils"),
    ],
)
def test_who_is_not_root_is_told_the_packages_and_the_command(path, command, packages):
    message = missing(path, command)
    assert message.endswith(f"run: sudo apt-get install --no-install-recommends {packages}")


def test_what_only_tests_use_is_missed_only_when_it_is_asked_for(path):
    system.ensure_packages(lambda text: None)
    wanted = (
        "qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross nats-server"
        " podman runc busybox-static dfu-util openocd fusefat dosfstools$"
    )
    with pytest.raises(CommandError, match=wanted):
        system.ensure_packages(lambda text: None, NEEDS_OF_TESTS)


def test_where_there_is_no_apt_the_names_are_told(path):
    (path / "apt-get").unlink()
    assert missing(path, "mosquitto") == "missing, by Debian's names: mosquitto; there is no apt-get here, install them"


def test_a_failing_apt_ends_the_command(path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (path / "make").unlink()
    with pytest.raises(CommandError, match="`apt-get update -q` failed"):
        system.ensure_packages(lambda text: None)


def test_a_daemon_outside_the_users_path_is_found(path, tmp_path):
    (tmp_path / "sbin").mkdir()
    (path / "mosquitto").rename(tmp_path / "sbin" / "mosquitto")
    assert system.missing_packages() == []


def test_a_program_that_may_not_be_run_is_missing(path):
    (path / "make").unlink()
    (path / "make").write_text("")
    (path / "make").chmod(stat.S_IRUSR)
    assert system.missing_packages() == ["make"]


def test_a_compiler_without_its_library_is_named_by_the_librarys_package():
    assert Need("gcc", "libc6-dev", "crt1.o").is_met()
    assert not Need("gcc", "libnothing-dev", "nothing-of-this-name.o").is_met()
