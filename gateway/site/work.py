"""Puts the challenger of devices' work into a running site: its models, and blocks unknown before; decides nothing."""

from collections.abc import Callable
from pathlib import Path

from gateway.chain.chain import Chain, ChainError
from gateway.errors import CommandError
from gateway.intake.ingest import Ingest
from gateway.poai import models
from gateway.poai.challenger import Challenger


def make_challenger(
    folder: Path, chain: Chain, publish: Callable[[str, bytes], None], ingest: Ingest, say: Callable[[str], None]
) -> Challenger:
    """The thread that challenges; where this computer cannot run the models it challenges nobody, and says so."""
    try:
        known = models.load()
    except CommandError as error:
        known = models.Models({}, {})
        say(f"no work is checked here: {error}")

    def later_hash(number: int) -> bytes | None:
        try:
            return chain.block_hash(number) if chain.mine() >= number else None
        except ChainError:
            return None

    return Challenger(folder / "evidence", known, later_hash, publish, ingest.challenges)
