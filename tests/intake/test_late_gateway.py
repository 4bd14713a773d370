"""Late records at the gateway: which batches count, what is kept of them, and that each sequence is taken once."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import reports, wire
from gateway.intake import late_store
from gateway.intake.evidence import digest
from gateway.intake.late import MAX_SPANS, Account
from gateway.intake.registry import Registry
from tests.ingest_site import A, B, Site, state


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.send((A.topic("announce"), A.announce(boot=3)), (B.topic("announce"), B.announce()))
    made.line.published.clear()
    return made


def batch(signer, boot, sequences, dropped=0, sign=None):
    records = b"".join(reports.pack_record(number, 60 * number, 0, bytes(16)) for number in sequences)
    return wire.sign1(reports.encode_late(boot, bytes(14), dropped, records), signer.id, sign or signer.sign)


def send_late(site, *batches, signer=A):
    site.send(*((signer.topic("late"), frame) for frame in batches))


def acks(site):
    found = [payload for topic, payload in site.line.published if topic == A.topic("late_ack")]
    return [wire.decode_ack(payload) for payload in found]


def everything(site):
    late = site.registry.late
    return state(site), dict(late.accounts), dict(late.kept), list(late.batches(A.id))


def counts(account):
    return account.live, account.late, account.dropped, account.missing


def test_a_batch_is_on_the_disk_when_it_is_acknowledged_and_survives_a_kill(site):
    frame = batch(A, 3, range(1, 13), dropped=2)

    send_late(site, frame)

    assert acks(site) == [(3, 12)] and counts(site.registry.late.accounts[A.id]) == (0, 12, 2, 0)
    site.kill()
    again = Registry(site.folder / "state.sqlite").late
    assert list(again.batches(A.id)) == [(site.now_ms, frame)]
    assert (again.accounts, again.kept) == (site.registry.late.accounts, site.registry.late.kept)


REFUSED = {
    "another device's": ("wrong_device", lambda: batch(B, 3, [1])),
    "signed by another": ("bad_signature", lambda: batch(A, 3, [1], sign=B.sign)),
    "changed": ("bad_signature", lambda: batch(A, 3, [1])[:-1] + b"\x00"),
    "cut": ("malformed", lambda: batch(A, 3, [1])[:-1]),
    "too large": ("too_large", lambda: bytes(513)),
    "a megabyte": ("too_large", lambda: bytes(1 << 20)),
    "nothing": ("malformed", lambda: b""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_batch_is_not_acknowledged_and_leaves_nothing_but_its_count(site, case):
    reason, make = REFUSED[case]
    send_late(site, batch(A, 2, [5]))
    before = everything(site)

    send_late(site, make())

    assert site.registry.rejected == {reason: 1} and everything(site) == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("shared"))
    site.send((A.topic("announce"), A.announce()))
    return site


@settings(derandomize=True, max_examples=200, deadline=None)
@given(data=st.binary(max_size=520))
def test_foreign_bytes_change_nothing(shared, data):
    before, rejected = everything(shared), shared.registry.rejected.total()

    send_late(shared, data)
    shared.send((A.topic("journal"), data))

    assert everything(shared) == before and shared.registry.rejected.total() == rejected + 2


def test_a_batch_of_a_stranger_is_refused(tmp_path):
    site = Site(tmp_path)
    send_late(site, batch(A, 1, [1]))
    assert site.registry.rejected == {"unknown_device": 1} and not site.registry.late.accounts


def test_a_batch_that_came_before_is_acknowledged_again_and_changes_nothing(site):
    frame = batch(A, 3, [1, 2, 3])
    send_late(site, frame)
    before = everything(site)[1:]

    send_late(site, frame, batch(A, 3, [2, 3], dropped=9))

    assert everything(site)[1:] == before and acks(site) == [(3, 3)] * 3
    assert site.registry.rejected == {"replay": 2}


def test_heartbeats_late_records_and_drops_are_all_there_was_and_a_gap_shows(site):
    for sequence in (1, 2, 7, 20):
        site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 3, sequence)))
    late = site.registry.late
    assert counts(late.accounts[A.id]) == (4, 0, 0, 16)

    send_late(site, batch(A, 3, [7, 8, 9, 10]))
    send_late(site, batch(A, 3, [3, 4], dropped=5))
    assert counts(late.accounts[A.id]) == (4, 5, 5, 6)

    send_late(site, batch(A, 3, [*range(14, 20)], dropped=5))
    assert counts(late.accounts[A.id]) == (4, 11, 5, 0)
    assert late.accounts[A.id].sequences == 20


def test_what_was_live_is_counted_again_after_a_kill_and_not_twice(site):
    for sequence in (1, 2, 5):
        site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 3, sequence)))
    send_late(site, batch(A, 3, [3]))
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 3, 6)))
    before = site.registry.late.accounts[A.id]
    site.kill()

    again = Site(site.folder, site.now_ms + 1)

    assert again.registry.late.accounts[A.id] == before and counts(before) == (4, 1, 0, 1)
    send_late(again, batch(A, 3, [5]))
    assert again.registry.late.accounts[A.id] == before


def test_a_late_record_is_no_evidence(site):
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 3, 1)))
    folder = site.folder / "evidence"
    before = digest(folder, 1), site.stored()

    send_late(site, batch(A, 3, range(2, 14)))
    site.send((A.topic("heartbeat"), batch(A, 3, [2])))

    assert (digest(folder, 1), site.stored()) == before and site.registry.progress[A.id].heartbeats == 1


def test_after_seven_days_batches_are_forgotten_and_counted_and_still_not_taken_again(site):
    frame = batch(A, 2, [1, 2, 3])
    send_late(site, frame)
    site.now_ms += late_store.KEPT_MS
    send_late(site, batch(A, 3, [1]))
    assert site.registry.late.kept[A.id] == 4

    site.now_ms += 1
    send_late(site, batch(A, 3, [2]))

    account = site.registry.late.accounts[A.id]
    assert (account.late, account.forgotten, site.registry.late.kept[A.id]) == (5, 3, 2)
    send_late(site, frame)
    assert site.registry.late.accounts[A.id] == account and len(list(site.registry.late.batches(A.id))) == 2


def test_a_device_has_bounded_room_and_so_have_all(site, monkeypatch):
    monkeypatch.setattr(late_store, "MAX_DEVICE_RECORDS", 30)
    monkeypatch.setattr(late_store, "MAX_RECORDS", 40)
    for first in range(1, 100, 12):
        send_late(site, batch(A, 3, range(first, first + 12)))
        send_late(site, batch(B, 1, range(first, first + 12)), signer=B)

    late = site.registry.late
    assert late.kept[A.id] <= 30 and late.kept[B.id] <= 30 and late.kept.total() <= 40
    for account, kept in ((late.accounts[signer.id], late.kept[signer.id]) for signer in (A, B)):
        assert (account.late, account.forgotten) == (108, 108 - kept)
    assert Registry(site.folder / "state.sqlite").late.kept == late.kept


def test_without_space_nothing_is_acknowledged_and_the_next_time_all_is(site):
    site.registry._database.execute("PRAGMA max_page_count = 1")
    frames = [batch(A, 3, range(first, first + 12)) for first in range(1, 200, 12)]
    before = everything(site)

    send_late(site, *frames)

    assert everything(site) == before and site.registry.rejected == {"no_space": len(frames)}
    site.registry._database.execute("PRAGMA max_page_count = 100000")
    send_late(site, *frames)
    assert site.registry.late.accounts[A.id].late == 12 * len(frames) and len(acks(site)) == len(frames)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(1, 30)), max_size=120))
def test_an_account_agrees_with_a_set(events):
    account, live, late = Account(), set(), set()

    for is_live, boot, sequence in events:
        if (boot, sequence) in live | late:
            assert account.has(boot, sequence)
        elif is_live:
            live.add((boot, sequence))
        else:
            late.add((boot, sequence))
        account = account.take_live(boot, sequence) if is_live else account.take_late(boot, [sequence], 0)

    highest = sum(max((s for b, s in live | late if b == boot), default=0) for boot in range(1, 5))
    assert (account.live, account.late, account.sequences) == (len(live), len(late), highest)
    assert account.missing == highest - len(live | late)
    everywhere = {(boot, sequence) for boot in range(1, 5) for sequence in range(1, 32)}
    assert {place for place in everywhere if account.has(*place)} == live | late
    assert list(account.spans) == sorted(account.spans)


def test_an_account_stays_small_whatever_a_device_does():
    account, order = Account(), random.Random(1)

    for sequence in range(1, 4 * MAX_SPANS, 2):
        account = account.take_live(order.choice([1, 2, 3]), sequence)

    assert len(account.spans) == MAX_SPANS and account.floor > (0, 0)
    assert account.has(*account.floor) and account.take_late(1, [1], 0).late == 0
