"""Several workers for one gateway, real processes on a real broker: nothing is lost, nothing counts twice."""

import os
import signal
import time
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection

import psutil
import pytest
from coincurve import PrivateKey

from device.agent import wire
from gateway import curve
from gateway.benchmarks import ingest as bench_ingest
from gateway.benchmarks.workers import Rig, send
from gateway.broker.broker_url import Remote
from gateway.broker.bus import Bus, Token
from gateway.commands.up_arguments import workers as workers_argument
from gateway.errors import CommandError, Exit
from gateway.intake.evidence import heartbeats_path, read
from gateway.site import workers
from tests.mqtt_servers import mqtt_cluster, wait_for_broker

WAIT_S = 30
MANY, FEW = 2000, 200
KEYS = [PrivateKey(number.to_bytes(32, "big")) for number in range(1, MANY + 1)]
DEVICES = [bench_ingest.device_of(key) for key in KEYS]


@contextmanager
def rig(folder, count, devices=DEVICES, before=0):
    with ExitStack() as ends:
        yield Rig(folder, count, devices, ends, before)


def wait_for(condition):
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def stored(folder):
    """(device, boot, sequence) of the evidence, in its order."""
    opened = [wire.open_sign1(frame) for _, frame in read(heartbeats_path(folder / "evidence", 1))]
    return [(device, *wire.decode_heartbeat(payload)[1:3]) for device, payload, *_ in opened]


def heartbeats(made, keys=KEYS, sequence=1):
    return [bench_ingest.heartbeat_of(key, sequence, made.beacon) for key in keys]


def processes():
    found = [child for child in psutil.Process().children() if "gateway.site.worker" in child.cmdline()]
    return sorted(found, key=lambda child: child.cmdline()[-1])


class Heard:
    """Counts what is published on every device's ack topic; sends a device's next heartbeat where there is one."""

    def __init__(self, made):
        self.acks, self.next = [], {}
        self._made, self.bus = made, Bus("boards", made.broker.port, made.broker.account(), self._receive, lambda: 0)
        self.bus.subscribe("tinyren/+/ack")
        self.bus.start()
        assert self.bus.wait_subscribed(WAIT_S)

    def _receive(self, topic, payload, _, token):
        self.bus.ack(token)
        device = bytes.fromhex(topic.split("/")[1])
        self.acks.append((device, *wire.decode_ack(payload)))
        if waiting := self.next.get(device):
            self.bus.publish(*waiting.pop(0), qos=1)


def test_every_heartbeat_counts_once_and_is_acknowledged_only_when_it_is_stored(tmp_path):
    with rig(tmp_path, 2) as made:
        heard = Heard(made)
        send(made, heartbeats(made))
        assert len(processes()) == 2 and not heard.acks and not made.registry.progress
        made.run()
        wait_for(lambda: len(heard.acks) >= MANY)
        heard.bus.stop()
        assert len(heard.acks) == MANY and set(heard.acks) == set(stored(tmp_path))
        assert not made.registry.rejected
    assert len(stored(tmp_path)) == MANY and not processes()


def test_the_order_of_a_device_holds_whichever_worker_it_meets(tmp_path):
    count, length = 40, 25
    with rig(tmp_path, 2, DEVICES[:count]) as made:
        heard = Heard(made)
        made.run()
        for key, device in zip(KEYS[:count], DEVICES, strict=False):
            items = [bench_ingest.heartbeat_of(key, number, made.beacon)[:2] for number in range(1, length + 1)]
            heard.next[device.id] = items[1:]
            heard.bus.publish(*items[0], qos=1)
        wait_for(lambda: len(heard.acks) >= count * length)
        heard.bus.stop()
        assert not made.registry.rejected
        brought = {place.number for place in made.workers.workers if place.taken}
    kept = stored(tmp_path)
    for device in DEVICES[:count]:
        assert [sequence - 2**31 for who, _, sequence in kept if who == device.id] == list(range(1, length + 1))
    assert brought == {1, 2}


def test_a_killed_worker_loses_nothing_and_nothing_counts_twice(tmp_path):
    with rig(tmp_path, 2) as made:
        send(made, heartbeats(made))
        made.run()
        for number in (0, 1, 0):
            before = len(made.registry.progress)
            wait_for(lambda before=before: len(made.registry.progress) > before or before == MANY)
            os.kill(processes()[number].pid, signal.SIGKILL)
            wait_for(made.workers.watch)
        wait_for(lambda: made.workers.watch() or len(made.registry.progress) == MANY)
        wait_for(lambda: len(made.registry.progress) == MANY)
        assert set(made.registry.rejected) <= {"replay"}
    assert sorted(stored(tmp_path)) == sorted((device.id, 2**31, 2**31 + 1) for device in DEVICES)


