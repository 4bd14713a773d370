"""How a ciphertext goes to the gateway: again until it is taken, and never in a heartbeat's way; on a virtual clock."""

import pytest

from device.agent import mqtt, rounds, wire
from device.agent.upload import RESEND_MS, RESENDS
from tests.agent_bench import heartbeat
from tests.edil_bench import enrolled, enrolment, gather, manifest, statuses

FRAME = manifest(windows=1)
M = rounds.open_manifest(FRAME)[0].digest
WINDOW_MS = 1600


def sending(acknowledge=True, frame=FRAME):
    """A device whose ciphertext is made; unless acknowledged, nothing of it has been published yet."""
    bench = enrolled()
    bench.receive("round", frame)
    bench.published()
    bench.sent.clear()
    while bench.agent.edil._update.upload is None:
        bench.pass_ms(50, acknowledge=acknowledge)
    return bench


def names(bench, acknowledge=True):
    return [name for name, _ in bench.published(acknowledge)]


def test_without_an_answer_the_same_bytes_are_sent_again_5_s_later_24_times_and_then_the_round_ends():
    bench = sending()
    bench.pass_ms(1000)
    first = list(bench.sent)
    assert [name for name, _ in first] == ["update"] + ["part"] * 8 and len(gather(first)) == 1
    silent_ms = []

    for times in range(2, RESENDS + 2):
        before_ms = bench.port.now_ms
        while len(bench.sent) == len(first) * (times - 1):
            bench.pass_ms(50)
        silent_ms.append(bench.port.now_ms - before_ms)
        bench.pass_ms(1000)
        assert bench.sent == first * times
    assert bench.agent.edil._update is not None
    bench.pass_ms(2 * RESEND_MS)

    assert bench.sent == first * (RESENDS + 1) and {4000 < ms + 500 <= RESEND_MS for ms in silent_ms} == {True}
    assert bench.agent.edil._update is None and bench.agent.edil.counts["unanswered"] == 1


@pytest.mark.parametrize("status, count", [("stored", "stored"), ("late", "untaken")])
def test_an_answer_ends_the_sending_whatever_it_says(status, count):
    bench = sending()
    bench.pass_ms(1000)
    sent = len(bench.sent)

    for _ in range(2):
        bench.receive("taken", rounds.encode_taken(M, 0, status))
    bench.pass_ms(4 * RESEND_MS)

    assert len(bench.sent) == sent and bench.agent.edil._update is None
    assert bench.agent.edil.counts[count] == 1


@pytest.mark.parametrize("manifest_, index", [(bytes(32), 0), (M, 1)])
def test_an_answer_to_something_else_ends_nothing(manifest_, index):
    bench = sending()

    bench.receive("taken", rounds.encode_taken(manifest_, index, "stored"))
    bench.pass_ms(1000 + RESEND_MS)

    assert len(gather(bench.sent)) == 2 and bench.agent.edil.counts["stored"] == 0


def test_an_answer_before_the_ciphertext_is_made_ends_nothing():
    bench = enrolled()
    bench.receive("round", FRAME)

    bench.receive("taken", rounds.encode_taken(M, 0, "stored"))
    bench.pass_ms(2 * WINDOW_MS)

    assert len(gather(bench.sent)) == 1


def test_a_newer_round_ends_the_sending_of_an_older():
    bench = sending()
    bench.pass_ms(1000)
    bench.sent.clear()

    bench.receive("round", manifest(round=2, windows=1))
    bench.pass_ms(2 * WINDOW_MS)

    ((fields, _),) = gather(bench.sent)
    assert fields[0] == rounds.open_manifest(manifest(round=2, windows=1))[0].digest


def test_at_most_two_parts_wait_at_a_time_and_none_while_a_heartbeat_and_another_message_do():
    bench = sending(acknowledge=False)
    assert bench.client.queued == 2
    bench.give_beacon(1, 0)
    bench.pass_ms(1000, acknowledge=False)

    assert bench.client.queued == 3
    order = []
    while bench.client.queued:
        order += names(bench)
        bench.agent.tick(bench.port.now_ms)
        assert bench.client.queued <= 2
    assert order == ["update", "part", "heartbeat"] + ["part"] * 7


def test_no_flood_of_manifests_or_enrolments_and_no_upload_drops_a_heartbeat():
    bench = sending(acknowledge=False)
    bench.give_beacon(1, 0)
    for turn in range(40):
        bench.receive("enrol", enrolment()[0])
        bench.receive("round", FRAME[:-1])
        bench.pass_ms(50, acknowledge=False)
        bench.give_beacon(2, turn)
        assert bench.client.queued <= mqtt.QUEUE

    sent = []
    while bench.client.queued:
        sent += bench.published()
        bench.agent.tick(bench.port.now_ms)
    assert bench.client.counts["dropped"] == 0
    last = [payload for name, payload in sent if name == "heartbeat"][-1]
    assert heartbeat(last)[0] == wire.make_beacon(2, 39, bytes(32))


def test_a_connection_that_breaks_while_it_sends_goes_on_after_the_next():
    bench = sending(acknowledge=False)
    bench.client.lost(bench.port.now_ms)
    bench.connect()
    sent = bench.published()
    bench.pass_ms(1000)

    assert len(gather([message for message in bench.sent if message[0] != "announce"])) == 1 and sent


def test_what_the_broker_does_not_have_yet_is_not_sent_again_beside_it():
    bench = sending()
    upload = bench.agent.edil._update.upload
    while upload._at + rounds.PART_BYTES < rounds.RINGS[1024]:
        bench.pass_ms(50)
    bench.pass_ms(50, acknowledge=False)
    assert upload._at == rounds.RINGS[1024] and bench.client.queued
    bench.pass_ms(4500, acknowledge=False)
    bench.client.lost(bench.port.now_ms)
    bench.connect()
    bench.pass_ms(1000)

    assert upload.resent == 0 and len(gather([sent for sent in bench.sent if sent[0] != "announce"])) == 1


def test_while_it_is_away_no_try_is_used_up():
    bench = sending()
    bench.pass_ms(1000)
    upload = bench.agent.edil._update.upload
    bench.client.lost(bench.port.now_ms)
    bench.agent.edil.tick(bench.port.now_ms + 60_000)

    assert upload.resent == 0 and not upload.is_given_up


def test_a_round_whose_manifest_comes_again_while_it_is_sent_is_answered_and_goes_on():
    bench = sending()
    bench.receive("round", FRAME)
    bench.pass_ms(1000)

    assert statuses(bench.sent) == [(M, "joined")]
    assert len(gather(bench.sent)) == 1
    bench.receive("taken", rounds.encode_taken(M, 0, "stored"))
    bench.receive("round", FRAME)
    assert statuses(bench.published()) == [(M, "round")]
