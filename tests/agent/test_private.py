"""Answers that the device seals to one reader: as its model's manifest asks, opened by that reader's key alone."""

import json
from pathlib import Path

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator
from device.agent import reveal, run, seal, suit, wire
from device.agent.banks import Banks
from device.agent.boot import Boot
from device.agent.cose import sign1
from device.agent.errors import LocalError
from device.agent.sampling import SAMPLE_MS
from device.native.shared import Model
from gateway import curve
from gateway.poai import private
from tests.agent_bench import ARTIFACT, OFFSETS, SHIFTS, Bench, Counting, Ram, VirtualPort
from tests.update_bench import Eeprom, Power, manifest

READER, OTHER = PrivateKey.from_int(5), PrivateKey.from_int(6)
KEY = READER.public_key.format()
INFERENCE_MS = 32 * SAMPLE_MS
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "private.json").read_text())
PLACE = [1, 1, 5, 4]


class Fresh(VirtualPort):
    """Entropy that is other each time, and the same in each run."""

    drawn = 0

    def entropy(self, buffer):
        self.drawn += 1
        buffer[:] = self.drawn.to_bytes(len(buffer), "big")


class Sealing(Bench):
    """A bench whose model's manifest names a reader."""

    def __init__(self, reader=KEY):
        memories = [Eeprom(Power(), size) for size in (4096, 8192, 8192, 8192, 8192)]
        parameters = suit.encode_parameters(OFFSETS, SHIFTS, SAMPLE_MS, reader=reader)
        banks = Banks(memories[0], memories[1:3], memories[3:])
        banks.bank(1, 1).begin(manifest(ARTIFACT, 1, parameters=parameters), False)
        banks.bank(1, 1).write(0, ARTIFACT)
        banks.units[1].bank = banks.units[1].sequence = 1
        banks.keep()
        boot = Boot(banks, "board_a", "power", 0)
        self.memory, self.port, self.source, self.sent = Ram(), Fresh(0), Counting(), []
        self.agent = run.start(self.port, self.memory, self.source, Model(ARTIFACT), *boot.wants, None, boot=boot)
        self.client = self.agent.client

    def beat(self, window, inferences):
        self.pass_ms(inferences * INFERENCE_MS)
        self.give_beacon(1, window)
        self.published()

    def challenge(self, boot, sequence, count, index):
        self.receive("challenge", reveal.encode_challenge(boot, sequence, count, index))
        return [frame for name, frame in self.published() if name == "reveal"]


@pytest.fixture
def bench():
    bench = Sealing().connect()
    bench.beat(0, 5)
    return bench


def opened(frame, key=READER):
    sealed, signature, digest = private.read_sealed(0, frame)
    assert curve.recover(signature, digest, sealed.device)
    return sealed, private.uncover(sealed, key.ecdh(sealed.point))


def test_an_answer_is_the_reveal_that_it_would_have_been_and_only_the_reader_opens_it(bench):
    (frame,) = bench.challenge(*PLACE)
    sealed, content = opened(frame)
    before, window, output = bench.agent._sampler.reveal(4)
    _, _, last = bench.agent._sampler.reveal(5)
    assert sealed.place == (bench.agent.identity.id, *PLACE) and sealed.reader == KEY
    assert content == (window, output + last, before)
    assert opened(frame, OTHER)[1] is None
    assert not any(secret in frame for secret in (window, output, window[:16], before))


def test_the_same_challenge_has_the_same_answer_and_another_one_another_key(bench):
    first = bench.challenge(*PLACE)
    assert len(first) == 1 and bench.challenge(*PLACE) == first and not bench.challenge(1, 1, 5, 5)
    bench.beat(1, 6)
    (second,) = bench.challenge(1, 2, 11, 10)
    assert opened(second)[1] and opened(second)[0].point != opened(first[0])[0].point


def test_without_a_reader_the_answer_is_for_everybody():
    bench = Sealing(reader=b"").connect()
    bench.beat(0, 5)
    (frame,) = bench.challenge(*PLACE)
    assert reveal.decode_reveal(wire.open_sign1(frame, reveal.REVEAL_MAX_BYTES)[1])[:4] == tuple(PLACE)