def test_what_is_not_signed_as_it_must_be_is_refused_whatever_a_worker_says(tmp_path):
    stranger = PrivateKey()
    with rig(tmp_path, 1, DEVICES[:2]) as made:
        (topic, good, _), (_, other, _), (strange, unknown, _) = heartbeats(made, [*KEYS[:2], stranger])
        forged = good[:-64] + other[-64:]
        device, _, signature, digest = wire.open_sign1(forged)
        made.workers.checked.add((stranger.public_key.format(), digest, signature))  # good by a key that is not its
        send(made, [(topic, forged, 0), (strange, unknown, 0), (topic, b"noise", 0), (topic, bytes(9999), 0)])
        made.run()
        wait_for(lambda: made.registry.rejected.total() == 4)
        expected = {"bad_signature": 1, "unknown_device": 1, "malformed": 1, "too_large": 1}
        assert dict(made.registry.rejected) == expected and not made.registry.progress
        send(made, [(topic, good, 0)])
        wait_for(lambda: device in made.registry.progress)
        assert not made.workers.bringers


def test_fewer_workers_after_more_or_none_after_some_miss_nothing(tmp_path):
    for start, (count, before) in enumerate([(2, 0), (1, 2), (0, 1), (1, 0)], 1):
        with rig(tmp_path, count, before=before) as made:
            made.run()
            send(made, heartbeats(made, KEYS[:FEW], start))
            progress, wanted = made.registry.progress, 2**31 + start
            wait_for(lambda: sum(last.sequence == wanted for last in list(progress.values())) == FEW)  # noqa: B023
            assert not made.registry.rejected


def test_a_worker_that_is_no_more_gets_no_share(tmp_path):
    with rig(tmp_path, 1) as made:
        former = Bus(workers.worker_name(2), made.broker.port, made.broker.account(), lambda *_: None, lambda: 0)
        former.subscribe(workers.GROUP + workers.HEARTBEATS)
        former.start()
        assert former.wait_subscribed(WAIT_S)
        former.stop()
        made.workers.forget_former(2)
        made.run()
        send(made, heartbeats(made, KEYS[:FEW]))
        wait_for(lambda: len(made.registry.progress) == FEW)


def test_what_a_worker_that_died_had_brought_is_not_acknowledged_by_the_next(tmp_path):
    place, token = workers.Place(1, tmp_path, lambda *_: None), Token(1, 2, 1)
    ends = [place.plug(), place.plug()]
    place.answer(ack=workers.WorkerToken(place, 1, token, "", None))
    place.answer(ack=workers.WorkerToken(place, 2, token._replace(message_id=3), "", None))
    with Connection(ends[1]) as worker:
        found = [number for _ in range(2) if worker.poll(0.5) for _, number, _ in worker.recv()[1]]
    os.close(ends[0])
    assert found == [3]


def test_a_broker_without_shared_subscriptions_is_told_and_one_with_them_is_taken(tmp_path):
    cluster, (port,) = mqtt_cluster(tmp_path / "nats", nodes=1)
    cluster.start()
    try:
        wait_for_broker(port)
        with pytest.raises(CommandError, match="--workers: the broker knows no shared subscriptions") as caught:
            workers.check_shared(Remote((("127.0.0.1", port),)), ("", ""), 1.0)
        assert caught.value.code == Exit.REFUSED
    finally:
        cluster.stop()
    with rig(tmp_path / "site", 0, ()) as made:
        workers.check_shared(made.broker.port, made.broker.account())


@pytest.mark.parametrize("text", ["-1", "9", "two", "1.5", ""])
def test_another_number_of_workers_is_refused(text):
    with pytest.raises(Exception, match="wanted a whole number from 0 to 8"):
        workers_argument(text)
    assert workers_argument("8") == 8


def test_a_worker_vouches_only_for_what_it_checked():
    from gateway.site.worker import Signatures

    key, frame = KEYS[0], bench_ingest.heartbeat_of(KEYS[0], 1)[1]
    signatures = Signatures()
    assert signatures.check(frame) is None
    signatures.learn({DEVICES[0].id: key.public_key.format()})
    public_key, digest, signature = signatures.check(frame)
    assert public_key == key.public_key.format()
    assert curve.verify(curve.parse_public_key(public_key), digest, signature)
    for bad in (b"", frame[:-1], frame[:-1] + bytes([frame[-1] ^ 1]), frame[:60] + b"?" + frame[61:], bytes(500)):
        assert signatures.check(bad) is None
