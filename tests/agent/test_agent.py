"""The agent's rules on a virtual clock, and under foreign bytes."""

import hashlib

import coincurve
import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import eip712, wire
from device.agent.sampling import SAMPLE_MS, LinkSource
from device.native.shared import Model
from tests.agent_bench import (
    ARTIFACT,
    CONTRACT,
    OFFSETS,
    OWNER,
    SECRET,
    SHIFTS,
    WRAP,
    Bench,
    Ram,
    bind_request,
    heartbeat,
)

# Announce


def test_it_announces_what_it_is_once_a_session_and_again_when_its_source_changes():
    bench = Bench(source=LinkSource()).connect()

    ((name, frame),) = bench.published()
    bench.pass_ms(3000)
    assert name == "announce" and len(bench.sent) == 1
    device_id, payload, _, _ = wire.open_sign1(frame, wire.ANNOUNCE_MAX_BYTES)
    public_key = coincurve.PrivateKey(SECRET).public_key.format()
    core = bench.port.CORE
    model = Model(ARTIFACT).cid
    fields = ("board_a", 1, "0.1.0", core, model, public_key, "recorded over the link")
    assert device_id == bench.agent.identity.id and wire.decode_announce(payload) == fields

    bench.receive("samples", wire.encode_samples("office.csv", bytes(8)))
    bench.pass_ms(50)
    source = wire.decode_announce(wire.open_sign1(bench.sent[-1][1], wire.ANNOUNCE_MAX_BYTES)[1])[-1]
    assert len(bench.sent) == 2 and source == "office.csv"

    bench.client.lost(bench.port.now_ms)
    bench.connect().published()
    assert [name for name, _ in bench.sent] == ["announce"] * 3


# Heartbeats


@pytest.mark.parametrize("start_ms", [0, WRAP - 2000], ids=["", "as the clock wraps"])
def test_it_answers_each_beacon_once_with_count_and_chain_of_its_inferences(start_ms):
    bench = Bench(start_ms).connect()
    bench.published()
    bench.pass_ms(3 * 32 * SAMPLE_MS - 100)

    bench.give_beacon(7, 3)
    bench.give_beacon(7, 3)
    ((name, frame),) = bench.published()

    chain, model, window, n = bytes(16), Model(ARTIFACT), bytearray(128), 0
    for _ in range(3):
        for at in range(0, 128, 4):
            n += 1
            for channel, raw in enumerate((n, -n, 2 * n, 32767)):
                window[at + channel] = max(-128, min(127, (raw - OFFSETS[channel]) >> SHIFTS[channel])) & 0xFF
        output = bytearray(model.output_bytes)
        model.run(window, output)
        chain = hashlib.sha256(chain + output).digest()[:16]
    assert name == "heartbeat"
    assert heartbeat(frame) == (wire.make_beacon(7, 3, bytes(32)), 1, 1, model.cid, 3, chain, 0)
    assert (bench.agent.counts["answered"], bench.agent.counts["old_beacon"]) == (1, 1)


def test_sequences_go_on_within_a_boot_and_begin_again_in_the_next():
    memory, seen = Ram(), []

    for _ in range(3):
        bench = Bench(memory=memory).connect()
        bench.published()
        for window in range(3):
            bench.give_beacon(1, window)
            seen += [heartbeat(frame)[1:3] for _, frame in bench.published()]

    assert seen == [(boot, sequence) for boot in (1, 2, 3) for sequence in (1, 2, 3)]


def test_a_beacon_that_is_not_later_than_the_last_is_refused_and_nothing_changes():
    bench = Bench().connect()
    bench.give_beacon(7, 3)
    bench.published()

    for epoch, window in ((7, 3), (7, 2), (6, 65535), (0, 0)):
        bench.give_beacon(epoch, window)

    assert not bench.published() and bench.agent.sequence == 1 and bench.agent.counts["old_beacon"] == 4
    bench.give_beacon(8, 0)
    assert len(bench.published()) == 1


def test_an_unacknowledged_heartbeat_is_sent_again_unchanged_until_the_right_ack():
    bench = Bench().connect()
    bench.published()
    bench.give_beacon(7, 3)
    first = bench.published()

    bench.pass_ms(1450)
    assert len(bench.sent) == 2
    bench.pass_ms(50)
    bench.receive("ack", wire.encode_ack(2, 1))
    bench.receive("ack", wire.encode_ack(1, 2))
    bench.pass_ms(1500)
    assert bench.sent[1:] == first * 3
    bench.receive("ack", wire.encode_ack(1, 1))
    bench.pass_ms(10_000)

    assert bench.sent[1:] == first * 3
    assert (bench.agent.counts["resent"], bench.agent.counts["unacknowledged"]) == (2, 0)


