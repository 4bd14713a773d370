"""An epoch of simulated devices with real keys, messages and draws, for tests and the table of adversaries; no I/O.

The model is a digest, so that an output that was not computed cannot be right by chance. Devices may compute only a
share of their inferences and may answer only what they can; the gateway is honest but for what a test does to `items`.
"""

import hashlib
import random
from dataclasses import dataclass, field

from coincurve import PrivateKey, PublicKey

from device.agent import cose, reveal, seal, wire
from gateway import curve
from gateway.oracle import availability
from gateway.oracle.availability import Window, Windows
from gateway.oracle.epoch import SignerKeys, read_heartbeats
from gateway.poai import answers, verdict
from gateway.poai.claims import Counts, claims_of
from gateway.poai.draw import CHALLENGES, draw, turns
from gateway.poai.verdict import Checked, Work

MODEL = bytes.fromhex("01551220") + bytes(32)
INPUT_BYTES, KEPT = 128, 4
WINDOW_MS, OPENED_MS = 1_000, 1_700_000_000_000


def run(window: bytes) -> bytes:
    """The model: 16 bytes. Raises ValueError if the window has another length."""
    if len(window) != INPUT_BYTES:
        raise ValueError(f"{len(window)} bytes, wanted {INPUT_BYTES}")
    return hashlib.sha256(b"model" + window).digest()[:16]


def block_hash(number: int, seed: int = 0) -> bytes:
    """Of a simulated chain's block, 32 bytes."""
    return hashlib.sha256(b"%d block %d" % (seed, number)).digest()


@dataclass
class Device:
    """A device that computes `share` of its inferences and makes the other outputs up.

    is_liar: it answers also what it did not compute. is_late: it computes what it is challenged for, but only then.
    is_repeating: it computes its first window and claims that one from then on.
    per_window: inferences in a window. computed: how many it did compute. reader: whom it seals its answers to.
    """

    number: int
    share: float = 1.0
    is_liar: bool = False
    is_late: bool = False
    is_repeating: bool = False
    per_window: int = KEPT
    reader: PublicKey | None = None
    computed: int = 0
    sequence: int = 0
    chain: bytes = bytes(16)
    boot: int = 1
    history: list[tuple[bytes, bytes, bytes, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = PrivateKey(self.number.to_bytes(32, "big"))
        self.id = curve.address(self.key.public_key.format())
        self.dice = random.Random(self.number)

    def sign(self, digest: bytes) -> bytes:
        """65 bytes r | s | recovery id."""
        return self.key.sign_recoverable(digest, hasher=None)

    def infer(self, drawn: int | None = None) -> None:
        """A window's inferences, done or made up; drawn: one that it was told to do, counted from 1 since boot."""
        for _ in range(self.per_window):
            if self.is_repeating and self.history:
                _, window, output, is_done = self.history[0]
                self._remember(window, output, is_done)
                continue
            window, is_done = self.dice.randbytes(INPUT_BYTES), self.dice.random() < self.share
            is_done = is_done or len(self.history) + 1 == drawn
            output = run(window) if is_done else self.dice.randbytes(16)
            self.computed += is_done
            self._remember(window, output, is_done)

    def _remember(self, window: bytes, output: bytes, is_done: bool) -> None:
        self.history.append((self.chain, window, output, is_done))
        self.chain = hashlib.sha256(self.chain + output).digest()[:16]

    def heartbeat(self, beacon: bytes) -> bytes:
        """The next signed heartbeat."""
        self.sequence += 1
        place = self.boot, self.sequence, MODEL, len(self.history), self.chain, 0
        return bytes(wire.sign_heartbeat(self.id, self.sign, beacon, *place))

    def answer(self, boot: int, sequence: int, count: int, index: int) -> bytes | None:
        """A signed reveal, or silence."""
        before, window, output, is_done = self.history[index - 1]
        if self.is_late:
            output, is_done = run(window), True
            self.computed += 1
        if not is_done and not self.is_liar:
            return None
        outputs = output + b"".join(output for _, _, output, _ in self.history[index:count])
        payload = reveal.encode_reveal(boot, sequence, count, index, window, outputs, before)
        if self.reader:
            once = PrivateKey(hashlib.sha256(payload).digest())
            box = seal.cover(once.ecdh(self.reader.format()), payload)
            keys = self.reader.format(), once.public_key.format()
            payload = seal.encode_sealed(boot, sequence, count, index, *keys, box)
        return bytes(cose.sign1(payload, self.id, self.sign))


class Epoch:
    """One epoch: windows of two blocks each, what was received, and how it is scored."""

    def __init__(self, devices: list[Device], count: int = 60, seed: int = 0, number: int = 1) -> None:
        self.devices, self.number, self.seed = devices, number, seed
        opened = [
            Window(w, OPENED_MS + w * WINDOW_MS, 2 * w, hashed, wire.make_beacon(number, w, hashed))
            for w in range(count)
            for hashed in [block_hash(2 * w, seed)]
        ]
        self.windows = Windows(number, count, WINDOW_MS, tuple(opened), 2 * count)
        self.items: list[tuple[int, bytes]] = []

    def play(self) -> "Epoch":
        """Every device answers every window, and the challenge for it after the next one opened."""
        counts = Counts({MODEL: KEPT})
        due = turns(self.windows)
        for window in self.windows.opened:
            claims = []
            for device in self.devices:
                device.infer()
                frame = device.heartbeat(window.beacon)
                self.items.append((window.opened_ms + 100, frame))
                claims.append((device, counts.take(device.id, wire.open_sign1(frame)[1], window.window)))
            for device, claim in claims:
                if claim is None or (turn := due.get(claim.window)) is None:
                    continue
                index = draw(block_hash(turn.block, self.seed), claim, self.number, self.windows.count)
                place = claim.boot, claim.sequence, claim.count
                if index is not None and (answer := device.answer(*place, index)) is not None:
                    self.items.append((turn.until_ms - 500, answer))
        return self

    @property
    def ids(self) -> list[bytes]:
        """Of the devices."""
        return [device.id for device in self.devices]

    def availability(self) -> dict[bytes, int]:
        """Availability by the oracles' rule."""
        beats = read_heartbeats(self.items)
        return availability.score(self.windows, beats, SignerKeys().is_signed, self.ids)

    def work(self, challenges: int = CHALLENGES) -> tuple[dict[bytes, Work], list[Checked]]:
        """Work by the oracles' rule."""
        is_signed = SignerKeys().is_signed
        due = turns(self.windows)
        return verdict.check(
            claims_of(self.windows, self.items, is_signed, set(self.ids), {MODEL: KEPT}),
            due,
            lambda number: block_hash(number, self.seed),
            answers.read_answers(self.items, is_signed),
            {MODEL: run},
            self.number,
            self.windows.count,
            challenges,
        )
