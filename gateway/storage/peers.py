"""Another gateway as a peer, read over HTTP; believes nothing, not even a length.

The trustless gateway's two forms (specs.ipfs.tech/http-gateways/trustless-gateway): GET /ipfs/CID?format=raw gives one
block, ?format=car a CAR v1 of all that is below, depth first. The caller compares each block with its name.
"""

import http.client
import threading
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from gateway.storage.cid import MAX_BLOCK_BYTES, encode_text
from gateway.storage.errors import Refused, StoreError

TIMEOUT_S = 20.0
WANTED = "http://HOST:PORT or https://HOST:PORT"
RAW_TYPE = "application/vnd.ipld.raw"
CAR_TYPE = "application/vnd.ipld.car"
T = TypeVar("T")


class HttpPeer:
    """One peer by its URL; keeps a connection for each thread."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        """Refused: no URL of http or https with a host."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")  # as the socket will
        except ValueError:
            raise Refused(f"peer: got {url!r}, wanted {WANTED}") from None
        is_text = url.isascii() and url.isprintable() and " " not in url
        if not is_text or parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise Refused(f"peer: got {url!r}, wanted {WANTED}")
        kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
        if parts.scheme == "https":
            kind = http.client.HTTPSConnection
        self._url, self._path = url, parts.path.rstrip("/")
        self._connect: Callable[[], http.client.HTTPConnection] = lambda: kind(host, port, timeout=timeout_s)
        self._kept = threading.local()

    def __str__(self) -> str:
        return self._url

    def block(self, cid: bytes) -> bytes | None:
        """The bytes that the peer says a block has, at most one more than any may have; None: it has it not."""

        def ask(connection: http.client.HTTPConnection) -> bytes | None:
            connection.request("GET", self._name(cid, "raw"), headers={"Accept": RAW_TYPE})
            response = connection.getresponse()
            data = response.read(MAX_BLOCK_BYTES + 1)
            if not response.isclosed():  # more than a block, or a body that goes on: not to be used again
                connection.close()
            return data if response.status == 200 else None

        return self._told(ask)

    def car(self, cid: bytes) -> "Body":
        """The body of a CAR, on a connection of its own that the caller closes."""
        connection = self._connect()
        try:
            connection.request("GET", self._name(cid, "car"), headers={"Accept": CAR_TYPE, "Connection": "close"})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise StoreError(f"{self._url}: {error or type(error).__name__}") from error
        if response.status != 200:
            response.close()
            raise StoreError(f"{self._url}: answered {response.status}")
        return Body(self._url, response)

    def _name(self, cid: bytes, form: str) -> str:
        return f"{self._path}/ipfs/{encode_text(cid)}?format={form}"

    def _told(self, ask: Callable[[http.client.HTTPConnection], T]) -> T:
        """What a peer answers; a connection that it has closed meanwhile is made anew, once."""
        for is_last in (False, True):
            connection = getattr(self._kept, "connection", None) or self._connect()
            self._kept.connection = connection
            try:
                return ask(connection)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if is_last or isinstance(error, TimeoutError):
                    raise StoreError(f"{self._url}: {error or type(error).__name__}") from error
        raise AssertionError("unreachable")


class Body:
    """What a peer sends; StoreError where it breaks off."""

    def __init__(self, url: str, response: http.client.HTTPResponse) -> None:
        self._url, self._response = url, response

    def read(self, size: int, /) -> bytes:
        try:
            return self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(f"{self._url}: {error or type(error).__name__}") from error

    def close(self) -> None:
        self._response.close()
