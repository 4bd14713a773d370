"""What each kind of cheat earns beside honest work, by the oracles' own rules: `python -m gateway.poai.adversaries`.

Every row plays one epoch of 240 windows with real keys, signatures and draws (simulated.py), or oracles that lie
(oracle/simulator.py), and says what came of it; tests/poai/test_adversary.py states each figure exactly.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from coincurve import PrivateKey

from device.agent import wire
from gateway.oracle import availability, commitments, rewards
from gateway.oracle.availability import EvidenceError
from gateway.oracle.commitments import Seen
from gateway.oracle.epoch import SignerKeys, read_heartbeats, that_count
from gateway.oracle.rewards import ND_REWARD_WEI, Deed
from gateway.oracle.simulator import Network, Plan
from gateway.oracle.statements import Commitment
from gateway.poai import private, verdict
from gateway.poai.claims import Claim
from gateway.poai.draw import draw, turns
from gateway.poai.private import Sealed
from gateway.poai.simulated import KEPT, MODEL, WINDOW_MS, Device, Epoch, block_hash

WINDOWS = 240
BUYER = PrivateKey(bytes(31) + b"\x05")
HONEST = ND_REWARD_WEI, (WINDOWS - 1) * KEPT


@dataclass(frozen=True)
class Outcome:
    """What the cheat's deed earned in an epoch, in wei and units of work; how says by which rule."""

    wei: int
    units: int
    how: str


def earned(
    epoch: Epoch, deeds: Mapping[int, Deed] | None = None, availability_: Mapping[bytes, int] | None = None
) -> dict[int, tuple[int, int]]:
    """(wei, units) of each deed; without `deeds` each device has its own, numbered from 1."""
    deeds = deeds or {number: Deed(id, 1, (id,)) for number, id in enumerate(epoch.ids, 1)}
    works, _ = epoch.work()
    scores = verdict.availability_after(availability_ or epoch.availability(), works, deeds)
    wei, units = rewards.rewards_of(deeds, scores), Counter[int]()
    for (_, _, number), count in verdict.units_of_deeds(works, deeds).items():
        units[number] += count
    return {number: (wei[number], units[number]) for number in deeds}


def _first(epoch: Epoch, how: str) -> Outcome:
    return Outcome(*earned(epoch)[1], how)


def honest() -> Outcome:
    return _first(Epoch([Device(1)], WINDOWS).play(), "every window answered, every challenge sound")


def forged() -> Outcome:
    """Somebody else signs heartbeats in a device's name."""
    victim, thief = Device(1), Device(2)
    epoch = Epoch([victim], WINDOWS)
    place = victim.boot, 1, bytes.fromhex("01551220") + bytes(32), KEPT, bytes(16), 0
    for number, window in enumerate(epoch.windows.opened, 1):
        frame = wire.sign_heartbeat(victim.id, thief.sign, window.beacon, place[0], number, *place[2:])
        epoch.items.append((window.opened_ms, frame))
    return _first(epoch, "the signature is not the device's")


def replayed() -> Outcome:
    """One heartbeat is sent again in each window."""
    epoch = Epoch([Device(1)], WINDOWS)
    frame = epoch.devices[0].heartbeat(epoch.windows.opened[0].beacon)
    epoch.items = [(window.opened_ms, frame) for window in epoch.windows.opened]
    return _first(epoch, "(boot, sequence) has to rise: one window counts")


def delayed() -> Outcome:
    """Every answer comes when its window is over."""
    epoch = Epoch([Device(1)], WINDOWS).play()
    epoch.items = [(at + WINDOW_MS, frame) for at, frame in epoch.items]
    return _first(epoch, "receipt is the gateway's clock, and the window was over")


def back_dated() -> Outcome:
    """A device that slept signs the whole epoch in a burst in its last window."""
    epoch = Epoch([Device(1)], WINDOWS).play()
    last = epoch.windows.opened[-1]
    epoch.items = [(last.opened_ms + 1, frame) for _, frame in epoch.items]
    return _first(epoch, "only the last window was still open")


def cloned_key() -> Outcome:
    """Two boards with one key, each heard by a gateway of its own; they differ in what they computed."""
    one, two = Epoch([Device(1)], WINDOWS).play(), Epoch([Device(1, per_window=3)], WINDOWS).play()
    sources = [(epoch.windows, read_heartbeats(epoch.items)) for epoch in (one, two)]
    scores = availability.score_union(sources, SignerKeys().is_signed, one.ids)
    one.items = sorted(one.items + two.items, key=lambda item: item[0])
    wei, units = earned(one, availability_=scores)[1]
    return Outcome(
        wei,
        units,
        "of two heartbeats of one (boot, sequence) neither counts; work counts once, the second board for nothing",
    )


