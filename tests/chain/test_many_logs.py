"""A chain with more logs than a node gives at once: what a site reads at each start is still all of it."""

import pytest

from gateway.chain import chain as chains
from gateway.chain import embedded, jsonrpc
from gateway.chain.chain import Chain, ChainError
from gateway.chain.jsonrpc import RpcError
from gateway.oracle import rpc
from gateway.oracle.rpc import ChainReader
from tests.chain_node import Node
from tests.contract_scene import A, make_scene


@pytest.fixture
def scene(tmp_path):
    made = make_scene(tmp_path / "chain.sqlite")
    yield made
    made.chain.close()


def test_all_events_are_found_where_a_node_gives_only_some_at_once(scene, monkeypatch):
    for deed in range(3, 12):
        scene.settlement.mint_deed(deed, A, 1)
    wanted = scene.chain.events(scene.deeds, "Transfer")
    assert len(wanted) == 11
    monkeypatch.setattr(embedded, "MOST_LOGS", 2)
    monkeypatch.setattr(chains, "LEAST_BLOCKS", 2)
    assert scene.chain.events(scene.deeds, "Transfer") == wanted
    assert scene.chain.events(scene.deeds, "Transfer", wanted[3].block, wanted[8].block) == wanted[3:9]


def test_logs_of_other_events_take_no_place(scene, monkeypatch):
    scene.bind()
    scene.post({1: 5})
    scene.post({1: 6})
    monkeypatch.setattr(embedded, "MOST_LOGS", 1)
    node = Node(scene.chain)
    try:
        addresses = (bytes.fromhex(contract.address[2:]) for contract in (scene.root_contract, scene.devices))
        number, oracles, threshold = ChainReader(node.url, *addresses).oracles()
    finally:
        node.stop()
    assert (number, len(oracles), threshold) == (1, 3, 2)


class ShortSighted:
    """A chain whose node refuses to look for logs in more than `most` blocks, as public nodes do."""

    def __init__(self, chain, most):
        self.chain, self.most, self.asked = chain, most, []

    def request(self, method, params):
        if method == "eth_getLogs":
            first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
            self.asked.append((first, last))
            if last - first >= self.most:
                raise ChainError("query exceeds max block range")
        return self.chain.request(method, params)


@pytest.mark.parametrize("later", [0, 40])
def test_oracles_are_found_where_a_node_looks_into_few_blocks_at_once(scene, monkeypatch, later):
    for _ in range(later):
        scene.chain.mine()
    monkeypatch.setattr(rpc, "LEAST_BLOCKS", 2)
    addresses = [bytes.fromhex(contract.address[2:]) for contract in (scene.root_contract, scene.devices)]
    for most, is_found in ((8, True), (1, False)):
        node = Node(chain := ShortSighted(scene.chain, most))
        try:
            reader = ChainReader(node.url, *addresses)
            if is_found:
                number, oracles, threshold = reader.oracles()
                assert (number, len(oracles), threshold) == (1, 3, 2)
            else:
                with pytest.raises(rpc.ChainRefused, match="max block range"):
                    reader.oracles()
        finally:
            node.stop()
    assert chain.asked[1][1] == scene.chain.block_number(), "the newer half first"


@pytest.mark.parametrize(
    ("code", "asked"), [(jsonrpc.NO_ANSWER, 1), (jsonrpc.REFUSED, 12)], ids=["away", "refuses all"]
)
def test_a_node_that_gives_nothing_is_not_asked_for_ever(scene, code, asked):
    counted = []

    def request(method, params):
        if method == "eth_blockNumber":
            return hex(1_000_000)
        if method == "eth_getLogs":
            counted.append(params)
            raise RpcError(code, "no")
        return "0x1"

    with pytest.raises(ChainError, match="no"):
        Chain(request).events(scene.deeds, "Transfer")
    assert len(counted) <= asked
