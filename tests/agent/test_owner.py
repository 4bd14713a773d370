"""A device leaves its owner by that owner's word alone, and shows which one it is; on the agent's virtual clock."""

import json
import subprocess
import sys

import coincurve
import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import eip712, light, owner, wire
from device.agent.banks import Banks
from device.agent.boot import Boot
from device.agent.errors import LocalError, WireError
from device.agent.port import FileMemory
from device.agent.store import Store
from tests.agent_bench import CONTRACT, Bench, Ram, bind_request
from tests.up_site import ROOT

SELLER, BUYER = (coincurve.PrivateKey(bytes([number]) * 32) for number in (3, 4))


def address(key):
    return keccak(key.public_key.format(compressed=False)[1:])[12:]


class Area(Ram):
    size = 8 * 512


def signed(device, boot=1, key=SELLER, chain_id=1337, whose=None):
    """A release message for a device, signed by `key` over its fields and the owner `whose`."""
    digest = eip712.release_digest(keccak, chain_id, CONTRACT, device, whose or address(SELLER), boot)
    signature = key.sign_recoverable(digest, hasher=None)
    return owner.encode_release(1337, CONTRACT, boot, signature[:64] + bytes([27 + signature[64]]))


@pytest.fixture
def banks():
    """Banks whose trust is in the seller's update key."""
    made = Banks(Area(), (), ())
    made.key, made.number = b"\x0e" * 20, 6
    made.keep(True)
    return made


@pytest.fixture
def bench(banks):
    """A device of the seller's that is online."""
    made = Bench(boot=Boot(banks, "board_a", "power", 0)).connect()
    made.receive("bind", bind_request(owner=address(SELLER)))
    made.published()
    return made


def kept_owner(bench):
    return Bench(memory=bench.memory).agent._store.owner


def test_a_released_device_says_so_begins_anew_and_takes_the_next_owner(bench, banks):
    device = bench.agent.identity.id
    bench.receive("release", signed(device))
    assert not bench.agent._core.wants_reset
    ((name, frame),) = bench.published()

    boot, signature = wire.decode_bound(frame)
    digest = eip712.release_digest(keccak, 1337, CONTRACT, device, address(SELLER), 1)
    recoverable = signature[:64] + bytes([signature[64] - 27])
    signer = coincurve.PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    assert (name, boot) == ("bound", 1) and keccak(signer.format(compressed=False)[1:])[12:] == device
    assert (banks.key, banks.number) == (bytes(20), 6)
    bench.pass_ms(50)
    assert bench.agent._core.wants_reset

    again = Bench(memory=bench.memory).connect()
    again.published()
    assert again.agent.identity.id == device and again.agent._store.owner is None
    again.receive("bind", bind_request(owner=address(BUYER)))
    assert [name for name, _ in again.published()] == ["bound"] and kept_owner(again) == address(BUYER)


def test_it_does_not_begin_anew_before_the_broker_has_its_answer(bench):
    bench.receive("release", signed(bench.agent.identity.id))
    bench.published(acknowledge=False)
    bench.agent.tick(bench.port.now_ms)
    assert not bench.agent._core.wants_reset


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": BUYER},
        {"key": BUYER, "whose": address(BUYER)},
        {"boot": 2},
        {"chain_id": 1},
        {"device": b"\x01" * 20},
    ],
    ids=["another's", "another's of another", "another boot's", "another chain's", "another device's"],
)
def test_what_is_not_the_owners_word_for_this_boot_changes_nothing(bench, banks, wrong):
    before = bytes(bench.memory.bytes), banks.key
    bench.receive("release", signed(**{"device": bench.agent.identity.id} | wrong))
    assert not bench.published() and (bytes(bench.memory.bytes), banks.key) == before
    assert bench.agent.counts["refused"] == 1 and kept_owner(bench) == address(SELLER)


