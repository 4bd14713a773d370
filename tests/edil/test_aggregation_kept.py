"""What a gateway keeps of old rounds, bounded, and what devices were refused in one: shown, and the round unharmed."""

import pytest

from device.agent import rounds
from gateway import curve
from gateway.aggregation import known, messages
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.messages import Share
from gateway.edil.commands import describe
from tests.edil_rounds import HOLDERS, NOW_MS, OWNER_ADDRESS, TABLES, Agent, Gateway, enrol_frame, manifest, sign_with

AGENTS = [Agent(number) for number in range(1, 4)]
KEPT = 3


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "ROUNDS_KEPT", KEPT)
    return Gateway(tmp_path, AGENTS)


def open_filled(gateway, number, devices=2, **options):
    """A round with ciphertexts of some devices: its digest."""
    frame, digest, enrolment = gateway.open(manifest(number), **options)
    for agent in AGENTS[:devices]:
        assert gateway.give(agent, frame, enrolment, [number] * 16) == "stored"
    return digest


def answer(gateway, digest):
    """The share of the one share-holder; what it seals is of no matter here."""
    closed = gateway.rounds.status(digest)["set"]
    share = Share(digest, bytes.fromhex(closed), 1, bytes(12), bytes(4112))
    holder = HOLDERS[1]
    gateway.rounds.give_share(messages.sign_share(share, curve.address_of(holder.secret), sign_with(holder)))


def numbers(gateway):
    return [row["round"] for row in gateway.rounds.rounds()]


def rows_of(gateway, digest):
    tables = [table for table in TABLES if table != "enrolment"]
    counted = [f"SELECT count(*) FROM {table} WHERE manifest = ?" for table in tables]
    return [gateway.store._database.execute(query, (digest,)).fetchone()[0] for query in counted]


def test_the_oldest_rounds_that_are_done_are_dropped_and_the_others_stay(gateway):
    unanswered = open_filled(gateway, 1)
    gateway.rounds.close_round(unanswered)
    still_open = open_filled(gateway, 2)
    done = []
    for number in range(3, 10):
        done.append(open_filled(gateway, number, devices=number % 2 + 1))
        gateway.rounds.close_round(done[-1])
        if number % 2:
            answer(gateway, done[-1])  # the others failed: one device is fewer than k_min
    newest = open_filled(gateway, 10)
    assert numbers(gateway) == [1, 2, 7, 8, 9, 10]
    assert not any(any(rows_of(gateway, digest)) for digest in done[:-KEPT])
    assert all(rows_of(gateway, digest)[0] for digest in [unanswered, still_open, *done[-KEPT:], newest])
    for digest in done[:-KEPT]:
        with pytest.raises(KeyError):
            gateway.rounds.status(digest)
    before = gateway.rounds.rounds()
    gateway.restart()
    assert gateway.rounds.rounds() == before
    with pytest.raises(Refused, match="wanted above 10"):
        gateway.rounds.open_round(manifest(3))  # its number stays used


def test_a_round_that_is_answered_later_may_be_dropped_later(gateway):
    digests = []
    for number in range(1, 7):
        digests.append(open_filled(gateway, number))
        gateway.rounds.close_round(digests[-1])
    assert numbers(gateway) == [1, 2, 3, 4, 5, 6]
    for digest in digests[:5]:
        answer(gateway, digest)
    open_filled(gateway, 7)
    assert numbers(gateway) == [3, 4, 5, 6, 7]


def test_a_part_is_kept_for_a_week_after_its_deadline(gateway):
    for number in range(1, 6):
        gateway.rounds.close_round(open_filled(gateway, number, is_part=True))
    open_filled(gateway, 6)
    assert numbers(gateway) == [1, 2, 3, 4, 5, 6]
    gateway.now_ms = NOW_MS + known.PART_KEPT_MS + 60_001
    frame = manifest(7, deadline_ms=gateway.now_ms + 1000)
    gateway.rounds.open_round(frame)
    assert numbers(gateway) == [3, 4, 5, 6, 7]


def test_the_newest_round_of_each_data_owner_stays_so_that_its_number_is_never_used_again(gateway):
    others = [*reversed(HOLDERS)]
    gateway.rounds.enrol(OWNER_ADDRESS, enrol_frame(holders=others))
    gateway.rounds.close_round(gateway.rounds.open_round(manifest(50, holders=others)))
    for number in range(1, 6):
        gateway.rounds.enrol(OWNER_ADDRESS, enrol_frame(number=2))
        gateway.rounds.close_round(gateway.rounds.open_round(manifest(number)))
    gateway.rounds.open_round(manifest(6))
    assert numbers(gateway) == [50, 3, 4, 5, 6]
    with pytest.raises(Refused, match="wanted above 50"):
        gateway.rounds.open_round(manifest(49, holders=others))


def test_embeddings_that_have_no_logits_yet_are_kept(gateway):
    for number in range(1, 6):
        _, digest, enrolment = gateway.open(frame := manifest(number, kind=rounds.INFERENCE))
        if number % 2:
            assert gateway.give(AGENTS[0], frame, enrolment, [1] * 8) == "stored"
        gateway.rounds.close_round(digest)
    open_filled(gateway, 6)
    for number in range(7, 10):
        gateway.rounds.close_round(open_filled(gateway, number, devices=1))
    open_filled(gateway, 10)
    assert numbers(gateway) == [1, 3, 5, 6, 7, 8, 9, 10]


def test_a_device_that_finds_no_space_is_named_with_the_reason_and_the_round_goes_on(gateway):
    digest = open_filled(gateway, 1)
    frame, enrolment = gateway.rounds._known.frames[digest], next(iter(gateway.rounds._known.enrolments))
    database = gateway.store._database
    database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0]}")
    assert gateway.give(AGENTS[2], frame, enrolment, [5] * 16) == "space"
    row = gateway.rounds.status(digest)
    assert row["refused"] == {AGENTS[2].id.hex(): "space"} and "1 refused: space" in describe(row)
    assert row["devices"] == sorted(agent.id.hex() for agent in AGENTS[:2])
    database.execute("PRAGMA max_page_count = 100000")
    gateway.rounds.close_round(digest)
    assert gateway.rounds.status(digest)["state"] == "closed"


def test_a_device_that_is_stored_after_all_is_no_longer_named_as_refused(gateway):
    frame, digest, enrolment = gateway.open(manifest(1))
    assert gateway.give(AGENTS[0], frame, bytes(32), [1] * 16) == "holders"
    assert gateway.rounds.status(digest)["refused"] == {AGENTS[0].id.hex(): "holders"}
    assert gateway.give(AGENTS[0], frame, enrolment, [1] * 16) == "stored"
    assert gateway.rounds.status(digest)["refused"] == {}
