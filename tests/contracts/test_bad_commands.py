"""Bad input to commands over contracts: a wrong chain, no coin, a node that is away; told in a line, nothing sent."""

import pytest

from gateway.chain.chain import address_of, open_embedded
from gateway.errors import Exit
from tests.chain_node import Node
from tests.contract_scene import ANYONE, OWNERS, A, B
from tests.contract_site import Site

OPEN = ("escrow", "open", "--model", "vibration", "--price", "0.5", "--deposit", "10", "--epochs", "2")
SENDING = (
    ("account", "set", "account"),
    ("account", "claim", A),
    ("deed", "transfer", "1", "--to", B),
    ("deed", "free", A),
    ("deed", "buy", "1", "--most", "5"),
    ("deed", "sale", "open", "--liquidity", A, "--company", B),
    OPEN,
    ("escrow", "claim", "1", "2"),
    ("escrow", "cancel", "1"),
    ("escrow", "refund", "1"),
    ("vote", "deposit", "1"),
    ("vote", "found"),
    ("vote", "propose", "--delay", "60", "--why", "x"),
    ("relay", "--r1-wei", "1"),
)
ASKING = (("account", "show", A), ("deed", "show"), ("deed", "sale", "show"), ("escrow", "show"), ("vote", "show"))


@pytest.fixture
def site(tmp_path, capsys):
    made = Site(tmp_path, capsys, OWNERS[1])
    yield made
    made.close()


@pytest.fixture
def elsewhere(tmp_path):
    """A node of another chain, on which the site's contracts are not."""
    chain = open_embedded(tmp_path / "other.sqlite", (A, address_of(ANYONE)))
    node = Node(chain)
    yield chain, node.url
    node.stop()
    chain.close()


@pytest.mark.parametrize("words", SENDING + ASKING, ids=lambda words: "-".join(words[:2]))
def test_on_another_chain_nothing_is_done(words, site, elsewhere):
    chain, url = elsewhere
    code, out, err = site.run(*words, "--rpc", url, key="a" if words in SENDING else "")
    assert code in (Exit.USAGE, Exit.REFUSED, Exit.CHAIN) and out == "" and len(err.splitlines()) == 1, err
    assert "no contract at" in err and "is --rpc the right chain?" in err, err
    assert chain.block_number() == 0


@pytest.mark.parametrize("words", SENDING, ids=lambda words: "-".join(words[:2]))
def test_a_key_without_coin_sends_nothing(words, site):
    before = (site.scene.state(), site.scene.chain.block_number())
    code, out, err = site.run(*words, key="broke")
    assert (code, out, len(err.splitlines())) == (Exit.REFUSED, "", 1) and "no coin of chain 1331 to pay" in err, err
    assert (site.scene.state(), site.scene.chain.block_number()) == before


@pytest.mark.parametrize("words", SENDING + ASKING, ids=lambda words: "-".join(words[:2]))
def test_a_node_that_does_not_answer_is_told(words, site):
    code, out, err = site.run(*words, "--rpc", "http://127.0.0.1:9", key="a" if words in SENDING else "")
    assert (code, out, len(err.splitlines())) == (Exit.CHAIN, "", 1) and "no answer" in err, err
