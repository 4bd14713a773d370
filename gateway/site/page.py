"""The page of a site, put together: its routes, who may ask for it, and where; refuses strangers from elsewhere."""

import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from starlette.routing import BaseRoute

from gateway.configuration.settings import LOOPBACK, split_listen
from gateway.edge.admin import open_admin
from gateway.errors import CommandError, Exit
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
        PortInUse: the port that it must have is taken, or the address is not this machine's. CommandError: a proxy is
        to ask for it, and nobody said by which name.
    """
    address, public_url = options.settings["page.listen"], options.settings["page.public_url"]
    proxy = options.settings["page.proxy_listen"]
    if proxy and not public_url:
        what = "name the address that people type, as page.public_url"
        raise CommandError(f"page.proxy_listen: got one without page.public_url; {what}", Exit.USAGE)
    admin = open_admin(folder, bool(tls or public_url) or address != LOOPBACK, say)
    ends.callback(admin.close)
    names = options.settings["page.names"]
    site = app(source, [*routes, *sign_in.routes(admin)], names, admin.is_signed_in, public_url)
    places = tls, split_listen(proxy) if proxy else None
    page = serve(site, options.page_port, options.must_have_port, address, *places)
    ends.callback(page.stop)
    say(f"page {page.url}" + ("" if address == LOOPBACK else f", and on {address} for who has the admin code"))
    if tls:
        say(f"page by TLS on {tls[0]}:{tls[1]} for who has the admin code")
    if proxy:
        say(f"page at {public_url} for who has the admin code, by a proxy that asks at {proxy}")
    return page
