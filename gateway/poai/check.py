"""Checks the work of a closed epoch from a site's evidence, its chain and its models; believes no gateway's verdict."""

from collections.abc import Callable, Container, Sequence
from pathlib import Path

from gateway.intake import evidence
from gateway.oracle import availability, epoch
from gateway.oracle.availability import EvidenceError, Heartbeat
from gateway.oracle.epoch import SignerKeys, Source
from gateway.poai import answers, score
from gateway.poai.draw import turns
from gateway.poai.models import Models
from gateway.poai.score import Heard
from gateway.poai.verdict import Checked, Work


def check_epoch(
    folder: Path, number: int, block_hash: Callable[[int], bytes | None], devices: Container[bytes], models: Models
) -> tuple[dict[bytes, Work], list[Checked]]:
    """As check_sources, of what lies in one gateway's folder."""
    return check_sources([Source(folder, b"")], number, block_hash, devices, models)


def check_sources(
    sources: Sequence[Source],
    number: int,
    block_hash: Callable[[int], bytes | None],
    devices: Container[bytes],
    models: Models,
) -> tuple[dict[bytes, Work], list[Checked]]:
    """Draw again from the chain's blocks, run again what was revealed; as verdict.check.

    Args:
        sources: the evidence (agreed.sources); digests are not compared.
        block_hash: the chain's, 32 bytes, None where it has no such block.
        devices: those whose work counts, ids of 20 bytes.
    Raises:
        EvidenceError: the evidence is damaged, open, or contradicts itself or the chain.
        OSError: a file cannot be read.
    """
    try:
        is_signed = SignerKeys().is_signed
        heard = [_heard(source, number, block_hash, is_signed) for source in sources]
        return score.score(heard, is_signed, devices, block_hash, models)
    except evidence.EvidenceDamaged as error:
        raise EvidenceError(str(error)) from error


def _heard(
    source: Source, number: int, block_hash: Callable[[int], bytes | None], is_signed: Callable[[Heartbeat], bool]
) -> Heard:
    opened = epoch.read_windows(source.folder, number)
    availability.verify_windows(opened)
    windows = epoch.that_count(opened, source.missing)
    for window in windows.opened:
        if block_hash(window.block) != window.block_hash:
            raise EvidenceError(f"window {window.window}: the chain's block {window.block} has another hash")
    path = evidence.heartbeats_path(source.folder, number)
    reveals = answers.read_answers(evidence.read(path), is_signed)
    return Heard(windows, turns(opened), lambda: evidence.read(path), reveals)
