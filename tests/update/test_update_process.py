"""Updates of `python -m device.agent` over a real mosquitto: a model, agents that run, crash and hang, and kill -9."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import time

import paho.mqtt.client as paho
import pytest

from boards.package import build_package
from device.agent import package, version, wire
from device.native.shared import Model
from tests.agent_bench import ROOT, bind_request, heartbeat
from tests.broker_link import Broker
from tests.update_bench import AGENT, MODEL, OWNER, manifest, suit, trust

PATIENCE_S = 30
MOTION = (ROOT / "models" / "motion" / "encoder.ren").read_bytes()
OF_MOTION = suit.encode_parameters((0, 0, 0), (5, 5, 5), 20, (2, 255, 0))


class Site:
    """A broker, one device as a process, and a gateway that acknowledges, gives beacons and chunks."""

    def __init__(self, folder):
        self.folder, self.broker = folder, Broker(folder).start()
        self.artifacts, self.told, self.seen, self.id, self.child = {}, [], [], None, None
        self.window, self.acknowledges = 0, True
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda *_: self.client.subscribe("tinyren/+/+", 1)
        self.client.on_message = lambda _c, _d, message: self.take(message.topic.rpartition("/")[2], message.payload)
        self.client.on_socket_open = lambda _c, _d, link: link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.connect("127.0.0.1", self.broker.port)
        self.client.loop_start()

    def start(self, *options):
        command = [sys.executable, "-m", "device.agent", "--broker", f"127.0.0.1:{self.broker.port}"]
        self.child = subprocess.Popen([*command, "--store", str(self.folder / "store"), "--board", "board_a", *options],
                                      cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        self.id = bytes.fromhex(json.loads(self.child.stdout.readline())["id"][2:])
        return self

    def kill(self):
        if self.child:
            self.child.send_signal(signal.SIGKILL)
            self.child.communicate()

    def stop(self):
        self.kill()
        self.client.loop_stop()
        self.broker.stop()

    def give(self, name, payload):
        self.client.publish(wire.topic(self.id, name), payload, 1)

    def take(self, name, payload):
        if name == "announce":
            self.seen.append((name, wire.decode_announce(wire.open_sign1(payload, 384)[1])))
            self.give_beacon()
        elif name == "heartbeat":
            fields = heartbeat(payload)
            self.seen.append((name, fields))
            if self.acknowledges:
                self.give("ack", wire.encode_ack(fields[1], fields[2]))
        elif name == "want":
            start, offset, count = suit.decode_want(payload)
            artifact = self.artifacts[start]
            for at in range(offset, min(len(artifact), offset + 480 * count), 480):
                self.give("chunk", suit.encode_chunk(start, at, artifact[at : at + 480]))
        elif name == "installed":
            self.told.append(suit.decode_installed(suit.open_sign1(payload, 320)[1])[1:])
        elif name == "output":
            self.seen.append((name, suit.decode_output(payload)))

    def give_beacon(self):
        self.window += 1
        beacon = wire.make_beacon(1, self.window, bytes(32))
        self.client.publish("tinyren/beacon", wire.encode_beacon(beacon, 60_000), 1)

    def update(self, artifact, sequence, kind, **changes):
        """Offer an update to a device that is bound and trusts the key."""
        self.artifacts[hashlib.sha256(artifact).digest()[:8]] = artifact
        self.give("bind", bind_request(owner=OWNER.address, board="board_a"))
        self.give("trust", trust())
        self.give("manifest", manifest(artifact, sequence, kind, **changes))
        return self

    def until(self, *wanted):
        """Wait for an `installed` whose first fields (kind, sequence, state, reason) are these."""
        return self.wait(lambda: [told for told in self.told if tuple(told[: len(wanted)]) == wanted])

    def wait(self, get):
        end = time.monotonic() + PATIENCE_S
        while not (found := get()):
            assert time.monotonic() < end and self.child.poll() is None, (self.told, self.seen[-2:])
            time.sleep(0.01)
        return found[-1]

    def of(self, name):
        return [fields for seen, fields in self.seen if seen == name]


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.stop()


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """Function: a package of this tree's agent, with a version of its own, and a line put behind its agent.py."""

    def agent(name, line=""):
        folder = tmp_path_factory.mktemp("sources")
        for source in (ROOT / "device" / "agent").glob("*.py"):
            (folder / source.name).write_text(source.read_text())
        text = (folder / "version.py").read_text()
        (folder / "version.py").write_text(text.replace(version.VERSION, name))
        (folder / "agent.py").write_text((folder / "agent.py").read_text() + "\n" + line + "\n")
        return build_package(folder, package.abi())

    return agent


def small(source):
    """A package of a run.py alone."""
    return package.build({"__init__.py": b"", "run.py": source.encode()})


