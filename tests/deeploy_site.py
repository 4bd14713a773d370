"""What the tests of Deeploy stand on: the real service on a real disk, devices that speak UPDATE.md, job.toml files."""

import contextlib
import hashlib
import threading
import time
from pathlib import Path

from coincurve import PrivateKey

from device.agent import suit
from gateway import cli, curve
from gateway.deeploy import compose, requests, spec
from gateway.deeploy.deeploy_http import routes
from gateway.deeploy.desired import DesiredStore
from gateway.deeploy.documents import job_of_cid
from gateway.deeploy.requests import Request
from gateway.deeploy.service import Deeploy
from gateway.deeploy.trust import Trust
from gateway.deeploy.workload_jobs import WorkloadJobs
from gateway.intake.registry import Device
from gateway.site import site_file
from gateway.site.site_file import Site
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_sqlite import SqliteEngine
from gateway.storage.embedded import Embedded
from gateway.web.app import app
from gateway.web.serve import serve
from tests.ingest_site import Signer

ROOT = Path(__file__).parent.parent
HOST = ROOT / "models" / "host"
ARTIFACT = (HOST / "encoder.ren").read_bytes()
GATEWAY, UPDATE, OWNER, STRANGER, OPERATOR = (PrivateKey(bytes([number]) * 32) for number in range(41, 46))
DOMAIN = 1337, bytes(range(20))
NOW_MS, NOW_S = 1_000_000, 1_700_000_000
CONFIRMED, REFUSED, FAILED = suit.TOLD_CONFIRMED, suit.TOLD_REFUSED, suit.TOLD_FAILED
JOB = """
name = "quiet"
[target]
{target}
[model]
file = "{file}"
{more}
"""


def address(key):
    return curve.address_of(key.secret)


class FakeDevice:
    """A device that does what UPDATE.md says; end: how a manifest ends on it, a state and its reason."""

    def __init__(self, number, board="m", boot=1):
        self.signer, self.board, self.boot = Signer(number), board, boot
        self.id, self.end, self.silent = self.signer.id, (CONFIRMED, ""), False
        self.manifest, self.content, self.running, self.trusted, self.said = None, b"", {1: 0, 2: 0}, [], []
        self.tried, self.last = [], None

    def installed(self, state, reason="", manifest=None):
        """A signed `installed` of this device now."""
        told = manifest or self.manifest
        fields = self.boot, told.kind, told.sequence, state, reason, len(self.content)
        return suit.sign_installed(self.id, self.signer.sign, *fields, self.running[1], self.running[2])

    def hear(self, name, payload):
        """A message of the gateway's; [(name, payload)] that it answers."""
        if self.silent:
            return []
        if name == "trust":
            self.trusted.append(suit.decode_trust(payload))
            return []
        if name == "manifest":
            told = suit.open_manifest(payload)[0]
            if told.sequence <= self.running[told.kind]:
                return [("installed", self.installed(REFUSED, f"sequence: got {told.sequence}", told))]
            if told.sequence in self.tried:
                return [("installed", self.installed(*self.last))]
            self.manifest, self.content = told, b""
            if self.manifest.size == 0:
                return self._end()
            return [("installed", self.installed(suit.TOLD_FETCHING)), self._want()]
        if name == "chunk":
            self.content += suit.decode_chunk(payload)[2]
            if len(self.content) < self.manifest.size:
                return [self._want()] if len(self.content) % (4 * suit.CHUNK_BYTES) == 0 else []
            return self._end()
        return []

    def connect(self):
        """What it sends after a connection."""
        return [("installed", self.installed(*self.last))] if self.last else []

    def _want(self):
        return "want", suit.encode_want(self.manifest.digest, len(self.content), 4)

    def _end(self):
        if self.manifest.size and hashlib.sha256(self.content).digest() != self.manifest.digest:
            return [("installed", self.installed(REFUSED, "digest: got another"))]
        self.boot += 1
        self.last = state, reason = self.end
        self.tried.append(self.manifest.sequence)
        trying = [("installed", self.installed(suit.TOLD_TRYING))]
        if state == CONFIRMED:
            self.running[self.manifest.kind] = self.manifest.sequence
        else:
            self.boot += 1
        return [*trying, ("installed", self.installed(state, reason))]


