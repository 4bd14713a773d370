"""Where a NATS cluster is and how to enter it; refuses a password on the command line. Knows no NATS library."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from gateway.storage.cstore_record import Refused

WAIT_S = 20.0


class Login(NamedTuple):
    """User and password, or a .creds file, or none of them."""

    user: str | None = None
    password: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class NatsOptions:
    """Where the cluster is and how to enter it.

    `credentials` holds user and password, a line each, or is a NATS .creds file. `sync_always` is the operator's word:
    no client can see it.
    """

    servers: tuple[str, ...]
    name: str = "tinyren"
    replicas: int = 3
    sync_always: bool = False
    credentials: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    wait_s: float = WAIT_S


def parse_url(url: str) -> NatsOptions:
    """Options of nats://HOST:PORT,.../NAME?replicas=3&sync=always (tls:// for TLS); name and query may be left out.

    Raises:
        Refused: another form, or a password in it (it would be seen in the list of processes).
    """
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    sync, replicas = query.pop("sync", ""), query.pop("replicas", "3")
    name = parts.path.strip("/") or NatsOptions.name
    hosts = [host for host in parts.netloc.split(",") if host]
    if parts.scheme not in ("nats", "tls") or not hosts or query or sync not in ("", "always"):
        raise Refused("cstore: wanted nats://HOST:PORT,.../NAME?replicas=N&sync=always or tls://...")
    if "@" in parts.netloc:
        raise Refused("cstore: got a user in the address, wanted a file of user and password")
    if not name.isascii() or not name.replace("-", "").isalnum() or replicas not in ("1", "3", "5"):
        raise Refused(f"cstore: got name {name!r} and {replicas} replicas, wanted a-z, 0-9, - and 1, 3 or 5")
    servers = tuple(f"{parts.scheme}://{host}" for host in hosts)
    return NatsOptions(servers, name, int(replicas), sync == "always")


def login(options: NatsOptions) -> Login:
    """What is in the credentials file. Raises Refused where that is something else."""
    if options.credentials is None:
        return Login()
    text = options.credentials.read_text(errors="replace")
    if text.startswith("-----BEGIN NATS USER JWT"):
        return Login(file=str(options.credentials))
    lines = text.splitlines()
    if len(lines) != 2:
        raise Refused(f"{options.credentials}: got {len(lines)} lines, wanted user and password, or a .creds file")
    return Login(*lines)


def tls_context(options: NatsOptions) -> ssl.SSLContext | None:
    """TLS as the options want it, None for none. Raises Refused where a file is no certificate or key."""
    if not (options.ca or options.certificate or options.servers[0].startswith("tls")):
        return None
    try:
        context = ssl.create_default_context(cafile=options.ca)
        if options.certificate:
            context.load_cert_chain(options.certificate, options.key)
    except ssl.SSLError as error:
        raise Refused(f"tls: got files that are no certificate and key ({error.reason}), wanted PEM") from None
    return context
