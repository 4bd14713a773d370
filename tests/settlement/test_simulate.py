"""The economy's simulation: its formulas against the contracts, what holds in any run, and what its command writes."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import cli
from gateway.chain.chain import ChainError, Contract, address_of, open_embedded
from gateway.economy import curves, report, strategies, world
from gateway.economy.curves import CAP, NODE_DEEDS, NODE_MOST, R1
from gateway.economy.strategies import HONEST, STRATEGIES
from gateway.economy.world import simulate
from gateway.errors import Exit
from gateway.oracle.rewards import ND_REWARD_WEI
from tests.contract_scene import PAYER, A, make_scene
from tests.up_site import ROOT


@pytest.fixture(scope="module")
def masters(tmp_path_factory):
    """A contract with one Master Node Deed of the whole pool, on a chain."""
    chain = open_embedded(tmp_path_factory.mktemp("economy") / "chain.sqlite", (address_of(PAYER),))
    contract, _ = chain.deploy("MasterDeed", address_of(PAYER), curves.MASTER_POOL, key=PAYER)
    chain.send(contract, "mint", 1, A, curves.MASTER_POOL, key=PAYER)
    yield chain, contract
    chain.close()


@pytest.mark.parametrize("epoch", [0, 1, 300, 629, 630, 631, 899, 900, 901])
@pytest.mark.parametrize(("adopted", "earned"), [(10**18, 0), (10**17 + 3, curves.MASTER_POOL - 1)])
def test_masters_earn_what_the_contract_says_to_the_wei(masters, epoch, adopted, earned):
    chain, contract = masters
    wanted = chain.call(contract, "rewardOf", 1, epoch, 255, adopted, earned)
    assert curves.master_reward(curves.MASTER_POOL, epoch, 255, adopted, earned) == wanted


def test_deeds_cost_what_the_sale_asks(tmp_path):
    scene = make_scene(tmp_path / "chain.sqlite")
    try:
        chain, (deeds, r1) = scene.chain, (scene.deeds.address, scene.r1.address)
        made, _ = chain.deploy("Sale", deeds, r1, 1, A, A, address_of(PAYER), key=PAYER)
        sale = Contract("Sale", made.address)
        chain.send(sale, "setRate", 1, key=PAYER)
        for count in (1, 89, 90, 232, 5_000, NODE_DEEDS):
            assert curves.cost(0, count) == chain.call(sale, "priceOf", count)
            assert curves.cost(0, count) == curves.cost(0, count // 2) + curves.cost(count // 2, count - count // 2)
        with pytest.raises(ChainError):
            chain.call(sale, "priceOf", NODE_DEEDS + 1)
        for sold, more in ((0, NODE_DEEDS + 1), (NODE_DEEDS, 1), (-1, 1)):
            with pytest.raises(ValueError, match="wanted 0 to 46224"):
                curves.cost(sold, more)
    finally:
        chain.close()


def test_published_totals_come_out():
    assert sum(curves.genesis_reward(epoch) for epoch in range(400)) <= CAP * 289 // 1000
    assert CAP * 289 // 1000 - sum(curves.genesis_reward(epoch) for epoch in range(400)) < 365
    full, earned = curves.MASTER_POOL, 0
    for epoch in range(902):
        earned += curves.master_reward(full, epoch, 255, 10**18, earned)
    assert 0 <= full - earned < full // 10**6
    assert 1080 * ND_REWARD_WEI <= NODE_MOST < 1081 * ND_REWARD_WEI
    assert (curves.adoption(0, 0), curves.adoption(7_500, 0), curves.adoption(7_500, 5 * 10**12)) == (
        0,
        10**18 // 2,
        10**18,
    )
    assert curves.node_reward(255, NODE_MOST - 5) == 5 and curves.node_reward(255, NODE_MOST + 1) == 0


@pytest.fixture(scope="module")
def four_years():
    return simulate(4, 300, 7)


def test_the_same_seed_gives_the_same_economy_and_another_seed_another(four_years):
    again = simulate(4, 300, 7)
    assert report.as_json(again) == report.as_json(four_years) and report.pictures(again) == report.pictures(four_years)
    assert report.as_json(simulate(4, 300, 8)) != report.as_json(four_years)


def test_every_wei_is_accounted_for(four_years):
    last = four_years.days[-1]
    assert last.node_wei == sum(sum(group.earned) for group in four_years.groups)
    units = sum(four_years.units.values())
    assert last.burned_work_wei == units * world.UNIT_WEI * 15 // 100
    assert sum(group.work_wei for group in four_years.groups) + last.burned_work_wei == units * world.UNIT_WEI
    assert last.burned_sale_wei == curves.cost(0, last.deeds) * world.WEI_PER_DOLLAR * 20 // 100
    for before, day in zip(four_years.days, four_years.days[1:], strict=False):
        assert before.deeds <= day.deeds and before.minted_wei <= day.minted_wei <= CAP and day.supply_wei >= 0
    assert max(max(group.earned) for group in four_years.groups) <= NODE_MOST
    assert sum(group.deeds for group in four_years.groups) == last.deeds == 300


def test_no_strategy_earns_more_than_its_evidence(four_years):
    rows = {row["name"]: row for row in report.as_json(four_years)["strategies"]}
    assert {"honest", "part-time", "lazy", "silent", "sybil", "colluding"} == set(rows)
    assert rows["honest"]["percent_of_honest"] == 100.0
    assert rows["lazy"]["percent_of_honest"] < 1 and rows["lazy"]["caught"] > 0
    assert 90 < rows["sybil"]["percent_of_honest"] < 105
    assert int(rows["sybil"]["device_epoch_wei"]) < int(rows["honest"]["device_epoch_wei"]) // 9
    for name in ("part-time", "colluding"):
        assert int(rows[name]["earned_wei"]) < int(rows[name]["claimed_wei"]) * 3 // 4
    assert (
        int(rows["silent"]["work_wei"]) * rows["honest"]["deeds"]
        < int(rows["honest"]["work_wei"]) * (rows["silent"]["deeds"])
    )


def test_a_fraud_costs_the_epoch_and_an_honest_deed_never_one(four_years):
    groups = {group.strategy.name: group for group in four_years.groups}
    assert groups["lazy"].lost_wei > 1_000 * sum(groups["lazy"].earned) // 1_000
    assert [group.caught for name, group in groups.items() if name != "lazy"] == [0] * (len(groups) - 1)
    assert replace(HONEST, computes=50, lies=True).caught > 0.999 and HONEST.caught == 0.0


def test_a_buyer_that_cancels_still_pays_for_what_it_got(four_years):
    rows = {row["name"]: row for row in report.as_json(four_years)["buyers"]}
    assert rows["cheating"]["units"] > 0 and rows["cheating"]["afterwards_wei"] == "0"
    assert int(rows["cheating"]["paid_wei"]) == rows["cheating"]["units"] * world.UNIT_WEI


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_pool_holds_what_a_scorer_could_find(strategy):
    pool = strategy.pool(Random(1))
    assert len(pool) == strategies.POOL and 0 <= min(pool) <= max(pool) <= 255


@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.integers(len(STRATEGIES), NODE_DEEDS))
def test_every_deed_has_one_strategy(deeds):
    assert sum(strategies.counts(deeds)) == deeds and min(strategies.counts(deeds)) >= 0


@pytest.mark.parametrize("deeds", [0, 5, NODE_DEEDS + 1])
def test_deeds_that_cannot_be_are_refused(deeds, tmp_path, capsys):
    with pytest.raises(ValueError, match=f"deeds: got {deeds}"):
        simulate(1, deeds, 1)
    if deeds:
        out = tmp_path / "out"
        assert cli.main(["simulate", "--deeds", str(deeds), "--out", str(out)]) == Exit.USAGE
        assert not out.exists() and "--deeds" in capsys.readouterr().err


def test_years_beyond_reason_are_a_usage_error(capsys):
    with pytest.raises(SystemExit):
        cli.main(["simulate", "--years", "51"])
    assert "wanted at most 50 years" in capsys.readouterr().err


def test_the_command_writes_what_it_prints(tmp_path, capsys):
    arguments = ["simulate", "--years", "1", "--deeds", "20", "--out", str(tmp_path)]
    assert cli.main([*arguments, "--json"]) == Exit.OK
    fields = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "economy.json").read_text()) == fields and fields["epochs"] == 365
    assert cli.main(arguments) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert "\n".join(lines[:-1]) + "\n" == (tmp_path / "economy-tables.md").read_text()
    assert lines[-1] == f"RESULT: OK epochs=365 supply_wei={fields['by_year'][0]['supply_wei']}"
    pictures = sorted(tmp_path.glob("*.svg"))
    assert len(pictures) == 3 and all(ElementTree.parse(path).getroot().tag.endswith("svg") for path in pictures)
    assert int(fields["by_year"][0]["supply_wei"]) > R1


def test_the_document_holds_what_the_command_writes(tmp_path, capsys):
    assert cli.main(["simulate", "--out", str(tmp_path)]) == Exit.OK
    document = (ROOT / "docs" / "economy.md").read_text()
    assert (tmp_path / "economy-tables.md").read_text() in document
    for path in tmp_path.glob("*.svg"):
        assert path.read_bytes() == (ROOT / "docs" / path.name).read_bytes() and path.name in document
