"""A port on loopback that leads to a broker elsewhere, for emulated boards; it looks at no byte that it passes on.

QEMU plugs a board's UART into one TCP address. Behind this one stand all servers of a cluster, the first that answers,
over TLS where the address says so. When a link breaks both of its ends are closed, and QEMU connects again.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from gateway.broker.broker_url import WAIT_S, Remote
from gateway.web.serve import listen

PIECE_BYTES = 16 * 1024
MAX_LINKS = 256
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Listens until `stop`; `port` is where."""

    def __init__(self, remote: Remote) -> None:
        self._places, self._context = remote.places, remote.context()
        (self._listener,) = listen(0)
        self.port = int(self._listener.getsockname()[1])
        self._links = 0
        self._loop, self._ending = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every link."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # at its end it cancels what still runs
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with await asyncio.start_server(self._join, sock=self._listener):
            await self._ending.wait()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One link, until either end closes it."""
        self._links += 1
        try:
            with contextlib.closing(writer):
                if self._links > MAX_LINKS or (there := await self._connect()) is None:
                    return
                with contextlib.closing(there[1]):
                    await _first(_pass_on(reader, there[1]), _pass_on(there[0], writer))
        finally:
            self._links -= 1

    async def _connect(self) -> Streams | None:
        """The first server that answers, or None."""
        for host, port in self._places:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    return await asyncio.open_connection(host, port, ssl=self._context)
        return None


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
