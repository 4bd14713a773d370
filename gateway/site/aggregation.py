"""Puts EDIL's gateway into a running site: what it keeps, whom it asks, the thread that it needs; decides nothing."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from coincurve import PrivateKey

from gateway.aggregation.receiver import Receiver
from gateway.aggregation.rounds_store import RoundsStore
from gateway.aggregation.service import Aggregation
from gateway.database import open_or_say
from gateway.intake.dauth import DAuth
from gateway.intake.epochs import Clock
from gateway.intake.registry import Registry


def make_aggregation(
    folder: Path,
    key: PrivateKey,
    registry: Registry,
    dauth: DAuth,
    publish: Callable[[str, bytes], None],
    clock: Clock,
    say: Callable[[str], None],
    ends: ExitStack,
) -> tuple[Aggregation, Receiver]:
    """Rounds of the site in `folder`, and what runs in their thread.

    Raises:
        CommandError: the file of rounds is damaged.
    """
    store = open_or_say(RoundsStore, folder / "rounds.sqlite", "EDIL's rounds are lost")
    ends.callback(store.close)
    aggregation = Aggregation(store, key, dauth.domain, registry.devices, dauth.owners, publish, clock, say)
    return aggregation, Receiver(aggregation)
