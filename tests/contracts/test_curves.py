"""Ratio1's curves as the contracts compute them, against Python's own fractions and decimals: every value, to the wei.

Source: Ratio1's tokenomics; the numbers below are written out again from it, not taken from contracts/src.
"""

from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

import pytest

from contracts import Artifact, artifact, compile
from gateway.chain import abi
from gateway.chain.chain import address_of, open_embedded
from tests.contract_scene import PAYER

R1 = 10**18
CAP = 161_803_398 * R1
TIERS = ((89, 500), (144, 750), (233, 1000), (377, 1500), (610, 2000), (987, 2500), (1597, 3000), (2584, 3500))
TIERS += ((4181, 4000), (6765, 5000), (10946, 7000), (17711, 9500))
PRICES = [dollars for count, dollars in TIERS for _ in range(count)]
EPOCHS = range(901)
ROW = 300  # of a function that is asked for many values: a call has 10 million gas


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """A function of the curves, by name, on a chain."""
    try:
        sources = {f"src/{path}": text for path, text in compile.sources().items()}
        sources["test/CurvesTable.sol"] = (compile.HERE / "test" / "CurvesTable.sol").read_text()
        found = compile.compile_sources(sources, ["test/CurvesTable.sol"])["test/CurvesTable.sol"]["CurvesTable"]
    except compile.CompileError as error:
        pytest.skip(f"the compiler cannot be installed: {error}")
    made = Artifact("CurvesTable", found["abi"], bytes.fromhex(found["bytecode"]))
    chain = open_embedded(tmp_path_factory.mktemp("curves") / "chain.sqlite", (address_of(PAYER),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(abi, "artifact", lambda name: made if name == "CurvesTable" else artifact(name))
        contract, _ = chain.deploy("CurvesTable", key=PAYER)
        yield lambda function, *arguments: chain.call(contract, function, *arguments)
    chain.close()


def logistic(epoch: int) -> Fraction:
    """With 60 digits, of which no question here needs more than 40."""
    with localcontext() as context:
        context.prec = 60
        return Fraction(1 / (1 + (Decimal(-5) * (epoch - 630) / 900).exp()))


def row_of(ask, function, *arguments):
    """What the function answers for EPOCHS; None among the arguments stands for the first and the last of them."""
    at = arguments.index(None)
    found = []
    for first in range(0, len(EPOCHS), ROW):
        last = min(first + ROW, len(EPOCHS))
        found += ask(function, *arguments[:at], first, last, *arguments[at + 1 :])
    return found


def test_the_logistic_curve_is_exact_at_every_epoch(ask):
    assert row_of(ask, "logistic", None) == [floor(logistic(epoch) * R1) for epoch in EPOCHS]


@pytest.mark.parametrize(
    "assigned, availability, adopted",
    [
        (42_230_686_878 * 10**15, 255, R1),  # 26.1 % of the cap: all Master Node Deeds as one
        (CAP, 255, R1),
        (1_000_000 * R1, 128, 123_456_789_012_345_678),
        (10**18 + 7, 1, 1),
        (0, 255, R1),
    ],
)
def test_a_master_deeds_reward_is_the_formula_rounded_once(ask, assigned, availability, adopted):
    share = Fraction(availability, 255) * Fraction(adopted, R1) / Fraction(300_505239501691, 10**12)
    curve = [Fraction(floor(logistic(epoch) * R1), R1) for epoch in EPOCHS]
    wanted = [floor(assigned * value * share) for value in curve]
    assert row_of(ask, "masterReward", assigned, None, availability, adopted, 0) == wanted
    assert ask("masterReward", assigned, 901, 902, availability, adopted, 0) == (0,)


def test_a_master_deed_never_earns_more_than_it_was_assigned(ask):
    assigned = 1_000_000 * R1
    rest = ask("masterReward", assigned, 900, 901, 255, R1, assigned - 5)[0]
    assert (rest, ask("masterReward", assigned, 900, 901, 255, R1, assigned)[0]) == (5, 0)
    whole = sum(row_of(ask, "masterReward", assigned, None, 255, R1, 0)[:900])
    assert abs(whole - assigned) < 10**10  # the curve gives out what was assigned


def test_a_node_deed_earns_its_share_of_the_constant_until_it_has_all(ask):
    constant, most = 1_458508188386985115, 1_575_188843457943925233
    assert most == CAP * 45 // 100 // 46_224 and constant == most // 1080
    for availability in range(0, 256, 5):
        assert ask("nodeReward", availability, 0) == constant * availability // 255
    for earned, wanted in ((most - 1, 1), (most, 0), (most + 1, 0), (most - constant, constant)):
        assert ask("nodeReward", 255, earned) == wanted


def test_the_genesis_deed_earns_289_thousandths_in_a_year(ask):
    assert ask("genesisReward", 0) == ask("genesisReward", 364) == CAP * 289 // 1000 // 365
    assert ask("genesisReward", 365) == ask("genesisReward", 2**200) == 0


@pytest.mark.parametrize("sold", [0, 1, 7_499, 7_500, 15_000, 46_224])
@pytest.mark.parametrize("usdc", [0, 1, 4_999_999_999_999, 5 * 10**12, 10**13, 10**30])
def test_adoption_is_the_mean_of_both_shares_and_one_at_most(ask, sold, usdc):
    mean = (Fraction(sold, 7_500) + Fraction(usdc, 5 * 10**12)) / 2
    assert ask("adoption", sold, usdc) == min(R1, floor(mean * R1))


def test_each_deed_costs_its_tiers_price_and_many_cost_the_sum(ask):
    assert len(PRICES) == 46_224
    edges = sorted({edge for end in [sum(n for n, _ in TIERS[:i]) for i in range(13)] for edge in (end - 1, end)})
    for sold in edges[1:-1]:
        assert ask("cost", sold, 1) == PRICES[sold], sold
    for sold, count in ((0, 46_224), (0, 100), (88, 2), (232, 235), (46_223, 1), (17_000, 12_345), (46_224, 0)):
        assert ask("cost", sold, count) == sum(PRICES[sold : sold + count])
