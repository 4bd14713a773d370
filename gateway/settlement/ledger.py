"""What each settled epoch came to: SITE/settlement/epoch-N.json, a copy; the truth is on the chain and in the evidence.

A file that is missing or damaged is made again from the evidence (settler.py), so nothing here needs to be synced.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from gateway.oracle.epoch import Verdict
from gateway.settlement.tree import decode_address, decode_leaves, encode_leaves


@dataclass(frozen=True)
class Settled(Verdict):
    """A verdict that is on the chain. windows: how many the epoch has; tx, signers: text, addresses in EIP-55."""

    windows: int
    tx: str
    signers: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """What `--json` and the page show of it."""
        return {
            "epoch": self.epoch,
            "windows": self.windows,
            "availability": {to_checksum_address(device): value for device, value in sorted(self.availability.items())},
            "root": "0x" + self.root.hex(),
            "tx": self.tx,
            "signers": list(self.signers),
            "minted_wei": str(self.minted),
            "units": {to_checksum_address(device): units for device, units in sorted(self.units.items())},
            "frauds": [to_checksum_address(device) for device in self.frauds],
        }


def write(folder: Path, settled: Settled) -> None:
    """Keep it, replacing what was there in one step."""
    fields = {
        **settled.summary(),
        **encode_leaves(settled.leaves),
        "total": str(settled.total),
        "evidence": "0x" + settled.evidence.hex(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "epoch.part"
    part.write_text(json.dumps(fields, indent=1) + "\n")
    os.replace(part, folder / f"epoch-{settled.epoch}.json")


def read(folder: Path, epoch: int) -> Settled | None:
    """The epoch's file, or None where it is missing or damaged."""
    try:
        fields = json.loads((folder / f"epoch-{epoch}.json").read_text())
        return Settled(
            epoch=int(fields["epoch"]),
            windows=int(fields["windows"]),
            availability={decode_address(key): int(value) for key, value in fields["availability"].items()},
            leaves=decode_leaves(fields),
            root=bytes.fromhex(fields["root"][2:]),
            total=int(fields["total"]),
            evidence=bytes.fromhex(fields["evidence"][2:]),
            minted=int(fields["minted_wei"]),
            units={decode_address(key): int(value) for key, value in fields.get("units", {}).items()},
            frauds=tuple(decode_address(key) for key in fields.get("frauds", ())),
            tx=str(fields["tx"]),
            signers=tuple(fields["signers"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