def lying_gateway() -> Outcome:
    """A gateway invents its beacons, so that it knows them before."""
    epoch = Epoch([Device(1)], WINDOWS).play()
    opened = [replace(window, block_hash=bytes(32)) for window in epoch.windows.opened]
    try:
        availability.verify_windows(replace(epoch.windows, opened=tuple(opened)))
    except EvidenceError:
        return Outcome(0, 0, "no beacon follows from its block: the evidence is refused, nobody of it is paid")
    return _first(epoch, "not noticed")


def lying_gateway_late() -> Outcome:
    """A gateway stamps what came when all was over as in time; it had committed to empty files, window by window."""
    epoch = Epoch([Device(1)], WINDOWS).play()
    numbers = {window.beacon: window.window for window in epoch.windows.opened}
    answers = [(size, numbers[beat.beacon]) for size, beat in enumerate(read_heartbeats(epoch.items), 1)]
    opened = epoch.windows.opened
    seen = [Seen(Commitment(epoch.number, each.window, 0, 0, b""), each.block + 2) for each in opened]
    missing = commitments.missing_windows(epoch.windows, seen, answers)
    epoch.windows = that_count(epoch.windows, missing)
    return _first(epoch, "windows whose commitment lacks the heartbeat do not count")


def gateway_with_its_device() -> Outcome:
    """A gateway asks its own device to claim when it has the draw's block already, and commits behind that."""
    device = Device(1, share=0)
    epoch = Epoch([device], WINDOWS)
    due = turns(epoch.windows)
    for window in epoch.windows.opened:
        count, turn = len(device.history), due.get(window.window)
        claim = Claim(device.id, window.window, 1, device.sequence + 1, MODEL, count + 1, count + KEPT, b"", None)
        drawn = draw(block_hash(turn.block), claim, epoch.number, WINDOWS) if turn else None
        device.infer(drawn)
        epoch.items.append((window.opened_ms + 100, device.heartbeat(window.beacon)))
        if turn and drawn and (answer := device.answer(1, device.sequence, count + KEPT, drawn)):
            epoch.items.append((turn.until_ms - 500, answer))
    return _first(epoch, f"nobody but the two knows: it computed {device.computed} of {WINDOWS * KEPT}")


def withholding_gateway() -> Outcome:
    """A gateway leaves out every answer to a challenge, to hide those that fail."""
    epoch = Epoch([Device(1)], WINDOWS).play()
    epoch.items = [item for item in epoch.items if len(item[1]) <= wire.HEARTBEAT_MAX_BYTES]
    return _first(epoch, "an answer that is not there is missed")


