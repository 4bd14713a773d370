"""Streams as iterables of bytes: read them in other sizes, or ahead in a thread; holds no more than it is asked for."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

AHEAD = 8


class Chunks:
    """Chunks of any size as a stream of the sizes that are asked for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._rest, self._at = iter(chunks), b"", 0

    def read(self, size: int, /) -> bytes:
        """`size` bytes, fewer only at the end."""
        end = self._at + size
        if end > len(self._rest):
            parts, have = [self._rest[self._at :]], len(self._rest) - self._at
            while have < size and (chunk := next(self._chunks, None)) is not None:
                parts.append(chunk)
                have += len(chunk)
            self._rest = parts[-1] if len(parts[-1]) == have else b"".join(parts)
            self._at, end = 0, min(size, have)
        data, self._at = self._rest[self._at : end], end
        return data


def ahead(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks, the next AHEAD of them made by another thread meanwhile."""
    source = iter(chunks)
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(next, source, None) for _ in range(AHEAD)]
        while (chunk := coming.pop(0).result()) is not None:
            coming.append(pool.submit(next, source, None))
            yield chunk
