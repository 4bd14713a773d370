"""Tells open pages that something changed, and shares one snapshot among them; refuses more than MAX_CLIENTS of them.

A page asks for its own address again when it is told, so that what it shows is what a reload would show.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from anyio import to_thread

MAX_CLIENTS = 32
KEEPALIVE_S = 15.0
POLL_S = 1.0
LEAST_INTERVAL_S = 1.0


class Feed:
    """The newest snapshot of a source, and its news for open pages.

    Attributes:
        number: how many changes were told; clients: pages that listen; closed: every stream ends.
    """

    def __init__(self, take: Callable[[], Mapping[str, Any]], changed: Callable[[int, float], int]) -> None:
        """`take` and `changed` are Source.snapshot and Source.changed (app.py)."""
        self._take, self._changed, self._taking = take, changed, threading.Lock()
        self._condition = asyncio.Condition()
        self._version, self._snapshot = -1, dict[str, Any]()
        self.number, self.clients, self.closed = 0, 0, False

    def snapshot(self) -> Mapping[str, Any]:
        """The source's, taken once a version, whoever asks."""
        version = self._changed(-1, 0.0)
        with self._taking:
            if version != self._version:
                self._snapshot = dict(self._take())
                self._version = version
            return self._snapshot

    async def watch(self) -> None:
        """Tell of each change until cancelled. Should the source fail, every stream ends and pages say so."""
        version, told = -1, None
        try:
            while True:
                newest = await to_thread.run_sync(self._changed, version, POLL_S, abandon_on_cancel=True)
                if newest != version and self.clients:
                    snapshot = await to_thread.run_sync(self.snapshot)
                    if snapshot != told:
                        told = snapshot
                        await self._tell()
                version = newest
                await asyncio.sleep(LEAST_INTERVAL_S)
        finally:
            await self.close()

    async def _tell(self) -> None:
        async with self._condition:
            self.number += 1
            self._condition.notify_all()

    async def close(self) -> None:
        """End every stream, so that the server can stop."""
        async with self._condition:
            self.closed = True
            self._condition.notify_all()

    async def events(self, seen: int) -> AsyncIterator[bytes]:
        """Server-sent events for a page that has seen change `seen`: `news` with the time, or a comment meanwhile."""
        if self.clients >= MAX_CLIENTS:
            return
        self.clients += 1
        try:
            yield b": hello\n\n"
            while not self.closed:
                if seen != self.number:
                    seen = self.number
                    yield b"event: news\ndata: %d\n\n" % (time.time_ns() // 1_000_000)
                elif not await self._is_news(seen):
                    yield b": still here\n\n"
        finally:
            self.clients -= 1

    async def _is_news(self, seen: int) -> bool:
        """Wait for a change after `seen` or the end; False when neither comes in time."""
        try:
            async with asyncio.timeout(KEEPALIVE_S), self._condition:
                await self._condition.wait_for(lambda: self.closed or self.number != seen)
        except TimeoutError:
            return False
        return True
