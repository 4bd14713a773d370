"""What a gateway serves TLS with: SITE/tls; refuses to replace a pair that works by one that would not.

    ca.pem      the site's own authority, for devices        server.pem  what is served: certificates and key, 0600
    ca.key      its key, 0600; it signs servers only

Broker and page read server.pem alone. It is issued by the site's own authority or, where tls.cert_file and tls.key_file
name files of another issuer (ACME), a checked copy of those. Each file is replaced in one step.
"""

import hashlib
import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.errors import CommandError, Exit
from gateway.lan import certificates
from gateway.lan.addresses import own_addresses
from gateway.lan.certificates import CertificateError, Pair

FOLDER, CA, CA_KEY, SERVER = "tls", "ca.pem", "ca.key", "server.pem"
CLOCK_LEAST = datetime(2026, 1, 1, tzinfo=UTC)  # before tinyren could issue anything
CHECK_S = 60.0


@dataclass(frozen=True)
class Wanted:
    """What TLS is configured with. `cert` and `key`: another issuer's files; None: the site's own authority."""

    names: tuple[str, ...]
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Served:
    """What is served now. `ca`: what devices have to trust; None: the other issuer's. `notes`: what to know of it."""

    pem: Path
    ca: Path | None
    digest: bytes
    notes: tuple[str, ...] = ()


def this_computer(more: Sequence[str] = ()) -> tuple[str, ...]:
    """Names and addresses by which this computer is reached, `more` first.

    Raises:
        CommandError: one of `more` is no host name and no address.
    """
    for name in (more := [item.lower() for item in more]):
        if not certificates.is_name(name):
            got = f"tls.names: got {name!r}, wanted a host name or an address"
            raise CommandError(f"{got}; leave out ports and https://", Exit.USAGE)
    host = socket.gethostname().lower()
    hosts = [name for name in (host, host.partition(".")[0] + ".local", "localhost") if certificates.is_name(name)]
    return tuple(dict.fromkeys([*more, *hosts, *own_addresses(), "127.0.0.1", "::1"]))


def wanted_by(values: Mapping[str, Any]) -> Wanted:
    """What the settings say (gateway/configuration/settings.py)."""
    cert, key = (Path(values[name]) if values[name] else None for name in ("tls.cert_file", "tls.key_file"))
    return Wanted(this_computer(values["tls.names"]), cert, key)


def prepare(site: Path, wanted: Wanted, now: datetime, is_new: bool = False) -> Served:
    """Have SITE/tls/server.pem be what is wanted; nothing is written where it is already.

    Args:
        is_new: issue a certificate even if the last one would do.
    Raises:
        CommandError: what is wanted cannot serve, the clock cannot be right, or the authority is not whole.
    """
    if (wanted.cert is None) != (wanted.key is None):
        name, other = ("tls.cert_file", "tls.key_file") if wanted.key is None else ("tls.key_file", "tls.cert_file")
        raise CommandError(f"{name}: got one without {other}; name both, or neither for the site's own", Exit.USAGE)
    if wanted.cert and wanted.key:
        return _copy(site / FOLDER, wanted.cert, wanted.key, wanted.names, now)
    return _issue(site / FOLDER, site.absolute().name, wanted.names, now, is_new)


def load(site: Path) -> Pair:
    """The pair that is served.

    Raises:
        CommandError: there is none yet, or it is damaged.
    """
    path = site / FOLDER / SERVER
    if not path.exists():
        raise CommandError(f"{path} is missing; make it: tinyren gateway tls init {site}", Exit.USAGE)
    return _read(path, path)


def describe(site: Path) -> dict[str, Any]:
    """What is served, for `tls show`; JSON values only. Raises CommandError as `load` does."""
    leaf = load(site).leaf
    found = {
        "served": str(site / FOLDER / SERVER),
        "names": list(certificates.names_of(leaf)),
        "until": f"{leaf.not_valid_after_utc:%Y-%m-%d}",
        "days_left": (leaf.not_valid_after_utc - datetime.now(UTC)).days,
        "issuer": leaf.issuer.rfc4514_string(),
        "sha256": certificates.fingerprint(leaf),
        "ca": "",
    }
    if (authority := own_authority(site)) and certificates.is_issued_by(leaf, authority.leaf):
        found |= {"ca": str(site / FOLDER / CA), "ca_sha256": certificates.fingerprint(authority.leaf)}
    return found


def forget_authority(site: Path, now: datetime) -> None:
    """Remove the site's authority, so that `prepare` makes another one; its certificate goes last."""
    _refuse_clock(now)
    for name in (CA_KEY, CA):
        (site / FOLDER / name).unlink(missing_ok=True)


