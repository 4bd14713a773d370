"""The embedded chain on disk and over JSON-RPC: durable, and deaf to noise."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from coincurve import PrivateKey
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.chain import embedded as embedded_chain
from gateway.chain import jsonrpc
from gateway.chain.chain import ChainError, address_of, connect, open_embedded
from gateway.settlement.settlement import Settlement
from tests.chain_node import Node
from tests.contract_scene import ANYONE, PAYER, A, B, key, make_scene

ZERO = "0x" + "00" * 20
NOBODY = key("nobody")
WRITER = """
import sys
from pathlib import Path
from gateway.chain.chain import address_of, open_embedded
from tests.contract_scene import PAYER
chain = open_embedded(Path(sys.argv[1]), (address_of(PAYER),))
deeds, _ = chain.deploy("NodeDeed", address_of(PAYER), key=PAYER)
print(deeds.address, flush=True)
for deed in range(1, 10_000):
    print(chain.send(deeds, "mint", deed, address_of(PAYER), 1, key=PAYER).tx, flush=True)
"""


@pytest.fixture
def chain(tmp_path):
    made = open_embedded(tmp_path / "chain.sqlite", (address_of(PAYER),))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    scene = make_scene(tmp_path_factory.mktemp("chain") / "chain.sqlite")
    yield scene
    scene.chain.close()


def raw(chain, signer=PAYER, **changed) -> str:
    """A signed transfer of 5 wei."""
    nonce = int(chain.request("eth_getTransactionCount", [address_of(signer), "latest"]), 16)
    fields = {"to": ZERO, "value": 5, "gas": 21_000, "nonce": nonce, "gasPrice": 10**10, "chainId": chain.chain_id}
    return "0x" + bytes(Account.from_key(signer.secret).sign_transaction({**fields, **changed}).raw_transaction).hex()


def test_every_acknowledged_transaction_survives_kill_9(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "chain.sqlite")]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deeds, *acknowledged = [writer.stdout.readline().strip() for _ in range(21)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    writer.wait()

    chain = open_embedded(tmp_path / "chain.sqlite")
    receipts = [chain.request("eth_getTransactionReceipt", [tx]) for tx in acknowledged]
    assert [int(receipt["blockNumber"], 16) for receipt in receipts] == list(range(2, len(receipts) + 2))
    assert all(receipt["status"] == "0x1" and receipt["to"] == deeds for receipt in receipts)
    # One more may have been committed and not told.
    assert chain.block_number() - (len(acknowledged) + 1) in (0, 1)
    assert chain.mine() == chain.block_number()
    chain.close()


def test_a_reopened_chain_is_the_same_chain(tmp_path):
    chain = open_embedded(tmp_path / "chain.sqlite", (address_of(PAYER),))
    chain.request("eth_sendRawTransaction", [raw(chain)])
    hashes = [chain.block_hash(number) for number in range(chain.mine() + 1)]
    chain.close()
    again = open_embedded(tmp_path / "chain.sqlite", (address_of(NOBODY),))
    assert [again.block_hash(number) for number in range(again.block_number() + 1)] == hashes
    assert again.request("eth_getBalance", [address_of(NOBODY), "latest"]) == "0x0"
    again.close()


def test_a_second_process_cannot_open_it(tmp_path, chain):
    code = "import sys; from pathlib import Path; from gateway.chain.chain import *; open_embedded(Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "chain.sqlite"], capture_output=True, text=True)
    assert "ChainError" in done.stderr and "in use by another process" in done.stderr


def test_a_full_disk_refuses_the_block_and_leaves_the_chain_as_it_was(chain):
    chain.request("eth_sendRawTransaction", [raw(chain)])
    database = chain._mine.__self__._store._db
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(ChainError, match="full"):
        for _ in range(200):
            chain.mine()
    newest = chain.block_number()
    with pytest.raises(ChainError, match="full"):
        chain.request("eth_sendRawTransaction", [raw(chain)])
    assert chain.block_number() == newest
    database.execute("PRAGMA max_page_count=100000")
    chain.request("eth_sendRawTransaction", [raw(chain)])
    assert chain.block_number() == newest + 1


@pytest.mark.parametrize("path", ["missing/chain.sqlite", "noise"])
def test_a_file_that_is_no_chain_is_refused(tmp_path, path):
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    with pytest.raises(ChainError, match=path):
        open_embedded(tmp_path / path)
    assert (tmp_path / "noise").read_bytes() == b"noise" * 1000


def test_each_empty_block_has_a_hash_that_nobody_could_know(chain):
    hashes = {chain.block_hash(chain.mine()) for _ in range(20)}
    extra = {chain.request("eth_getBlockByNumber", [hex(number), False])["extraData"] for number in range(21)}
    assert len(hashes) == 20 and len(extra) == 21
    with pytest.raises(ChainError, match="block 21 is not there"):
        chain.block_hash(21)


def test_the_embedded_chain_offers_exactly_the_methods_that_are_let_through():
    assert set(embedded_chain._METHODS) == jsonrpc.OFFERED


@pytest.mark.parametrize("method", ["eth_sendTransaction", "eth_accounts", "eth_sign", "personal_sign", "", None, 7])
def test_a_method_that_would_use_the_nodes_keys_is_not_let_through(chain, method):
    with pytest.raises(ChainError, match="not offered"):
        chain.request(method, [])


@pytest.mark.parametrize(
    "changed, error",
    [
        ({"nonce": 7}, "nonce"),
        ({"chainId": 1}, "chain id 1, wanted 1331"),
        ({"chainId": None}, "chain id None, wanted 1331"),
        ({"gas": 20_999}, "gas"),
        ({"gas": 31_000_000}, "gas"),
        ({"gasPrice": 1}, "fee"),
        ({"value": 10**25}, "balance|funds|afford"),
    ],
)
def test_a_transaction_that_cannot_be_is_refused_and_leaves_no_trace(chain, changed, error):
    before = chain.block_number()
    if changed.get("chainId", 1) is None:
        account, fields = Account.from_key(PAYER.secret), {"to": ZERO, "value": 5, "gas": 21_000, "gasPrice": 10**10}
        text = "0x" + bytes(account.sign_transaction({**fields, "nonce": 0}).raw_transaction).hex()
    else:
        text = raw(chain, **changed)
    with pytest.raises(ChainError, match=f"(?i){error}"):
        chain.request("eth_sendRawTransaction", [text])
    assert chain.block_number() == before
    chain.request("eth_sendRawTransaction", [raw(chain)])
    assert chain.block_number() == before + 1


HEX = st.binary(max_size=70).map(lambda raw: "0x" + raw.hex()) | st.integers(0, 2**256).map(hex)
NAMES = st.sampled_from(["to", "from", "data", "gas", "value", "topics", "address", "fromBlock", "toBlock"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | HEX,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner | HEX),
    max_leaves=5,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "to": st.sampled_from([ZERO, A, "0x" + "00" * 19 + "05"]),
        "from": st.sampled_from([ZERO, A]),
        "data": HEX,
        "gas": st.sampled_from(["0x0", "0x1", "0x5208", "0xffff", "0xffffffffffff"]),
        "value": st.sampled_from(["0x0", "0x1", hex(10**30)]),
    },
)


@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["eth_call", "eth_estimateGas"]), MESSAGES, st.sampled_from(["latest", "0x0"]))
def test_any_message_gives_an_answer_or_a_chain_error(shared, method, message, block):
    before = shared.chain.block_number()
    try:
        assert jsonrpc.is_data(shared.chain.request(method, [message, block])) or method == "eth_estimateGas"
    except ChainError as error:
        assert error.code < 0 or error.code == jsonrpc.REVERTED
    assert shared.chain.block_number() == before


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(method=st.sampled_from(sorted(jsonrpc.OFFERED)), params=VALUES | st.lists(VALUES, max_size=3))
def test_any_parameters_give_an_answer_or_a_chain_error(shared, method, params):
    before = shared.chain.block_number()
    try:
        json.dumps(shared.chain.request(method, params))
    except ChainError as error:
        assert error.code < 0 or error.code == jsonrpc.REVERTED
    assert shared.chain.block_number() == before


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_foreign_bytes_as_a_transaction_are_refused(shared, data):
    good = bytearray(bytes.fromhex(raw(shared.chain)[2:]))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(good) - 1))
        good[at] ^= data.draw(st.integers(1, 255))
        # Another signer, perhaps, but one without funds.
        noise = bytes(good)
    else:
        noise = data.draw(st.binary(max_size=200))
    before = shared.chain.block_number()
    with pytest.raises(ChainError):
        shared.chain.request("eth_sendRawTransaction", ["0x" + noise.hex()])
    assert shared.chain.block_number() == before


def test_a_transaction_that_reverts_in_its_block_tells_the_reason(chain):
    deeds, _ = chain.deploy("NodeDeed", address_of(NOBODY), key=PAYER)
    # A node that estimates without running, as some do.
    answer = chain._request
    chain._request = lambda method, params: "0x30000" if method == "eth_estimateGas" else answer(method, params)
    with pytest.raises(ChainError, match="NodeDeed.mint: execution reverted: OwnableUnauthorizedAccount") as caught:
        chain.send(deeds, "mint", 1, A, 1, key=PAYER)
    assert caught.value.arguments == {"account": address_of(PAYER)}
    assert chain.block_number() == 2 and chain.call(deeds, "count") == 0


def test_a_call_where_no_contract_is_says_so(chain):
    deeds, _ = chain.deploy("NodeDeed", address_of(PAYER), key=PAYER)
    with pytest.raises(ChainError, match="NodeDeed.count at .*: 0 bytes, wanted uint256"):
        chain.call(deeds, "count", block=0)


def test_logs_are_found_by_address_topic_and_block(shared):
    events = shared.chain.events(shared.deeds, "Transfer")
    assert [event.arguments["to"] for event in events] == [A, B]
    assert shared.chain.events(shared.deeds, "Transfer", events[1].block) == events[1:]
    assert shared.chain.events(shared.deeds, "Transfer", 0, events[0].block) == events[:1]
    assert shared.chain.events(shared.devices, "Bound") == []
    topic = "0x" + "00" * 12 + B[2:]
    found = shared.chain.request("eth_getLogs", [{"fromBlock": "0x0", "topics": [[], [], topic.lower()]}])
    assert [log["transactionHash"] for log in found] == [events[1].tx]


def test_threads_that_send_at_once_each_get_their_transaction(chain):
    deeds, _ = chain.deploy("NodeDeed", address_of(PAYER), key=PAYER)
    found = []

    def approve():
        found.append(chain.send(deeds, "setApprovalForAll", A, True, key=PAYER).block)

    threads = [threading.Thread(target=approve) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(2, 8))


def test_another_chain_over_http_serves_the_same(shared):
    node = Node(shared.chain)
    try:
        remote = connect(node.url)
        assert remote.chain_id == shared.chain.chain_id
        settlement = Settlement(remote, shared.settlement.contracts, PAYER)
        assert settlement.bindings() == shared.settlement.bindings()
        with pytest.raises(ChainError, match="WrongDeed") as caught:
            settlement.mint_deed(9, A, 1)
        assert caught.value.arguments == {"got": 9, "wanted": 3}
        assert settlement.mint_deed(3, A, 1).block == shared.chain.block_number() == remote.mine()
    finally:
        node.stop()
    with pytest.raises(ChainError, match="no answer"):
        connect(node.url)


def test_a_contracts_error_is_told_once_also_where_a_node_told_it(shared):
    with pytest.raises(ChainError) as caught:
        shared.post({1: 1}, epoch=9)
    said = str(caught.value)
    assert said.count("WrongEpoch(got 9, wanted 1)") == 1
    again = ChainError(said, caught.value.code, caught.value.data)
    assert str(again) == said and again.name == "WrongEpoch"


def test_no_error_shows_a_key(chain):
    deeds, _ = chain.deploy("NodeDeed", address_of(PAYER), key=PAYER)
    poor = PrivateKey(b"\x42" * 32)
    with pytest.raises(ChainError) as caught:
        chain.send(deeds, "mint", 1, A, 1, key=poor)
    assert "42" * 16 not in str(caught.value) and "42" * 16 not in repr(caught.value.__context__)
    assert address_of(ANYONE) != address_of(poor)
