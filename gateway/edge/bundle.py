"""`tinyren gateway support-bundle`: what somebody else needs to help, as one .tar.gz; refuses to hold a secret.

In it: versions, configuration and site.toml with secrets cut, doctor and status, the ends of the logs. Whatever is in a
file of a key or a password, whatever a secret setting holds, and whatever looks like a code is cut out of every text.
"""

import gzip
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway import cli
from gateway.configuration import configuration
from gateway.configuration.settings import SETTINGS
from gateway.edge import doctor, status
from gateway.errors import CommandError
from gateway.site import site_file

LOG_BYTES = 256 << 10
JOURNAL_LINES = 2000
CUT = "<cut>"
SECRET_FILES = ("keys/*", "broker/*.password", "broker/*.json", "broker/passwords", "tls/*.key", "tls/server.pem")
LOGS = ("logs/*.log*", "boards/*/logs/*.log", "broker/mosquitto.log")
LEAST_CHARACTERS = 8
_WORD = re.compile(r"[^\s\"',:{}\[\]]+")  # also of JSON
_CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){2}\b")
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of each file of the bundle, nothing secret in any of them."""
    secrets = _secrets(folder)
    for name, text in _raw(folder):
        yield name, cut(text, secrets)


def write(folder: Path, path: Path) -> list[str]:
    """Write the bundle, wholly or not at all; the names in it."""
    names = []
    part = path.with_name(path.name + ".part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
                for name, text in texts(folder):
                    info, data = tarfile.TarInfo(f"tinyren-support/{name}"), text.encode()
                    info.size, info.mtime = len(data), int(time.time())
                    tar.addfile(info, io.BytesIO(data))
                    names.append(name)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return names


def cut(text: str, secrets: list[str]) -> str:
    """A text without the secrets, codes, and users and passwords of addresses."""
    for secret in secrets:
        text = text.replace(secret, CUT)
    return _USER.sub(CUT, _CODE.sub(CUT, text))


def _raw(folder: Path) -> Iterator[tuple[str, str]]:
    yield "versions.json", _json(versions())
    for name, make in (
        ("config.json", lambda: configuration.load(folder).rows()),
        ("doctor.json", lambda: doctor.as_json(doctor.examine(folder))),
        ("status.json", lambda: status.gather(folder)),
    ):
        try:
            yield name, _json(make())
        except (CommandError, OSError) as error:
            yield name, _json({"error": str(error)})
    if (folder / site_file.NAME).exists():
        yield site_file.NAME, (folder / site_file.NAME).read_text(errors="replace")
    for path in sorted(path for pattern in LOGS for path in folder.glob(pattern)):
        yield path.relative_to(folder).as_posix(), _end(path)
    if journal := _said(["journalctl", "-u", "tinyren", "-n", str(JOURNAL_LINES), "--no-pager", "-o", "short-iso"]):
        yield "journal.txt", journal


def versions() -> dict[str, Any]:
    """Of this program and of what it stands on."""
    return {
        "tinyren": cli.VERSION,
        "python": sys.version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "mosquitto": _said(["mosquitto", "-h"]).partition("\n")[0],
        "qemu": _said(["qemu-system-arm", "--version"]).partition("\n")[0],
        "packages": dict(sorted((one.metadata["Name"], one.version) for one in distributions())),
    }


def _secrets(folder: Path) -> list[str]:
    """Every text that must not be in the bundle, the longest first."""
    found = set()
    for path in (path for pattern in SECRET_FILES for path in folder.glob(pattern) if path.is_file()):
        found |= set(_WORD.findall(path.read_text(errors="replace")))
    try:
        values = configuration.load(folder).values
    except CommandError:
        values = {}
    addresses = [values.get(one.name, "") for one in SETTINGS if one.is_secret]
    site = None
    try:
        site = site_file.read(folder)
    except CommandError:
        addresses += re.findall(r'"(\w+://[^"]*)"', (folder / site_file.NAME).read_text(errors="replace"))
    if site is not None:
        addresses += [site.broker_url, site.chain_rpc if site.chain_external else ""]
    for address in filter(None, addresses):
        parts = urlsplit(address)
        found |= {address, parts.path, parts.query, parts.password or "", parts.username or ""}
    return sorted((text for text in found if len(text) >= LEAST_CHARACTERS), key=len, reverse=True)


def _end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read(LOG_BYTES).decode(errors="replace")


def _said(command: list[str]) -> str:
    """What a program says; nothing if it is not here or takes long."""
    program = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin:/usr/local/sbin")
    if program is None:
        return ""
    try:
        return subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False, timeout=20).stdout
    except subprocess.TimeoutExpired:
        return ""


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"
