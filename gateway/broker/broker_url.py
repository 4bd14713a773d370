"""Where another broker than the site's own is, and as whom to enter it; refuses to write a password where it is seen.

    mqtt://[USER[:PASSWORD]@]HOST[:PORT],HOST[:PORT]...    servers of one cluster, tried in this order; mqtts:// for TLS

A site keeps the address without the password in site.toml, and the password in SITE/broker, mode 0600, for its oracles.
The broker is asked, before anything is made, whether it takes the gateway's account and clients without one, which
emulated boards are.
"""

import os
import secrets
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from gateway.errors import CommandError, Exit
from gateway.site import site_file
from gateway.site.site_file import Site

PORTS = {"mqtt": 1883, "mqtts": 8883}
WAIT_S = 5.0
ACCOUNT_MAX = 1000
PASSWORD = "remote.password"
_WANTED = "wanted mqtt://USER@HOST:PORT,HOST:PORT or mqtts://..."
_REFUSED = {4: "user or password are wrong", 5: "it is not allowed"}
Account = tuple[str, str]
Place = tuple[str, int]


@dataclass(frozen=True)
class Remote:
    """A broker, or the servers of a cluster. `ca`: who signed their certificates; None: whom the system trusts."""

    places: tuple[Place, ...]
    is_tls: bool = False
    ca: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def account(self) -> Account:
        return self.user, self.password

    @property
    def url(self) -> str:
        """The address without the password."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.places)
        return f"mqtt{'s' if self.is_tls else ''}://{user}{hosts}"

    def context(self) -> ssl.SSLContext | None:
        """What TLS is made with, or None. CommandError: `ca` holds no certificates."""
        if not self.is_tls:
            return None
        try:
            return ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        except OSError as error:
            raise CommandError(f"--mqtt-ca: {self.ca}: {error}; wanted certificates, PEM", Exit.USAGE) from error


def parse_url(url: str, ca: Path | None = None, password: Path | None = None) -> Remote:
    """The broker of an address; `password` names a file that holds it.

    Raises:
        CommandError: another form, or what does not fit together; a password is never told.
    """
    scheme, _, rest = url.partition("://")
    account, at, hosts = rest.rstrip("/").rpartition("@")
    user, colon, secret = account.partition(":")
    if scheme not in PORTS or not hosts or at and not user:
        raise CommandError(f"--mqtt: got {scheme}://{hosts if at else '...'}, {_WANTED}", Exit.USAGE)
    if ca and scheme != "mqtts":
        raise CommandError("--mqtt-ca: got one with mqtt://, wanted mqtts://", Exit.USAGE)
    if password:
        if colon or not user:
            raise CommandError("--mqtt-password: wanted a user, and no password, in the address", Exit.USAGE)
        secret = quote(password.read_text().strip(), safe="")
    user, secret = unquote(user), unquote(secret)
    if len(user) > ACCOUNT_MAX or len(secret) > ACCOUNT_MAX:
        raise CommandError(f"--mqtt: got a user or password of over {ACCOUNT_MAX} characters", Exit.USAGE)
    places = tuple(_place(text, PORTS[scheme]) for text in hosts.split(","))
    return Remote(places, scheme == "mqtts", ca, user, secret)


def _place(text: str, port: int) -> Place:
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and not parts.path and not parts.query and not parts.fragment:
            return parts.hostname, parts.port or port
    except ValueError:
        pass
    raise CommandError(f"--mqtt: got server {text!r}, {_WANTED}", Exit.USAGE)


def keep(folder: Path, site: Site, remote: Remote | None) -> None:
    """Note for the site's other processes where the broker is; None: it is the site's own."""
    path = folder / "broker" / PASSWORD
    site.broker_url = remote.url if remote else ""
    site.broker_ca = str(remote.ca.absolute()) if remote and remote.ca else ""
    path.unlink(missing_ok=True)
    if remote is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(remote.password)


def find(folder: Path, name: str) -> tuple[int | Remote, Account]:
    """Where the broker of a running site is, and the account there of the site's process `name`."""
    site = site_file.read(folder)
    if site is None:
        raise CommandError(f"{folder / site_file.NAME} is missing; wanted the folder of a site", Exit.USAGE)
    if not site.broker_url:
        return site.broker_port, (name, (folder / "broker" / f"{name}.password").read_text())
    remote = parse_url(site.broker_url, Path(site.broker_ca) if site.broker_ca else None)
    remote = replace(remote, password=(folder / "broker" / PASSWORD).read_text())
    return remote, remote.account


def check(remote: Remote) -> None:
    """Ask the first server that answers whether it takes the gateway, and boards.

    Raises:
        CommandError: none answers, its certificate is not good, or it refuses one of them.
    """
    context, said = remote.context(), []
    for host, port in remote.places:
        try:
            code = ask((host, port), context, remote.account)
            board = ask((host, port), context, ("", ""))
        except ssl.SSLCertVerificationError as error:
            got = f"{host}:{port}: its certificate is not good: {error.verify_message}"
            raise CommandError(f"{got}; name who signed it by --mqtt-ca", Exit.TRUST) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that no name service can be asked for
            said.append(f"{host}:{port}: {error}")
            continue
        if code:
            who = f"the account {remote.user!r}" if remote.user else "a client without an account"
            raise CommandError(f"{host}:{port} refuses {who}: {_REFUSED.get(code, f'code {code}')}", Exit.REFUSED)
        if board:
            what = "refuses clients without an account, and emulated boards have none"
            raise CommandError(f"{host}:{port} {what}; let it take them, for tinyren/# alone", Exit.REFUSED)
        return
    raise CommandError(f"no broker answers: {'; '.join(said)}", Exit.TIMEOUT)


def forget(place: int | Remote, account: Account, client: str) -> None:
    """Have the broker end the session that it keeps for a client, if it answers."""
    remote = Remote((("127.0.0.1", place),)) if isinstance(place, int) else place
    for one in remote.places:
        with suppress(OSError):
            ask(one, remote.context(), account, client)
            return


def ask(place: Place, context: ssl.SSLContext | None, account: Account, client: str = "") -> int:
    """The code with which an MQTT 3.1.1 broker answers an account ("" for none) that connects; 0: it takes it.

    Args:
        client: as whom, with no session before or after; "": as a stranger.
    Raises:
        OSError: it does not answer, or not as a broker does.
    """
    flags = 0x02 | (0x80 if account[0] else 0) | (0x40 if account[0] and account[1] else 0)
    given = account[: 2 if flags & 0x40 else 1 if flags & 0x80 else 0]
    texts = [client or "tinyren-" + secrets.token_hex(4), *given]
    strings = b"".join(len(text.encode()).to_bytes(2, "big") + text.encode() for text in texts)
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x0a" + strings
    size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    with socket.create_connection(place, timeout=WAIT_S) as plain:
        link = context.wrap_socket(plain, server_hostname=place[0]) if context else plain
        with link:
            link.sendall(b"\x10" + size + body)
            answer = b""
            while len(answer) < 4 and (more := link.recv(4 - len(answer))):
                answer += more
    if len(answer) != 4 or answer[:2] != b"\x20\x02":
        raise OSError(f"it answers {answer.hex() or 'nothing'}, wanted an MQTT 3.1.1 CONNACK")
    return answer[3]
