"""Further gateways that ask to be taken into a site while it runs; whoever may write into its folder may ask.

    `gateway admit` ─ SITE/admit/0xADDRESS, which holds the URL ─▶ `turn` ─▶ site.toml ─▶ let_in ─▶ the file is removed

Only who holds the site's folder writes site.toml, so nothing that either knows is lost. A site that was killed between
finds the file again and takes it once more, which changes nothing. What cannot be taken is removed too, and told.
"""

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

from gateway.errors import CommandError, Exit
from gateway.site import site_file
from gateway.site.site_file import Site
from gateway.storage.errors import StoreError
from gateway.storage.peers import HttpPeer

FOLDER = "admit"
MAX_GATEWAYS = 16
MAX_URL_BYTES = 2_000
TAKEN_S = 30.0
POLL_S = 0.1


def add(site: Site, address: str, url: str) -> None:
    """Note a further gateway in a site, where it lends its R1FS at `url`; in memory only.

    Args:
        address: EIP-55.
    Raises:
        CommandError: a URL that is none, the site's own gateway, or no place; nothing is changed then.
    """
    try:
        HttpPeer(url)
    except StoreError as error:
        raise CommandError(f"url: {error}", Exit.USAGE) from error
    if address == site.gateway:
        raise CommandError(f"{address} is the site's own gateway; wanted that of another folder", Exit.REFUSED)
    if len({*site.gateways, address}) > MAX_GATEWAYS:
        raise CommandError(f"the site has {MAX_GATEWAYS} further gateways, and no place for more", Exit.REFUSED)
    site.gateways[address] = url


def ask(folder: Path, address: str, url: str) -> None:
    """Have the site that runs in `folder` take a further gateway, and wait until it has.

    Raises:
        CommandError: it does not take it in TAKEN_S; it is not asked any more then.
    """
    path = folder / FOLDER / address
    path.parent.mkdir(mode=0o700, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(url)
    os.replace(part, path)
    end_s = time.monotonic() + TAKEN_S
    while path.exists() and time.monotonic() < end_s:
        time.sleep(POLL_S)
    if path.exists():
        path.unlink(missing_ok=True)
        what = f"{folder}: another process holds this site and did not take {address} within {TAKEN_S:.0f} s"
        raise CommandError(f"{what}; ask again when the site's page answers, or end it first", Exit.TIMEOUT)


class Admissions:
    """What a running site does about those who ask; for the thread that holds the site.

    Args:
        site: changed, and written. let_in: has broker and oracles know a further gateway, by its address.
    """

    def __init__(self, folder: Path, site: Site, let_in: Callable[[str], None]) -> None:
        self._folder, self._site, self._let_in = folder, site, let_in

    def turn(self) -> list[str]:
        """Take those who ask; what happened in words."""
        place = self._folder / FOLDER
        asking = sorted(place.iterdir()) if place.exists() else []
        return [self._take(path) for path in asking if path.suffix != ".part"]

    def _take(self, path: Path) -> str:
        address, site = path.name, dataclasses.replace(self._site, gateways=dict(self._site.gateways))
        try:
            site_file.address_bytes(address)
            with path.open("rb") as file:
                add(site, address, file.read(MAX_URL_BYTES).decode())
            is_new = site.gateways != self._site.gateways
            if is_new:
                site_file.write(self._folder, site)
        except (CommandError, OSError, ValueError) as error:
            path.unlink(missing_ok=True)
            return f"{address} is no further gateway of this site: {error}"
        self._site.gateways.update(site.gateways)
        if is_new:
            self._let_in(address)
        path.unlink(missing_ok=True)
        return f"{address} is a further gateway of this site now, at {self._site.gateways[address]}"
