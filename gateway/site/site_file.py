"""SITE/site.toml: what a site was made with, and where its parts can be found while it runs. Holds no secret.

SITE/lock is held by who runs the site.
"""

import fcntl
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin

from gateway import curve
from gateway.configuration import toml_values
from gateway.errors import CommandError, Exit

NAME = "site.toml"


class Held(CommandError):
    """Another process holds the site's folder."""


@dataclass
class Site:
    """`epoch_seconds` is a multiple of `window_seconds`. Ports and the RPC address are those of the last start.

    gateways: the site's further gateways, {address: where each lends its R1FS}. A further gateway's own file says in
    `home` where the site's broker is and in `home_gateway` whose site it is (joining.py).
    """

    boards: list[str]
    epoch_seconds: int = 60
    window_seconds: int = 5
    threshold: int = 2
    oracles: list[str] = field(default_factory=list)
    gateway: str = ""
    broker_port: int = 0
    broker_url: str = ""
    broker_ca: str = ""
    workers: int = 0
    page_port: int = 0
    chain_rpc: str = ""
    chain_external: bool = False
    contracts: dict[str, str] = field(default_factory=dict)
    gateways: dict[str, str] = field(default_factory=dict)
    home: str = ""
    home_gateway: str = ""

    @property
    def windows(self) -> int:
        """Windows an epoch."""
        return self.epoch_seconds // self.window_seconds


def read(folder: Path) -> Site | None:
    """The site kept in `folder`, or None where there is none yet.

    Raises:
        CommandError: a field is missing, unknown or of another type.
    """
    path = folder / NAME
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}", Exit.USAGE) from error
    known = {item.name: item for item in fields(Site)}
    for name, value in table.items():
        if name not in known:
            raise CommandError(f"{path}: unknown field {name!r}; wanted {', '.join(known)}", Exit.USAGE)
        if not _is_a(value, known[name].type):
            raise CommandError(f"{path}: {name}: got {value!r}, wanted {known[name].type}", Exit.USAGE)
    if "boards" not in table:
        raise CommandError(f"{path}: boards is missing", Exit.USAGE)
    return Site(**table)


def write(folder: Path, site: Site) -> None:
    """Replace the file in one step; a crash leaves the old one or the new one."""
    lines = [f"{item.name} = {toml_values.encode(getattr(site, item.name))}" for item in fields(Site)]
    part = folder / (NAME + ".part")
    with part.open("w") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / NAME)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a site's folder; made if missing.

    Raises:
        Held: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held(f"{folder}: another process runs this site; end it first", Exit.REFUSED) from None
        yield


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value of the file is of a field's type: bool, int, str, list[str] or dict[str, str]."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return type(value) is (get_origin(kind) or kind) and all(type(item) is str for item in items)


def address_bytes(text: str) -> bytes:
    """The 20 bytes of an address of site.toml. Raises CommandError: it is none."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != curve.ADDRESS_BYTES:
        raise CommandError(f"{NAME}: address {text!r}, wanted 0x and 40 hex digits", Exit.USAGE)
    return value
