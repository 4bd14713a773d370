"""The signatures under a root, kept until nobody needs them: SITE/settlement/epoch-N.signed.json. Judges none of them.

A root that was posted can vanish with a reorg, and a gateway can die between quorum and post. Oracles that went on do
not sign an epoch again, so the gateway keeps what they signed. Signatures are public; whoever reads them here has to
check them, and takes them only for the root that is wanted.
"""

import json
import os
from pathlib import Path

from gateway.chain import abi
from gateway.chain.chain import Chain, ChainError
from gateway.oracle.quorum import Settle
from gateway.oracle.statements import Root, Signature


def write(folder: Path, settle: Settle) -> None:
    """Keep a quorum's signatures; on the disk when this returns."""
    root = settle.root
    fields = {
        "epoch": root.epoch,
        "root": root.root.hex(),
        "total": str(root.total),
        "evidence": root.evidence.hex(),
        "signatures": {oracle.hex(): signature.hex() for oracle, signature in settle.signatures},
    }
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "signed.part"
    with part.open("w") as file:
        file.write(json.dumps(fields, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, _path(folder, root.epoch))


def read(folder: Path, wanted: Root) -> list[tuple[bytes, Signature]]:
    """(oracle, signature) for exactly this root; none where the file is missing, damaged or another root's."""
    try:
        fields = json.loads(_path(folder, wanted.epoch).read_text())
        values = (bytes.fromhex(fields["root"]), int(fields["total"]), bytes.fromhex(fields["evidence"]))
        if Root(int(fields["epoch"]), *values) != wanted:
            return []
        pairs = fields["signatures"].items()
        return [(bytes.fromhex(oracle), Signature(wanted, bytes.fromhex(signed))) for oracle, signed in pairs]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return []


def of_post(chain: Chain, tx: str) -> tuple[bytes, ...]:
    """The signatures in the transaction that posted a root.

    Raises:
        ChainError: the chain does not show it, as a node behind others may for a while.
    """
    found: tuple[bytes, ...] = chain.request("eth_getTransactionByHash", [tx], _signatures)
    if not found:
        raise ChainError(f"transaction {tx}, which posted a root, is not there")
    return found


def _signatures(transaction: dict[str, str] | None) -> tuple[bytes, ...]:
    """None where there is no transaction."""
    if transaction is None:
        return ()
    return tuple(abi.decode_call("Settlement", "post", bytes.fromhex(transaction["input"][2:]))["signatures"])


def _path(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch}.signed.json"
