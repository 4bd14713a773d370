"""Which job's deposit pays for which units of work, pure; never counts a unit twice, never mixes what is verified with
what is only measured.

    units of an epoch, open jobs, units so far ─▶ {(escrow, job, deed): further units} ─▶ settlement_tree.add_epoch

Rules (contracts/src/Escrow.sol):
1. A job takes units of its model, of its kind, by its workers, in its epochs first..last.
2. A unit goes to one job: the dearest with room, of equal price that of the lowest number; a deed's units overflow to
   the next. So nobody takes all work by being first with a price of next to nothing.
3. A job takes no more in all than its deposit buys; deeds are served in ascending order of their number.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Literal

Kind = Literal["verified", "measured by the gateway"]
VERIFIED: Kind = "verified"
"""Inferences by devices that were drawn, revealed and run again."""
MEASURED: Kind = "measured by the gateway"
"""Work of containers and WebAssembly: the gateway's word on fuel and time, which nobody can check again."""
Key = tuple[bytes, int, int]
"""(escrow of 20 bytes, job, deed)"""


@dataclass(frozen=True)
class Job:
    """An open job. model: binary CID; workers: deeds, none for any; most_units: what its deposit buys in all.

    price: of a unit, in base units of the escrow's token.
    """

    escrow: bytes
    number: int
    kind: Kind
    model: bytes
    workers: Set[int]
    first: int
    last: int
    most_units: int
    price: int = 0


def assign(
    epoch: int, units: Mapping[tuple[Kind, bytes, int], int], jobs: Iterable[Job], before: Mapping[Key, int]
) -> dict[Key, int]:
    """Further units of each (escrow, job, deed) in this epoch; those that get none are left out.

    Args:
        units: of each (kind, model, deed), in this epoch. before: units so far, of all epochs.
    Raises:
        ValueError: a number of units is negative.
    """
    if wrong := [key for key, count in units.items() if count < 0]:
        raise ValueError(f"units of {wrong[0]}: {units[wrong[0]]}, wanted 0 or more")
    left, found = dict(units), dict[Key, int]()
    taken_before, deeds = Counter[tuple[bytes, int]](), dict[tuple[Kind, bytes], list[int]]()
    for (escrow, number, _), count in before.items():
        taken_before[escrow, number] += count
    for kind, model, deed in sorted(units):
        deeds.setdefault((kind, model), []).append(deed)
    for job in sorted(jobs, key=lambda job: (-job.price, job.escrow, job.number)):
        if not job.first <= epoch <= job.last:
            continue
        room = job.most_units - taken_before[job.escrow, job.number]
        for deed in deeds.get((job.kind, job.model), ()):
            if room <= 0:
                break
            taken = min(left[job.kind, job.model, deed], room)
            if (not job.workers or deed in job.workers) and taken:
                found[job.escrow, job.number, deed] = taken
                left[job.kind, job.model, deed] -= taken
                room -= taken
    return found
