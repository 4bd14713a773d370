"""What an oracle saw gateways commit to, and how far the chain was then; kept on its disk, and judged elsewhere.

A line is {"block", "payload"}; one that a crash tore, or that somebody altered, is passed over: at worst a window
counts for nobody.
"""

import json
from pathlib import Path

from gateway.oracle import messages
from gateway.oracle.commitments import Seen
from gateway.oracle.messages import Site
from gateway.oracle.statements import Commitment, Said
from gateway.ratio1 import MessageRefused

MAX_BYTES = 64 << 20


class Witness:
    """The commitments of the epochs that are not settled, in a folder of the oracle's."""

    def __init__(self, folder: Path, site: Site) -> None:
        self._folder, self._site = folder, site

    def note(self, said: Said, block: int) -> None:
        """A gateway's commitment came while `block` was the newest; survives kill -9.

        Raises:
            OSError: it cannot be written.
        """
        if not isinstance(said.message, Commitment):
            return
        path = self._path(said.sender, said.message.epoch)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.stat().st_size < MAX_BYTES:
            with path.open("a") as file:
                file.write(json.dumps({"block": block, "payload": said.payload.decode()}) + "\n")

    def seen(self, gateway: bytes, epoch: int) -> list[Seen]:
        """What this gateway committed to in an epoch."""
        path = self._path(gateway, epoch)
        found = [self._read(line, gateway, epoch) for line in path.read_text().splitlines()] if path.exists() else []
        return [seen for seen in found if seen]

    def forget(self, settled: int) -> None:
        """Epochs up to the settled one are over."""
        for path in self._folder.glob("epoch-*-0x*.jsonl"):
            if int(path.name.split("-")[1]) <= settled:
                path.unlink()

    def _path(self, gateway: bytes, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch}-0x{gateway.hex()}.jsonl"

    def _read(self, line: str, gateway: bytes, epoch: int) -> Seen | None:
        try:
            fields = json.loads(line)
            said = messages.open_sealed(fields["payload"].encode(), self._site, may_hold=False)
            block = int(fields["block"])
        except (ValueError, KeyError, TypeError, AttributeError, MessageRefused):
            return None
        if said.sender != gateway or not isinstance(said.message, Commitment) or said.message.epoch != epoch:
            return None
        return Seen(said.message, block)
