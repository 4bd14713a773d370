"""A node that answers anything: what it says is of the wanted form, or a ChainError and no other error."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chain import jsonrpc, sending
from gateway.chain.chain import Chain, ChainError, Contract, address_of
from gateway.chain.jsonrpc import RpcError
from tests.contract_scene import PAYER

SETTLEMENT, DEVICES = (Contract(name, "0x" + "11" * 20) for name in ("Settlement", "Devices"))
WORD = "0x" + "00" * 31 + "20"
TEXTS = st.sampled_from(
    ["0x", "0x1", "0x0", "0x" + "ff" * 32, "0x" + "00" * 32, WORD, WORD + "ff" * 96, "latest", "zz"]
)
FIELDS = st.sampled_from(
    ["hash", "blockNumber", "status", "gasUsed", "contractAddress", "topics", "data", "logIndex", "transactionHash"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=8,
)
READS = {
    "block_number": lambda chain: chain.block_number(),
    "block_hash": lambda chain: chain.block_hash(7),
    "mine": lambda chain: chain.mine(),
    "has_code": lambda chain: chain.has_code(SETTLEMENT.address),
    "call": lambda chain: chain.call(SETTLEMENT, "epoch"),
    "call of structs": lambda chain: chain.call(DEVICES, "bindings", 1, 100),
    "events": lambda chain: chain.events(SETTLEMENT, "RootPosted"),
    "try_out": lambda chain: chain.try_out(SETTLEMENT, "claim", 1, 1, [], key=PAYER),
    "send": lambda chain: chain.send(SETTLEMENT, "claim", 1, 1, [], key=PAYER),
    "pay": lambda chain: chain.pay(address_of(PAYER), 1, PAYER),
}


@pytest.mark.parametrize("read", READS)
@settings(max_examples=80, derandomize=True, deadline=None)
@given(said=st.lists(JSON, min_size=1, max_size=6))
def test_no_answer_of_a_node_raises_anything_else_than_a_chain_error(read, said):
    said = iter(["0x1", *said])
    chain = Chain(lambda method, params: next(said, None))
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ChainError):
        patch.setattr(sending, "WITHIN_S", 0)
        patch.setattr(sending, "POLL_S", 0)
        READS[read](chain)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(answer=JSON | st.fixed_dictionaries({}, optional={name: JSON for name in ("result", "error", "code", "id")}))
def test_an_envelope_is_a_result_or_an_error(answer):
    with contextlib.suppress(RpcError):
        assert jsonrpc.result_of(answer) is answer["result"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"error": "out of order"}, "out of order"),
        ({"error": {"code": "x", "message": "busy", "data": 7}}, "busy"),
        ({"error": {"code": 3, "message": "no", "data": {"data": "0x12"}}}, "no"),
        ({"error": {"message": "m" * 10_000}}, "m" * jsonrpc.MAX_TOLD),
        ([], "is this the URL of a node"),
        (None, "is this the URL of a node"),
    ],
)
def test_a_nodes_error_is_told_in_its_words(answer, told):
    with pytest.raises(RpcError, match=told) as error:
        jsonrpc.result_of(answer)
    assert len(str(error.value)) <= jsonrpc.MAX_TOLD
