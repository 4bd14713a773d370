"""Who may ask the page's server for something: refuses other hosts' names, other origins, and strangers from elsewhere.

Rules:
1. Host, said once, must be this server's own: loopback, the address that was connected to, or a name that the operator
   gave. So a foreign web page cannot reach it under a name of its own (DNS rebinding). Who comes from elsewhere may say
   that of the public URL too; who comes by a reverse proxy, at the place that is for it (`passed_on`), that alone.
2. Origin, if there is one, must be this server's too; of who asks at the public URL, that URL's.
3. Programs of this machine need no session: both ends are loopback, Host says so, and nothing says that a proxy passed
   it on. All others need one (gateway/edge/admin.py), but to sign in and for static files, which tell nothing of the
   site. What a proxy adds to a request is never believed, so whoever forges it gains nothing.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "tinyren"
LOCAL = ("127.0.0.1", "localhost", "[::1]")
SIGN_IN, STATIC = "/admin", "/static/"
FORWARDED = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
    "x-forwarded-server", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip",
)  # fmt: skip
PASSED_ON = "tinyren.passed_on"
PROXYS = "1.0"  # nginx's version of HTTP unless told otherwise; programs of today ask by 1.1
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
        public_url: https://HOST or https://HOST:PORT, where others find this server; empty: nowhere.
    """

    def __init__(
        self,
        app: ASGIApp,
        names: Sequence[str] = (),
        is_signed_in: Callable[[str], bool] = lambda _: False,
        public_url: str = "",
    ) -> None:
        self._app, self._is_signed_in = app, is_signed_in
        host, public = socket.gethostname().lower(), urlsplit(public_url.lower())
        self._names = {*LOCAL, host, f"{host}.local", *(name.lower() for name in names), public.hostname or host}
        self._public_scheme = public.scheme
        self._public = _hosts([public.hostname], public.scheme, public.port) if public.hostname else set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_public = self._is_public(scope, headers)
        if is_public:
            scope = {**scope, "scheme": self._public_scheme}

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                other = KEPT if scope["path"].startswith(STATIC) else STYLED if scope["path"] == FLASH else {}
                MutableHeaders(scope=message).update(SECURITY_HEADERS | other)
            await send(message)

        await (self._refusal(scope, headers, is_public) or self._app)(scope, receive, send_guarded)

    def _is_public(self, scope: Scope, headers: Headers) -> bool:
        """Whether it is asked for at the public URL, by who may."""
        if scope.get(PASSED_ON):
            return True
        host, client = headers.get("host", "").lower(), (scope.get("client") or ("",))[0]
        return host in self._public and host not in self._own(scope) and not _is_loopback(client)

    def _own(self, scope: Scope) -> set[str]:
        """What Host may say to who reached this server itself."""
        address, port = scope.get("server") or ("", 80)
        return _hosts(self._names | {f"[{address}]" if ":" in address else address}, scope["scheme"], port)

    def _refusal(self, scope: Scope, headers: Headers, is_public: bool) -> ASGIApp | None:
        hosts = self._public if is_public else self._own(scope)
        named = [host.lower() for host in headers.getlist("host")]
        if len(named) != 1 or named[0] not in hosts:
            port = (scope.get("server") or ("", 80))[1]
            own = f"127.0.0.1:{port} or localhost:{port}, and to names in page.names"
            said = f"This page answers as {', '.join(sorted(self._public)) if is_public else own} only.\n"
            return PlainTextResponse(f"{said}For a reverse proxy, see docs/proxy.md.\n", 421)
        if headers.get("origin") not in (None, *(f"{scope['scheme']}://{host}" for host in hosts)):
            return PlainTextResponse("Requests from other origins are refused.\n", 403)
        is_open = scope["path"] == SIGN_IN or scope["path"].startswith(STATIC)
        is_near = not is_public and is_local(scope, headers)
        if is_open or is_near or self._is_signed_in(_token(headers)):
            return None
        if "text/html" in headers.get("accept", ""):
            return RedirectResponse(f"{SIGN_IN}?to={quote(scope['path'])}", 303)
        return JSONResponse({"error": "session", "message": "sign in at /admin with the admin code first"}, 401)


def passed_on(app: ASGIApp) -> ASGIApp:
    """An app as reverse proxies ask for it: who comes this way is from elsewhere, whatever the request says."""

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, PASSED_ON: True}, receive, send)

    return ask


def is_local(scope: Scope, headers: Headers) -> bool:
    """Whether a program of this machine asks, for itself."""
    ends = [end[0] for end in (scope.get("client"), scope.get("server")) if end]
    name = headers.get("host", "").lower().rpartition(":")[0] or headers.get("host", "").lower()
    is_near = len(ends) == 2 and all(map(_is_loopback, ends)) and scope.get("http_version") != PROXYS
    return is_near and name in LOCAL and not any(field in headers for field in FORWARDED)


def _hosts(names: Iterable[str], scheme: str, port: int | None) -> set[str]:
    """What Host says of servers of these names: with the port, and without where it is the scheme's own."""
    usual = PORTS.get(scheme)
    plain = set(names) if port in (None, usual) else set()
    return {f"{name}:{port or usual}" for name in names} | plain


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _token(headers: Headers) -> str:
    """The session's token; http.cookies takes minutes to read what a stranger can send (CVE-2024-7592)."""
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
