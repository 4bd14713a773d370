"""A device with a ring on a virtual clock, and a gateway that is away when it is told to be; both are the real ones."""

from device.agent import mqtt, reports, ticks, wire
from device.agent.journal import Journal
from tests.agent.test_ring import Chip
from tests.agent_bench import Bench, Ram
from tests.ingest_site import Site

WINDOW_MS = 60_000
RING_BYTES = 61_440


class Still:
    """A source whose samples are all the same."""

    name = "still"

    def read(self, out):
        return True


class Scene:
    """A gateway on a disk, a device, and one clock. Windows are 60 s; `heard` holds what each side had from the other.

    Attributes:
        is_there: whether broker and gateway are. made: (boot, sequence) of everything that the device ever counted.
    """

    def __init__(self, folder, ring=None, window_ms=WINDOW_MS):
        self.site = Site(folder, count=10_000)
        self.window_ms = window_ms
        self.is_there, self.window, self.made = True, 0, []
        self.store, self.ring, self.retained = Ram(), ring or Chip(0, RING_BYTES), bytearray(512)
        self.now_ms, self._left_ms = 0, window_ms
        self.lives = 0
        self.boot("power")

    def boot(self, reason):
        """A reset: what was in RAM is gone."""
        self.lives += 1
        journal = Journal(self.retained, reason)
        self.bench = Bench(self.now_ms, self.store, Still(), self.ring, journal)
        self.agent = self.bench.agent
        if self.is_there:
            self._join()

    def go(self):
        self.is_there = False
        self.bench.client.lost(self.now_ms)

    def come(self):
        self.is_there = True
        self._join()

    def pass_s(self, seconds):
        """Time passes; the gateway, while it is there, opens a window each window_ms."""
        for _ in range(seconds):
            self._left_ms -= 1000
            if self._left_ms <= 0:
                self._left_ms += self.window_ms
                self._open_window()
            self._turn()

    def account(self):
        return self.site.registry.late.accounts[self.agent.identity.id]

    def live(self):
        """(boot, sequence) of the heartbeats in the evidence."""
        return [wire.decode_heartbeat(wire.open_sign1(frame)[1])[1:3] for frame in self.site.stored()]

    def late(self):
        """(boot, sequence) of the late records that the gateway keeps, in the order in which they came."""
        return [place for place, *_ in self.late_records()]

    def late_records(self):
        found = []
        for _, frame in self.site.registry.late.batches(self.agent.identity.id):
            boot, beacon, _, records = reports.decode_late(wire.open_sign1(frame, reports.LATE_MAX_BYTES)[1])
            found += [((boot, sequence), uptime_s, beacon) for sequence, uptime_s, _, _ in records]
        return found

    def _open_window(self):
        if self.is_there:
            self.window += 1
            self.site.now_ms += 1
            beacon = wire.make_beacon(1, self.window, bytes(32))
            self.site.epochs.ingest.open_window(beacon, self.site.now_ms, self.window_ms)
            self.bench.receive("beacon", wire.encode_beacon(beacon, self.window_ms))

    def _turn(self):
        self.bench.port.now_ms = self.now_ms = ticks.add(self.now_ms, 1000)
        self.site.now_ms += 1000
        self.agent.tick(self.now_ms)
        if self.agent.sequence and (self.agent.boot, self.agent.sequence) not in self.made[-1:]:
            self.made.append((self.agent.boot, self.agent.sequence))
        if not self.is_there:
            self.bench.client.written(len(self.bench.client.pending()))
            return
        sent = self.bench.published()
        prefix = f"tinyren/{self.agent.identity.id.hex()}/"
        self.site.send(*((prefix + name, payload) for name, payload in sent))
        for topic, payload in self.site.line.published:
            self.agent.receive(topic.encode(), memoryview(payload), self.now_ms)
        self.site.line.published.clear()

    def _join(self):
        self.bench.port.now_ms = self.now_ms
        self.bench.connect()
        self.now_ms = self.bench.port.now_ms
        assert self.bench.client.state == mqtt.ONLINE
