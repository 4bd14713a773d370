"""Random epochs for both scorers, honest and hostile, and the two that are written down.

`python -m tests.scorer_epochs` writes tests/vectors/epoch.json and epoch_work.json: two epochs each, made by these
functions from a seed, and the roots that the first scorer gives. It is run when a message's format changes; the roots
of epoch.json (deeds alone) have stayed what they were since the first such epoch.
"""

import json
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2

from gateway.intake import evidence
from gateway.oracle.at_close import AtClose
from gateway.oracle.epoch import Verdict, verdict
from gateway.oracle.rewards import Deed
from gateway.poai import jobs
from gateway.poai.models import Models
from gateway.poai.simulated import INPUT_BYTES, KEPT, MODEL, run
from gateway.settlement.tree import Leaves
from gateway.verify.read import Job
from gateway.verify.verify import Result, verify_epoch
from tests.verify_site import (
    CLOSE_BLOCK,
    IDS,
    KEYS,
    OWNER,
    WINDOW_MS,
    FixedChain,
    beacon,
    block_hash,
    heartbeat,
    opened_ms,
    sign,
)

VECTORS = Path(__file__).parent / "vectors"
SEEDS = {"epoch": 16, "epoch_work": 25}
OWNERS = [OWNER, b"\x01" * 20, b"\xfe" * 20]
ESCROWS = [b"\x0e" * 20, b"\x0f" * 20]
MODELS = Models({MODEL: KEPT}, {MODEL: run})


def random_bindings(dice):
    """Up to three deeds of one to five slots that share the four devices; some devices are bound to none."""
    ids, bound = dice.sample(IDS, k=4), {}
    for deed in sorted(dice.sample(range(1, 1000), k=dice.randint(0, 3))):
        devices = [ids.pop() for _ in range(min(len(ids), dice.randint(1, 2)))]
        if devices:
            bound[deed] = (OWNER, dice.randint(len(devices), 5), devices)
    return bound


def random_windows(dice, epoch):
    """The items of a windows file: of one to eight windows some were opened."""
    count = dice.randint(1, 8)
    opened = [
        [window, opened_ms(epoch, window), block, block_hash(block), beacon(epoch, window)]
        for window, block in enumerate(range(epoch * 10, epoch * 10 + count))
        if dice.random() < 0.9
    ]
    header = {"epoch": epoch, "windows": count, "window_ms": WINDOW_MS, "opened_ms": opened_ms(epoch, 0)}
    return [header, *opened, {"closed_ms": opened_ms(epoch, count), "block": CLOSE_BLOCK[epoch]}]


def random_heartbeats(dice, epoch, count):
    """The items of a heartbeats file: most are honest; some are late, early, forged, replayed, damaged or others'."""
    items = []
    for window in range(count):
        for device in range(4):
            if dice.random() < 0.15:
                continue
            said = window if dice.random() < 0.95 else dice.randrange(count)
            late_ms = dice.choice([0, 1, 300, WINDOW_MS - 1]) if dice.random() < 0.9 else dice.choice([-1, WINDOW_MS])
            signer = device if dice.random() < 0.95 else dice.randrange(4)
            place = dice.choice([window + 1, window + 1, window, dice.randint(1, 9)])
            frame = heartbeat(device, max(1, place), beacon(epoch, said), boot=dice.choice([1, 1, 1, 2]), signer=signer)
            if dice.random() < 0.05:
                at = dice.randrange(len(frame))
                frame = frame[:at] + dice.randbytes(1) + frame[at + 1 :]
            items.append([opened_ms(epoch, window) + late_ms, frame])
            if dice.random() < 0.05:
                items.append(dice.choice(items))
    return items


