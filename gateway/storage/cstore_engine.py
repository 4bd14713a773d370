"""What CSTORE asks of an engine: to keep signed frames under names, in one order. It neither reads nor judges them.

Every engine promises:
1. `write` returns when the frame is durable, and only if the newest entry of the name was the one named by `replaces`.
2. Sequences rise with each write of the store and are never used again, nor is an entry lost whose write returned.
3. Its clock counts for acceptance: nobody who writes can set it, and to one process it never goes back.
"""

from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """A frame as kept: its sequence in the store, and when it was accepted by the engine's clock."""

    sequence: int
    stored_ms: int
    frame: bytes


class Engine(Protocol):
    """SqliteEngine (embedded) and NatsEngine (cluster)."""

    def entries(self, bucket: str, name: str, after: int = 0) -> list[Entry]:
        """What is kept of a name behind a sequence, oldest first: the newest entry, and as many before as it keeps.

        The frame of an entry that did not come first, against promise 1, is empty.

        Raises:
            Unavailable, StoreDamaged
        """

    def write(self, bucket: str, name: str, frame: bytes, replaces: int, stored_ms: int | None = None) -> Entry:
        """Keep a frame in place of the entry of sequence `replaces` (0: of none). The same frame twice is kept once.

        Args:
            stored_ms: when it was accepted elsewhere (restoring); None: now. It cannot be later than now.
        Raises:
            Conflict: the newest entry is another.
            Unavailable: it may be kept or not; repeating is safe.
            StoreFull, StoreDamaged: nothing is kept.
        """

    def names(self, bucket: str, prefix: str, after: str, limit: int) -> list[str]:
        """The first `limit` names of a bucket that begin with `prefix` and come after `after`, in bytewise order."""

    def changes(self, bucket: str, since: int, wait_s: float) -> list[tuple[int, str]]:
        """(sequence, name) of entries behind a sequence, in order; waits for the first, [] when none came in time."""

    def now_ms(self) -> int:
        """The engine's clock, milliseconds since 1970."""

    def notes(self) -> list[str]:
        """What an operator must know of its durability, a sentence each; none where it holds what is promised."""

    def close(self) -> None:
        """Let go of it."""
