"""`tinyren gateway tls init|show|renew`: the certificates of a site; refuses to make devices lose their trust unasked.

A running gateway renews by itself and reads within a minute what `renew` made.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.commands.arguments import print_json
from gateway.configuration.configuration import default_site, load
from gateway.errors import CommandError, Exit


def add_tls(verbs: Any) -> None:
    """The verb `tls` of `tinyren gateway`."""
    text = "certificates: the site's own authority, or another issuer's files"
    steps = verbs.add_parser("tls", help=text, description=text).add_subparsers(metavar="STEP", required=True)
    _step(steps, "init", "make the site's authority and its server's certificate", init)
    _step(steps, "show", "what is served, for which names, until when, and what devices have to trust", show)
    renew_ = _step(steps, "renew", "issue the server's certificate anew; devices need nothing", renew)
    renew_.add_argument(
        "--authority", action="store_true", help="a new authority too: every device has to be told of it"
    )


def _step(steps: Any, name: str, text: str, run: Callable[[Namespace], int]) -> ArgumentParser:
    step: ArgumentParser = steps.add_parser(name, help=text, description=text)
    step.add_argument("site", nargs="?", type=Path, metavar="DIR", help="the site (default: site, or the system's)")
    step.add_argument("--json", action="store_true", help="print one JSON object")
    step.set_defaults(run=run)
    return step


def init(arguments: Namespace) -> int:
    """Make what is missing; exit code 5 if nothing was."""
    from gateway.lan import tls

    site = _site(arguments)
    before = site / tls.FOLDER / tls.SERVER
    was_there = before.exists() and before.read_bytes()
    served = tls.prepare(site, _wanted(site), _now())
    _tell(arguments, site)
    for note in served.notes:
        print(f"tinyren: {note}", file=sys.stderr)
    return Exit.NOTHING_TO_DO if was_there == before.read_bytes() else Exit.OK


def show(arguments: Namespace) -> int:
    """Say what is served; exit code 8 if no device would take it now."""
    from gateway.lan import tls
    from gateway.lan.certificates import CertificateError, refuse_unusable

    site = _site(arguments)
    _tell(arguments, site)
    try:
        refuse_unusable(tls.load(site), _now())
    except CertificateError as error:
        raise CommandError(f"{site / tls.FOLDER / tls.SERVER}: {error}", Exit.TRUST) from error
    return Exit.OK


def renew(arguments: Namespace) -> int:
    """A new certificate of the same authority, or of a new one."""
    from gateway.lan import tls

    site = _site(arguments)
    wanted = _wanted(site)
    if wanted.cert:
        what = "its issuer renews it, and the gateway takes it from there"
        raise CommandError(f"tls.cert_file: {wanted.cert} is another issuer's; {what}", Exit.REFUSED)
    if arguments.authority:
        tls.forget_authority(site, _now())
    tls.prepare(site, wanted, _now(), is_new=True)
    _tell(arguments, site)
    return Exit.OK


def _tell(arguments: Namespace, site: Path) -> None:
    from gateway.lan import tls

    found, listen = tls.describe(site), load(site).values["tls.listen"]
    if arguments.json:
        print_json(found)
        return
    print(f"served   {found['served']}, until {found['until']} ({found['days_left']} days)")
    print(f"names    {', '.join(found['names'])}")
    if found["ca"]:
        print(f"trust    {found['ca']}: give it to devices; it holds for as long as this site has its key")
        print(f"         SHA-256 {found['ca_sha256']}")
        if not listen:
            print('next     in config.toml: [tls] listen = "0.0.0.0:8883", then start the gateway again')
        port = listen.rpartition(":")[2] or "8883"
        where = f"--broker {found['names'][0]}:{port} --ca {found['ca']}"
        print(f"device   tinyren flash linux_x64 --port USER@HOST {where}")
    else:
        print(f"trust    {found['issuer']}: devices have to know this issuer")


def _wanted(site: Path) -> Any:
    from gateway.lan import tls

    return tls.wanted_by(load(site).values)


def _site(arguments: Namespace) -> Path:
    site: Path = arguments.site or default_site()
    if not site.is_dir():
        what = "wanted the folder of a site; `tinyren gateway init` makes one"
        raise CommandError(f"DIR: got {site}, {what}", Exit.USAGE)
    return site


def _now() -> datetime:
    return datetime.now(UTC)
