"""Checks of the machine that a gateway runs on: disk, keys' files, clock, ports, programs."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

import gateway as package
from gateway.configuration import settings
from gateway.edge.checks import FAIL, OK, WARN, Finding, Gateway, size
from gateway.edge.listening import PLACES, bind_error
from gateway.system import SBIN

LEAST_BYTES, FEW_BYTES = 200 << 20, 2 << 30
FEW_FILES = 10_000
OLDEST_BROKER = (2, 0)
DAY_S = 86_400
PRIVATE = ("keys/*", "broker/*.password", "broker/*.json", "tls/*.key", "tls/server.pem", "admin.sqlite", "config.toml")


def disk(gateway: Gateway) -> Iterator[Finding]:
    """Space for evidence: a gateway that cannot write acknowledges nothing."""
    free = shutil.disk_usage(gateway.folder).free
    files = os.statvfs(gateway.folder).f_favail
    probe = gateway.folder / "doctor.part"
    try:
        probe.write_bytes(bytes(4096))
    except OSError as error:
        yield Finding(FAIL, f"nothing can be written: {error.strerror}; no heartbeat is acknowledged", "df -h")
        return
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    if free < LEAST_BYTES or 0 < files < FEW_FILES:
        what = f"{size(free)} and {files} files are left; when it is full nothing is acknowledged or paid"
        yield Finding(FAIL, what, f"du -xh {gateway.folder} | sort -h | tail")
    elif free < FEW_BYTES:
        yield Finding(WARN, f"{size(free)} are left", f"du -xh {gateway.folder} | sort -h | tail")
    else:
        yield Finding(OK, f"{size(free)} free")


def private_files(gateway: Gateway) -> Iterator[Finding]:
    """Keys and passwords are their user's alone."""
    found = [path for pattern in PRIVATE for path in gateway.folder.glob(pattern) if path.is_file()]
    for path in (path for path in found if path.stat().st_mode & 0o077):
        yield Finding(FAIL, f"{path} can be read by others of this machine", f"chmod 600 {path}")
    owner = gateway.folder.stat().st_uid
    for path in (path for path in found if path.stat().st_uid not in (os.geteuid(), owner)):
        mend = f"chown --reference={gateway.folder} {path}"
        yield Finding(WARN, f"{path} belongs to another user than its folder", mend)
    if not [path for path in found if path.stat().st_mode & 0o077]:
        yield Finding(OK, f"{len(found)} files of keys and passwords are their user's alone")


def clock(gateway: Gateway) -> Iterator[Finding]:
    """The clock against dates that cannot lie in the future: those of this program's and of the site's files."""
    program = Path(package.__file__).stat().st_mtime
    newest = max((path.stat().st_mtime for path in gateway.folder.iterdir()), default=0.0)
    latest, what = max((program, "this program's files"), (newest, "the site's files"))
    behind_s = latest - gateway.now_s
    mend = "timedatectl set-ntp true"
    if behind_s > DAY_S:
        days = f"{behind_s / DAY_S:,.0f} days"
        yield Finding(FAIL, f"the clock is {days} before {what}: certificates fail and receipts are wrong", mend)
    elif behind_s > 60:
        yield Finding(WARN, f"the clock is {behind_s:.0f} s before {what}", mend)
    else:
        yield Finding(OK, "the clock is not before any file's date")


def ports(gateway: Gateway) -> Iterator[Finding]:
    """Those that are configured: free, or this gateway's."""
    if gateway.running:
        yield from _answering(gateway)
        return
    places = {"page.port": (gateway.values["page.listen"], gateway.values["page.port"])} | _places(gateway)
    for name, (address, port) in places.items():
        error = bind_error(address, port)
        if error is None:
            yield Finding(OK, f"{name} {port} is free")
        elif name not in gateway.chosen:
            what = f"{name} {port}: {error.strerror}; it is {_holder(port)}'s, so a free one will be taken"
            yield Finding(WARN, what, f"choose one: tinyren gateway up {gateway.folder} --set {name}=N")
        else:
            mend = f"stop it, or choose another: tinyren gateway up {gateway.folder} --set {name}=..."
            yield Finding(FAIL, f"{name} {address}:{port}: {error.strerror}; it is {_holder(port)}'s", mend)


def _answering(gateway: Gateway) -> Iterator[Finding]:
    assert gateway.site is not None
    for name, port in (("page", gateway.site.page_port), ("broker", gateway.site.broker_port)):
        if name == "broker" and gateway.site.broker_url:
            continue
        if error := _silence(settings.LOOPBACK, port):
            yield Finding(FAIL, f"{name} does not answer on port {port}: {error}", "tinyren gateway up, again")
        else:
            yield Finding(OK, f"{name} answers on port {port}")
    for name, (address, port) in _places(gateway).items():
        if error := _silence(address, port):
            what = f"{name} {port}: {error}; it was set after the gateway started, or started with another --set"
            yield Finding(WARN, what, "start the gateway again")
        else:
            yield Finding(OK, f"{name} answers on port {port}")


def _places(gateway: Gateway) -> dict[str, tuple[str, int]]:
    """Where it is to listen for others, by the setting's name."""
    return {name: settings.split_listen(gateway.values[name]) for name in PLACES if gateway.values[name]}


def _silence(address: str, port: int) -> str:
    """Why nobody answers there; "" if somebody does."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _holder(port: int) -> str:
    """Which program listens there, as far as this user may know."""
    with suppress(psutil.Error):
        for link in psutil.net_connections("tcp"):
            if link.laddr and link.laddr.port == port and link.status == psutil.CONN_LISTEN and link.pid:
                return f"{psutil.Process(link.pid).name()} (process {link.pid})"
    return "another program"


def programs(gateway: Gateway) -> Iterator[Finding]:
    """What a gateway starts: the broker, and QEMU for emulated boards."""
    if gateway.values["broker.url"]:
        yield Finding(OK, "the broker is elsewhere")
    else:
        yield _broker_program()
    boards = gateway.site.boards if gateway.site else gateway.values["site.boards"]
    for program, package_ in (("qemu-system-arm", "qemu-system-arm"), ("qemu-system-riscv32", "qemu-system-misc")):
        if boards and not shutil.which(program):
            yield Finding(FAIL, f"{program} is missing, which emulates boards", f"apt-get install {package_}")
    if boards and shutil.which("qemu-system-arm"):
        yield Finding(OK, "QEMU is there for emulated boards")


def _broker_program() -> Finding:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path=SBIN)
    if program is None:
        return Finding(FAIL, "mosquitto is missing, no device can connect", "apt-get install mosquitto")
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False, timeout=10).stdout
    found = re.search(r"version (\d+)\.(\d+)(\.\d+)?", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_BROKER:
        wanted = ".".join(map(str, OLDEST_BROKER))
        what = f"mosquitto {found[0] if found else 'of unknown version'}, wanted {wanted} or newer"
        return Finding(WARN, what, "apt-get install mosquitto")
    return Finding(OK, f"mosquitto {found[0]}")
