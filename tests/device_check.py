"""Checks of the agent's package that run on MicroPython, unix or a board, as on CPython; prints "ok".

Run with `agent` importable (MICROPYPATH=device, or frozen): it takes VECTORS (the text of vectors/wire.json) from the
globals if they are there, so that a REPL can give them, else reads the file named in the arguments.
"""

import gc
import json
import sys

from agent import journal, mqtt, packets, reports, ring, sampling, store, ticks, wire
from agent.errors import WireError

LIMITS = {"heartbeat": wire.HEARTBEAT_MAX_BYTES, "announce": wire.ANNOUNCE_MAX_BYTES}


def decode(message, frame):
    if message in LIMITS:
        frame = wire.open_sign1(frame, LIMITS[message])[1]
    return getattr(wire, "decode_" + message)(frame)


def check_wire(vectors):
    for vector in vectors["valid"]:
        message, frame = vector["message"], bytes.fromhex(vector["frame"])
        fields = decode(message, frame)
        again = getattr(wire, "encode_" + message)(*fields)
        assert again == (bytes.fromhex(vector["payload"]) if message in LIMITS else frame), vector["name"]
        if message in LIMITS:
            device_id, payload, signature, digest = wire.open_sign1(frame, LIMITS[message])
            assert digest == bytes.fromhex(vector["digest"]), vector["name"]
            assert wire.sign1(payload, device_id, lambda _, made=signature: made + b"\0") == frame, vector["name"]
    for vector in vectors["invalid"]:
        try:
            decode(vector["message"], bytes.fromhex(vector["frame"]))
            reason = "accepted"
        except WireError as error:
            reason = error.reason
        assert reason == vector["reason"], (vector["name"], reason)


class PowerCut(Exception):
    pass


class Memory:
    def __init__(self, erase_bytes, size=1024):
        self.size, self.erase_bytes, self.budget = size, erase_bytes, None
        self.bytes = bytearray(b"\xff" * self.size)

    def read(self, addr, buf):
        buf[:] = self.bytes[addr : addr + len(buf)]

    def write(self, addr, data):
        for i in range(len(data)):
            self.spend()
            self.bytes[addr + i] = data[i] & self.bytes[addr + i] if self.erase_bytes else data[i]

    def erase(self, addr):
        self.spend()
        self.bytes[addr : addr + self.erase_bytes] = b"\xff" * self.erase_bytes

    def spend(self):
        if self.budget is not None:
            self.budget -= 1
            if self.budget < 0:
                raise PowerCut


def check_store():
    for erase_bytes in (0, 512):
        for budget in range(0, 360, 29):
            memory, boot = Memory(erase_bytes), 0
            store.Store(memory).open(lambda: b"k" * 32)
            memory.budget = budget
            for _ in range(12):
                try:
                    opened = store.Store(memory)
                    assert opened.open(lambda: b"other" * 7) == b"k" * 32
                    assert opened.boot > boot
                    boot = opened.boot
                    opened.bind(b"o" * 20)
                except PowerCut:
                    memory.budget = None
            assert store.Store(memory).open(lambda: b"") and boot > 9


def check_ring():
    record = reports.pack_record(7, 60, 1, bytes(16))
    for erase_bytes in (0, 1024):
        memory = Memory(erase_bytes, 3072)
        for boot in range(1, 60):
            kept = ring.Ring(memory)
            kept.open()
            memory.budget = 15 * boot
            try:
                for _ in range(12):
                    kept.append(boot, bytes(14), record)
                if boot % 9 == 0:
                    assert kept.batch(12)[2][:28] == record
                    kept.free()
            except PowerCut:
                pass
            memory.budget = None
        assert kept.held > 20 and kept.dropped > 20 and kept.batch(5)[0] <= 59
    payload = reports.encode_late(3, bytes(14), 1, record)
    assert reports.decode_late(payload) == (3, bytes(14), 1, [(7, 60, 1, bytes(16))])


def check_journal():
    buffer = bytearray(512)
    journal.Journal(memoryview(buffer), "power").note(5, "link: \x00\u20ac")
    assert journal.Journal(memoryview(buffer), "watchdog").lines()[1:] == ["5 link: ??", "0 reset: watchdog"]


def check_mqtt():
    inbox = []
    start = ticks.PERIOD - 60
    entropy = [7]

    def fill(buffer):
        buffer[:] = bytes(entropy * len(buffer))

    def deliver(topic, payload, _):
        inbox.append((topic, bytes(payload)))

    client = mqtt.Client("id", "id/gone", ("to/us",), deliver, fill, start)
    now_ms = ticks.add(start, 100)
    client.tick(now_ms)
    for byte in b"\x20\x02\x00\x00\x90\x03\x00\x01\x01" + bytes(packets.publish("to/us", b"hello", 9)):
        client.feed(bytes([byte]), now_ms)
    packet_id = client.publish("t", b"x" * 300, now_ms)
    assert client.state == mqtt.ONLINE and inbox == [(b"to/us", b"hello")] and client.is_queued(packet_id)
    client.feed(packets.publish("to/us", bytes(900), 10) + packets.puback(packet_id), now_ms)
    assert client.counts["oversize"] == 1 and not client.is_queued(packet_id)
    client.written(len(client.pending()))
    client.feed(b"\x10", now_ms)
    assert client.state == mqtt.WAITING and 250 <= client.ms_left(now_ms) <= 500


class Sum:
    """An encoder of one output byte."""

    input_bytes, output_bytes = 128, 1

    def run(self, window, out):
        out[0] = sum(window) & 0xFF


def check_sampling():
    source = sampling.LinkSource()
    sampler = sampling.Sampler(source, Sum(), (0, 0, 0, 0), (0, 1, 2, 3), 0)
    source.push("s", bytes(range(256)) * 2)
    for step in range(64):
        sampler.tick(step * 50)
    assert sampler.count == 2 and sampler.chain != bytes(16) and sampler.counts["missing"] == 0


def text_of_vectors():
    if "VECTORS" in globals():
        return globals()["VECTORS"]
    with open(sys.argv[1]) as file:
        return file.read()


gc.collect()
check_wire(json.loads(text_of_vectors()))
for check in (check_store, check_ring, check_journal, check_mqtt, check_sampling):
    gc.collect()
    check()
print("ok")
