"""What devices said of their updates, in memory; believes only what the device itself signed, and only forwards.

Rules:
1. A frame counts if its signature is the device's and its boot is not below the newest; of the same boot, neither
   sequence goes down. So a frame that is sent again later takes nothing back.
2. What a device tells of a lower sequence than the last that it tried says what runs, and leaves how that try ended.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from device.agent import suit, wire
from device.agent.errors import WireError
from gateway import curve
from gateway.deeploy.reconcile import AGENT, FETCHING, KINDS, MODEL, Observed, Progress
from gateway.intake.registry import Device
from gateway.intake.registry import Progress as Heartbeat


class Rejected(Exception):
    """A device's message that does not count; `reason` is one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Devices:
    """Progress of each device. Used under the service's lock.

    Args:
        devices: what the registry knows, by id. heartbeats: each device's last one. started_ms: when this run began.
    """

    def __init__(self, devices: Mapping[bytes, Device], heartbeats: Mapping[bytes, Heartbeat], started_ms: int) -> None:
        self._devices, self._heartbeats, self._started_ms = devices, heartbeats, started_ms
        self._heard_ms: dict[bytes, int] = {}
        self._gone_ms: dict[bytes, int] = {}
        self._boots: dict[bytes, int] = {}
        self._kinds: dict[bytes, dict[int, Progress]] = {}

    def observed(self, trusts: Callable[[bytes], bool]) -> dict[bytes, Observed]:
        """Every device that the registry knows; trusts: whether a device's owner signed for the update key."""
        return {
            id: Observed(device.board, self.is_online(id), dict(self._kinds.get(id, {})), trusts(id))
            for id, device in dict(self._devices).items()
        }

    def is_online(self, device: bytes) -> bool:
        """Whether it was heard of in this run, and its link did not end since."""
        heartbeat = self._heartbeats.get(device)
        heard_ms = max(self._heard_ms.get(device, 0), heartbeat.last_ms if heartbeat else 0)
        return heard_ms >= max(self._started_ms, self._gone_ms.get(device, 0))

    def announced(self, device: bytes, now_ms: int) -> None:
        """It is there, with a new connection: what was sent to it may be lost, and may be sent again at once."""
        self._heard_ms[device] = now_ms
        for kind, progress in self._kinds.get(device, {}).items():
            self._kinds[device][kind] = replace(progress, sent_ms=0)

    def gone(self, device: bytes, now_ms: int) -> None:
        """Its link ended."""
        self._gone_ms[device] = now_ms

    def asked(self, device: bytes, kind: int, sequence: int, now_ms: int) -> None:
        """A manifest was sent to it."""
        before = self._of(device, kind)
        asked_ms = before.asked_ms if before.asked == sequence else now_ms
        self._keep(device, kind, replace(before, asked=sequence, asked_ms=asked_ms, sent_ms=now_ms))

    def take(self, device: bytes, frame: bytes, now_ms: int) -> tuple[int, Progress]:
        """An `installed` of a device; (kind, what is known of it now).

        Raises:
            Rejected: it does not count, and nothing changed.
        """
        boot, kind, sequence, state, reason, fetched, *running = self._open(device, frame)
        if boot < self._boots.get(device, 0):
            raise Rejected("replay")
        is_same_boot = boot == self._boots.get(device)
        by_kind = dict(zip((MODEL, AGENT), running, strict=True))
        if is_same_boot and any(by_kind[each] < self._of(device, each).running for each in KINDS):
            raise Rejected("replay")
        before = self._of(device, kind)
        if is_same_boot and sequence < before.sequence:
            raise Rejected("replay")
        self._boots[device] = boot
        self._heard_ms[device] = now_ms
        for each in KINDS:
            if by_kind[each] != self._of(device, each).running:
                self._keep(device, each, replace(self._of(device, each), running=by_kind[each]))
        before = self._of(device, kind)
        if sequence >= before.sequence:
            news = replace(before, sequence=sequence, state=state, reason=reason, fetched=fetched, at_ms=now_ms)
            self._keep(device, kind, news)
        return kind, self._of(device, kind)

    def wanted(self, device: bytes, now_ms: int) -> None:
        """It asked for a chunk and was given it: what it fetches goes on."""
        for kind, progress in self._kinds.get(device, {}).items():
            if progress.state == FETCHING:
                self._kinds[device][kind] = replace(progress, at_ms=now_ms)

    def restore(self, kept: Iterable[tuple[bytes, bytes, int]]) -> None:
        """Take up what was kept of a run before: (device, frame, when in ms); what does not count is left out."""
        opened = []
        for device, frame, at_ms in kept:
            with contextlib.suppress(Rejected):
                boot, _, _, _, _, _, *running = self._open(device, frame)
                opened.append(((boot, *running), device, frame, at_ms))
        for _, device, frame, at_ms in sorted(opened):
            with contextlib.suppress(Rejected):
                self.take(device, frame, min(at_ms, self._started_ms - 1))

    def _open(self, device: bytes, frame: bytes) -> tuple[Any, ...]:
        known = self._devices.get(device)
        if known is None:
            raise Rejected("unknown_device")
        try:
            signer, payload, signature, digest = wire.open_sign1(frame, suit.INSTALLED_MAX_BYTES)
            fields: tuple[Any, ...] = suit.decode_installed(payload)
        except WireError as error:
            raise Rejected(error.reason) from None
        if signer != device:
            raise Rejected("wrong_device")
        if not curve.verify(curve.parse_public_key(known.public_key), digest, signature):
            raise Rejected("bad_signature")
        return fields

    def _of(self, device: bytes, kind: int) -> Progress:
        return self._kinds.get(device, {}).get(kind, Progress())

    def _keep(self, device: bytes, kind: int, progress: Progress) -> None:
        self._kinds.setdefault(device, {})[kind] = progress
