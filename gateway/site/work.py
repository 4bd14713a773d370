"""Puts into a running gateway who challenges devices' work and who serves its readers; decides nothing."""

from collections.abc import Callable
from pathlib import Path

from starlette.routing import Route

from gateway.chain.chain import Chain, ChainError
from gateway.errors import CommandError
from gateway.intake.epochs import Clock
from gateway.intake.ingest import Ingest
from gateway.intake.intake import Intake
from gateway.oracle.rpc import ChainAway, ChainReader
from gateway.poai import models, readers_http
from gateway.poai.challenger import Challenger
from gateway.poai.readers import Readers


def make_challenger(
    folder: Path,
    later_hash: Callable[[int], bytes | None],
    publish: Callable[[str, bytes], None],
    ingest: Ingest,
    say: Callable[[str], None],
) -> Challenger:
    """The thread that challenges; where this computer cannot run the models it challenges nobody, and says so.

    Args:
        later_hash: of a block (32 bytes), None while there is none of that number.
    """
    try:
        known = models.load()
    except CommandError as error:
        known = models.Models({}, {})
        say(f"no work is checked here: {error}")
    return Challenger(folder / "evidence", known, later_hash, publish, ingest.challenges)


def open_readers(folder: Path, intake: Intake, clock: Clock) -> list[Route]:
    """The routes for readers of sealed work, whose openings go into the evidence by `intake`."""
    readers = Readers(folder / "evidence", models.shipped, lambda frame: intake.keep(frame, clock()))
    return readers_http.routes(readers)


def made_later(chain: Chain) -> Callable[[int], bytes | None]:
    """Hashes of blocks of a chain that makes one when it is asked, or has them come by themselves."""

    def later_hash(number: int) -> bytes | None:
        try:
            return chain.block_hash(number) if chain.mine() >= number else None
        except ChainError:
            return None

    return later_hash


def read_later(chain: ChainReader) -> Callable[[int], bytes | None]:
    """Hashes of blocks of a chain that somebody else makes."""

    def later_hash(number: int) -> bytes | None:
        try:
            return chain.block_hash(number)
        except ChainAway:
            return None

    return later_hash