@dataclass
class Worker:
    """A device that infers, and what it kept of it; is_liar: some of its outputs are made up."""

    number: int
    boot: int
    is_liar: bool
    sequence: int = 0
    chain: bytes = bytes(16)
    history: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)

    def infer(self, dice):
        window = dice.randbytes(INPUT_BYTES)
        output = dice.randbytes(16) if self.is_liar and dice.random() < 0.4 else run(window)
        self.history.append((self.chain, window, output))
        self.chain = sha256(self.chain + output).digest()[:16]

    def heartbeat(self, answers):
        self.sequence += 1
        body = [self.boot, self.sequence, MODEL, len(self.history), self.chain, 23]
        return sign(KEYS[self.number], cbor2.dumps({10: answers, -65537: body}), IDS[self.number])

    def reveals(self, dice):
        """Of each inference that may be drawn: mostly the right answer, or another chain, or none."""
        for index in range(max(1, len(self.history) - KEPT + 1), len(self.history) + 1):
            if dice.random() < 0.1:
                continue
            before, window, _ = self.history[index - 1]
            if self.is_liar and dice.random() < 0.05:
                before = dice.randbytes(16)
            outputs = b"".join(output for _, _, output in self.history[index - 1 :])
            body = [self.boot, self.sequence, len(self.history), index, window, outputs, before]
            yield sign(KEYS[self.number], cbor2.dumps({-65550: body}), IDS[self.number])


def random_work(dice, epoch, count):
    """The items of a heartbeats file of devices that work: some lose messages, boot again, answer late, or lie."""
    workers = [Worker(number, epoch, dice.random() < 0.2) for number in range(4)]
    items, late = [], []
    for window in range(count):
        answers, late = late, []
        items += [[opened_ms(epoch, window) + at_ms, frame] for at_ms, frame in answers]
        for number, worker in enumerate(workers):
            if dice.random() < 0.05:
                worker = workers[number] = Worker(number, worker.boot + 10, worker.is_liar)
            for _ in range(dice.randint(0, KEPT + 2)):
                worker.infer(dice)
            frame = worker.heartbeat(beacon(epoch, window))
            if dice.random() < 0.9:
                items.append([opened_ms(epoch, window) + dice.choice([0, 1, 300, WINDOW_MS]), frame])
            late += [(dice.choice([0, 400, WINDOW_MS - 1, WINDOW_MS]), reveal) for reveal in worker.reveals(dice)]
    return items


def random_jobs(dice, deeds):
    """Up to four open jobs of two escrows, few with room for all."""
    return [
        Job(
            dice.choice(ESCROWS),
            number,
            dice.choice([MODEL, MODEL, MODEL, b"another"]),
            None if dice.random() < 0.5 or not deeds else set(dice.sample(deeds, k=1)),
            dice.choice([0, 3, 7, 20, 1000]),
            price=number % 3,
        )
        for number in range(1, dice.randint(0, 4) + 1)
    ]


class SameChain:
    """What the first scorer asks, answered from the second one's chain."""

    def __init__(self, chain: FixedChain) -> None:
        self._chain = chain

    def at_close(self, windows):
        bound = self._chain.bindings(windows.block)
        owners = [owner for owner, _, _ in bound.values()]
        kinds = jobs.VERIFIED, jobs.MEASURED
        return AtClose(
            {deed: Deed(owner, slots, tuple(devices)) for deed, (owner, slots, devices) in bound.items()},
            self._chain.to_account(owners, windows.epoch, windows.block),
            [
                jobs.Job(job.escrow, job.number, kind, job.model, job.workers or frozenset(), 1, 9, most, job.price)
                for job in self._chain.jobs(windows.epoch, bound, windows.block)
                for kind, most in zip(kinds, (job.most_units, 99), strict=True)
            ],
        )

    def block_hash(self, number):
        return self._chain.block_hash(number)


def write(folder, epoch, windows, heartbeats):
    place = folder / "evidence"
    place.mkdir(parents=True, exist_ok=True)
    evidence.heartbeats_path(place, epoch).write_bytes(b"".join(map(cbor2.dumps, heartbeats)))
    evidence.windows_path(place, epoch).write_bytes(b"".join(map(cbor2.dumps, windows)))


