"""The agent of a single-board computer as a process: TLS to a real mosquitto, what it takes of memory, and the fast
path that signs no receipt."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import pytest

from device.agent import mqtt, wire
from device.native.fast import FastModel
from device.native.shared import Model
from tests.agent_bench import ROOT, heartbeat
from tests.broker_link import Broker, Link
from tests.ports import free_port

PSS_MAX_BYTES = 30 << 20
HOST = ROOT / "models" / "host"


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def make_certificates(folder):
    """Two authorities (ca, other), and of the first a broker's certificate for 127.0.0.1 and one for another host."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for name in ("ca", "other"):
        openssl("req", "-x509", *key, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key",
                "-out", folder / f"{name}.pem")  # fmt: skip
    for name, host in (("broker", "IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.test")):
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        (folder / "san").write_text(f"subjectAltName={host}\n")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                "-days", "2", "-extfile", folder / "san", "-out", folder / f"{name}.pem")  # fmt: skip


class Site:
    """mosquitto with a listener in the clear, for a paho client that keeps what it sees, and two of TLS."""

    def __init__(self, folder):
        make_certificates(folder)
        self.folder, self.seen, self.children = folder, [], []
        self.broker = Broker(folder)
        self.tls = {"broker": free_port(), "elsewhere": free_port()}
        with open(folder / "mosquitto.conf", "a") as config:
            for name, port in self.tls.items():
                config.write(f"listener {port} 127.0.0.1\ncertfile {folder}/{name}.pem\nkeyfile {folder}/{name}.key\n")
        self.broker.start()
        self.link = Link(self.broker)
        self.link.client, self.link.tick = mqtt.Client("", "", (), None, lambda _: None, 0), lambda _: None
        self.client, ready = paho.Client(paho.CallbackAPIVersion.VERSION2), []
        self.client.on_message = self._take
        self.client.on_subscribe = lambda *_: ready.append(1)
        self.client.connect("127.0.0.1", self.broker.port)
        self.client.loop_start()
        self.client.subscribe("tinyren/+/+", 1)
        self.until(lambda: ready)

    def _take(self, _client, _data, message):
        _, device, name = message.topic.split("/")
        self.seen.append((device, name, message.payload))

    def spawn(self, *options, port=None, store="store", python=(sys.executable,), env=None):
        command = [*python, "-m", "device.agent", "--broker", f"127.0.0.1:{port or self.broker.port}", "--store"]
        child = subprocess.Popen([*command, str(self.folder / store), *map(str, options)], cwd=ROOT, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)  # fmt: skip
        self.children.append(child)
        return child, json.loads(child.stdout.readline() or "null")

    def payloads(self, hello, name):
        return [payload for device, seen, payload in self.seen if (device, seen) == (hello["id"][2:].lower(), name)]

    def give_beacon(self, window):
        frame = wire.encode_beacon(wire.make_beacon(1, window, bytes(32)), 5000)
        self.client.publish("tinyren/beacon", frame, 1, retain=True)

    def until(self, condition):
        self.link.until(condition)

    def end(self):
        for child in self.children:
            child.kill()
            child.communicate()
        self.client.loop_stop()
        self.broker.stop()


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.end()


def announced(frame):
    return wire.decode_announce(wire.open_sign1(frame, wire.ANNOUNCE_MAX_BYTES)[1])


def test_an_agent_over_tls_with_a_sensor_answers_a_beacon_within_30_megabytes(site, tmp_path):
    zone = "sys/class/thermal/thermal_zone0"
    (tmp_path / zone).mkdir(parents=True)
    (tmp_path / zone / "type").write_text("soc\n")
    (tmp_path / zone / "temp").write_text("40000\n")
    options = ["--source", "thermal", "--root", tmp_path, "--ca", tmp_path / "ca.pem"]
    child, hello = site.spawn(*options, port=site.tls["broker"])
    site.give_beacon(1)
    site.until(lambda: site.payloads(hello, "heartbeat") and site.payloads(hello, "announce"))

    assert announced(site.payloads(hello, "announce")[0])[-1] == "thermal soc"
    assert heartbeat(site.payloads(hello, "heartbeat")[0])[2] == 1 and hello["attested"] is True
    rollup = Path(f"/proc/{child.pid}/smaps_rollup").read_text()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    print(f"PSS of the agent: {pss:,} bytes")
    assert pss <= PSS_MAX_BYTES
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 0 and child.stderr.read() == ""


@pytest.mark.parametrize("listener, authority, why", [
    ("broker", "other", "unable to get local issuer certificate"),
    ("elsewhere", "ca", "IP address mismatch"),
])  # fmt: skip
def test_a_broker_that_the_authority_does_not_vouch_for_is_told_nothing(listener, authority, why, site, tmp_path):
    child, hello = site.spawn("--ca", tmp_path / f"{authority}.pem", port=site.tls[listener])

    line = child.stderr.readline()

    assert line.startswith("device.agent: link: the broker's certificate is refused: ") and why in line
    other, good = site.spawn("--ca", tmp_path / "ca.pem", port=site.tls["broker"], store="other")
    site.until(lambda: site.payloads(good, "announce"))
    assert not site.payloads(hello, "announce") and child.poll() is None


