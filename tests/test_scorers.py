"""Two scorers that share no code give one root: over random epochs, honest and hostile, and over one written down.

TINYREN_EPOCHS names how many random epochs; 1,000 are run before a release.
"""

import json
import os
import random
from pathlib import Path

import cbor2
import pytest
from verify_site import CLOSE_BLOCK, IDS, OWNER, WINDOW_MS, FixedChain, beacon, block_hash, heartbeat, opened_ms

from gateway import evidence
from gateway.oracle.epoch import verdict
from gateway.oracle.rewards import Deed
from gateway.verify import verify_epoch

EPOCHS = int(os.environ.get("TINYREN_EPOCHS", "200"))
GOLDEN = Path(__file__).parent / "vectors" / "epoch.json"
BATCH = 20


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


def write(folder, epoch, windows, heartbeats):
    place = folder / "evidence"
    place.mkdir(parents=True, exist_ok=True)
    evidence.heartbeats_path(place, epoch).write_bytes(b"".join(map(cbor2.dumps, heartbeats)))
    evidence.windows_path(place, epoch).write_bytes(b"".join(map(cbor2.dumps, windows)))


def both(folder, bindings):
    """The verdicts of the two scorers on epochs 1 and 2 of a folder; the chain holds what the first one found."""
    chain, previous, found = FixedChain(), (), []
    deeds = {deed: Deed(owner, slots, tuple(devices)) for deed, (owner, slots, devices) in bindings.items()}
    chain.bound = bindings
    for epoch in (1, 2):
        wanted = evidence.digest(folder / "evidence", epoch)
        one = verdict(folder / "evidence", epoch, wanted, lambda windows: deeds, previous)
        chain.roots[epoch], chain.attested[epoch], previous = one.root, one.evidence, one.leaves
        found.append((one, verify_epoch(folder, epoch, chain)))
    return found


@pytest.mark.parametrize("batch", range(-(-EPOCHS // (2 * BATCH))))
def test_both_scorers_give_the_same_root_for_random_epochs(batch, tmp_path):
    paid = 0
    for number in range(BATCH):
        dice, folder = random.Random(1000 * batch + number), tmp_path / str(number)
        for epoch in (1, 2):
            windows = random_windows(dice, epoch)
            write(folder, epoch, windows, random_heartbeats(dice, epoch, windows[0]["windows"]))
        for one, other in both(folder, random_bindings(dice)):
            assert other.ok and other.root == "0x" + one.root.hex(), (batch, number)
            assert tuple(other.leaves.items()) == one.leaves
            paid += one.minted > 0
    assert paid > BATCH / 2


def test_the_golden_epoch_has_the_root_that_it_always_had(tmp_path):
    golden = json.loads(GOLDEN.read_text())
    (tmp_path / "evidence").mkdir()
    for name, content in golden["files"].items():
        (tmp_path / "evidence" / name).write_bytes(bytes.fromhex(content))
    bindings = {deed: (OWNER, slots, list(map(bytes.fromhex, ids))) for deed, slots, ids in golden["deeds"]}

    for (one, other), wanted in zip(both(tmp_path, bindings), golden["epochs"], strict=True):
        assert {"root": one.root.hex(), "total": str(one.total), "evidence": one.evidence.hex()} == wanted
        assert other.root == "0x" + wanted["root"] and other.ok
        assert len(set(one.availability.values())) > 1
