"""Checks the work of a closed epoch from a site's evidence, its chain and its models; believes no gateway's verdict."""

from collections.abc import Callable, Container
from pathlib import Path

from gateway import evidence
from gateway.oracle import availability, epoch
from gateway.oracle.availability import EvidenceError
from gateway.oracle.epoch import SignerKeys
from gateway.poai import verdict
from gateway.poai.claims import claims_of
from gateway.poai.draw import turns
from gateway.poai.models import Models
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
        due, hashes = turns(windows), dict[int, bytes]()
        for turn in due.values():
            if (found := block_hash(turn.block)) is None:
                raise EvidenceError(f"block {turn.block}: the chain has none, wanted it for the draw")
            hashes[turn.block] = found
        path, is_signed = evidence.heartbeats_path(folder, number), SignerKeys().is_signed
        claims = claims_of(windows, evidence.read(path), is_signed, devices, models.kept)
        reveals = verdict.read_reveals(evidence.read(path), is_signed)
        return verdict.check(claims, due, hashes, reveals, models.runs, number, windows.count)
    except evidence.EvidenceDamaged as error:
        raise EvidenceError(str(error)) from error