def test_the_agent_comes_back_over_tls_after_a_restart_of_the_broker(site, tmp_path):
    _, hello = site.spawn("--ca", tmp_path / "ca.pem", port=site.tls["broker"])
    site.until(lambda: site.payloads(hello, "announce"))

    site.broker.stop()
    site.broker.start()
    site.client.on_connect = lambda client, *_: client.subscribe("tinyren/+/+", 1)

    site.give_beacon(2)
    site.until(lambda: site.payloads(hello, "heartbeat"))


@pytest.mark.parametrize("options, code, message", [
    (["--ca", "nowhere.pem"], 1, "No such file"),
    (["--source", "x"], 1, "source: got 'x'"),
    (["--source", "load", "--link-samples"], 2, "got load and link, wanted one"),
    (["--fast", "--source", "link"], 2, "wanted another source"),
    (["--model", HOST / "encoder.tflite"], 1, "artifact"),
    (["--fast", "--model", HOST / "encoder.ren"], 1, "model: "),
])  # fmt: skip
def test_wrong_options_end_it_with_one_line(options, code, message, tmp_path):
    command = [sys.executable, "-m", "device.agent", "--broker", "127.0.0.1:1", "--store", tmp_path / "store", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == code and message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.parametrize("facts, message", [
    (b"{}", "m.json: wanted window, offsets, shifts and sample_ms"),
    (b"[]", "m.json: wanted window"),
    (b"{", "Expecting"),
    (b'{"window": 4, "offsets": [], "shifts": [], "sample_ms": 50}', "m.json: wanted window"),
    (b'{"window": [32, 3], "offsets": [0], "shifts": [0], "sample_ms": 50}', "wanted those of an input of 128 bytes"),
    (b'{"window": [32, 4], "offsets": [0], "shifts": [0], "sample_ms": 50}', "4 channels, 1 offsets and 1 shifts"),
    (b'{"window": [32, 4], "offsets": [0, 0, 0, 0], "shifts": [0], "sample_ms": 50}', "4 offsets and 1 shifts"),
    (b'{"window": [32, 4], "offsets": [0, 0, 0, 0], "shifts": [0, 0, 0, 0], "sample_ms": 0}', "sample_ms: got 0"),
    (b'{"window": [32, 4], "offsets": [0, 0, 0, 0], "shifts": [0, 0, 0, 99], "sample_ms": 50}', "shifts: got"),
    (b'{"window": [32, 4], "offsets": [0, 0, 0, "a"], "shifts": [0, 0, 0, 0], "sample_ms": 50}', "offsets: got"),
    (None, "No such file"),
])  # fmt: skip
def test_what_lies_beside_a_model_and_does_not_describe_it_is_refused(facts, message, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    shutil.copyfile(HOST / "encoder.ren", folder / "encoder.ren")
    if facts is not None:
        (folder / "m.json").write_bytes(facts)

    test_wrong_options_end_it_with_one_line(["--model", folder / "encoder.ren"], 1, message, tmp_path)
    assert not (tmp_path / "store").exists()


def test_an_encoder_of_three_channels_each_100_ms_counts_its_windows(site):
    child, hello = site.spawn("--model", ROOT / "models" / "motion" / "encoder.ren")
    windows = [0]

    def counted():
        beats = [heartbeat(frame) for frame in site.payloads(hello, "heartbeat")]
        if len(beats) >= windows[-1]:
            windows.append(windows[-1] + 1)
            site.give_beacon(windows[-1])
        return any(count for *_, count, _ in beats)

    site.until(counted)

    cid = Model((ROOT / "models" / "motion" / "encoder.ren").read_bytes()).cid
    assert heartbeat(site.payloads(hello, "heartbeat")[-1])[3] == cid and child.poll() is None


def test_the_fast_path_signs_no_receipt_and_says_so_while_the_exact_one_counts(site):
    fast, quick = site.spawn("--fast", store="fast")
    _, exact = site.spawn(store="exact")
    assert (quick["attested"], exact["attested"]) == (False, True)
    windows = [0]

    def counted():
        beats = [heartbeat(frame) for frame in site.payloads(exact, "heartbeat")]
        if len(beats) >= windows[-1]:  # the last one is answered
            windows.append(windows[-1] + 1)
            site.give_beacon(windows[-1])
        return any(count for *_, count, _ in beats)

    site.until(counted)
    site.until(lambda: len(site.payloads(quick, "heartbeat")) > 1)

    for frame in site.payloads(quick, "heartbeat"):
        assert heartbeat(frame)[4:6] == (0, bytes(16))
    assert announced(site.payloads(quick, "announce")[0])[-1] == "computed waves, unattested"
    assert "no receipt is signed" in fast.stderr.readline()


def test_a_fast_model_runs_and_names_its_file():
    content = (HOST / "encoder.tflite").read_bytes()
    model, exact, out = FastModel(content), Model((HOST / "encoder.ren").read_bytes()), bytearray(16)
    window = bytes(range(128))
    model.run(window, out)
    wanted = bytearray(16)
    exact.run(window, wanted)

    assert (model.input_bytes, model.output_bytes, model.cid) == (128, 16, exact.cid)
    assert np.abs(np.frombuffer(out, np.int8).astype(int) - np.frombuffer(wanted, np.int8)).max() <= 4