def server_context(pem: Path) -> ssl.SSLContext:
    """What the page serves TLS with; `load_cert_chain(pem)` again on it takes a renewed pair for new connections."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pem)
    return context


class Watch:
    """Renews what is due and has it read again, while a gateway runs.

    Args:
        reload: what reads server.pem again; called when it is another than at the last call.
    """

    def __init__(self, site: Path, wanted: Callable[[], Wanted], served: Served, reload: Callable[[], None]) -> None:
        self._site, self._wanted, self._reload = site, wanted, reload
        self._digest, self._next_s, self._said = served.digest, 0.0, served.notes

    def turn(self, now_s: float, now: datetime) -> list[str]:
        """Look once a minute; what is new in words. What cannot be renewed is told and the last pair stays.

        Args:
            now_s: by a monotonic clock; now: what the calendar says.
        """
        if now_s < self._next_s:
            return []
        self._next_s = now_s + CHECK_S
        try:
            served = prepare(self._site, self._wanted(), now)
        except (CommandError, OSError) as error:
            return self._tell((f"TLS goes on with the last certificate: {error}",))
        said = self._tell(served.notes)
        if served.digest != self._digest:
            self._reload()
            self._digest = served.digest
            said.insert(0, "TLS has a new certificate; connections that are open stay")
        return said

    def _tell(self, notes: tuple[str, ...]) -> list[str]:
        news = [note for note in notes if note not in self._said]
        self._said = notes
        return news


def _issue(folder: Path, site: str, names: tuple[str, ...], now: datetime, is_new: bool) -> Served:
    if now < CLOCK_LEAST and (folder / SERVER).exists() and not is_new:
        note = f"this computer's clock says {now:%Y-%m-%d}, which is years ago; set it (timedatectl set-ntp true)"
        return _served(folder, _read(folder / SERVER, folder / SERVER), folder / CA, (note,))
    _refuse_clock(now)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _authority(folder, site)
    notes: list[str] = []
    last: Pair | None = None
    with suppress(CommandError):  # none, or a damaged one, is made anew: nobody but this gateway made it
        last = _read(folder / SERVER, folder / SERVER)
    if last is not None:
        late = now - last.leaf.not_valid_after_utc
        if late > timedelta(days=certificates.SERVER_DAYS):
            notes = [f"the last certificate ended {late.days // 365} years ago; is this computer's clock right?"]
        kept = [name for name in certificates.names_of(last.leaf) if not certificates.is_address(name)]
        names = tuple(dict.fromkeys([*names, *kept]))
    if last is not None and not is_new and not certificates.is_due(last, authority, names, now):
        return _served(folder, last, folder / CA, tuple(notes))
    made = certificates.issue(authority, names, now)
    _write(folder / SERVER, made.pem(), 0o600)
    return _served(folder, made, folder / CA, tuple(notes))


def _refuse_clock(now: datetime) -> None:
    if now < CLOCK_LEAST:
        got = f"this computer's clock says {now:%Y-%m-%d}, and a certificate made now would end before today"
        raise CommandError(f"{got}; set the clock first (timedatectl set-ntp true)")


def own_authority(site: Path) -> Pair | None:
    """The site's authority, if it has one. CommandError: it is damaged."""
    certificate, key = site / FOLDER / CA, site / FOLDER / CA_KEY
    return _read(certificate, key) if certificate.exists() and key.exists() else None


def _authority(folder: Path, site: str) -> Pair:
    """The authority in `folder`, made first where there is none. Its key comes first: a crash leaves what can go on."""
    key, certificate = folder / CA_KEY, folder / CA
    if key.exists() and certificate.exists():
        return _read(certificate, key)
    if certificate.exists():
        what = "restore it from a backup, or make a new authority, which every device has to be told of"
        raise CommandError(f"{key} is missing; {what}: tinyren gateway tls renew --authority", Exit.TRUST)
    if not key.exists():
        _write(key, certificates.new_key(), 0o600)
    try:
        made = certificates.authority_of(key.read_bytes(), site)
    except CertificateError as error:
        raise CommandError(f"{key}: {error}; restore it from a backup", Exit.TRUST) from error
    _write(certificate, made.chain_pem(), 0o644)
    return made


def _copy(folder: Path, cert: Path, key: Path, names: tuple[str, ...], now: datetime) -> Served:
    pair = _read(cert, key)
    try:
        certificates.refuse_unusable(pair, now)
    except CertificateError as error:
        raise CommandError(f"tls.cert_file: {cert}: {error}", Exit.TRUST) from error
    notes = []
    days = (pair.leaf.not_valid_after_utc - now).days
    if days < certificates.SOON_DAYS:
        notes.append(f"tls.cert_file: {cert} ends in {days} days; whoever renews it should have by now")
    if not any(certificates.covers(pair.leaf, name) for name in names if not certificates.is_address(name)):
        got = ", ".join(certificates.names_of(pair.leaf)) or "no host"
        what = "which is none of this computer's names; devices must connect to that name"
        notes.append(f"tls.cert_file: {cert} is for {got}, {what}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / SERVER).exists() or (folder / SERVER).read_bytes() != pair.pem():
        _write(folder / SERVER, pair.pem(), 0o600)
    return _served(folder, pair, None, tuple(notes))


def _served(folder: Path, pair: Pair, ca: Path | None, notes: tuple[str, ...]) -> Served:
    return Served(folder / SERVER, ca, hashlib.sha256(pair.pem()).digest(), notes)


def _read(cert: Path, key: Path) -> Pair:
    try:
        return certificates.read_pair(cert.read_bytes(), key.read_bytes())
    except CertificateError as error:
        raise CommandError(f"{cert}: {error}", Exit.TRUST) from error
    except OSError as error:
        who = "let the gateway's user read it" if isinstance(error, PermissionError) else "wanted a file that is there"
        raise CommandError(f"{error.filename}: {error.strerror}; {who}", Exit.USAGE) from error


def _write(path: Path, content: bytes, mode: int) -> None:
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
