"""What the tests of a whole site stand on: `tinyren up` as a process, a spy on its broker, a verifier of its evidence.

The verifier is written from WIRE.md with cbor2 and coincurve's high-level calls alone; it shares no code with the site.
"""

import contextlib
import hashlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cbor2
import httpx
import psutil
from coincurve import PublicKey
from Crypto.Hash import keccak

from gateway.broker.bus import Bus
from gateway.site import site_file

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "gateway.cli"]
SHORT = ["--epoch-seconds", "5", "--window-seconds", "1"]
WAIT_S = 60
REVEAL = -65550
REWARD_WEI = 1458508188386985115


def tinyren(*arguments, **options):
    """One command to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, **options)


class Up:
    """`tinyren up` while it runs; `lines` are those of its progress."""

    def __init__(self, folder, *arguments):
        self.folder, self.lines, self._said = folder, [], threading.Condition()
        command = [*COMMAND, "up", "--site", str(folder), "--json", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._said:
                self.lines.append(line.rstrip())
                self._said.notify_all()
        with self._said:
            self.lines.append("(ended)")
            self._said.notify_all()

    def wait_line(self, pattern, count=1):
        """Wait until so many lines match; the last of them."""

        def found():
            return [line for line in self.lines if re.search(pattern, line)]

        with self._said:
            self._said.wait_for(lambda: len(found()) >= count or self.lines[-1:] == ["(ended)"], WAIT_S)
            assert len(found()) >= count, (pattern, self.lines)
            return found()[count - 1]

    def state(self):
        return httpx.get(f"http://127.0.0.1:{site_file.read(self.folder).page_port}/state.json").json()

    def wait_state(self, is_so):
        """Wait until the page's state fulfils a predicate; that state."""
        for _ in range(10 * WAIT_S):
            if is_so(state := self.state()):
                return state
            time.sleep(0.1)
        raise AssertionError({name: state[name] for name in ("rejected", "timings_s", "notes")})

    def family(self):
        """Every process under this one, by what it is."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            words = child.cmdline()
            name = next((word for word in words if re.search("mosquitto$|qemu-system|oracle.service", word)), words[0])
            key = Path(name).name + (words[-1] if "oracle" in name else "")
            found[f"{key}{len(found)}" if key in found else key] = child
        return found

    def end(self, number=signal.SIGINT):
        """Send a signal; (exit code, result or None), once every process of the site is gone."""
        family = list(self.family().values())
        self.process.send_signal(number)
        return self.finish(family)

    def finish(self, family=()):
        output = self.process.stdout.read()
        code = self.process.wait(WAIT_S)
        self._reader.join()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, alive
        return code, json.loads(output) if output else None


class Spy:
    """An MQTT client with the gateway's account, which may read and write every topic."""

    def __init__(self, folder):
        port, password = site_file.read(folder).broker_port, (folder / "broker" / "gateway.password").read_text()
        self.heard, self._arrived = [], threading.Condition()
        self._bus = Bus("spy", port, ("gateway", password), self._receive, lambda: 0)
        self._bus.subscribe("tinyren/#")
        self._bus.start()
        assert self._bus.wait_subscribed(WAIT_S)

    def _receive(self, topic, payload, _, token):
        self._bus.ack(token)
        with self._arrived:
            self.heard.append((topic, payload))
            self._arrived.notify_all()

    def of(self, name):
        """[(device id of 40 digits, payload)] of what came on tinyren/ID/name."""
        pattern = re.compile(rf"tinyren/([0-9a-f]{{40}})/{name}")
        return [(match[1], text) for topic, text in list(self.heard) if (match := pattern.fullmatch(topic))]

    def wait(self, name, count, since=0):
        """Wait for so many more messages of a name than `since`; all of them."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.of(name)) >= since + count, WAIT_S), self.heard
            return self.of(name)

    def beacon(self):
        """Wait for the next beacon, 14 bytes."""
        with self._arrived:
            before = len(self.heard)
            self._arrived.wait_for(lambda: any(topic == "tinyren/beacon" for topic, _ in self.heard[before:]), WAIT_S)
            return cbor2.loads(next(text for topic, text in self.heard[before:] if topic == "tinyren/beacon"))[0]

    def publish(self, device, name, payload):
        assert self._bus.publish(f"tinyren/{device}/{name}", payload, qos=1)

    def stop(self):
        self._bus.stop()


@contextlib.contextmanager
def spying(folder):
    spy = Spy(folder)
    try:
        yield spy
    finally:
        spy.stop()


def heartbeats(folder, epoch):
    """[(receipt ms, id, beacon, boot, sequence, COSE bytes)] of an epoch's evidence, every signature recovered.

    Answers to challenges are passed over.
    """
    found = []
    with (folder / f"evidence/epoch-{epoch}.cborseq").open("rb") as file:
        decoder = cbor2.CBORDecoder(file)
        while True:
            try:
                receipt_ms, frame = decoder.decode()
            except cbor2.CBORDecodeEOF:
                return found
            if REVEAL not in cbor2.loads(cbor2.loads(frame).value[2]):
                found.append((receipt_ms, *open_heartbeat(frame), frame))


def open_heartbeat(frame):
    """(id, beacon, boot, sequence) of a heartbeat whose signature its id made."""
    item = cbor2.loads(frame)
    protected, unprotected, payload, signature = item.value
    assert item.tag == 18 and cbor2.loads(protected) == {1: -47} and len(frame) <= 192
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    identity = unprotected[4]
    assert identity in {_recover(signature, signed, odd) for odd in (0, 1)}
    claims = cbor2.loads(payload)
    assert set(claims) == {10, -65537}
    return identity, claims[10], *claims[-65537][:2]


def _recover(signature, signed, odd):
    try:
        key = PublicKey.from_signature_and_message(signature + bytes([odd]), hashlib.sha256(signed).digest(), None)
    except ValueError:
        return None
    point = key.format(compressed=False)[1:]
    return keccak.new(digest_bits=256, data=point).digest()[12:]
