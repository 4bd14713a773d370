"""What devices worked in one epoch that one or several gateways heard; pure but for what it is given to ask.

A claim counts once, whoever heard it: at the first gateway, in the order given, whose windows give it a turn. Reveals
count for the gateway that drew, and whose evidence holds them; where several heard the epoch, claims count only at
those to which their device revealed something, for a further gateway need not challenge.
"""

import functools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.oracle.availability import EvidenceError, Heartbeat, Windows
from gateway.poai import verdict
from gateway.poai.answers import Answer
from gateway.poai.claims import Claim, claims_of
from gateway.poai.draw import Turn
from gateway.poai.models import Models
from gateway.poai.verdict import Checked, Work


@dataclass(frozen=True)
class Heard:
    """One gateway's epoch.

    Attributes:
        windows: verified, those that count. turns: of all that were opened, for that is how challenges were told.
        items: (receipt time in ms, COSE_Sign1), from the first at each call. reveals: among them.
    """

    windows: Windows
    turns: Mapping[int, Turn]
    items: Callable[[], Iterable[tuple[int, bytes]]]
    reveals: Sequence[Answer]


def score(
    heard: Sequence[Heard],
    is_signed: Callable[[Heartbeat], bool],
    devices: Container[bytes],
    block_hash: Callable[[int], bytes | None],
    models: Models,
) -> tuple[dict[bytes, Work], list[Checked]]:
    """Draw again from the chain's blocks, run again what was revealed; as verdict.check.

    Args:
        block_hash: the chain's, 32 bytes, None where it has no such block. devices: whose work counts, ids of 20 bytes.
    Raises:
        EvidenceError: a block of a draw is not on the chain.
        EvidenceDamaged: a file cannot be read.
    """
    works, checked = dict[bytes, Work](), list[Checked]()
    counted: set[tuple[bytes, int, int]] = set()

    @functools.cache  # every claim of a window asks for it, and a chain elsewhere is asked over HTTP
    def hash_of(number: int) -> bytes:
        if (found := block_hash(number)) is None:
            raise EvidenceError(f"block {number}: the chain has none, wanted it for the draw")
        return found

    for each in heard:
        known = devices if len(heard) == 1 else _revealing(each, devices)
        claims = _new(claims_of(each.windows, each.items(), is_signed, known, models.kept), each.turns, counted)
        epoch, count = each.windows.epoch, each.windows.count
        more, drawn = verdict.check(claims, each.turns, hash_of, each.reveals, models.runs, epoch, count)
        checked += drawn
        for device, work in more.items():
            works[device] = works.get(device, Work()) + work
    return works, checked


def _revealing(heard: Heard, devices: Container[bytes]) -> set[bytes]:
    """The devices that revealed something to a gateway; of the others it may not have asked anything."""
    return {reveal.device for reveal in heard.reveals if reveal.device in devices}


def _new(claims: Iterator[Claim], due: Mapping[int, Turn], counted: set[tuple[bytes, int, int]]) -> Iterator[Claim]:
    """The claims that did not count before; those that have a turn are counted now."""
    for claim in claims:
        place = claim.device, claim.boot, claim.sequence
        if place not in counted:
            yield claim
            if claim.window in due:
                counted.add(place)
