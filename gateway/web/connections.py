"""One connection of the page's server, as uvicorn has it, of which there are only so many; it reads no request.

The page shares its process with what hears the devices, so who opens connections and says nothing must not take the
files that the site needs. Where there are too many, one that waits for its visitor is ended for the one who comes.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 256


class Connection(H11Protocol):
    """Beyond MOST of a server, one that is not answering just now is ended; where all are, the new one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST:
            others = (one for one in self.connections if isinstance(one, Connection) and one is not self)
            ended = next((one for one in others if not one.is_answering()), self)
            ended.transport.abort()
            self.connections.discard(ended)  # at once: many may come before it is called back

    def is_answering(self) -> bool:
        """Whether a request has come wholly and its answer has not gone yet."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
