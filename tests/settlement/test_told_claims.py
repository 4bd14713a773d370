"""What a person is told of claims: a line each, and what an owner claimed of what its deeds earned."""

from types import SimpleNamespace

from gateway.oracle.rewards import Deed
from gateway.settlement.ledger import Settled
from gateway.settlement.settlement import Claim
from gateway.settlement.tree import Leaves
from gateway.site.settling import tell
from gateway.site.status import Status
from tests.contract_scene import A
from tests.ingest_site import Site

R1 = 10**18
RAW = bytes.fromhex(A[2:])
LEAVES = Leaves(deeds=((1, 2 * R1),), accounts=((RAW, 3 * R1),))
SETTLED = Settled(1, {}, LEAVES, bytes(32), 5 * R1, bytes(32), 5 * R1, {}, (), 4, "0x", ())
CLAIMS = [Claim(1, A, 2 * R1, "0x1"), Claim(None, A, R1, "0x2"), Claim(1, A, 9 * R1, "0x3", job=7)]


def test_each_claim_is_told_with_what_it_is_for():
    lines = [(text, fields) for text, event, fields in tell(SETTLED, CLAIMS) if event == "claim_paid"]
    assert [text.partition(" paid to ")[0] for text, _ in lines] == [
        "deed 1: 2.0000 R1",
        "account: 1.0000 R1",
        "deed 1, work for job 7: 9.0000 R1",
    ]
    assert [(fields["deed"], fields["job"]) for _, fields in lines] == [(1, 0), (None, 0), (1, 7)]


def test_what_is_paid_for_work_is_shown_and_is_none_of_what_deeds_earned(tmp_path):
    site = Site(tmp_path)
    dauth = SimpleNamespace(deeds={1: Deed(RAW, 1, ())})
    status = Status("site", site.registry, site.epochs, SimpleNamespace(), dauth)
    status.settled.append(SETTLED)
    status.claims += CLAIMS
    assert status._owners() == [
        {"owner": A, "deeds": [1], "earned_wei": str(5 * R1), "claimed_wei": str(3 * R1)},
    ]
    rows = status.result()["claims"]
    assert [(row["deed"], row["job"], row["amount_wei"]) for row in rows][2] == (1, 7, str(9 * R1))
