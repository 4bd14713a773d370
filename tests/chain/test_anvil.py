"""Settlement on another implementation's chain: npm's anvil, or TINYREN_ANVIL; skipped where npm has none."""

import json
import os
import subprocess
import threading
import urllib.request

import pytest

from contracts.compile import install
from gateway.chain import sending
from gateway.chain.chain import ChainError, address_of, connect
from gateway.oracle import merkle
from gateway.settlement.settlement import Settlement, deploy
from tests.contract_scene import ORACLES, PAYER, A, B, Scene


def program():
    """Where anvil is; else skips."""
    found = os.environ.get("TINYREN_ANVIL") or install() / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
    if not os.path.exists(found):
        pytest.skip("npm has no anvil for this machine; TINYREN_ANVIL=...")
    return found


class Anvil:
    """A node of its own on a free port; `ask` also reaches what only tests may do."""

    def __init__(self):
        self.process = subprocess.Popen([program(), "--port", "0"], stdout=subprocess.PIPE, text=True)
        said = next(line for line in self.process.stdout if line.startswith("Listening on "))
        self.url = "http://" + said.split()[-1]
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.ask("anvil_setBalance", address_of(PAYER), hex(10**24))

    def ask(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            found = json.load(answer)
        assert "error" not in found, found
        return found["result"]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture
def anvil():
    made = Anvil()
    yield made
    made.stop()


@pytest.fixture
def scene(anvil):
    chain = connect(anvil.url)
    oracles = [address_of(oracle) for oracle in ORACLES]
    found = Scene(chain, Settlement(chain, deploy(chain, PAYER, oracles, 2, {}, lambda *_: None), PAYER))
    found.settlement.mint_deed(1, A, 2)
    found.settlement.mint_deed(2, B, 1)
    return found


def pooled(anvil):
    """Hashes of what is in no block yet."""
    pending = anvil.ask("txpool_content")["pending"]
    return {tx["hash"] for of_sender in pending.values() for tx in of_sender.values()}


def post(scene, epoch, leaves):
    hashes = scene.hashes(leaves)
    values = (epoch, merkle.root(hashes), sum(leaves.values()), bytes(32))
    signed = dict(zip(map(address_of, ORACLES[:2]), scene.root_signatures(values, ORACLES[:2]), strict=True))
    scene.settlement.post_root(*values, signed)
    return [
        scene.settlement.claim(deed, leaves[deed], merkle.proof(hashes, place)) for place, deed in enumerate(leaves)
    ]


def test_a_root_is_posted_and_claimed_and_what_a_reorg_took_comes_again(anvil, scene):
    snapshot = anvil.ask("evm_snapshot")
    assert [claim.amount_wei for claim in post(scene, 1, {1: 100, 2: 50})] == [100, 50]
    assert post(scene, 1, {1: 100, 2: 50}) == [None, None]
    anvil.ask("evm_revert", snapshot)
    assert (scene.settlement.epoch(), scene.settlement.minted()) == (0, 0)
    assert [claim.amount_wei for claim in post(scene, 1, {1: 100, 2: 50})] == [100, 50]
    assert (scene.settlement.balance(A), scene.settlement.minted()) == (100, 150)


def test_a_transaction_below_the_base_fee_is_replaced_and_mined_once(anvil, scene, monkeypatch):
    monkeypatch.setattr(sending, "STUCK_S", 0.05)
    monkeypatch.setattr(sending, "POLL_S", 0.01)
    anvil.ask("evm_setAutomine", False)
    price = int(anvil.ask("eth_gasPrice"), 16)
    done = []
    thread = threading.Thread(target=lambda: done.append(scene.settlement.mint_deed(3, A, 1)))
    thread.start()
    nonce = int(anvil.ask("eth_getTransactionCount", address_of(PAYER), "latest"), 16)
    sent = set()
    while len(sent) < 3 and thread.is_alive():
        sent |= pooled(anvil)
        thread.join(0.01)
    anvil.ask("anvil_setNextBlockBaseFeePerGas", hex(2 * price + 1))
    anvil.ask("evm_mine")
    anvil.ask("evm_setAutomine", True)
    thread.join(20)
    assert done[0].block and scene.chain.call(scene.deeds, "count") == 3
    assert int(anvil.ask("eth_getTransactionCount", address_of(PAYER), "latest"), 16) == nonce + 1


def test_what_a_killed_process_left_in_the_pool_is_displaced(anvil, scene, monkeypatch):
    monkeypatch.setattr(sending, "POLL_S", 0.01)
    monkeypatch.setattr(sending, "WITHIN_S", 0.3)
    anvil.ask("evm_setAutomine", False)
    with pytest.raises(ChainError, match="is in no block"):
        scene.settlement.mint_deed(3, A, 1)
    before, done = pooled(anvil), []
    monkeypatch.setattr(sending, "WITHIN_S", 20)
    again = Settlement(connect(anvil.url), scene.settlement.contracts, PAYER)
    thread = threading.Thread(target=lambda: done.append(again.mint_deed(3, A, 2)))
    thread.start()
    while pooled(anvil) == before and thread.is_alive():
        thread.join(0.01)
    anvil.ask("evm_mine")
    thread.join(20)
    assert done[0].tx not in before and again.chain.call(scene.deeds, "slots", 3) == 2
