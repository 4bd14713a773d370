"""Jobs that buyers pay for in R1, by settlement/escrow.py on the embedded chain; forge tests the contract."""

import pytest

from gateway.chain.chain import ChainError
from gateway.oracle import merkle
from gateway.poai.jobs import MEASURED, VERIFIED, Job
from gateway.settlement import escrow
from gateway.settlement.tree import Leaves, Trees, add_epoch
from tests.contract_scene import ANYONE, OWNERS, PAYER, A, B, copy_scene, make_scene

R1 = 10**18
BUYER = OWNERS[0]
MODEL = bytes(range(32))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A scene in which A has 100 R1, and its escrow's address."""
    path = tmp_path_factory.mktemp("escrow") / "chain.sqlite"
    scene = make_scene(path)
    scene.post({1: 100 * R1})
    scene.claim(1)
    settlement = scene.settlement.contracts.settlement
    made = escrow.deploy(scene.chain, PAYER, settlement, scene.settlement.contracts.r1, grace_epochs=2)
    scene.chain.close()
    return scene, path, made.address


@pytest.fixture
def scene(original, tmp_path):
    made = copy_scene(*original[:2], tmp_path / "chain.sqlite")
    yield made
    made.chain.close()


@pytest.fixture
def jobs(scene, original):
    return escrow.Escrow(scene.chain, original[2])


def attest(scene, jobs, units):
    """The next epoch's root, with these units by (job, deed) beside the deeds'; its trees."""
    raw = bytes.fromhex(jobs.address[2:])
    work = {(raw, job, deed): count for (job, deed), count in units.items()}
    leaves = add_epoch(Leaves(deeds=((1, 100 * R1),)), {}, {}, set(), work)
    scene.post({1: 100 * R1}, root=Trees(leaves).root)
    return Trees(leaves), raw


def test_a_job_is_paid_by_proof_and_the_rest_comes_back(scene, jobs):
    job = jobs.open(MODEL, R1, 10 * R1, 2, [], BUYER)
    terms = jobs.job(job)
    assert (job, terms.buyer, terms.first, terms.last, terms.most_units) == (1, A, 3, 4, 10)
    assert scene.settlement.balance(A) == 90 * R1
    attest(scene, jobs, {})
    for units in (3, 4):
        trees, raw = attest(scene, jobs, {(job, 2): units})
        paid = jobs.claim(job, 2, *trees.work(raw, job, 2), ANYONE)
        assert (paid.owner, paid.units) == (B, units)
        assert jobs.claim(job, 2, *trees.work(raw, job, 2), ANYONE) is None
    assert scene.settlement.balance(B) == 4 * R1 * 85 // 100
    with pytest.raises(ChainError, match="NotOver"):
        jobs.refund(job, ANYONE)
    attest(scene, jobs, {})
    attest(scene, jobs, {})
    assert jobs.refund(job, ANYONE).is_closed and jobs.refund(job, ANYONE).paid == 4 * R1
    assert scene.settlement.balance(A) == 96 * R1
    assert scene.chain.call(scene.r1, "totalSupply") == 100 * R1 - 4 * R1 * 15 // 100


def test_a_job_that_has_not_begun_is_cancelled_whole(scene, jobs):
    job = jobs.open(MODEL, R1, 10 * R1, 5, [2], BUYER)
    assert jobs.is_worker(job, 2) and not jobs.is_worker(job, 1)
    with pytest.raises(ChainError, match="NotBuyer"):
        jobs.cancel(job, ANYONE)
    assert jobs.cancel(job, BUYER).is_closed and jobs.cancel(job, BUYER).is_closed
    assert scene.settlement.balance(A) == 100 * R1


def test_the_jobs_that_take_units_of_an_epoch_are_read_as_of_a_block(scene, jobs):
    early = scene.chain.block_number()
    terms = (
        (MODEL, R1, 2 * R1, 1, []),
        (MODEL, R1, 3 * R1, 2, [2, 9]),
        (MODEL, R1, R1, 2, [9]),
        (MODEL, R1, R1, 9, []),
    )
    opened = [jobs.open(*each, BUYER, is_measured=each[3] == 9) for each in terms]
    jobs.cancel(opened[3], BUYER)
    raw, cid = bytes.fromhex(jobs.address[2:]), escrow.MODEL_CID + MODEL
    first = Job(raw, 1, VERIFIED, cid, frozenset(), 3, 3, 2, R1)
    second = Job(raw, 2, VERIFIED, cid, frozenset({2}), 3, 4, 3, R1)
    assert jobs.live(2, [1, 2]) == [] and jobs.live(5, [1, 2]) == []
    assert jobs.live(3, [1, 2]) == [first, second] and jobs.live(4, [1, 2]) == [second]
    assert jobs.live(3, [1]) == [first] and jobs.live(3, [1, 2], early) == []
    before_cancel = jobs.live(3, [1], scene.chain.block_number() - 1)
    assert [(job.number, job.kind) for job in before_cancel] == [(1, VERIFIED), (4, MEASURED)]


def test_jobs_are_read_page_by_page(scene, jobs, monkeypatch):
    monkeypatch.setattr(escrow, "PAGE", 2)
    for _ in range(5):
        jobs.open(MODEL, R1, R1, 1, [], BUYER)
    assert [job.number for job in jobs.live(3, [])] == [1, 2, 3, 4, 5]


def test_what_is_refused_moves_nothing(scene, jobs):
    job = jobs.open(MODEL, R1, 2 * R1, 9, [2], BUYER)
    trees, raw = attest(scene, jobs, {(job, 1): 1, (job, 2): 3})
    before = (jobs.job(job), scene.state())
    table = (
        ("NotWorker", lambda: jobs.claim(job, 1, *trees.work(raw, job, 1), ANYONE)),
        ("ExceedsCap", lambda: jobs.claim(job, 2, *trees.work(raw, job, 2), ANYONE)),
        ("WrongWorkProof", lambda: jobs.claim(job, 2, 1, trees.work(raw, job, 2)[1], ANYONE)),
        ("NoJob", lambda: jobs.claim(9, 1, 1, [], ANYONE)),
        ("WrongTerms", lambda: jobs.open(MODEL, R1, R1 - 1, 9, [], BUYER)),
        ("ERC20InsufficientBalance", lambda: jobs.open(MODEL, R1, 99 * R1, 9, [], BUYER)),
        ("not in escrow", lambda: jobs.job(9)),
        ("not in escrow", lambda: jobs.refund(0, ANYONE)),
    )
    for error, action in table:
        with pytest.raises(ChainError, match=error):
            action()
        assert (jobs.job(job), scene.state(), jobs.count()) == (*before, 1), error


def test_a_claim_that_somebody_else_sent_meanwhile_is_no_error(scene, jobs, monkeypatch):
    job = jobs.open(MODEL, R1, 10 * R1, 9, [], BUYER)
    trees, raw = attest(scene, jobs, {(job, 2): 3})
    other, asked = escrow.Escrow(scene.chain, jobs.address), []

    def delivered(job, deed):
        if not asked:
            asked.append(other.claim(job, deed, *trees.work(raw, job, deed), ANYONE))
            return 0
        return other.delivered(job, deed)

    monkeypatch.setattr(jobs, "delivered", delivered)
    assert jobs.claim(job, 2, *trees.work(raw, job, 2), ANYONE) is None and asked[0].units == 3


def test_a_work_leaf_is_neither_a_deeds_nor_an_accounts():
    assert len({merkle.work_leaf(b"e" * 20, 1, 2, 3), merkle.leaf(2, 3), merkle.account_leaf(b"e" * 20, 3)}) == 3
