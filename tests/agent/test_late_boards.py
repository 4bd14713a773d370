"""An emulated board whose broker is away while it is reset: everything it counted arrives once, in order.

The boards' time is virtual, a count of instructions, and does not wait where they sleep: ten minutes of it pass in less
than half a minute. Their memory chips are read from outside to see how far they are.
"""

import time

import paho.mqtt.client as paho
import pytest

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator
from device.agent import reports, wire
from device.agent.ring import Ring
from gateway.intake.intake import TOPICS
from tests.broker_link import Broker
from tests.ingest_site import Site

BOARDS = ("qemu_mps2_an385", "qemu_virt_rv32")  # EEPROM and flash
SHORT_MS, LONG_MS = 10_000, 3_600_000  # of windows: for records to come soon, and for the board to wait for this test
PATIENCE_S = 50
SECTOR_BYTES = 262_144


class Racing(Emulator):
    """An emulator whose clock jumps to the next thing due while the board sleeps."""

    def _command(self):
        command = super()._command()
        command[command.index("-icount") + 1] += ",sleep=off"
        return command


class Chip:
    """A ring's part of a board's memory image, as it is now on this computer's disk."""

    def __init__(self, board, folder):
        start, self.size = board.regions["ring"]
        self.erase_bytes = SECTOR_BYTES if board.store == "cfi" else 0
        content = (folder / board.emulator["images"][0]["file"]).read_bytes()
        self.bytes = content[start : start + self.size]

    def read(self, addr, buffer):
        buffer[:] = self.bytes[addr : addr + len(buffer)]


class Gateway:
    """The real intake on a real disk, joined to a broker by a client; windows open as the test wants."""

    def __init__(self, folder, port):
        self.site = Site(folder, count=60_000)
        self.window, self.window_ms, self._seen = 0, SHORT_MS, []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _client, _data, message: self._seen.append((message.topic, message.payload))
        self.client.on_connect = lambda *_: self.client.subscribe([(topic, 1) for topic in TOPICS])
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def until(self, is_so):
        """Open windows and answer what comes until is_so()."""
        end, due = time.monotonic() + PATIENCE_S, 0.0
        while not is_so():
            assert time.monotonic() < end, "what the test waits for did not come"
            if time.monotonic() >= due and self.client.is_connected():
                due = time.monotonic() + 0.2
                self._open_window()
            messages = [self._seen.pop(0) for _ in range(len(self._seen))]
            self.site.send(*messages)
            for topic, payload in self.site.line.published:
                self.client.publish(topic, payload)
            self.site.line.published.clear()
            time.sleep(0.005)

    def _open_window(self):
        self.window += 1
        self.site.now_ms += 1
        beacon = wire.make_beacon(1, self.window, bytes(32))
        self.site.epochs.ingest.open_window(beacon, self.site.now_ms, 60_000)
        self.client.publish("tinyren/beacon", wire.encode_beacon(beacon, self.window_ms), 1, retain=True)

    def arrived(self):
        """(boot, sequence) of heartbeats, and of late records, in the order in which they came."""
        live = [wire.decode_heartbeat(wire.open_sign1(frame)[1])[1:3] for frame in self.site.stored()]
        late = []
        for device in self.site.registry.devices:
            for _, frame in self.site.registry.late.batches(device):
                boot, _, _, found = reports.decode_late(wire.open_sign1(frame, reports.LATE_MAX_BYTES)[1])
                late += [(boot, record[0]) for record in found]
        return live, late


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    yield broker.start()
    broker.stop()


def held(board, folder):
    """How many records the board's ring keeps now."""
    ring = Ring(Chip(board, folder))
    ring.open()
    return ring.held


def wait_kept(board, folder, count):
    """Until the board's ring keeps so many records -> how many they are then."""
    end = time.monotonic() + PATIENCE_S
    while (found := held(board, folder)) < count:
        assert time.monotonic() < end, f"ring: got {found} records, wanted {count}"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_without_a_broker_loses_nothing_and_is_reset_by_this_test_alone(name, broker, tmp_path):
    board, folder = load_board(name), tmp_path / "board"
    gateway = Gateway(tmp_path, broker.port)
    link = ("127.0.0.1", broker.port)
    with Racing(board, build(board, lambda *_: None).elf, folder, link, "null", icount=True) as emulator:
        gateway.until(lambda: len(gateway.site.stored()) >= 3)
        broker.stop()
        kept = wait_kept(board, folder, 12)
        for reset in (emulator.restart, lambda: emulator.qmp("system_reset")):
            reset()
            kept = wait_kept(board, folder, kept + 2)
        gateway.window_ms = LONG_MS
        broker.start()
        (device,) = gateway.site.registry.devices
        late = gateway.site.registry.late
        # Records come in order, so the first of boot 3 is there when all before it are.
        gateway.until(lambda: [span[:2] for span in late.accounts[device].spans] == [(1, 1), (2, 1), (3, 1)])
        gateway.until(lambda: late.journals[device][-1].boot == 3)

    account, (live, arrived) = late.accounts[device], gateway.arrived()
    assert live == sorted(set(live)) and arrived == sorted(set(arrived))
    arrived = [place for place in arrived if place not in live]  # kept too, for its ack took long in board time
    for boot in {boot for boot, _ in live + arrived}:
        sequences = sorted(sequence for of, sequence in live + arrived if of == boot)
        assert sequences == list(range(1, len(sequences) + 1))
    assert (account.live, account.late, account.dropped, account.missing) == (len(live), len(arrived), 0, 0)
    report = late.journals[device][-1]
    assert report.reason != "power" and report.lines[:2] == ("0 reset: power", f"0 reset: {report.reason}")
