"""Whether the places are free at which broker and page are to listen for the local network; keeps none of them."""

import errno
import socket
from collections.abc import Mapping
from typing import Any

from gateway.configuration.settings import split_listen
from gateway.errors import CommandError, Exit

PLACES = ("broker.listen", "tls.listen", "page.tls_listen", "page.proxy_listen")


def bind_error(address: str, port: int) -> OSError | None:
    """Why nothing could listen there now, or None."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error
    return None


def refuse_taken(values: Mapping[str, Any]) -> None:
    """Raises CommandError: another program has one of the places, or there is no such address, or no broker of ours."""
    if values["broker.url"] and values["broker.listen"]:
        what = "that broker listens where it does; leave broker.listen out"
        raise CommandError(f"broker.listen: got one with broker.url; {what}", Exit.USAGE)
    for name in PLACES:
        if not values[name]:
            continue
        error = bind_error(*split_listen(values[name]))
        if error is not None:
            advice = "stop the program that has it, or choose another port"
            if error.errno == errno.EADDRNOTAVAIL:
                advice = "this machine has no such address; 0.0.0.0 means all that it has"
            raise CommandError(f"{name} {values[name]}: {error.strerror}; {advice}", Exit.PORT)
