"""The page of a site, put together: its routes, who may ask for it, and where; refuses strangers from elsewhere."""

import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from starlette.routing import BaseRoute

from gateway.configuration.settings import LOOPBACK
from gateway.edge.admin import open_admin
from gateway.site.options import Options
from gateway.web import sign_in
from gateway.web.app import Source, app
from gateway.web.serve import Server, serve


def open_page(
    folder: Path,
    options: Options,
    source: Source,
    routes: Sequence[BaseRoute],
    ends: ExitStack,
    say: Callable[[str], None],
    tls: tuple[str, int, ssl.SSLContext] | None = None,
) -> Server:
    """The page, answering; `ends` ends it.

    Args:
        tls: (address, port, context) where it listens by TLS besides.

    Raises:
        PortInUse: the port that it must have is taken, or the address is not this machine's.
    """
    address = options.settings["page.listen"]
    admin = open_admin(folder, tls[0] if tls and address == LOOPBACK else address, say)
    ends.callback(admin.close)
    names = [*options.settings["page.names"], urlsplit(options.settings["page.public_url"]).hostname or LOOPBACK]
    site = app(source, [*routes, *sign_in.routes(admin)], names, admin.is_signed_in)
    page = serve(site, options.page_port, options.must_have_port, address, tls)
    ends.callback(page.stop)
    say(f"page {page.url}" + ("" if address == LOOPBACK else f", and on {address} for who has the admin code"))
    if tls:
        say(f"page by TLS on {tls[0]}:{tls[1]} for who has the admin code")
    return page
