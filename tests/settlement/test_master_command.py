"""`tinyren deed master show`: the published curve, for an amount or for a deed of a contract, to the wei."""

import pytest

from gateway.chain.chain import address_of
from gateway.economy import curves
from gateway.errors import Exit
from tests.contract_scene import PAYER, A
from tests.contract_site import R1, Site

SHOW = ("deed", "master", "show")


@pytest.fixture
def site(tmp_path, capsys):
    made = Site(tmp_path, capsys)
    yield made
    made.close()


def test_a_deed_earns_by_the_contracts_curve_and_all_that_it_was_assigned_in_the_end(site):
    contract, _ = site.scene.chain.deploy("MasterDeed", address_of(PAYER), curves.MASTER_POOL, key=PAYER)
    site.scene.chain.send(contract, "mint", 1, A, 1_000 * R1, key=PAYER)
    half = ("--masters", contract.address, "--deed", "1", "--availability", "200", "--sold", "3750", "--usdc", "2.5")
    found = site.json(*SHOW, *half)
    adopted = curves.adoption(3_750, 2_500_000)
    assert (found["assigned_wei"], found["adoption_e18"]) == (str(1_000 * R1), str(adopted))
    for row in found["epochs"]:
        before = int(row["earned_wei"]) - int(row["wei"])
        on_chain = site.scene.chain.call(contract, "rewardOf", 1, row["epoch"], 200, adopted, before)
        assert row["wei"] == str(on_chain), row
    whole = site.json(*SHOW, "--assigned", "1000")
    assert [row["epoch"] for row in whole["epochs"]] == list(range(0, 901, 90))
    assert whole["adoption_e18"] == str(10**18) and int(whole["epochs"][-1]["earned_wei"]) == 1_000 * R1
    code, out, _ = site.run(*SHOW, "--assigned", "1000")
    assert code == 0 and "epoch 900: " in out and "1,000.000000 in all\n" in out and "so none is paid" in out


def test_what_cannot_be_is_refused_in_words(site):
    contract, _ = site.scene.chain.deploy("MasterDeed", address_of(PAYER), R1, key=PAYER)
    for words, code, said in (
        (("--assigned", "1e9"), Exit.USAGE, "which is for all Master Node Deeds"),
        (("--assigned", "1", "--sold", "46225"), Exit.USAGE, "--sold: got 46225, wanted 46224 at most"),
        (("--assigned", "0." + "0" * 18 + "1"), Exit.USAGE, "at most 18 digits behind the point"),
        (("--assigned", "1", "--usdc", "0.0000001"), Exit.USAGE, "at most 6 digits behind the point"),
        (("--deed", "1"), Exit.USAGE, "--masters: missing"),
        (("--deed", "1", "--masters", A), Exit.USAGE, "no contract at"),
        (("--deed", "1", "--masters", contract.address), Exit.NOTHING_TO_DO, "--deed: got 1, there are 0"),
    ):
        got, out, err = site.run(*SHOW, *words)
        assert (got, out, len(err.splitlines())) == (code, "", 1) and said in err, err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--assigned", "1", "--availability", "256"), "wanted 0 to 255"),
        (("--assigned", "1", "--availability", "x"), "wanted 0 to 255"),
        (("--deed", "0"), "wanted a whole number above 0"),
        (("--assigned", "1", "--deed", "1"), "not allowed with argument"),
        ((), "one of the arguments --assigned --deed is required"),
    ],
)
def test_arguments_that_cannot_be_are_a_usage_error(site, words, said, capsys):
    with pytest.raises(SystemExit):
        site.run(*SHOW, *words)
    assert said in capsys.readouterr().err
