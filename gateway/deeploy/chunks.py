"""Artifacts to devices in chunks, out of R1FS; a device gets those of manifests that were sent to it, and no others."""

from collections import OrderedDict

from device.agent import suit
from device.agent.errors import WireError
from gateway.deeploy.observed import Rejected
from gateway.storage.r1fs import R1FS

CHUNK_BYTES = 480
CACHE_BYTES = 4 << 20
GRANTS_MAX = 4


class Chunks:
    """Used under the service's lock."""

    def __init__(self, r1fs: R1FS) -> None:
        self._r1fs = r1fs
        self._grants: dict[bytes, OrderedDict[bytes, str]] = {}
        self._cache: OrderedDict[str, bytes] = OrderedDict()

    def grant(self, device: bytes, digest: bytes, artifact: str) -> None:
        """The manifest of this artifact (CID) is sent to a device. Of one that was sent many, the newest count."""
        grants = self._grants.setdefault(device, OrderedDict())
        grants[digest[:8]] = artifact
        grants.move_to_end(digest[:8])
        while len(grants) > GRANTS_MAX:
            grants.popitem(last=False)

    def answer(self, device: bytes, want: bytes) -> list[bytes]:
        """The `chunk` messages that answer a `want`.

        Raises:
            Rejected: no `want`, an artifact that it was not told of, or an offset behind its end.
            StoreError: R1FS has it no more.
        """
        try:
            digest, offset, count = suit.decode_want(want)
        except WireError as error:
            raise Rejected(error.reason) from None
        artifact = self._grants.get(device, {}).get(digest)
        if artifact is None:
            raise Rejected("not_granted")
        content = self._read(artifact)
        if offset >= len(content):
            raise Rejected("malformed")
        places = range(offset, min(offset + count * CHUNK_BYTES, len(content)), CHUNK_BYTES)
        return [suit.encode_chunk(digest, at, content[at : at + CHUNK_BYTES]) for at in places]

    def _read(self, artifact: str) -> bytes:
        content = self._cache.get(artifact)
        if content is None:
            content = self._cache[artifact] = self._r1fs.block(artifact)
            while len(self._cache) > 1 and sum(map(len, self._cache.values())) > CACHE_BYTES:
                self._cache.popitem(last=False)
        self._cache.move_to_end(artifact)
        return content