def test_a_model_is_fetched_tried_and_confirmed_and_its_sampling_and_reports_take_effect(site):
    site.start().wait(lambda: site.of("announce"))

    site.update(MOTION, 1, MODEL, parameters=OF_MOTION).until(MODEL, 1, suit.TOLD_CONFIRMED)

    assert site.of("heartbeat")[-1][3] == site.of("announce")[-1][4] == Model(MOTION).cid
    count, output = site.wait(lambda: site.of("output"))
    assert count % 2 == 0 and len(output) == 16
    site.kill()
    site.start().until(MODEL, 1, suit.TOLD_CONFIRMED)
    assert site.of("announce")[-1][4] == Model(MOTION).cid


def test_an_agent_is_taken_one_that_crashes_and_one_that_hangs_are_not(site, agent):
    site.start("--watchdog", "2").wait(lambda: site.of("announce"))

    site.update(agent("0.2.0"), 1, AGENT).until(AGENT, 1, suit.TOLD_CONFIRMED)
    assert site.of("announce")[-1][2] == "0.2.0"
    site.update(small("from . import nowhere"), 2, AGENT)
    site.until(AGENT, 2, suit.TOLD_FAILED, "error: ImportError: cannot import name 'nowhere' from 'tinyren_a")
    site.update(small("while True:\n    pass"), 3, AGENT).until(AGENT, 3, suit.TOLD_FAILED, "watchdog")
    site.update(small("raise SystemExit(3)"), 4, AGENT)
    site.until(AGENT, 4, suit.TOLD_FAILED, "error: SystemExit: 3")

    assert site.wait(lambda: site.of("announce"))[2] == "0.2.0" and site.told[-1][-1] == 1
    site.update(b"", 5, AGENT).until(AGENT, 5, suit.TOLD_CONFIRMED)
    assert site.of("announce")[-1][2] == "0.1.0"


def test_an_installed_agent_updates_itself_and_the_model(site, agent):
    site.start().wait(lambda: site.of("announce"))
    site.update(agent("0.2.0"), 1, AGENT).until(AGENT, 1, suit.TOLD_CONFIRMED)

    site.update(MOTION, 7, MODEL, parameters=OF_MOTION).until(MODEL, 7, suit.TOLD_CONFIRMED)
    site.update(agent("0.3.0"), 2, AGENT).until(AGENT, 2, suit.TOLD_CONFIRMED)

    assert site.of("announce")[-1][2] == "0.3.0" and site.of("announce")[-1][4] == Model(MOTION).cid
    assert site.told[-1][-2:] == [7, 2]


def test_three_ends_of_a_confirmed_agent_lead_to_safe_mode_and_an_update_out_of_it(site, agent):
    site.start().wait(lambda: site.of("announce"))
    dies = "import os\nif 'TINYREN_TEST_DIES' in os.environ:\n    raise RuntimeError('worn out')"
    site.update(agent("0.2.0", dies), 1, AGENT).until(AGENT, 1, suit.TOLD_CONFIRMED)
    site.kill()
    site.told.clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYREN_TEST_DIES", "1")
        site.start()
    site.until(AGENT, 1, suit.TOLD_SAFE, "error: RuntimeError: worn out")
    assert site.of("announce")[-1][2] == "0.1.0 safe" and site.of("heartbeat")[-1][1] < site.of("announce")[-1][1]

    site.update(agent("0.3.0"), 2, AGENT).until(AGENT, 2, suit.TOLD_CONFIRMED)
    assert site.of("announce")[-1][2] == "0.3.0"


def test_kill_9_at_any_moment_of_an_update_leaves_the_old_or_the_new_and_the_update_ends(site, agent):
    new = agent("0.2.0")
    site.start().wait(lambda: site.of("announce"))
    for delay_s in (0.02, 0.1, 0.2, 0.4, 0.8, 1.2):
        site.update(new, 1, AGENT)
        time.sleep(delay_s)  # not a condition: any moment will do
        site.kill()
        site.seen.clear()
        site.start().wait(lambda: site.of("announce"))
        assert site.of("announce")[0][2] in ("0.1.0", "0.2.0")
    site.update(new, 1, AGENT)
    state = site.wait(lambda: [told for told in site.told if told[:3] in ([AGENT, 1, 3], [AGENT, 1, 5])])

    if state[2] == suit.TOLD_FAILED:  # killed in the trial: "power", and to be tried again by a higher sequence
        assert state[3] == "power"
        site.update(new, 2, AGENT).until(AGENT, 2, suit.TOLD_CONFIRMED)
    site.wait(lambda: [fields for fields in site.of("announce") if fields[2] == "0.2.0"])
