"""Who may ask the page's server for something: refuses other hosts' names, other origins, and strangers from elsewhere.

Rules:
1. Host must be this server's own: loopback, the address that was connected to, or a name that the operator gave. So a
   foreign web page cannot reach it under a name of its own (DNS rebinding).
2. Origin, if there is one, must be this server's too.
3. Programs of this machine need no session: both ends are loopback, Host says so, and no proxy passed it on. All others
   need one (gateway/edge/admin.py), but to sign in and for static files, which tell nothing of the site.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "tinyren"
LOCAL = ("127.0.0.1", "localhost", "[::1]")
SIGN_IN, STATIC = "/admin", "/static/"
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
PORTS = {"http": 80, "https": 443}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
KEPT = {"Cache-Control": "no-cache"}  # of static files: a browser keeps them and asks by their ETag
FLASH = "/flash"
STYLED = {"Content-Security-Policy": f"{POLICY}; style-src-attr 'unsafe-inline'"}  # as ESP Web Tools' dialogs have them


class Guard:
    """Middleware.

    Args:
        names: host names of this server besides its addresses.
        is_signed_in: whether a session of this token stands; by default nobody's does.
    """

    def __init__(
        self, app: ASGIApp, names: Sequence[str] = (), is_signed_in: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._app, self._is_signed_in = app, is_signed_in
        host = socket.gethostname().lower()
        self._names = {*LOCAL, host, f"{host}.local", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                other = KEPT if scope["path"].startswith(STATIC) else STYLED if scope["path"] == FLASH else {}
                MutableHeaders(scope=message).update(SECURITY_HEADERS | other)
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers, (address, port) = Headers(scope=scope), scope.get("server") or ("", 80)
        names = self._names | {f"[{address}]" if ":" in address else address}
        own = {f"{name}:{port}" for name in names} | (names if port == PORTS.get(scope["scheme"]) else set())
        if headers.get("host", "").lower() not in own:
            said = f"This page answers as 127.0.0.1:{port} or localhost:{port} only, and to names in page.names.\n"
            return PlainTextResponse(said, 421)
        if headers.get("origin") not in (None, *(f"{scope['scheme']}://{name}" for name in own)):
            return PlainTextResponse("Requests from other origins are refused.\n", 403)
        is_open = scope["path"] == SIGN_IN or scope["path"].startswith(STATIC)
        if is_open or is_local(scope, headers) or self._is_signed_in(_token(headers)):
            return None
        if "text/html" in headers.get("accept", ""):
            asked = f"?to={quote(scope['path'])}" if scope["path"] != "/" else ""
            return RedirectResponse(SIGN_IN + asked, 303)
        return JSONResponse({"error": "session", "message": "sign in at /admin with the admin code first"}, 401)


def is_local(scope: Scope, headers: Headers) -> bool:
    """Whether a program of this machine asks, for itself."""
    ends = [end[0] for end in (scope.get("client"), scope.get("server")) if end]
    name = headers.get("host", "").lower().rpartition(":")[0] or headers.get("host", "").lower()
    is_near = len(ends) == 2 and all(map(_is_loopback, ends))
    return is_near and name in LOCAL and not any(field in headers for field in FORWARDED)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _token(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