def both(folder, chain: FixedChain) -> list[tuple[Verdict, Result]]:
    """The verdicts of the two scorers on epochs 1 and 2 of a folder; the chain comes to hold what the first found."""
    previous, found = Leaves(), []
    for epoch in (1, 2):
        wanted = evidence.digest(folder / "evidence", epoch)
        one = verdict(folder / "evidence", epoch, wanted, SameChain(chain), previous, lambda: MODELS)
        chain.roots[epoch], chain.attested[epoch], previous = one.root, one.evidence, one.leaves
        found.append((one, verify_epoch(folder, epoch, chain)))
    return found


def make_deeds_only(folder, seed):
    """Two epochs of heartbeats, in which nobody works, without accounts; their chain."""
    dice, chain = random.Random(seed), FixedChain()
    for epoch in (1, 2):
        windows = random_windows(dice, epoch)
        write(folder, epoch, windows, random_heartbeats(dice, epoch, windows[0]["windows"]))
    chain.bound = random_bindings(dice)
    return chain


def make_work(folder, seed):
    """Two epochs with work, fraud, accounts and jobs; their chain."""
    dice, chain = random.Random(seed), FixedChain()
    for epoch in (1, 2):
        windows = random_windows(dice, epoch)
        write(folder, epoch, windows, random_work(dice, epoch, windows[0]["windows"]))
    bound = random_bindings(dice)
    chain.bound = {deed: (dice.choice(OWNERS), slots, devices) for deed, (_, slots, devices) in bound.items()}
    for epoch in (1, 2):
        chain.accounts[epoch] = {owner for owner in OWNERS if dice.random() < 0.4}
        chain.open_jobs[epoch] = random_jobs(dice, sorted(bound))
    return chain


def to_json(folder: Path, chain: FixedChain) -> dict[str, Any]:
    """Everything that a scorer needs, and what it has to find."""
    return {
        "deeds": [[deed, at.hex(), slots, [id.hex() for id in ids]] for deed, (at, slots, ids) in chain.bound.items()],
        "accounts": {str(epoch): sorted(owner.hex() for owner in owners) for epoch, owners in chain.accounts.items()},
        "jobs": {
            str(epoch): [
                [job.escrow.hex(), job.number, job.model.hex(), workers, job.most_units, job.price]
                for job in found
                for workers in [job.workers and sorted(job.workers)]
            ]
            for epoch, found in chain.open_jobs.items()
        },
        "epochs": [
            {"root": one.root.hex(), "total": str(one.total), "evidence": one.evidence.hex()}
            for one, _ in both(folder, chain)
        ],
        "files": {path.name: path.read_bytes().hex() for path in sorted((folder / "evidence").iterdir())},
    }


def from_json(fields: Mapping[str, Any], folder: Path) -> FixedChain:
    """Write the files of a vector to a folder; its chain."""
    (folder / "evidence").mkdir()
    for name, content in fields["files"].items():
        (folder / "evidence" / name).write_bytes(bytes.fromhex(content))
    chain, raw = FixedChain(), bytes.fromhex
    chain.bound = {deed: (raw(owner), slots, [raw(id) for id in ids]) for deed, owner, slots, ids in fields["deeds"]}
    chain.accounts = {int(epoch): {raw(owner) for owner in owners} for epoch, owners in fields["accounts"].items()}
    for epoch, found in fields["jobs"].items():
        chain.open_jobs[int(epoch)] = [
            Job(raw(escrow), number, raw(model), workers and set(workers), most, price)
            for escrow, number, model, workers, most, price in found
        ]
    return chain


def main() -> None:
    for name, make in (("epoch", make_deeds_only), ("epoch_work", make_work)):
        with tempfile.TemporaryDirectory() as folder:
            made_by = f"tests/scorer_epochs.py ({make.__name__}, seed {SEEDS[name]})"
            found = to_json(Path(folder), make(Path(folder), SEEDS[name]))
            fields = {"comment": f"evidence, the chain and the roots, made by {made_by}", **found}
            (VECTORS / f"{name}.json").write_text(json.dumps(fields, indent=1) + "\n")


if __name__ == "__main__":
    main()
