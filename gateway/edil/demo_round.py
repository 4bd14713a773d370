"""The demo's round: enrolment, labelled samples, devices that die and one that lies, a closed set, opened sums."""

import struct
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from device.agent import rounds
from device.agent.rounds import Manifest
from gateway import curve, keys
from gateway.aggregation import messages
from gateway.aggregation.messages import Enrolment
from gateway.edil import counting, owner, plan, shares
from gateway.edil import demo_signals as signals
from gateway.edil.client import Closed, Gateway
from gateway.edil.demo_devices import Device, HostDevice, LiarDevice
from gateway.edil.demo_signals import KINDS
from gateway.edil.demo_site import CHAIN_ID, CONTRACT, DemoSite
from gateway.progress import Progress

AHEAD = 2
BEACON_S = 0.7
JOIN_S, ROUND_S, SHARE_S = 90.0, 120.0, 30.0


class Finished(NamedTuple):
    """What a round left: parts, the sum of the data owner's secrets first, then each share-holder's, int64[N] each."""

    manifest: Manifest
    enrolment: Enrolment
    closed: Closed
    opened: owner.Opened
    parts: list[signals.Ints]


class DemoRound:
    """One round over devices of which the first `dropped` host agents die and every liar lies.

    Attributes: survivors, dropped, liars (devices); classes and raw (what each sees, by device id).
    """

    def __init__(self, site: DemoSite, devices: list[Device], dropped: int, windows: int, progress: Progress) -> None:
        self._site, self._progress, self._windows = site, progress, windows
        self._devices = devices
        self.liars = [device for device in devices if isinstance(device, LiarDevice)]
        self.dropped = [device for device in devices if isinstance(device, HostDevice)][:dropped]
        self.survivors = [device for device in devices if device not in (*self.liars, *self.dropped)]
        self.classes = {device.id: number % len(KINDS) for number, device in enumerate(devices)}
        self.raw = {
            device.id: signals.make_windows(1000 + number, self.classes[device.id], windows)
            for number, device in enumerate(devices)
        }
        self._fed = {device.id: 0 for device in devices}
        self._beacon_s = 0.0
        self._owner_key = keys.load_or_make(site.folder / "data-owner.key")
        self._holder_path = site.folder / "share-holder.key"
        self._gateway = Gateway(site.url)

    def run(self, ends: ExitStack) -> Finished:
        """From the enrolment to the opened sums."""
        holder = keys.load_or_make(self._holder_path).public_key.format()
        least = len(self.survivors)
        child = self._site.start_share_holder(self._holder_path, [device.id for device in self._devices], least)
        ends.callback(child.stop)
        enrolment = self._enrol([self._owner_key.public_key.format(), holder])
        manifest = self._announce(enrolment, least)
        self._collect(manifest)
        self._gateway.close(manifest.digest)
        self._progress.say("the round is closed; the share-holder checks every signature of it")
        ask = partial(self._gateway.shares, manifest.digest)
        self._site.wait("the share", lambda: len(ask()) == 1, SHARE_S)
        closed, frames = self._gateway.closed(manifest.digest), ask()
        opened = owner.open_round(closed, frames, self._owner_key, counting.count_any, least)
        self._progress.say(f"the data owner has opened the sums of {len(opened.checked.devices)} devices")
        shared = owner.read_shares(opened.checked, frames, self._owner_key)
        own = shares.sum_secrets(opened.checked, self._owner_key)
        return Finished(manifest, enrolment, closed, opened, [own, *shared.values()])

    def _enrol(self, holders: list[bytes]) -> Enrolment:
        """The owner of all devices lets them encrypt to these holders."""
        frame = owner.sign_enrolment(self._site.owner, CHAIN_ID, CONTRACT, holders, 1)
        address = curve.address_of(self._site.owner.secret)
        self._gateway.enrol(address, frame)
        return messages.open_enrolment(frame, address)

    def _announce(self, enrolment: Enrolment, k_min: int) -> Manifest:
        """Have every device join a round, and label it."""
        fields = plan.read_plan(None, {
            "kind": "classes", "model": str(signals.FOLDER / "host.json"), "classes": len(KINDS),
            "windows": self._windows, "k_min": k_min, "duration_s": 600,
        })  # fmt: skip
        facts = plan.read_facts(Path(fields["model"]))
        manifest = plan.make_manifest(fields, facts, enrolment.holders_digest, time.time_ns() // 1_000_000)
        frame = owner.sign_manifest(self._owner_key, manifest)
        self._gateway.announce(frame, {}, False)
        manifest = rounds.open_manifest(frame)[0]

        def is_joined() -> bool:
            return bool(self._gateway.status(manifest.digest)["joined"] == len(self._devices))

        self._site.wait("every device's word", is_joined, JOIN_S)
        for device in self._devices:  # not before: a label is told once, and a device that starts forgets it
            self._gateway.label(device.id, self.classes[device.id])
        self._progress.say(f"{len(self._devices)} devices have joined round {manifest.round}")
        return manifest

    def _collect(self, manifest: Manifest) -> None:
        """Feed the devices until all survivors are stored and the liar is refused; the dropped ones die half-way."""
        dying = list(self.dropped)

        def turn() -> None:
            self._feed()
            for device in list(dying):
                if self._site.inferences.get(device.id, 0) >= self._windows // 2:
                    device.stop()
                    dying.remove(device)
                    self._progress.say(f"device {device.id.hex()[:8]} has lost its power")
            done = sum(self._site.inferences.get(device.id, 0) for device in self.survivors)
            self._progress.step("windows", min(0.999, done / (self._windows * len(self.survivors))))

        def is_collected() -> bool:
            row = self._gateway.status(manifest.digest)
            refused = self._site.aggregation.rejected["residue"] >= len(self.liars)
            return not dying and refused and len(row["devices"]) == len(self.survivors)

        self._site.wait("the survivors' updates", is_collected, ROUND_S, turn)
        self._progress.step("windows", 1.0)

    def _feed(self) -> None:
        """A heartbeat says how far a device is; it is given at most AHEAD windows more than that."""
        if time.monotonic() - self._beacon_s >= BEACON_S:
            self._beacon_s = time.monotonic()
            self._site.tell_beacon()
        for device, fed in self._fed.items():
            while fed < self._windows and fed - self._site.inferences.get(device, 0) < AHEAD:
                self._site.feed(device, struct.pack("<128h", *self.raw[device][fed].ravel().tolist()))
                fed = self._fed[device] = fed + 1
