"""How a further gateway of a site is made: it makes its key, the site admits it, it takes the invitation.

    prepare(DIR) ─ address ─▶ admit(SITE) ─ invitation ─▶ accept(DIR)

An invitation holds the password of an account that may say and hear what oracles do, and nothing else; whoever has it
can disturb their talk and sign for nobody. A site that runs takes a further gateway itself (admissions.py).
"""

import dataclasses
import os
import re
import secrets
from pathlib import Path

from gateway import keys
from gateway.broker import broker_url
from gateway.errors import CommandError, Exit
from gateway.site import admissions, site_file
from gateway.site.site_file import Site

ADDRESSES = ("home_gateway", "settlement", "devices")
FIELDS = ("home", "password", "chain_rpc", *ADDRESSES)
Invitation = dict[str, str]


def account_of(address: str) -> str:
    """The name of a further gateway's account at the site's broker."""
    return f"gateway-{address[2:].lower()}"


def password_path(folder: Path) -> Path:
    """Where a further gateway keeps the password of its account."""
    return folder / "keys" / "home.password"


def prepare(folder: Path) -> str:
    """Make the folder and key of a further gateway, if they are not there; its address, EIP-55.

    Raises:
        CommandError: the folder is a site's.
    """
    from gateway.chain.chain import address_of

    if (site := site_file.read(folder)) is not None and not site.home:
        raise CommandError(f"{folder}: it is a site of its own; name another folder", Exit.REFUSED)
    return address_of(keys.load_or_make(folder / "keys" / "gateway.key"))


def admit(home: Path, address: str, url: str) -> Invitation:
    """Make a further gateway one of the site in `home`, which may run; admitted again, it gets the same invitation.

    Args:
        address: EIP-55. url: where its R1FS can be reached by the site, http://HOST:PORT.
    Raises:
        CommandError: the site was never started, has no place, or is held by a process that does not take it; an
            address or URL that is none.
    """
    admissions.add(_started(home), address, url)
    try:
        with site_file.locked(home):
            site = _started(home)
            admissions.add(site, address, url)
            site_file.write(home, site)
    except site_file.Held:
        admissions.ask(home, address, url)
    site = _started(home)
    if site.gateways.get(address) != url:
        raise CommandError(f"{home}: the site did not take {address}; its log says why", Exit.REFUSED)
    place, password = _enter(home, site, account_of(address))
    contracts = {name: site.contracts[name] for name in ("settlement", "devices")}
    found = {"home": place, "password": password, "home_gateway": site.gateway, "chain_rpc": site.chain_rpc}
    return found | contracts


def _started(home: Path) -> Site:
    site = site_file.read(home)
    if site is None or not site.contracts or not (site.broker_port or site.broker_url):
        raise CommandError(f"{home}: wanted a site that `tinyren up` has started once", Exit.USAGE)
    return site


def accept(folder: Path, invitation: Invitation, port: int) -> None:
    """Write a further gateway's site.toml by its invitation; `port` is where it will lend its R1FS.

    Raises:
        CommandError: it is not prepared, or this is no invitation; nothing is written then.
    """
    missing = [name for name in FIELDS if not isinstance(invitation.get(name), str) or name != "password"
               and not invitation[name]]  # fmt: skip
    if missing:
        raise CommandError(f"invitation: {', '.join(missing)}: missing; ask the site for a new one", Exit.USAGE)
    unread = [name for name in FIELDS if not invitation[name].isprintable()]
    if unread:
        raise CommandError(f"invitation: {', '.join(unread)}: wanted one line of text; ask for a new one", Exit.USAGE)
    wrong = [name for name in ADDRESSES if not re.fullmatch("0x[0-9a-fA-F]{40}", invitation[name])]
    if wrong:
        raise CommandError(f"invitation: {', '.join(wrong)}: wanted 0x and 40 hex digits", Exit.USAGE)
    broker_url.parse_url(invitation["home"])
    site = Site(boards=[], gateway=prepare(folder), page_port=port)
    site.home, site.home_gateway = invitation["home"], invitation["home_gateway"]
    site.chain_rpc, site.chain_external = invitation["chain_rpc"], True
    site.contracts = {name: invitation[name] for name in ("settlement", "devices")}
    _write_secret(password_path(folder), invitation["password"])
    site_file.write(folder, site)


def home_of(folder: Path, site: Site) -> broker_url.Remote:
    """The site's broker, as a further gateway enters it."""
    remote = broker_url.parse_url(site.home)
    return dataclasses.replace(remote, password=password_path(folder).read_text())


def _enter(home: Path, site: Site, name: str) -> tuple[str, str]:
    """(address of the site's broker, password there) for an account; made for the site's own broker."""
    if site.broker_url:
        return site.broker_url, (home / "broker" / broker_url.PASSWORD).read_text()
    path = home / "broker" / f"{name}.password"
    if not path.exists():
        _write_secret(path, secrets.token_urlsafe(24))
    return f"mqtt://{name}@127.0.0.1:{site.broker_port}", path.read_text()


def _write_secret(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        os.fsync(file.fileno())
    os.replace(part, path)
