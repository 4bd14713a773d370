"""A settlement's council: founded once by a key that does nothing else, with a site or by `tinyren vote found`."""

import json
from contextlib import ExitStack

import pytest

from gateway import cli, keys
from gateway.chain.chain import ChainError, Contract, address_of, open_embedded
from gateway.errors import Exit
from gateway.settlement import council
from gateway.settlement.settlement import EPOCH_CAP_WEI, NOBODY, deploy
from gateway.site import site_file
from gateway.site.chain import open_chain
from tests.chain_node import Node
from tests.contract_scene import ANYONE, ORACLES, PAYER, key
from tests.settlement.test_settlement import Crash, crashing

FOUNDER = key("founder")
NAMES = [address_of(item) for item in ORACLES]


@pytest.fixture
def chain(tmp_path):
    made = open_embedded(tmp_path / "chain.sqlite", (address_of(PAYER), address_of(ANYONE)))
    yield made
    made.close()


def governed(chain, governor=None):
    """A settlement; by default that of FOUNDER's council, which is not founded."""
    governor = governor or council.timelock_by(FOUNDER)
    return deploy(chain, PAYER, NAMES, 2, {}, lambda *_: None, governor=governor).settlement


def test_a_council_governs_the_settlement_that_named_its_timelock_and_fits_the_chain(chain):
    contract, rules = Contract("Settlement", governed(chain)), council.Rules()
    address = council.found(chain, PAYER, FOUNDER, contract.address, rules)
    made = Contract("Council", address)
    assert address == council.address_by(FOUNDER) and chain.call(made, "votingPeriod") == rules.period_blocks
    assert chain.call(made, "timelock") == chain.call(contract, "governor") == council.timelock_by(FOUNDER)
    assert chain.call(Contract("Votes", chain.call(made, "token")), "underlying") == chain.call(contract, "r1")
    for stranger in (PAYER, ANYONE):
        with pytest.raises(ChainError, match="NotGovernor"):
            chain.send(contract, "govern", 1, 3600, 1, NOBODY, key=stranger)
    assert chain.call(contract, "epochCap") == EPOCH_CAP_WEI


@pytest.mark.parametrize("after", [1, 2, 3])
def test_founding_goes_on_after_a_crash_and_is_done_once(chain, after):
    settlement = governed(chain)
    with pytest.raises(Crash):
        council.found(crashing(chain, after), PAYER, FOUNDER, settlement, council.SITE)
    address = council.found(chain, PAYER, FOUNDER, settlement, council.SITE)
    blocks = chain.block_number()
    assert council.found(chain, PAYER, FOUNDER, settlement, council.SITE) == address
    assert chain.block_number() == blocks and chain.has_code(address)


def test_a_council_that_could_not_govern_is_not_founded(chain):
    other, blocks = governed(chain, NOBODY), chain.block_number()
    with pytest.raises(ChainError, match="it is governed by 0x0000"):
        council.found(chain, PAYER, FOUNDER, other, council.SITE)
    assert chain.block_number() == blocks
    settlement = governed(chain)
    chain.pay(address_of(FOUNDER), 10**18, PAYER)
    chain.pay(address_of(PAYER), 1, FOUNDER)
    blocks = chain.block_number()
    with pytest.raises(ChainError, match="has sent other transactions"):
        council.found(chain, PAYER, FOUNDER, settlement, council.SITE)
    assert chain.block_number() == blocks


def opened(folder, site, payer=None):
    """(governor, council's address, whether it is there, the newest block) of a site that was started."""
    with ExitStack() as ends:
        _, chain, settlement = open_chain(folder, site, payer, ends)
        governor = chain.call(Contract("Settlement", settlement.contracts.settlement), "governor")
        address = council.address_by(keys.load(council.council_key(folder)))
        return governor, address, chain.has_code(address), chain.block_number()


def test_a_site_has_its_council_from_the_first_start_and_later_ones_send_nothing(tmp_path):
    site = site_file.Site(boards=[])
    first = opened(tmp_path, site)
    assert first[0] == council.timelock_by(keys.load(council.council_key(tmp_path))) and first[2]
    assert opened(tmp_path, site_file.read(tmp_path)) == first


def test_a_site_of_before_goes_on_without_a_council(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(council, "timelock_by", lambda _: NOBODY)
    monkeypatch.setattr(council, "found", lambda *_: None)
    opened(tmp_path, site_file.Site(boards=[]))
    monkeypatch.undo()
    council.council_key(tmp_path).unlink()
    governor, _, is_there, _ = opened(tmp_path, site_file.read(tmp_path))
    assert governor == NOBODY and not is_there
    assert cli.main(["vote", "show", "--site", str(tmp_path)]) == Exit.REFUSED
    assert "made without a council gets none" in capsys.readouterr().err


def test_a_sites_council_on_another_chain_is_founded_by_a_command(chain, tmp_path, capsys):
    node, folder = Node(chain), tmp_path / "site"
    folder.mkdir()
    (folder / "payer").write_text(PAYER.secret.hex())
    (folder / "broke").write_text(FOUNDER.secret.hex())
    site = site_file.Site(boards=[], chain_rpc=node.url, chain_external=True)
    address, is_there = opened(folder, site, PAYER)[1:3]
    assert not is_there

    def run(*words, key=""):
        more = ["--key", str(folder / key)] if key else []
        return cli.main(["vote", *words, "--site", str(folder), *more]), *capsys.readouterr()

    code, _, err = run("show")
    assert code == Exit.REFUSED and "its council is not founded; `tinyren vote found` does it" in err
    rules = ("--wait-blocks", "2", "--period-blocks", "3", "--least-votes", "0.5", "--quorum", "20")
    rules += ("--least-quorum", "5", "--lock", "30")
    before = chain.block_number()
    assert run("found", *rules, key="broke")[0] == Exit.REFUSED and chain.block_number() == before
    assert run("found", *rules, "--dry-run", key="payer")[0] == 0 and chain.block_number() == before
    code, out, err = run("found", *rules, "--json", key="payer")
    assert (code, err, json.loads(out)["council"]) == (0, "", address)
    made = Contract("Council", address)
    asked = ("votingDelay", "votingPeriod", "proposalThreshold", "leastQuorum")
    assert [chain.call(made, name) for name in asked] == [2, 3, 5 * 10**17, 5 * 10**18]
    assert run("show")[0] == 0
    council.council_key(folder).unlink()
    code, _, err = run("show")
    assert code == Exit.REFUSED and "made without a council gets none" in err
    node.stop()
