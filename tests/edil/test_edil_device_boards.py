"""A device in EDIL's rounds on emulated boards, through a real broker: its holders read what it summed, once."""

import ast
import time
from array import array

import pytest

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator
from device.agent import rounds, wire
from tests.agent.test_agent_on_boards import FORGET, RUN_AGENT
from tests.agent.test_agent_process import Gateway
from tests.agent_bench import OFFSETS, SHIFTS, heartbeat
from tests.broker_link import Broker
from tests.edil_bench import CHAIN_ID, CONTRACT, MODEL, OWNER, enrolment, gather, manifest, open_update, statuses

SAMPLE = (6400, 1100, 1500, 1300)
WINDOWS = 2
PATIENCE_S = 25
PAUSE_S = 0.5  # between beacons, which wake the board, so that they do not come faster than it samples
ENROLLED_BYTES = 6 * 1024
ROUND_BYTES = 4 * 1024 + 1536  # in the ring of 1024: the work, 152 sums, and what describes them
SENDING_BYTES = 2048  # header, and the parts that wait for the broker
KEPT_BYTES = 1024  # after a round


def window_of_samples():
    """int8 of a window of nothing but SAMPLE."""
    values = [(raw - offset) >> shift for raw, offset, shift in zip(SAMPLE, OFFSETS, SHIFTS, strict=True)]
    return array("b", [max(-128, min(127, value)) for value in values] * 32)


def embedding():
    """int8 of a window of nothing but SAMPLE."""
    out = bytearray(MODEL.output_bytes)
    MODEL.run(window_of_samples().tobytes(), out)
    return array("b", out).tolist()


def moments(z):
    """The embedding, and its products."""
    return z + [z[i] * z[j] for i in range(len(z)) for j in range(i, len(z))]


class Site:
    """One board, its broker, and the test as its gateway."""

    def __init__(self, name, folder):
        self.board = load_board(name)
        self.broker = Broker(folder).start()
        self.gateway = Gateway(self.broker.port)
        elf = build(self.board, lambda *_: None).elf
        self.emulator = Emulator(self.board, elf, folder / "board", link=("127.0.0.1", self.broker.port))
        self.window = 0

    def begin(self):
        """Boot (again); id and public_key are the announced ones."""
        announced = len(self.gateway.payloads("announce"))
        self.emulator.restart()
        if self.board.emulator["sensors"]:
            self.emulator.set_sample(SAMPLE)
        self.until(lambda: len(self.gateway.payloads("announce")) > announced)
        self.id, payload, _, _ = wire.open_sign1(self.gateway.payloads("announce")[-1], wire.ANNOUNCE_MAX_BYTES)
        self.public_key = wire.decode_announce(payload)[5]

    def inferences(self):
        """Of this boot, as the answer to a new beacon tells; a board without sensors gets samples first."""
        if not self.board.emulator["sensors"]:
            self.send("samples", wire.encode_samples("a test", array("h", SAMPLE).tobytes() * 32))
        self.window += 1
        before = len(self.gateway.payloads("heartbeat"))
        self.gateway.give_beacon(1, self.window)
        self.until(lambda: len(self.gateway.payloads("heartbeat")) > before)
        time.sleep(PAUSE_S)
        return heartbeat(self.gateway.payloads("heartbeat")[-1])[4]

    def until(self, is_so):
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end, "what the test waits for did not come"
            time.sleep(0.02)

    def send(self, name, payload):
        self.gateway.client.publish(wire.topic(self.id, name), payload, 1)

    def ask(self, name, frame):
        """Send an enrolment or a manifest -> status."""
        before = len(self.gateway.payloads("edil"))
        self.send(name, frame)
        self.until(lambda: len(self.gateway.payloads("edil")) > before)
        return statuses(self.gateway.seen)[-1][1]

    def stop(self):
        self.emulator.stop()
        self.gateway.client.loop_stop()
        self.broker.stop()


@pytest.fixture(scope="module", params=["qemu_mps2_an385", "qemu_mps2_an500", "qemu_virt_rv32"])
def site(request, tmp_path_factory):
    site = Site(request.param, tmp_path_factory.mktemp(request.param))
    try:
        site.begin()
        yield site
    finally:
        site.stop()