def test_a_release_that_was_heard_once_is_worth_nothing_to_who_plays_it_to_a_later_boot(bench):
    old = signed(bench.agent.identity.id)
    bench.receive("release", old)
    again = Bench(memory=bench.memory).connect()
    again.receive("bind", bind_request(owner=address(SELLER)))
    again.published()
    again.receive("release", old)
    assert not again.published() and kept_owner(again) == address(SELLER)


def test_who_holds_a_computer_frees_it_of_its_owner_and_its_key_stays(tmp_path):
    path = tmp_path / "store"
    memory = FileMemory(str(path))
    kept = Store(memory)
    kept.open(lambda: b"\x07" * 32)
    kept.bind(address(SELLER))
    memory.close()
    command = [sys.executable, "-m", "device.agent", "--broker", "127.0.0.1:1", "--forget-owner", "--store"]

    told = [subprocess.run([*command, path], cwd=ROOT, capture_output=True, text=True) for _ in range(2)]
    assert [json.loads(one.stdout)["forgot"] for one in told] == ["0x" + address(SELLER).hex(), None]
    again = Store(FileMemory(str(path)))
    assert again.open(None) == b"\x07" * 32 and again.owner is None and again.boot == 4

    (tmp_path / "blank").write_bytes(b"\xff" * 1024)
    for name, code in (("none", 2), ("blank", 1)):
        ended = subprocess.run([*command, tmp_path / name], cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == code and "that this device runs with" in ended.stderr
    assert not (tmp_path / "none").exists() and (tmp_path / "blank").read_bytes() == b"\xff" * 1024


def test_a_device_without_an_owner_has_nothing_to_release():
    bench = Bench().connect()
    bench.published()
    before = bytes(bench.memory.bytes)
    bench.receive("release", signed(bench.agent.identity.id, whose=bytes(20)))
    assert not bench.published() and bytes(bench.memory.bytes) == before and bench.agent.counts["refused"] == 1


@pytest.mark.parametrize("fails", ["memory", "banks"])
def test_an_owner_that_cannot_be_forgotten_stays_and_no_answer_leaves(bench, banks, fails):
    frame = signed(bench.agent.identity.id)
    memory = bench.memory if fails == "memory" else banks._records._memory
    memory.fails = OSError("no answer")
    bench.receive("release", frame)
    memory.fails = False
    assert not bench.published() and bench.agent.counts["store"] == 1 and kept_owner(bench) == address(SELLER)
    bench.receive("release", frame)
    assert [name for name, _ in bench.published()] == ["bound"]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.binary(max_size=140), st.sampled_from([owner.decode_release, light.decode_identify]))
def test_foreign_bytes_are_no_release_and_no_identify(payload, decode):
    try:
        decode(payload)
    except WireError as error:
        assert error.reason in wire.REASONS
    else:
        assert decode is light.decode_identify and len(payload) <= 3


def test_it_blinks_for_so_long_rests_and_then_may_be_asked_again(bench):
    seen = []
    bench.agent.switch = lambda is_on: seen.append((bench.port.now_ms, is_on))
    start_ms = bench.port.now_ms
    bench.receive("identify", light.encode_identify(2))
    bench.receive("identify", light.encode_identify(30))
    bench.pass_ms(6700)
    assert [(ms - start_ms, is_on) for ms, is_on in seen] == [(250 * half, half % 2 == 0) for half in range(8)]
    bench.receive("identify", light.encode_identify(1))
    assert len(seen) == 8 and bench.agent.counts["refused"] == 2
    bench.pass_ms(300)
    bench.receive("identify", light.encode_identify(1))
    assert len(seen) == 9


def test_a_device_without_a_light_refuses_and_a_gateway_cannot_ask_for_too_long(bench):
    bench.receive("identify", light.encode_identify(2))
    assert bench.agent.counts["refused"] == 1 and bench.agent.light is None
    for seconds in (0, 31):
        with pytest.raises(LocalError):
            light.encode_identify(seconds)
