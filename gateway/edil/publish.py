"""Where goes what a data owner fitted: content in, its CID out; a folder now. It signs nothing."""

import os
from collections.abc import Callable
from pathlib import Path

from gateway.storage.cid import cid_of, encode_text

Publish = Callable[[bytes], bytes]
"""Content -> its CID (36 bytes), once others can get it by that. Raises OSError: it could not be kept."""


def publish_to(folder: Path) -> Publish:
    """Publish into a folder, each content a file of its CID's name, whole or not at all."""

    def publish(content: bytes) -> bytes:
        cid = cid_of(content)
        name = encode_text(cid)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{name}.part"
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, folder / name)
        return cid

    return publish