def withheld_bundle() -> Outcome:
    """A further gateway keeps its evidence back: a device was with it for the second half of the epoch."""
    epoch = Epoch([Device(1)], WINDOWS).play()
    half_ms = epoch.windows.opened[WINDOWS // 2].opened_ms
    epoch.items = [item for item in epoch.items if item[0] < half_ms]
    return _first(epoch, "what others heard counts, work too; the rest is lost with the bundle")


def skipping_silent() -> Outcome:
    """A device computes half and is silent about the rest."""
    return _first(Epoch([Device(1, share=0.5)], WINDOWS).play(), "paid the square of the share that it could show")


def skipping_lying() -> Outcome:
    """A device computes half and makes the rest up."""
    return _first(Epoch([Device(1, share=0.5, is_liar=True)], WINDOWS).play(), "fraud: the deed's epoch is 0")


def challenges_only() -> Outcome:
    """A device computes only what it is challenged for."""
    return _first(Epoch([Device(1, share=0, is_late=True)], WINDOWS).play(), "its chain was committed before the draw")


def repeating() -> Outcome:
    """A device computes one window and claims it again and again."""
    device = Device(1, is_repeating=True)
    wei, units = earned(Epoch([device], WINDOWS).play())[1]
    how = f"so does a sensor that stands still: it computed {device.computed} of {WINDOWS * KEPT}"
    return Outcome(wei, units, how)


def sybil() -> Outcome:
    """One deed of one slot against one of four slots filled with four invented devices on one board."""
    epoch = Epoch([Device(number, per_window=1) for number in (1, 2, 3, 4)], WINDOWS).play()
    wei, units = earned(epoch, {1: Deed(bytes(20), 4, tuple(epoch.ids))})[1]
    return Outcome(wei, units, "slots share one reward; work is what was computed, by however many keys")


def sybil_deeds() -> Outcome:
    """Four deeds, each with an invented device on one board: what each deed earned, and the work of all of them."""
    epoch = Epoch([Device(number, per_window=1) for number in (1, 2, 3, 4)], WINDOWS).play()
    deeds = earned(epoch).values()
    how = "each deed was bought and earns its own reward, no more; one board's work is paid once"
    return Outcome(max(wei for wei, _ in deeds), sum(units for _, units in deeds), how)


def _sealing(
    device: Device, how: str, paid_by: PrivateKey | None = None, open_: Callable[[Sealed], bytes] | None = None
) -> Outcome:
    """An epoch in which a device seals, and its reader opens the first answer; what a job for `paid_by` takes of it,
    or one for everybody's work.
    """
    epoch = Epoch([device], WINDOWS).play()
    if open_:
        frame = next(frame for _, frame in epoch.items if len(frame) > wire.HEARTBEAT_MAX_BYTES)
        epoch.items.append((epoch.items[-1][0], open_(private.read_sealed(0, frame)[0])))
    ((wei, _),) = earned(epoch).values()
    model = private.sealed_model(MODEL, paid_by.public_key.format()) if paid_by else MODEL
    return Outcome(wei, epoch.work()[0][device.id].counted().get(model, 0), how)


def seals_garbage() -> Outcome:
    """A device computes nothing and seals what it made up; the buyer opens one answer."""
    device = Device(1, share=0, is_liar=True, reader=BUYER.public_key)
    how = "opened, any one of them is a fraud: the deed's epoch is 0"
    return _sealing(device, how, BUYER, lambda sealed: private.sign_opening(sealed, BUYER, bytes(32)))


def seals_to_itself() -> Outcome:
    """A device computes nothing and seals it to a key of its own, so that no buyer can open it."""
    own = PrivateKey(bytes(31) + b"\x02")
    return _sealing(
        Device(1, share=0, is_liar=True, reader=own.public_key), "no job but its own buyer's takes that work"
    )


def lying_buyer() -> Outcome:
    """A buyer opens an honest device's answer with another point, to pay nothing."""

    def open_(sealed: Sealed) -> bytes:
        other = replace(sealed, point=PrivateKey(bytes(31) + b"\x03").public_key.format())
        return private.sign_opening(other, BUYER, bytes(32))

    return _sealing(Device(1, reader=BUYER.public_key), "another point has no proof: the work is paid", BUYER, open_)


def dropped_sealed() -> Outcome:
    """A gateway leaves out what was sealed to a buyer."""
    epoch = Epoch([Device(1, reader=BUYER.public_key)], WINDOWS).play()
    epoch.items = [item for item in epoch.items if len(item[1]) <= wire.HEARTBEAT_MAX_BYTES]
    return _first(epoch, "an answer that is not there is missed")


def dropped_opening() -> Outcome:
    """A gateway works with a device that seals garbage, and leaves out what the buyer shows of it."""
    device = Device(1, share=0, is_liar=True, reader=BUYER.public_key)
    return _sealing(device, "only the buyer knows: it has a proof for all to check, and cancels the job", BUYER)


def lying_oracles(oracles: int) -> Outcome:
    """f of 3f + 1 oracles equivocate and sign anything, in twenty schedules; what they add to anybody's pay."""
    added = 0
    for seed in range(20):
        network = Network(Plan(seed=seed, oracles=oracles, gateways=2))
        network.shake(200)
        network.heal()
        added += len(network.violations)
    return Outcome(added, 0, f"{(oracles - 1) // 3} of {oracles} lie: no root but that of the evidence is settled")


ADVERSARIES: dict[str, Callable[[], Outcome]] = {
    "honest work": honest,
    "forged": forged,
    "replayed": replayed,
    "delayed": delayed,
    "back-dated": back_dated,
    "cloned key": cloned_key,
    "lying gateway: beacons": lying_gateway,
    "lying gateway: receipt times": lying_gateway_late,
    "lying gateway: with its device": gateway_with_its_device,
    "withholding gateway: answers": withholding_gateway,
    "withholding gateway: its bundle": withheld_bundle,
    "equivocating oracle": lambda: lying_oracles(4),
    "f of 3f + 1 oracles": lambda: lying_oracles(7),
    "skips half, silent": skipping_silent,
    "skips half, lies": skipping_lying,
    "answers challenges only": challenges_only,
    "one window again and again": repeating,
    "Sybil devices on one deed": sybil,
    "Sybil deeds": sybil_deeds,
    "sealed: garbage": seals_garbage,
    "sealed: to a key of its own": seals_to_itself,
    "sealed: a buyer who lies": lying_buyer,
    "sealed: a gateway that drops answers": dropped_sealed,
    "sealed: a gateway that drops openings": dropped_opening,
}


def table() -> str:
    """Markdown."""
    lines = ["| cheat | wei, share of honest | units of honest | why |", "| --- | --- | --- | --- |"]
    for name, play in ADVERSARIES.items():
        found = play()
        lines.append(f"| {name} | {found.wei / HONEST[0]:.3f} | {found.units} of {HONEST[1]} | {found.how} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
