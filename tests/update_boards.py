"""What the tests of updates on emulated boards stand on: a real mosquitto, a gateway that serves updates, packages."""

import hashlib
import shutil
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator
from boards.package import MPY_ABI, abi_of, build_package
from device.agent import suit, wire
from device.agent.banks import AGENT
from device.agent.cose import open_sign1
from tests.broker_link import Broker
from tests.update_bench import OWNER, manifest, trust

ROOT = Path(__file__).parent.parent
CONTRACT = b"\x0c" * 20
BEACON_S = 0.5
PATIENCE_S = 100
TOLD = {1: "fetching", 2: "trying", 3: "confirmed", 4: "refused", 5: "failed", 6: "safe"}


def agent_package(folder, board, version):
    """Package of the agent's sources with another version."""
    shutil.copytree(ROOT / "device" / "agent", folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "version.py"
    text = file.read_text()
    assert 'VERSION = "0.1.0"' in text
    file.write_text(text.replace('VERSION = "0.1.0"', f'VERSION = "{version}"'))
    return build_package(folder, abi_of(board))


def small_package(scene, text):
    """A package whose run.py is text, kept by the gateway."""
    scene.count += 1
    folder = scene.folder / f"small{scene.count}"
    folder.mkdir()
    (folder / "run.py").write_text(text)
    (folder / "__init__.py").touch()
    package = build_package(folder, MPY_ABI)
    scene.gateway.hold(package)
    return package


class Gateway:
    """Gives beacons and acks, serves artifacts by want, keeps what devices say: told [(kind, sequence, state, reason)],
    versions (of each announce), models (CID of each heartbeat).
    """

    def __init__(self, port):
        self.told, self.versions, self.models, self.wants = [], [], [], []
        self.acks = True
        self.artifacts = {}
        self.said = threading.Condition()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda *_: self.client.subscribe("tinyren/+/+", 1)
        self.client.on_message = self._take
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self._ending = threading.Event()
        self._beacons = threading.Thread(target=self._beat)
        self._beacons.start()

    def _beat(self):
        window = 0
        while not self._ending.wait(BEACON_S):
            window += 1
            beacon = wire.make_beacon(int(time.time()), window, bytes(32))
            self.client.publish("tinyren/beacon", wire.encode_beacon(beacon, 5000), 0)

    def hold(self, artifact):
        self.artifacts[hashlib.sha256(artifact).digest()[:8]] = artifact

    def send(self, device, name, payload):
        self.client.publish(wire.topic(device, name), payload, 1)

    def _take(self, _client, _data, message):
        name, device = message.topic.rpartition("/")[2], bytes.fromhex(message.topic.split("/")[1])
        with self.said:
            if name == "want":
                self._give(device, *suit.decode_want(message.payload))
            elif name == "installed":
                fields = suit.decode_installed(open_sign1(message.payload, 320)[1])
                self.told.append((fields[1], fields[2], TOLD[fields[3]], fields[4]))
            elif name == "announce":
                self.versions.append(wire.decode_announce(open_sign1(message.payload, 640)[1])[2])
            elif name == "heartbeat":
                fields = wire.decode_heartbeat(open_sign1(message.payload)[1])
                self.models.append(fields[3])
                if self.acks:
                    self.send(device, "ack", wire.encode_ack(fields[1], fields[2]))
            self.said.notify_all()

    def _give(self, device, start, offset, count):
        self.wants.append(offset)
        artifact = self.artifacts[start]
        for at in range(offset, min(len(artifact), offset + 480 * count), 480):
            self.send(device, "chunk", suit.encode_chunk(start, at, artifact[at : at + 480]))

    def wait(self, is_so, patience_s=PATIENCE_S):
        with self.said:
            assert self.said.wait_for(is_so, patience_s), (self.told[-6:], self.versions[-3:])

    def wait_told(self, *wanted):
        """Wait until a device has told (kind, sequence, state[, beginning of the reason])."""
        self.wait(lambda: any(told[:3] == wanted[:3] and told[3].startswith(wanted[3:] or "") for told in self.told))

    def stop(self):
        self._ending.set()
        self._beacons.join()
        self.client.disconnect()
        self.client.loop_stop()


class Scene:
    """One emulated board that is bound and trusts the update key, its broker and its gateway."""

    def __init__(self, name, folder, **options):
        self.name, self.folder = name, folder
        self.board = load_board(name)
        self.broker = Broker(folder).start()
        self.gateway = Gateway(self.broker.port)
        firmware = build(self.board, lambda *_: None)
        self.emulator = Emulator(self.board, firmware.elf, folder / "board", ("127.0.0.1", self.broker.port), **options)
        self.count = 0

    def __enter__(self):
        self.emulator.start()
        self.gateway.wait(lambda: self.gateway.versions and self.gateway.models)
        self.device = next(iter(self.ids()))
        bind = wire.encode_bind(1, CONTRACT, 1, OWNER.address, self.name, 5, 2_000_000_000)
        self.gateway.send(self.device, "bind", bind)
        self.gateway.send(self.device, "trust", trust())
        return self

    def __exit__(self, *_):
        self.emulator.stop()
        self.gateway.stop()
        self.broker.stop()

    def console(self):
        return (self.folder / "board" / "logs" / "repl.log").read_text(errors="replace")

    def ids(self):
        return {bytes.fromhex(line[7:47]) for line in self.console().splitlines() if line.startswith("device ")}

    def package(self, version="9.9.9"):
        """An agent package of the real sources with another version, kept by the gateway."""
        self.count += 1
        package = agent_package(self.folder / f"sources{self.count}", self.name, version)
        self.gateway.hold(package)
        return package

    def offer(self, artifact, sequence, kind=AGENT, **changes):
        """Send a manifest, as KEY signs it, for this board."""
        abi = {"abi": abi_of(self.name)} if kind == AGENT else {}
        frame = manifest(artifact, sequence, kind, **({"board": self.name, **abi} | changes))
        self.gateway.send(self.device, "manifest", frame)
        return frame