class Gateway:
    """The real service over SITE in a folder; `turn` has it and the devices talk until nobody has anything to say."""

    def __init__(self, folder, devices, deeds=None):
        self.folder, self.devices = folder, {device.id: device for device in devices}
        self.now_ms, self.now_s, self.sent, self.lines = NOW_MS, NOW_S, [], []
        self.known = {device.id: _registered(device) for device in devices}
        self.owned = {device.id: address(OWNER) for device in devices}
        self.deeds = deeds or {device.id: 1 for device in devices}
        self.on_write = lambda: None
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        for name, key in (("update", UPDATE), ("stranger", STRANGER), ("operator", OPERATOR)):
            (folder / "keys" / f"{name}.key").write_text(key.to_hex().rjust(64, "0"))
        self._open()

    def _open(self):
        self.engine = Engine(self.folder / "cstore.sqlite", lambda: self.on_write())
        self.r1fs = Embedded(self.folder / "r1fs")
        store = DesiredStore(Cstore(self.engine, GATEWAY), self.r1fs)
        trust = Trust(store, address(UPDATE), [OWNER], DOMAIN, lambda: self.owned)
        self.deeploy = Deeploy(
            store,
            self.r1fs,
            trust,
            DOMAIN,
            self.known,
            {},
            lambda: self.deeds,
            ["m", "other"],
            WorkloadJobs(self.folder / "workloads", self.r1fs, self.lines.append),
            lambda *message: self.sent.append(message),
            lambda: self.now_ms,
            lambda: self.now_s,
            self.lines.append,
        )

    def restart(self):
        """Forget everything but the disk, as kill -9 does; devices connect again."""
        self.close()
        self.now_ms += 60_000
        self.sent.clear()
        self._open()
        self.greet()
        for device in self.devices.values():
            self.say(device, *device.connect())

    def close(self):
        self.engine.close()
        self.r1fs.close()

    def greet(self, *devices):
        for device in devices or self.devices.values():
            self.deeploy.greet(device.id)
        return self

    def say(self, device, *messages):
        """What a device sends, to the service."""
        self.deeploy.take([(device.signer.topic(name), payload, self.now_ms) for name, payload in messages])

    def deliver(self):
        """What the gateway sent, to the devices, and their answers; whether there was anything."""
        sent, self.sent[:] = list(self.sent), []
        for topic, payload in sent:
            _, digits, name = topic.split("/")
            device = self.devices[bytes.fromhex(digits)]
            device.said.append(name)
            for message in device.hear(name, payload):
                self.now_ms += 1
                self.say(device, message)
        return bool(sent)

    def turn(self):
        while self.deeploy.turn() or self.deliver():
            pass
        return self

    def job_file(self, target="", file=HOST / "encoder.ren", more=""):
        path = self.folder / "job.toml"
        path.write_text(JOB.format(target=target, file=file, more=more))
        return path

    def compose(self, path, key=UPDATE):
        """The document of a job.toml, in R1FS."""
        about = self.deeploy.about(address(key))
        found = spec.parse(path.read_text(), path.parent)
        composed = compose.compose(found, about, self.r1fs, key, compose.build_agent, ["m", "other"])
        compose.store(composed, self.r1fs)
        return composed

    def request(self, cid, action="apply", key=UPDATE, **fields):
        """A signed request about a document."""
        job = job_of_cid(cid)
        nonce = self.deeploy.about(address(key))["nonce"]
        values = {
            "chain_id": DOMAIN[0],
            "contract": DOMAIN[1],
            "job": job,
            "action": requests.ACTIONS.get(action, action),
        }
        request = Request(**{**values, "nonce": nonce, "deadline_s": self.now_s + 60, **fields})
        return requests.sign(request, lambda digest: key.sign_recoverable(digest, hasher=None))

    def apply(self, **options):
        """Apply a job; its document's CID."""
        cid = self.compose(self.job_file(**options)).cid
        self.deeploy.request(self.request(cid))
        return cid

    def roll_back(self, name="quiet"):
        composed = compose.roll_back(name, self.deeploy.about(address(UPDATE)), self.r1fs, UPDATE)
        compose.store(composed, self.r1fs)
        self.deeploy.request(self.request(composed.cid, "rollback"))

    def phases(self, name="quiet"):
        """(phase, reason) of each device, in the order in which they were made."""
        rows = {row["id"]: (row["phase"], row["reason"]) for row in self.deeploy.job(name)["devices"]}
        return [rows.get(f"0x{id.hex()}") for id in self.devices]

    def kept(self):
        """Everything that a refusal may not change: desired state, and what was sent."""
        rows = self.engine.names("deeploy", "", "", 1000)
        frames = [self.engine.entries("deeploy", name)[0].frame for name in rows]
        return frames, list(self.sent), self.deeploy.jobs()


class Engine(SqliteEngine):
    """CSTORE's engine that calls `on_write` before each write, where a test may end it."""

    def __init__(self, path, on_write):
        super().__init__(path)
        self._on_write = on_write

    def write(self, bucket, name, frame, replaces, stored_ms=None):
        self._on_write()
        return super().write(bucket, name, frame, replaces, stored_ms)


@contextlib.contextmanager
def open_gateway(folder, *devices, **options):
    gateway = Gateway(folder, devices or (FakeDevice(1), FakeDevice(2), FakeDevice(3)), **options)
    try:
        yield gateway.greet()
    finally:
        gateway.close()


@contextlib.contextmanager
def serving(gateway):
    """The gateway's page, found by SITE/site.toml; yields what runs a verb of `tinyren job` with it."""
    page = serve(app(Quiet(), routes(gateway.deeploy)))
    site_file.write(gateway.folder, Site(boards=["m"], page_port=page.port))
    gateway.now_s = int(time.time())
    try:
        yield lambda *arguments: cli.main(["job", *map(str, arguments), "--site", str(gateway.folder)])
    finally:
        page.stop()


@contextlib.contextmanager
def turning(gateway):
    """A thread has gateway and devices talk."""
    stopping = threading.Event()

    def talk():
        while not stopping.wait(0.02):
            gateway.turn()

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


class Quiet:
    """A page without content."""

    def snapshot(self):
        return {}

    def changed(self, after, timeout_s):
        time.sleep(min(timeout_s, 0.05))
        return 0

    def detail(self, what, name=""):
        return None

    def rpc(self, method, params):
        raise NotImplementedError


def _registered(device):
    return Device(device.id, device.signer.public_key, device.board, "core", "1", bytes(36), "test", 1)
