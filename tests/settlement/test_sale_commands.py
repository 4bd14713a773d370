"""`tinyren deed sale` and `deed buy` on a site, from its council's vote on a rate to a deed that is bought."""

import pytest

from gateway.chain.chain import Contract, address_of
from gateway.errors import Exit
from gateway.settlement import council
from tests.contract_scene import ANYONE, PAYER, A, B, key
from tests.contract_site import R1, Site

FOUNDER = key("founder")
RATE = "0.01"
PRICE = 5 * R1  # the first tier's 500 dollars
OPEN = ("deed", "sale", "open", "--liquidity", B, "--company", address_of(ANYONE))


@pytest.fixture
def site(tmp_path, capsys):
    made = Site(tmp_path, capsys, FOUNDER)
    yield made
    made.close()


def set_rate(site, rate):
    """Have A, who has all R1 there is, vote for a rate."""
    rules = ("--wait-blocks", "1", "--period-blocks", "2", "--least-votes", "1", "--least-quorum", "1", "--lock", "1")
    site.json("vote", "found", *rules, key="payer")
    site.json("vote", "deposit", "50", key="a")
    (found,) = site.json("vote", "propose", "--rate", rate, "--why", "a fair price", key="a")["proposals"]
    for verb, blocks, words in (("cast", 1, ("for",)), ("queue", 2, ()), ("execute", 2, ())):
        for _ in range(blocks):
            site.scene.chain.mine()
        (found,) = site.json("vote", verb, found["id"], *words, key="a")["proposals"]
    assert found["state"] == "executed"


def test_a_site_sells_its_further_deeds_at_the_rate_that_was_voted(site):
    code, _, err = site.run("deed", "sale", "show")
    assert code == Exit.REFUSED and "`tinyren deed sale open` begins it" in err
    opened = site.json(*OPEN, "--slots", "3", key="payer")
    assert opened["governor"] == council.timelock_by(FOUNDER)
    code, out, _ = site.run("deed", "sale", "show")
    assert code == 0 and "0 sold; the next costs 500 dollars; none is sold until a vote sets the rate" in out
    set_rate(site, RATE)
    shown = site.json("deed", "sale", "show")
    assert (shown["sold"], shown["dollars_next"], shown["price_next_wei"]) == (0, 500, str(PRICE))
    code, out, _ = site.run("deed", "sale", "show")
    assert "the next costs 500 dollars, 5 R1 at 0.01 R1 a dollar" in out
    minted = site.scene.chain.call(site.scene.r1, "totalSupply")
    bought = site.json("deed", "buy", "2", "--most", "10", key="a")
    assert bought["deeds"] == [3, 4] and int(bought["price_wei"]) == 2 * PRICE
    deed = site.scene.settlement.bindings()[4]
    assert (deed.owner, deed.slots) == (bytes.fromhex(A[2:]), 3)
    assert site.scene.settlement.balance(B) == PRICE and site.scene.settlement.balance(address_of(ANYONE)) == 3 * R1
    assert minted - site.scene.chain.call(site.scene.r1, "totalSupply") == 2 * R1
    assert site.json("deed", "sale", "show")["sold"] == 2


def test_what_cannot_be_is_refused_in_words_and_changes_nothing(site):
    blocks, owner = site.scene.chain.block_number(), Contract("NodeDeed", site.scene.deeds.address)
    table = (
        (OPEN, "a", Exit.REFUSED, "--key: deeds are created by 0x"),
        (OPEN, "broke", Exit.REFUSED, "has no coin of chain 1331"),
        (("deed", "buy", "1", "--most", "5"), "a", Exit.REFUSED, "its deeds are not on sale"),
        (("vote", "propose", "--rate", "1", "--why", "x"), "a", Exit.REFUSED, "its council is not founded"),
    )
    for words, who, code, said in table:
        got, out, err = site.run(*words, key=who)
        assert (got, out) == (code, "") and said in err and len(err.splitlines()) == 1, (words, err)
        assert site.scene.chain.call(owner, "owner") == address_of(PAYER)
        assert site.scene.chain.block_number() == blocks
    assert site.json(*OPEN, "--dry-run", key="payer")["gas"] > 100_000 and site.scene.chain.block_number() == blocks
    site.json(*OPEN, key="payer")
    blocks = site.scene.chain.block_number()
    code, _, err = site.run(*OPEN, key="payer")
    assert code == Exit.NOTHING_TO_DO and "`tinyren deed sale show` tells of it" in err
    code, _, err = site.run("deed", "buy", "1", "--most", "5", key="a")
    assert code == Exit.REFUSED and "no vote has set a rate yet" in err
    assert site.scene.chain.block_number() == blocks


@pytest.mark.parametrize(("option", "value"), [("--slots", "0"), ("--slots", "65536"), ("--company", "0x12")])
def test_arguments_that_cannot_be_are_a_usage_error(site, option, value, capsys):
    with pytest.raises(SystemExit):
        site.run(*OPEN, option, value, key="payer")
    assert "wanted" in capsys.readouterr().err


def test_a_site_of_before_councils_opens_no_sale(site):
    (site.folder / "keys" / "council.key").unlink()
    code, _, err = site.run(*OPEN, key="payer")
    assert code == Exit.REFUSED and "made without a council gets none" in err
