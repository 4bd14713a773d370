"""`tinyren vote` on a council of its own: from R1 to a parameter that is governed, and each step too early."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chain import abi
from gateway.chain.chain import Contract, address_of
from gateway.errors import Exit
from gateway.settlement import council
from gateway.settlement.settlement import NOBODY, Settlement, deploy
from gateway.settlement.tree import Leaves, Trees
from gateway.settlement.voting import told
from tests.contract_scene import ORACLES, OWNERS, PAYER, Scene, key
from tests.contract_site import R1, Site

GOVERN = abi.encode_call("Settlement", "govern", (0, 0, 0, NOBODY))[:4]
RATE = abi.encode_call("Sale", "setRate", (0,))[:4]
FOUNDER = key("founder")
RULES = council.Rules(
    wait_blocks=2, period_blocks=3, least_votes_wei=R1, quorum_percent=10, least_quorum_wei=5 * R1, lock_s=30
)


@pytest.fixture
def site(tmp_path, capsys):
    """A governed settlement beside the site's own, of whose R1 A has 100."""
    made = Site(tmp_path, capsys)
    chain, oracles = made.scene.chain, [address_of(item) for item in ORACLES]
    known = {"deeds": made.scene.deeds.address, "devices": made.scene.devices.address}
    governor = council.timelock_by(FOUNDER)
    contracts = deploy(chain, PAYER, oracles, 2, known, known.__setitem__, 1000 * R1, 60, governor=governor)
    made.governed = contracts.settlement
    made.council = council.found(chain, PAYER, FOUNDER, made.governed, RULES)
    scene = Scene(chain, Settlement(chain, contracts, PAYER))
    scene.post({1: 100 * R1})
    mine(made, 61)  # the delay, by a block a second at least
    scene.settlement.claim(1, *Trees(Leaves(deeds=((1, 100 * R1),))).deed(1))
    yield made
    made.close()


def mine(site, blocks):
    for _ in range(blocks):
        site.scene.chain.mine()


def vote(site, verb, *words, key=""):
    """`tinyren vote VERB` at the council, as JSON."""
    return site.json("vote", verb, *words, "--council", site.council, key=key)


def refused(site, code, said, verb, *words, key="a"):
    """`tinyren vote VERB` ends with `code` and says so, and sends nothing."""
    before = site.scene.chain.block_number()
    got, out, err = site.run("vote", verb, *words, "--council", site.council, key=key)
    assert (got, out, len(err.splitlines())) == (code, "", 1) and said in err, err
    assert site.scene.chain.block_number() == before


def propose(site, *words, why="a cap that fits"):
    more = ("--settlement", site.governed, "--why", why)
    return vote(site, "propose", *words, *more, key="a")["proposals"][0]


def test_votes_change_what_is_governed_and_nothing_before_its_time(site):
    assert vote(site, "deposit", "10", key="a")["votes_wei"] == str(10 * R1)
    found = propose(site, "--epoch-cap", "500")
    number = found["id"][:12]
    assert found["state"] == "pending" and found["why"] == "a cap that fits"
    cap, nobody = 500 * R1, NOBODY
    wanted = f"govern(epochCap {cap}, delay 60, leastOracles 1, guardian {nobody}) at {site.governed}"
    assert found["does"] == [wanted]
    refused(site, Exit.REFUSED, "`tinyren vote show` says what it waits for", "cast", number, "for")
    mine(site, 2)
    refused(site, Exit.REFUSED, "GovernorUnexpectedProposalState", "queue", number)
    assert vote(site, "cast", number, "for", key="a")["proposals"][0]["votes_wei"]["for"] == str(10 * R1)
    refused(site, Exit.REFUSED, "one vote a proposal", "cast", number, "against")
    mine(site, 3)
    assert vote(site, "show", number)["proposals"][0]["state"] == "succeeded"
    assert vote(site, "queue", number, "--dry-run", key="anyone")["gas"] > 21_000
    assert vote(site, "queue", number, key="anyone")["proposals"][0]["state"] == "queued"
    refused(site, Exit.REFUSED, "its lock ends ", "execute", number, key="anyone")
    mine(site, 31)  # a block a second at least
    assert vote(site, "execute", number, key="anyone")["proposals"][0]["state"] == "executed"
    settlement = Contract("Settlement", site.governed)
    assert site.scene.chain.call(settlement, "epochCap") == cap
    assert vote(site, "execute", number, key="anyone")["proposals"][0]["next"] == "nothing: it is done"
    assert vote(site, "withdraw", "10", key="a")["votes_wei"] == "0"
    code, out, _ = site.run("vote", "show", "--council", site.council)
    assert code == 0 and "executed; nothing: it is done" in out and out.endswith("RESULT: OK proposals=1\n")


def test_a_vote_below_the_least_quorum_is_defeated(site):
    vote(site, "deposit", "4.9", key="a")
    number = propose(site, "--delay", "120")["id"]
    mine(site, 2)
    vote(site, "cast", number, "for", key="a")
    mine(site, 3)
    (found,) = vote(site, "show", number)["proposals"]
    assert (found["state"], found["quorum_wei"]) == ("defeated", str(5 * R1))
    refused(site, Exit.REFUSED, "what it waits for", "queue", number)


def test_what_cannot_be_proposed_is_told_before_anything_is_sent(site):
    settlement, own = site.governed, site.scene.settlement.contracts.settlement
    refused(site, Exit.USAGE, "nothing to propose", "propose", "--why", "x")
    refused(site, Exit.REFUSED, "it is governed by 0x", "propose", "--why", "x", "--delay", "90", "--settlement", own)
    more = ("--why", "x", "--settlement", settlement)
    refused(site, Exit.REFUSED, "`tinyren vote deposit` gives votes", "propose", "--delay", "90", *more)
    refused(site, Exit.USAGE, "name a smaller number", "propose", "--delay", "9" * 30, *more)
    refused(site, Exit.NOTHING_TO_DO, "0 ids begin with this", "cast", "1234", "for")
    refused(site, Exit.REFUSED, "amount: 0x", "deposit", "101")
    refused(site, Exit.REFUSED, "amount: 0x", "withdraw", "1")


def test_a_reason_that_is_no_text_hides_no_proposal_and_is_carried_out_like_any_other(site):
    vote(site, "deposit", "10", key="a")
    settlement = site.governed
    call = abi.encode_call("Settlement", "govern", (7, 60, 1, NOBODY))
    data = abi.encode_call("Council", "propose", ([settlement], [0], [call], "????"))
    assert site.scene.raw(OWNERS[0], "0x" + data.replace(b"????", b"\xff\xfe\x80!").hex(), site.council)
    propose(site, "--delay", "90")
    odd = next(item for item in vote(site, "show")["proposals"] if item["why"] == "???!")
    mine(site, 2)
    vote(site, "cast", odd["id"], "for", key="a")
    mine(site, 3)
    assert vote(site, "queue", odd["id"], key="anyone")["proposals"][0]["state"] == "queued"


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.sampled_from([b"", GOVERN, RATE]), st.binary(max_size=140))
def test_whatever_a_proposal_would_call_is_told(selector, data):
    said = told(selector + data)
    assert said.startswith(("govern(", "setRate(", "0x")) and (said.startswith("0x") or len(data) >= 32)


def test_a_reason_that_a_terminal_would_obey_is_shown_harmless(site):
    vote(site, "deposit", "10", key="a")
    assert propose(site, "--delay", "90", why="a\x1b[2Jb\nc")["why"] == "a?[2Jb?c"
    assert len(vote(site, "show")["proposals"]) == 1
