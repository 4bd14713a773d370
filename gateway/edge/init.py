"""`tinyren gateway init`: makes a gateway's folder, keys, configuration, admin code; replaces nothing that is there."""

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from eth_utils.address import to_checksum_address

from gateway import curve, keys
from gateway.configuration import configuration, settings
from gateway.database import open_or_say
from gateway.edge.admin import LOST, Admin
from gateway.edge.admin import NAME as ADMIN
from gateway.edge.ownership import hand_over
from gateway.errors import CommandError, Exit
from gateway.site import site_file

PAYER = "deployer.key"
EVERYWHERE = "0.0.0.0"
LAN_PORTS = {"page.tls_listen": 8443, "broker.listen": 1883, "tls.listen": 8883}


class Made(NamedTuple):
    """What stands now. `made`: what was not there before, as paths. `code`: the admin code, "" if there was one."""

    folder: Path
    config: Path
    made: list[str]
    gateway: str
    payer: str
    code: str


def choose(folder: Path, rpc: str, key: Path | None, boards: list[str], is_lan: bool) -> dict[str, Any]:
    """The settings that a new configuration sets.

    Raises:
        CommandError: a value that its setting does not take.
    """
    chosen: dict[str, Any] = {"site.boards": boards}
    if rpc:
        own = f"keys/{PAYER}" if configuration.folder_of(folder) == folder else folder / "keys" / PAYER
        chosen |= {"chain.rpc": rpc, "chain.key_file": str(key.absolute() if key else own)}
    if is_lan:
        chosen |= {name: f"{EVERYWHERE}:{port}" for name, port in LAN_PORTS.items()}
    for name, value in chosen.items():
        try:
            settings.check(settings.find(name), value)
        except settings.Misfit as error:
            raise CommandError(str(error), Exit.USAGE) from error
    return chosen


def make(folder: Path, chosen: Mapping[str, Any]) -> Made:
    """Make what is missing; the configuration last, so what was cut off is taken up by the next call.

    Raises:
        CommandError: everything is there already.
    """
    config = configuration.folder_of(folder) / configuration.NAME
    if config.exists() and (folder / ADMIN).exists() and (folder / "keys" / "gateway.key").exists():
        what = f"{config}: this gateway is made already; edit that file, or start it: tinyren gateway up {folder}"
        raise CommandError(what, Exit.NOTHING_TO_DO)
    made = [] if folder.exists() else [str(folder)]
    with site_file.locked(folder):
        found = {name: folder / "keys" / name for name in ("gateway.key", PAYER)}
        made += [str(path) for path in found.values() if not path.exists()]
        addresses = [to_checksum_address(curve.address_of(keys.load_or_make(path).secret)) for path in found.values()]
        with closing(open_or_say(Admin, folder, LOST)) as admin:
            code = admin.new_code() if admin.is_new() else ""
        if not config.exists():
            write(config, settings.template(chosen))
            made.append(str(config))
    hand_over((config, *folder.rglob("*")), folder)
    return Made(folder, config, made, addresses[0], addresses[1], code)


def write(path: Path, text: str) -> None:
    """A file that is there wholly or not at all, for its user alone: an RPC address may hold a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
