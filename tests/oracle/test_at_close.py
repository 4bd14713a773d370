"""What a verdict asks of the chain: gateway and oracles read the same at any block; a hostile answer is none."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chain.chain import ChainError
from gateway.oracle.availability import Windows
from gateway.oracle.rpc import ChainAway, ChainReader, decode_jobs
from gateway.poai.jobs import MEASURED, VERIFIED
from gateway.settlement.accounts import Accounts
from gateway.settlement.escrow import Escrow
from gateway.settlement.read import SettlementChain
from tests.chain_node import Node
from tests.contract_scene import OWNERS, A, B, make_scene

R1 = 10**18
MODEL = bytes(range(32))
RAW_A, RAW_B = bytes.fromhex(A[2:]), bytes.fromhex(B[2:])


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """(scene, oracles' reader, blocks before and after A chose its account and opened jobs) after epoch 3."""
    scene = make_scene(tmp_path_factory.mktemp("close") / "chain.sqlite")
    scene.bind()
    scene.bind(2, 1, OWNERS[1])
    scene.post({1: 1000 * R1})
    scene.claim(1)
    made = scene.settlement.contracts
    escrow, node = Escrow(scene.chain, made.escrow), Node(scene.chain)
    before = scene.chain.block_number()
    Accounts(scene.settlement).choose(True, OWNERS[0])
    opened = [([], False, 5), ([2, 9], False, 5), ([], True, 5), ([9], False, 5), ([], False, 1)]
    for workers, is_measured, epochs in opened:
        escrow.open(MODEL, R1, 5 * R1, epochs, workers, OWNERS[0], is_measured)
    escrow.cancel(escrow.open(MODEL, R1, 7 * R1, 5, [], OWNERS[0]), OWNERS[0])
    addresses = [bytes.fromhex(text[2:]) for text in (made.settlement, made.devices, made.escrow)]
    yield scene, ChainReader(node.url, *addresses), before, scene.chain.block_number()
    node.stop()
    scene.chain.close()


@pytest.mark.parametrize("epoch, jobs", [(2, []), (3, [1, 2, 3, 5]), (4, [1, 2, 3])])
def test_oracles_and_gateway_read_the_same_deeds_choices_and_jobs(played, epoch, jobs):
    scene, reader, before, after = played
    for block in (before, after):
        windows = Windows(epoch, 4, 1000, (), block)
        one, other = SettlementChain(scene.settlement).at_close(windows), reader.at_close(windows)
        assert (one.deeds, set(one.to_account), list(one.jobs)) == (other.deeds, other.to_account, list(other.jobs))
        assert {deed: found.owner for deed, found in one.deeds.items()} == {1: RAW_A, 2: RAW_B}
        is_after = block == after
        assert one.to_account == ({RAW_A} if is_after and epoch > 2 else set())
        assert [job.number for job in one.jobs] == (jobs if is_after else [])
        for job in one.jobs:
            assert job.kind == (MEASURED if job.number == 3 else VERIFIED) and job.model[4:] == MODEL
            assert job.workers == ({2} if job.number == 2 else set()) and (job.most_units, job.price) == (5, R1)


def test_a_block_that_is_not_there_is_none_or_no_answer(played):
    scene, reader, _, after = played
    assert SettlementChain(scene.settlement).block_hash(after + 99) is None
    for read in (SettlementChain(scene.settlement).at_close, reader.at_close):
        with pytest.raises((ChainAway, ChainError)):
            read(Windows(3, 4, 1000, (), after + 99))


def word(number):
    return number.to_bytes(32, "big")


def answer(**changed):
    job = {"buyer": 1, "opened": 1, "closed": 0, "any": 1, "measured": 0, "first": 3, "last": 4, "price": 2, "cap": 9}
    return word(32) + word(1) + b"".join(map(word, (job | {"paid": 0, "model": 7} | changed).values()))


def test_a_job_is_read_and_one_that_is_closed_is_none_of_any_epoch():
    ((job, is_for_any),) = decode_jobs(answer(), bytes(20), 5)
    assert (job.number, job.kind, job.first, job.last, job.most_units, is_for_any) == (5, VERIFIED, 3, 4, 4, True)
    ((job, _),) = decode_jobs(answer(closed=1), bytes(20), 5)
    assert job.last < job.first
    with pytest.raises(ChainAway, match="price 0"):
        decode_jobs(answer(price=0), bytes(20), 5)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=500), st.integers(0, len(answer())), st.integers(0, 300))
def test_a_foreign_answer_is_read_or_the_chain_counts_as_away(noise, at, length):
    for data in (noise, answer()[:length], answer()[:at] + noise + answer()[at:]):
        with contextlib.suppress(ChainAway):
            decode_jobs(data, bytes(20), 1)
