"""The journal: what survives a reset, what is told when, and what a gateway keeps of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import mqtt, reports, wire
from device.agent.journal import LINES_MAX_BYTES, Journal
from gateway.intake.late_store import JOURNALS
from gateway.intake.registry import Registry
from tests.agent_bench import Bench
from tests.ingest_site import A, B, Site, state

BYTES = 512


def told(bench):
    """Fields of the journals that were published."""
    frames = [payload for name, payload in bench.sent if name == "journal"]
    return [reports.decode_journal(wire.open_sign1(frame, reports.JOURNAL_MAX_BYTES)[1]) for frame in frames]


# On the device


def test_lines_of_before_a_reset_are_there_after_it():
    buffer = bytearray(BYTES)
    first = Journal(buffer, "power")
    first.note(812, "link: timeout")
    first.note(840, "error: NameError in agent.py:31")

    again = Journal(buffer, "error: NameError in agent.py:31")

    assert again.reason == "error: NameError in agent.py:31"
    assert again.lines() == ["0 reset: power", "812 link: timeout", "840 error: NameError in agent.py:31",
                             "0 reset: error: NameError in agent.py:31"]  # fmt: skip


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.binary(min_size=BYTES, max_size=BYTES), st.booleans())
def test_memory_that_holds_anything_else_holds_no_line(noise, is_headed):
    buffer = bytearray(b"jl\x00\x20" + noise[4:] if is_headed else noise)

    assert Journal(buffer, "power").lines() == ["0 reset: power"]


@pytest.mark.parametrize("at", range(0, 8 + 30))
def test_a_changed_byte_of_what_survived_ends_it(at):
    buffer = bytearray(BYTES)
    Journal(buffer, "power").note(5, "link: timeout")
    buffer[at] ^= 1

    assert Journal(buffer, "watchdog").lines() == ["0 reset: watchdog"]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.text(max_size=90)), max_size=60), st.text(max_size=60))
def test_whatever_is_noted_fits_its_memory_and_one_message(notes, reason):
    buffer = bytearray(BYTES)
    journal = Journal(buffer, reason)

    for uptime_s, text in notes:
        journal.note(uptime_s, text)

    payload = reports.encode_journal(2**32 - 1, journal.reason, journal.lines())
    assert len(wire.sign1(payload, bytes(20), lambda digest: bytes(65))) <= reports.JOURNAL_MAX_BYTES
    assert sum(len(line) + 1 for line in journal.lines()) <= LINES_MAX_BYTES and len(buffer) == BYTES
    survived = Journal(bytearray(buffer), "power").lines()[:-1]
    assert survived == journal.lines()[len(journal.lines()) - len(survived) :]


def test_the_oldest_line_makes_room_and_a_repeated_one_is_left_out():
    journal = Journal(bytearray(BYTES), "power")

    for number in range(100):
        journal.note(number, f"refused: beacon {number // 2}")

    assert journal.lines()[-1] == "98 refused: beacon 49" and journal.lines()[0] != "0 reset: power"
    assert len(set(journal.lines())) == len(journal.lines()) <= reports.LINES


def test_it_is_told_first_after_a_connection_and_again_only_with_something_new():
    bench = Bench(journal=Journal(bytearray(BYTES), "watchdog")).connect()
    bench.published()
    assert [name for name, _ in bench.sent] == ["announce", "journal"]

    bench.client.lost(bench.port.now_ms)
    bench.connect().published()
    bench.receive("ack", b"\xff")
    bench.receive("ack", b"\xff")
    bench.client.lost(bench.port.now_ms)
    bench.connect().published()
    bench.pass_ms(20_000)

    assert [name for name, _ in bench.sent] == ["announce", "journal"] * 3
    assert told(bench)[0] == (1, "watchdog", ["0 reset: watchdog"])
    assert told(bench)[1][2][1:] == ["0 link: lost"]
    assert [line.partition(" ")[2] for line in told(bench)[2][2][2:]] == ["refused: ack: malformed", "link: lost"]


def test_it_is_told_again_to_a_gateway_that_came_after_the_device_and_then_rests():
    bench = Bench(journal=Journal(bytearray(BYTES), "power")).connect()
    bench.published()
    bench.give_beacon(1, 1)
    bench.published()

    bench.receive("ack", wire.encode_ack(1, 1))
    bench.pass_ms(1000)
    bench.client.lost(bench.port.now_ms)
    bench.connect().published()

    assert [name for name, _ in bench.sent] == ["announce", "journal", "heartbeat", "journal", "announce", "journal"]
    assert told(bench)[0] == told(bench)[1]


def test_a_reset_for_the_reason_of_the_last_is_told_too():
    buffer = bytearray(BYTES)
    Journal(buffer, "watchdog")
    bench = Bench(journal=Journal(buffer, "watchdog")).connect()
    bench.published()
    assert told(bench)[0] == (1, "watchdog", ["0 reset: watchdog"])


@pytest.mark.parametrize(
    ("topic", "line"), [(b"tinyren/x/\xff\n\x00", "refused: ???: unknown"), (b"", "refused: : unknown")]
)
def test_a_topic_of_anything_leaves_a_clean_line(topic, line):
    journal = Journal(bytearray(BYTES), "power")
    bench = Bench(journal=journal).connect()

    bench.agent.receive(topic, b"", bench.port.now_ms)

    assert journal.lines()[-1] == f"0 {line}"


def test_no_secret_is_in_the_journal():
    bench = Bench(journal=(journal := Journal(bytearray(BYTES), "power"))).connect()

    for name in ("ack", "bind", "samples", "enrol", "round", "beacon"):
        bench.receive(name, bytes([0x5C]) * 40)

    assert "5c5c" not in repr(journal) and "\\x07" not in str(journal.lines()) and b"\x07" * 4 not in journal._buffer
    assert mqtt.ONLINE == bench.client.state and len(journal.lines()) == 5


# At the gateway


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.send((A.topic("announce"), A.announce(boot=2)), (B.topic("announce"), B.announce()))
    return made


def journal_of(signer, boot=2, reason="power", lines=("0 reset: power",)):
    return wire.sign1(reports.encode_journal(boot, reason, list(lines)), signer.id, signer.sign)


REFUSED = {
    "another device's": ("wrong_device", lambda: journal_of(B)),
    "signed by another": ("bad_signature", lambda: wire.sign1(reports.encode_journal(2, "x", []), A.id, B.sign)),
    "of an earlier boot": ("replay", lambda: journal_of(A, boot=1)),
    "changed": ("bad_signature", lambda: journal_of(A)[:-1] + b"\x00"),
    "too large": ("too_large", lambda: bytes(600)),
    "a heartbeat": ("too_large", lambda: bytes(513)),
    "noise": ("malformed", lambda: b"\xd2" * 40),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_journal_leaves_nothing_but_its_count(site, case):
    reason, make = REFUSED[case]
    before = state(site)

    site.send((A.topic("journal"), make()))

    assert site.registry.rejected == {reason: 1} and state(site) == before and not site.registry.late.journals


def test_a_journal_of_a_stranger_is_refused(tmp_path):
    site = Site(tmp_path)
    site.send((A.topic("journal"), journal_of(A)))
    assert site.registry.rejected == {"unknown_device": 1} and not site.registry.late.journals


def test_the_last_16_journals_of_a_device_are_kept_each_once_and_survive_a_kill(site):
    frames = [journal_of(A, lines=(f"{number} link: timeout",)) for number in range(20)]
    for frame in [*frames, frames[-1], frames[-3]]:
        site.send((A.topic("journal"), frame))
    site.send((B.topic("journal"), journal_of(B, 1)))

    site.kill()
    again = Registry(site.folder / "state.sqlite").late.journals

    assert again == site.registry.late.journals
    assert [report.frame for report in again[A.id]] == frames[-JOURNALS:]
    assert [(report.boot, report.reason, report.lines) for report in again[B.id]] == [(1, "power", ("0 reset: power",))]


def test_without_space_a_journal_is_not_kept_and_the_site_goes_on(site):
    site.registry._database.execute("PRAGMA max_page_count = 1")
    frames = [journal_of(A, lines=[f"{number} " + "x" * 60] * 5) for number in range(JOURNALS)]

    site.send(*((A.topic("journal"), frame) for frame in frames))

    assert site.registry.rejected == {"no_space": JOURNALS} and not site.registry.late.journals
    site.registry._database.execute("PRAGMA max_page_count = 100000")
    site.send(*((A.topic("journal"), frame) for frame in frames))
    assert [report.frame for report in site.registry.late.journals[A.id]] == frames