def test_a_reader_that_is_no_point_ends_the_boot_that_tries_it():
    with pytest.raises(ValueError, match="The public key could not be parsed or is invalid"):
        Sealing(b"\x02" + bytes(32))


def test_an_answer_that_no_packet_holds_is_refused_and_the_device_goes_on(bench, monkeypatch):
    monkeypatch.setattr(bench.agent._sampler, "reveal", lambda number: (bytes(16), bytes(500), bytes(12)))
    assert not bench.challenge(1, 1, 5, 5) and bench.agent.counts["refused"] == 1
    monkeypatch.undo()
    assert len(bench.challenge(*PLACE)) == 1


def test_the_vectors_are_what_the_sealer_makes():
    class Given(VirtualPort):
        def entropy(self, buffer):
            buffer[:] = bytes.fromhex(vector["ephemeral"])

    for vector in VECTORS["sealed"]:
        payload = seal.Sealer(Given(), bytes.fromhex(vector["reader"])).seal(
            vector["place"], bytes.fromhex(vector["reveal"])
        )
        device = PrivateKey(bytes.fromhex(VECTORS["device"]))
        frame = sign1(payload, curve.address_of(device.secret), lambda d: device.sign_recoverable(d, hasher=None))  # noqa: B023
        assert (payload.hex(), frame.hex()) == (vector["payload"], vector["frame"])
        assert seal.cover(bytes.fromhex(vector["agreed"]), seal.decode_sealed(payload)[6]).hex() == vector["reveal"]


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["name"])
def test_what_is_no_sealed_reveal_is_refused_for_its_reason(vector):
    with pytest.raises(wire.WireError) as refused:
        seal.decode_sealed(bytes.fromhex(vector["payload"]))
    assert refused.value.reason == vector["reason"]


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 255))
def test_a_changed_payload_is_refused_or_says_something_else(at, value):
    payload = bytes.fromhex(VECTORS["sealed"][0]["payload"])
    changed = bytearray(payload)
    changed[at % len(payload)] = value
    try:
        fields = seal.decode_sealed(bytes(changed))
    except wire.WireError as error:
        assert error.reason in wire.REASONS
    else:
        assert seal.encode_sealed(*fields) == changed


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_foreign_bytes_are_no_sealed_reveal(payload):
    with pytest.raises(wire.WireError):
        seal.decode_sealed(payload)


@pytest.mark.parametrize("reader", [b"\x04" + bytes(32), KEY[:32], KEY + b"\0"])
def test_a_manifest_names_a_key_of_33_bytes_or_none(reader):
    with pytest.raises(LocalError, match="reader"):
        suit.encode_parameters(OFFSETS, SHIFTS, SAMPLE_MS, reader=reader)
    assert suit.decode_parameters(suit.encode_parameters(OFFSETS, SHIFTS, SAMPLE_MS, reader=KEY))[4] == KEY


ON_BOARD = """
import gc, _tinyren
from binascii import hexlify, unhexlify
class Given:
    pubkey, ecdh = _tinyren.pubkey, _tinyren.ecdh
    def entropy(self, buffer):
        buffer[:] = unhexlify("{ephemeral}")
gc.collect()
before = gc.mem_alloc()
from agent.seal import Sealer
sealer = Sealer(Given(), unhexlify("{reader}"))
started = _tinyren.ticks_us()
payload = sealer.seal({place}, unhexlify("{reveal}"))
spent = _tinyren.ticks_us() - started
print(hexlify(payload).decode())
del payload
gc.collect()
print(gc.mem_alloc() - before, spent)
"""


@pytest.mark.parametrize("name", ["qemu_mps2_an385", "qemu_virt_rv32"])
def test_a_board_seals_the_bytes_of_the_vectors_and_keeps_little(name, tmp_path):
    board, vector = load_board(name), VECTORS["sealed"][0]
    firmware = build(board, lambda *_: None)
    with Emulator(board, firmware.elf, tmp_path) as emulator:
        payload, heap_bytes, spent_us = emulator.exec(ON_BOARD.format(**vector)).split()
    assert payload == vector["payload"] and int(heap_bytes) < 1600