def test_a_board_enrols_sends_what_its_holders_can_read_and_after_a_reset_never_again_for_that_round(site):
    frame = manifest(windows=WINDOWS)
    assert site.ask("enrol", enrolment()[0]) == "unbound"
    site.send("bind", wire.encode_bind(CHAIN_ID, CONTRACT, 1, OWNER.address, site.board.name, 5, 1_800_000_000))
    assert site.ask("round", frame) == "holders"
    assert site.ask("enrol", enrolment()[0]) == "enrolled"
    assert site.ask("round", frame) == "joined"

    site.begin()  # a reset in the middle of a round that has nothing encrypted yet
    site.until(lambda: site.inferences() >= 2)  # and windows hold nothing but SAMPLE
    assert site.ask("round", frame) == "holders"
    assert [site.ask("enrol", enrolment()[0]), site.ask("round", frame)] == ["enrolled", "joined"]
    site.until(lambda: site.inferences() and gather(site.gateway.seen))

    update, ciphertext = gather(site.gateway.seen)[0]
    assert update[:4] == (rounds.open_manifest(frame)[0].digest, enrolment()[1], 0, WINDOWS)
    z = embedding()
    opened = open_update(frame, enrolment()[1], site, update, ciphertext)
    assert opened == ([WINDOWS * value for value in moments(z)], WINDOWS, 1) and any(z)

    site.begin()  # a reset while the ciphertext is on its way: the round is spent
    made = len(gather(site.gateway.seen))
    assert [site.ask("enrol", enrolment()[0]), site.ask("round", frame)] == ["enrolled", "round"]
    assert site.ask("round", manifest(windows=1)) == "round"
    assert site.ask("round", manifest(round=2, windows=1)) == "joined"
    site.until(lambda: site.inferences() and len(gather(site.gateway.seen)) > made)
    assert gather(site.gateway.seen)[-1][0][0] == rounds.open_manifest(manifest(round=2, windows=1))[0].digest


def test_a_board_encrypts_what_fits_a_decoder_and_single_embeddings(site):
    """After the test above: the board is bound, and its windows hold nothing but SAMPLE."""
    z, x = embedding(), window_of_samples()[5:9].tolist()
    decoder = {"round": 11, "kind": rounds.DECODER, "first_row": 5, "rows": 4, "windows": 1, "digits": 2}
    single = {"round": 12, "kind": rounds.INFERENCE, "windows": 2, "digits": 1}
    for asked, wanted in (
        (decoder, [moments(z) + x + [r * value for r in x for value in z]]),
        (single, [z, z]),
    ):
        frame, before = manifest(**asked), len(gather(site.gateway.seen))
        assert [site.ask("enrol", enrolment()[0]), site.ask("round", frame)] == ["enrolled", "joined"]
        for index, values in enumerate(wanted):
            site.until(lambda made=before + index: site.inferences() and len(gather(site.gateway.seen)) > made)
            update, ciphertext = gather(site.gateway.seen)[before + index]
            assert update[2:4] == (index, 1)
            assert open_update(frame, enrolment()[1], site, update, ciphertext) == (values, 1, 1)
            site.send("taken", rounds.encode_taken(update[0], index, "stored"))


# Goes on where RUN_AGENT ends, with its agent and `step`. Figures are bytes on the heap. The collector takes any word
# of the stack for a pointer, so what calls before have left there is overwritten first.
HEAP = """
from binascii import unhexlify
def overwrite(calls):
    return calls and overwrite(calls - 1)
def used():
    overwrite(12)
    gc.collect()
    return gc.mem_alloc()
def say(name, frame):
    agent.receive(wire.topic(agent.identity.id, name).encode(), unhexlify(frame), _tinyren.ticks_ms())
    while agent.client.queued:
        _tinyren.idle(step(agent, _tinyren, buffer))
figures = [used()]
say("bind", {bind!r})
say("enrol", {enrol!r})
figures.append(used())
say("round", {manifest!r})
figures.append(used())
for _ in range({windows}):
    agent.edil._add(bytes(128), bytes(range(16)))
agent.edil.tick(_tinyren.ticks_ms())
figures.append(used())
say("taken", {taken!r})
figures.append(used())
ballast = []
try:
    while True:
        ballast.append(bytearray(1024))
except MemoryError:
    del ballast[-6:]
say("round", {larger!r})
refused = agent.edil.counts["refused"], agent.edil._update is None
ballast = None
say("round", {larger!r})
print(figures + list(refused) + [agent.edil.counts["refused"], agent.edil._update is None])
"""


@pytest.mark.parametrize("name", ["qemu_mps2_an385", "qemu_virt_rv32"])
def test_a_round_has_its_memory_from_joining_to_its_end_and_one_that_does_not_fit_is_refused(name, tmp_path):
    board, frame = load_board(name), manifest(windows=WINDOWS)
    frames = {
        "bind": wire.encode_bind(CHAIN_ID, CONTRACT, 1, OWNER.address, board.name, 5, 1_800_000_000),
        "enrol": enrolment()[0],
        "manifest": frame,
        "taken": rounds.encode_taken(rounds.open_manifest(frame)[0].digest, 0, "stored"),
        "larger": manifest(round=2, ring=4096),
    }
    program = HEAP.format(windows=WINDOWS, **{key: value.hex() for key, value in frames.items()})
    firmware, broker = build(board, lambda *_: None), Broker(tmp_path).start()
    try:
        link = ("127.0.0.1", broker.port)
        with Emulator(board, firmware.elf, tmp_path / "board", link) as emulator, emulator.open_repl() as repl:
            repl.exec(FORGET)
            repl.exec(RUN_AGENT)
            *_, line = repl.exec(program).splitlines()
    finally:
        broker.stop()

    before, enrolled, joined, sending, after, *refused = ast.literal_eval(line)
    assert refused == [1, True, 1, False]
    assert enrolled - before < ENROLLED_BYTES and 4096 < joined - enrolled <= ROUND_BYTES
    assert sending - joined <= SENDING_BYTES and after - enrolled < KEPT_BYTES
