"""What an oracle saw gateways commit to, and how far the chain was then; kept on its disk, and judged elsewhere.

A line is {"block", "payload"}; one that a crash tore, or that somebody altered, is passed over: at worst a window
counts for nobody. A gateway that lies fills no disk: of each at most MAX_BYTES are kept, of MAX_EPOCHS.
"""

import json
from pathlib import Path

from gateway.oracle import messages
from gateway.oracle.commitments import Seen
from gateway.oracle.messages import Site
from gateway.oracle.statements import Commitment, Said

MAX_BYTES = 64 << 20
MAX_EPOCHS = 512


class Witness:
    """The commitments of the epochs that are not settled, in a folder of the oracle's."""

    def __init__(self, folder: Path, site: Site) -> None:
        self._folder, self._site = folder, site
        self._settled = 0

    def note(self, said: Said, block: int) -> None:
        """A gateway's commitment came while `block` was the newest; survives kill -9. Of no epoch far from the settled.

        Raises:
            OSError: it cannot be written.
        """
        if not isinstance(said.message, Commitment):
            return
        if not self._settled < said.message.epoch <= self._settled + MAX_EPOCHS:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = sum(path.stat().st_size for path in self._folder.glob(f"epoch-*-0x{said.sender.hex()}.jsonl"))
        if kept < MAX_BYTES:
            with self._path(said.sender, said.message.epoch).open("a") as file:
                file.write(json.dumps({"block": block, "payload": said.payload.decode()}) + "\n")

    def seen(self, gateway: bytes, epoch: int) -> list[Seen]:
        """What this gateway committed to in an epoch."""
        path = self._path(gateway, epoch)
        found = [self._read(line, gateway, epoch) for line in path.read_bytes().splitlines()] if path.exists() else []
        return [seen for seen in found if seen]

    def forget(self, settled: int) -> None:
        """Epochs up to the settled one are over."""
        self._settled = settled
        for path in self._folder.glob("epoch-*-0x*.jsonl"):
            if int(path.name.split("-")[1]) <= settled:
                path.unlink()

    def _path(self, gateway: bytes, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch}-0x{gateway.hex()}.jsonl"

    def _read(self, line: bytes, gateway: bytes, epoch: int) -> Seen | None:
        try:
            fields = json.loads(line)
            said = messages.open_sealed(fields["payload"].encode(), self._site, may_hold=False)
            block = int(fields["block"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if said.sender != gateway or not isinstance(said.message, Commitment) or said.message.epoch != epoch:
            return None
        return Seen(said.message, block)
