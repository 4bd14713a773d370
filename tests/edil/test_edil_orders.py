"""Messages of EDIL in any order, twice, between resets and broken connections: no key ever encrypts twice."""

from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import mqtt, rounds
from device.native import edil
from tests.agent_bench import Bench
from tests.edil_bench import HOLDERS, enrolled, enrolment, manifest

ENROLMENTS = [enrolment(1)[0], enrolment(1, holders=HOLDERS[:2])[0], enrolment(2)[0]]
MANIFESTS = [
    manifest(windows=1),
    manifest(windows=1, clip=100),
    manifest(round=2, windows=2),
    manifest(round=3, kind=rounds.INFERENCE, windows=2, digits=1),
    manifest(round=2, windows=1, holders=HOLDERS[:2]),
]
DIGESTS = [rounds.open_manifest(frame)[0].digest for frame in MANIFESTS]
TAKEN = [rounds.encode_taken(digest, index, "stored") for digest in DIGESTS for index in (0, 1)]
ACTIONS = [
    *[("enrol", frame) for frame in ENROLMENTS],
    *[("round", frame) for frame in MANIFESTS],
    *[("window", 2)] * 4,
    *[("taken", frame) for frame in (TAKEN[0], TAKEN[6], TAKEN[7])],
    *[(name, None) for name in ("beacon", "lost", "reset")],
    *[("time", ms) for ms in (50, 1000, 6000)],
]


class World:
    """A device whose memory outlives its resets; used holds the keys of every ciphertext that it ever made."""

    def __init__(self):
        self.used = []
        self.beacons = 0
        self.start(enrolled())

    def start(self, bench):
        self.bench = bench
        bench.port.encrypt = self.encrypt

    def encrypt(self, ring, s_keys, a_key, *message):
        assert (s_keys, a_key) not in self.used
        self.used.append((s_keys, a_key))
        return edil.encrypt(ring, s_keys, a_key, *message)

    def act(self, name, value):
        bench = self.bench
        if name == "window":
            if bench.agent.edil:
                for _ in range(value):
                    bench.agent.edil._add(bytes(128), bytes(16))
            bench.agent.tick(bench.port.now_ms)
        elif name == "beacon":
            self.beacons += 1
            bench.give_beacon(1, self.beacons)
            assert bench.client.is_queued(bench.agent._packet_id)
        elif name == "lost":
            bench.client.lost(bench.port.now_ms)
            bench.connect()
        elif name == "reset":
            self.start(Bench(memory=bench.memory).connect())
        elif name == "time":
            bench.pass_ms(value)
        else:
            bench.receive(name, value)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), min_size=12, max_size=30))
def test_no_keys_encrypt_twice_and_no_heartbeat_is_dropped_whatever_comes_when(actions):
    world = World()

    for name, value in actions:
        before = world.bench.agent._store.number, world.bench.agent._store.round
        world.act(name, value)
        store, edil_ = world.bench.agent._store, world.bench.agent.edil
        assert (store.number, store.round) >= before
        assert world.bench.client.counts["dropped"] == 0 and world.bench.client.queued <= mqtt.QUEUE
        update = edil_ and edil_._update
        assert not update or update.manifest.round >= store.round
        assert not (update and update.upload) or update.manifest.round == store.round


def test_the_world_of_these_orders_makes_ciphertexts():
    world = World()
    for action in (("round", MANIFESTS[0]), ("window", 2), ("round", MANIFESTS[3]), ("window", 2), ("reset", None)):
        world.act(*action)
    world.act("taken", rounds.encode_taken(DIGESTS[3], 0, "stored"))
    world.act("enrol", ENROLMENTS[2])
    world.act("round", MANIFESTS[0])
    world.act("window", 2)

    assert len(world.used) == 3