def test_a_newer_beacon_ends_the_sending_of_an_older_heartbeat():
    bench = Bench().connect()
    bench.give_beacon(7, 3)
    bench.published()

    bench.give_beacon(7, 4)
    bench.published()
    bench.pass_ms(4600)

    assert [heartbeat(frame)[2] for name, frame in bench.sent if name == "heartbeat"] == [1, 2, 2, 2, 2]
    assert bench.agent.counts["unacknowledged"] == 1


def test_what_mqtt_still_holds_is_not_doubled_and_comes_after_the_next_connection():
    bench = Bench().connect()
    bench.published()
    bench.give_beacon(7, 3)
    (held,) = bench.published(acknowledge=False)

    bench.pass_ms(4500, acknowledge=False)
    assert not bench.published()
    bench.client.lost(bench.port.now_ms)
    bench.connect()

    assert bench.published()[0] == held and bench.agent.counts["resent"] == 0
    bench.pass_ms(1500)
    assert bench.sent[-1] == held and bench.agent.counts["resent"] == 1


# Binding


def test_it_binds_to_its_first_owner_with_a_signature_over_the_fields():
    bench = Bench().connect()
    bench.published()

    bench.receive("bind", bind_request())
    ((name, frame),) = bench.published()

    nonce, signature = wire.decode_bound(frame)
    digest = eip712.binding_digest(
        keccak, 1337, CONTRACT, 1, bench.agent.identity.id, OWNER, "board_a", 5, 1_800_000_000
    )
    key = coincurve.PublicKey.from_signature_and_message(
        signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
    )
    assert (name, nonce) == ("bound", 5)
    assert keccak(key.format(compressed=False)[1:])[12:] == bench.agent.identity.id
    assert Bench(memory=bench.memory).agent._store.owner == OWNER


def test_it_signs_again_for_its_owner_and_for_nobody_else_even_after_a_reset():
    bench = Bench().connect()
    bench.receive("bind", bind_request())

    again = Bench(memory=bench.memory).connect()
    again.published()
    again.receive("bind", bind_request(owner=b"\x0b" * 20))
    assert not again.published() and again.agent.counts["refused"] == 1
    again.receive("bind", bind_request(nonce=6))
    assert [name for name, _ in again.published()] == ["bound"]


@pytest.mark.parametrize("request_", [bind_request(owner=bytes(20)), bind_request(board="board_b")])
def test_a_binding_to_nobody_or_of_another_board_is_refused_and_stores_nothing(request_):
    bench = Bench().connect()
    bench.published()
    before = bytes(bench.memory.bytes)

    bench.receive("bind", request_)

    assert not bench.published() and bytes(bench.memory.bytes) == before and bench.agent.counts["refused"] == 1


@pytest.mark.parametrize("fault", [True, OSError("no answer")])
def test_an_owner_that_cannot_be_stored_gets_no_signature(fault):
    bench = Bench().connect()
    bench.published()
    bench.memory.fails = fault

    bench.receive("bind", bind_request())

    assert not bench.published() and bench.agent.counts["store"] == 1
    bench.memory.fails = False
    bench.receive("bind", bind_request(owner=b"\x0b" * 20))
    assert [name for name, _ in bench.published()] == ["bound"]


# Foreign bytes and clocks


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.sampled_from(["beacon", "ack", "bind", "samples", "other"]),
    st.binary(max_size=80) | st.sampled_from([bind_request()[:-1], wire.encode_ack(1, 1) + b"\0"]),
)
def test_foreign_bytes_on_any_topic_change_nothing_but_a_count(name, payload):
    bench = Bench().connect()
    bench.published()
    before = bytes(bench.memory.bytes), bench.agent.sequence, bench.agent.boot

    bench.receive(name, payload)

    assert (bytes(bench.memory.bytes), bench.agent.sequence, bench.agent.boot) == before or name == "beacon"
    assert bench.agent.counts["refused"] == 1 or name in ("beacon", "ack")
    assert name == "beacon" or not bench.published()


@pytest.mark.parametrize("start_ms", [0, WRAP - 30_000])
def test_a_minute_of_windows_is_answered_whole_whether_or_not_the_clock_wraps(start_ms):
    bench = Bench(start_ms).connect()
    for window in range(12):
        bench.give_beacon(1, window)
        bench.published()
        bench.receive("ack", wire.encode_ack(1, window + 1))
        bench.pass_ms(5000)

    heartbeats = [heartbeat(frame) for name, frame in bench.sent if name == "heartbeat"]
    assert [beat[2] for beat in heartbeats] == list(range(1, 13))
    assert heartbeats[-1][4] == (55_000 + 150) // 1600 and bench.agent.counts["unacknowledged"] == 0
    assert bench.source.given == 1 + (60_000 + 100) // SAMPLE_MS and bench.client.sessions == 1
