"""EDIL's thread at the gateway: dealt with before it is acknowledged; what is too much is counted."""

import threading

import pytest

from device.agent import rounds
from gateway.aggregation import receiver
from gateway.aggregation.receiver import MAX_PAYLOAD_BYTES, Receiver
from gateway.broker.bus import Token
from tests.edil_rounds import DEADLINE_MS, Agent, Gateway
from tests.ingest_site import Line

A, B = Agent(1), Agent(2)
VALUES = list(range(-8, 8))
WAIT_S = 20


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path, [A, B])
    made.frame, made.digest, made.enrolment = made.open()
    return made


def offer(served, gateway, messages):
    for number, (topic, payload) in enumerate(messages):
        served.offer(topic, payload, gateway.now_ms, Token(1, number, 1))


def upload(gateway, agent):
    return agent.messages(gateway.digest, gateway.enrolment, agent.encrypt(gateway.frame, gateway.enrolment, VALUES))


def test_a_round_runs_on_the_thread_from_update_to_closed_set(gateway):
    served, line = Receiver(gateway.rounds), Line()
    thread = threading.Thread(target=served.run, args=(line,))
    thread.start()
    offer(served, gateway, upload(gateway, A) + upload(gateway, B))
    served.stop()
    thread.join(WAIT_S)
    assert served.failure is None and len(line.acked) == 18
    statuses = [rounds.decode_taken(payload)[2] for topic, payload in gateway.published if topic.endswith("taken")]
    assert statuses == ["stored", "stored"]
    gateway.now_ms = DEADLINE_MS + 1
    gateway.rounds.turn()
    assert gateway.rounds.status(gateway.digest)["state"] == "closed"


def test_more_than_the_queue_holds_is_dropped_counted_and_let_go(gateway, monkeypatch):
    monkeypatch.setattr(receiver, "MAX_QUEUED", 9)
    served, line = Receiver(gateway.rounds), Line()
    offer(served, gateway, upload(gateway, A) + upload(gateway, B))
    assert served.take(line) == 9 and len(line.acked) == 18
    assert gateway.rounds.rejected == {"overload": 9}
    assert gateway.rounds.status(gateway.digest)["devices"] == [A.id.hex()]


def test_of_a_large_message_only_as_much_is_kept_as_shows_it(gateway):
    served, line = Receiver(gateway.rounds), Line()
    offer(served, gateway, [(topic, payload + bytes(1 << 20)) for topic, payload in upload(gateway, A)])
    assert max(len(item[1]) for item, _ in served._inbox._queue) == MAX_PAYLOAD_BYTES + 1
    served.take(line)
    assert gateway.rounds.rejected == {"too_large": 9}


def test_what_stops_the_thread_is_kept_for_the_site_to_raise(gateway):
    served = Receiver(gateway.rounds)
    gateway.store.close()
    offer(served, gateway, upload(gateway, A))
    with pytest.raises(Exception, match="closed database"):
        served.run(Line())
    assert "closed database" in str(served.failure)
