"""Checks the work of a closed epoch from a site's evidence, its chain and its models; believes no gateway's verdict."""

from collections.abc import Callable, Container
from pathlib import Path

from gateway import evidence
from gateway.oracle import availability, epoch
from gateway.oracle.availability import EvidenceError
from gateway.oracle.epoch import SignerKeys
from gateway.poai import score, verdict
from gateway.poai.draw import turns
from gateway.poai.models import Models
from gateway.poai.score import Heard
from gateway.poai.verdict import Checked, Work


def check_epoch(
    folder: Path, number: int, block_hash: Callable[[int], bytes | None], devices: Container[bytes], models: Models
) -> tuple[dict[bytes, Work], list[Checked]]:
    """Draw again from the chain's blocks, run again what was revealed; as verdict.check.

    Args:
        folder: of the evidence. block_hash: the chain's, 32 bytes, None where it has no such block.
        devices: those whose work counts, ids of 20 bytes.
    Raises:
        EvidenceError: the evidence is damaged, open, or contradicts itself or the chain.
        OSError: a file cannot be read.
    """
    try:
        windows = epoch.read_windows(folder, number)
        availability.verify_windows(windows)
        for window in windows.opened:
            if block_hash(window.block) != window.block_hash:
                raise EvidenceError(f"window {window.window}: the chain's block {window.block} has another hash")
        path, is_signed = evidence.heartbeats_path(folder, number), SignerKeys().is_signed
        reveals = verdict.read_reveals(evidence.read(path), is_signed)
        heard = Heard(windows, turns(windows), lambda: evidence.read(path), reveals)
        return score.score([heard], is_signed, devices, block_hash, models)
    except evidence.EvidenceDamaged as error:
        raise EvidenceError(str(error)) from error
