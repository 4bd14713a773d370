"""Which messages of devices count, pure; it stores nothing, and one message costs the same whatever came before.

A heartbeat is checked in this order, the cheap checks first, and leaves only a count by reason when it fails:
    size and topic                               too_large, malformed
    the same bytes as the last accepted one      replay, but acknowledged again: its acknowledgement was lost
    COSE_Sign1 (device.agent.wire)               wire.REASONS
    the key id is the topic's                    wrong_device
    claims (device.agent.wire)                   wire.REASONS
    the device is enrolled                       unknown_device
    the beacon is of a window open at receipt    stale_beacon
    (boot, sequence) above the last              replay
    signature                                    bad_signature
A reveal, sealed or not: the same up to its claims, then it answers a challenge (not_asked), and its signature. One that
is known, or comes when no window is open, is passed over and leaves no count: both are usual.
An announce: the same up to its claims, then its boot is not below the last (replay), there is room for a new device
(too_many_devices), its public key is the id's (wrong_device), and its signature (bad_signature).
A batch of late records, and a journal: the same up to its claims, then a journal's boot is not below the last one's
(replay), the device is enrolled, and its signature. What of late records is new, late_store says.
`decide` changes nothing. What it decided holds once the caller has it on the disk and told the registry, read here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from device.agent import cbor, reports, reveal, seal, wire
from gateway import curve
from gateway.intake.late import LateBatch, Report
from gateway.intake.registry import MAX_DEVICES, Device, Progress

PREFIX = "tinyren"
ID_DIGITS = 40
MAX_PAYLOAD_BYTES = max(
    wire.ANNOUNCE_MAX_BYTES, reports.LATE_MAX_BYTES, reports.JOURNAL_MAX_BYTES, reveal.REVEAL_MAX_BYTES
)
WINDOWS_KEPT = 2
_SEALED_HEAD = b"\xa1" + cbor.encode(seal.SEALED)

Item = tuple[str, bytes, int]
Claims = tuple[bytes, int, int, bytes, int, bytes, int]
Challenge = tuple[bytes, int, int, int, int]
"""(device, boot, sequence, count, index)"""


class Rejected(Exception):
    """One message does not count, for a reason that is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Batch:
    """What to do about some messages, in this order: enroll, store, advance the registry, acknowledge.

    Attributes:
        announced: devices to enroll, by id; `newcomers` of them are new.
        stored: (receipt time in ms, COSE_Sign1 bytes) for the evidence.
        progress: what the stored heartbeats lead to, by id.
        heartbeats: (id, boot, sequence) of those that are stored, each once, in order.
        late, journals: to keep.
        acks: (id, boot, sequence) to acknowledge once `stored` is on the disk.
        bound: (id, nonce, signature of 65 bytes), not checked: whoever asked for it does.
        revealed: challenges that `stored` answers.
        gone: ids whose link the broker saw ending. entered: ids of devices that use their account.
        rejected: count by reason.
    """

    announced: dict[bytes, Device] = field(default_factory=dict)
    newcomers: int = 0
    stored: list[tuple[int, bytes]] = field(default_factory=list)
    progress: dict[bytes, Progress] = field(default_factory=dict)
    heartbeats: list[tuple[bytes, int, int]] = field(default_factory=list)
    late: list[LateBatch] = field(default_factory=list)
    journals: list[Report] = field(default_factory=list)
    acks: list[tuple[bytes, int, int]] = field(default_factory=list)
    bound: list[tuple[bytes, int, bytes]] = field(default_factory=list)
    revealed: list[Challenge] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    entered: list[bytes] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


class Ingest:
    """Decides on batches, from what is known of devices and windows.

    Args:
        devices, progress: by device id; read at each decision, never changed here.
        is_checked: whether a worker has found (public key, digest, signature) good; what it has not is checked here.

    Attributes:
        challenges: those that may be answered now, and whether they are; kept by who challenges.
    """

    def __init__(
        self,
        devices: Mapping[bytes, Device],
        progress: Mapping[bytes, Progress],
        is_checked: Callable[[bytes, bytes, bytes], bool] = lambda public_key, digest, signature: False,
    ) -> None:
        self._is_checked = is_checked
        self._devices = devices
        self._progress = progress
        self.challenges: dict[Challenge, bool] = {}
        self._keys: dict[bytes, Any] = {}
        self._windows: dict[bytes, tuple[int, int]] = {}

    def open_window(self, beacon: bytes, opened_ms: int, window_ms: int) -> None:
        """From now on `beacon` may be answered by what is received from opened_ms on, for window_ms."""
        self._windows[beacon] = opened_ms, opened_ms + window_ms
        while len(self._windows) > WINDOWS_KEPT:
            del self._windows[next(iter(self._windows))]

    @property
    def is_open(self) -> bool:
        """Whether an epoch is, so that evidence can be added to it."""
        return bool(self._windows)

    def close_windows(self) -> None:
        """The epoch is closed: no beacon may be answered any more."""
        self._windows.clear()

    def decide(self, items: Iterable[Item]) -> Batch:
        """Judge (topic, payload, receipt time in ms) in their order. Never raises, whatever they hold."""
        batch = Batch()
        for topic, payload, receipt_ms in items:
            try:
                device, name = split_topic(topic)
                if name == "heartbeat":
                    self._heartbeat(batch, device, payload, receipt_ms)
                elif name == "reveal":
                    self._reveal(batch, device, payload, receipt_ms)
                elif name == "announce":
                    self._announce(batch, device, payload)
                elif name == "late":
                    batch.late.append(self._late(batch, device, payload, receipt_ms))
                elif name == "journal":
                    batch.journals.append(self._journal(batch, device, payload, receipt_ms))
                elif name == "bound":
                    batch.bound.append((device, *wire.decode_bound(payload)))
                elif name == "gone":
                    batch.gone.append(device)
                elif name == "entered":
                    batch.entered.append(device)
                else:
                    raise Rejected("malformed")
            except (Rejected, wire.WireError) as rejection:
                batch.rejected[rejection.reason] += 1
        return batch

    def recount(self, stored: Iterable[tuple[int, bytes]]) -> Batch:
        """Judge again what the evidence holds, in file order, to find out how far each device had come before a crash.

        Windows are not looked at: they were when it was stored. Reveals are passed over: they move
        nothing. What a crash damaged within an item counts for nobody.
        """
        batch = Batch()
        for receipt_ms, frame in stored:
            if len(frame) > wire.HEARTBEAT_MAX_BYTES:
                continue
            try:
                device, payload, *signed = wire.open_sign1(frame)
                self._advance(batch, device, wire.decode_heartbeat(payload), signed, receipt_ms, frame)
            except (Rejected, wire.WireError) as rejection:
                batch.rejected[rejection.reason] += 1
        return batch

    def _heartbeat(self, batch: Batch, topic_id: bytes, frame: bytes, receipt_ms: int) -> None:
        last = batch.progress.get(topic_id) or self._progress.get(topic_id)
        if last is not None and frame == last.frame:
            batch.acks.append((topic_id, last.boot, last.sequence))
            raise Rejected("replay")
        device, payload, *signed = wire.open_sign1(frame)
        if device != topic_id:
            raise Rejected("wrong_device")
        claims = wire.decode_heartbeat(payload)
        if device not in self._devices and device not in batch.announced:
            raise Rejected("unknown_device")
        opened_ms, end_ms = self._windows.get(claims[0], (0, 0))
        if not opened_ms <= receipt_ms < end_ms:
            raise Rejected("stale_beacon")
        self._advance(batch, device, claims, signed, receipt_ms, frame)
        batch.stored.append((receipt_ms, frame))
        batch.acks.append((device, claims[1], claims[2]))

    def _advance(
        self, batch: Batch, device: bytes, claims: Claims, signed: list[bytes], receipt_ms: int, frame: bytes
    ) -> None:
        """The last two checks; `signed` is [signature, digest]."""
        _, boot, sequence, *_ = claims
        signature, digest = signed
        last = batch.progress.get(device) or self._progress.get(device)
        if last is not None and (boot, sequence) <= (last.boot, last.sequence):
            raise Rejected("replay")
        if not self._is_signed(batch, device, digest, signature):
            raise Rejected("bad_signature")
        count, first_ms = (last.heartbeats + 1, last.first_ms) if last else (1, receipt_ms)
        batch.progress[device] = Progress(boot, sequence, count, first_ms, receipt_ms, frame)
        batch.heartbeats.append((device, boot, sequence))

    def _late(self, batch: Batch, topic_id: bytes, frame: bytes, receipt_ms: int) -> LateBatch:
        device, payload, *signed = wire.open_sign1(frame, reports.LATE_MAX_BYTES)
        boot, _, dropped, records = reports.decode_late(payload)
        self._verify(batch, topic_id, device, signed)
        return LateBatch(device, boot, tuple(record[0] for record in records), dropped, receipt_ms, frame)

    def _journal(self, batch: Batch, topic_id: bytes, frame: bytes, receipt_ms: int) -> Report:
        device, payload, *signed = wire.open_sign1(frame, reports.JOURNAL_MAX_BYTES)
        boot, reason, lines = reports.decode_journal(payload)
        known = batch.announced.get(device) or self._devices.get(device)
        if known is not None and boot < known.boot:
            raise Rejected("replay")
        self._verify(batch, topic_id, device, signed)
        return Report(device, boot, reason, tuple(lines), receipt_ms, frame)

    def _verify(self, batch: Batch, topic_id: bytes, device: bytes, signed: list[bytes]) -> None:
        """The checks of who sent it; `signed` is [signature, digest]."""
        signature, digest = signed
        if device != topic_id:
            raise Rejected("wrong_device")
        if not curve.verify(self._key(batch, device), digest, signature):
            raise Rejected("bad_signature")

    def _reveal(self, batch: Batch, topic_id: bytes, frame: bytes, receipt_ms: int) -> None:
        device, payload, signature, digest = wire.open_sign1(frame, reveal.REVEAL_MAX_BYTES)
        if device != topic_id:
            raise Rejected("wrong_device")
        is_sealed = payload.startswith(_SEALED_HEAD)
        boot, sequence, count, index, *_ = (seal.decode_sealed if is_sealed else reveal.decode_reveal)(payload)
        challenge = device, boot, sequence, count, index
        is_known = self.challenges.get(challenge)
        if is_known is None:
            raise Rejected("not_asked")
        if is_known or challenge in batch.revealed or not self._windows:
            return
        if not curve.verify(self._key(batch, device), digest, signature):
            raise Rejected("bad_signature")
        batch.stored.append((receipt_ms, frame))
        batch.revealed.append(challenge)

    def _announce(self, batch: Batch, topic_id: bytes, frame: bytes) -> None:
        device, payload, signature, digest = wire.open_sign1(frame, wire.ANNOUNCE_MAX_BYTES)
        if device != topic_id:
            raise Rejected("wrong_device")
        board, boot, firmware, core, model, public_key, source = wire.decode_announce(payload)
        announced = Device(device, public_key, board, core, firmware, model, source, boot)
        last = batch.announced.get(device) or self._devices.get(device)
        if announced == last:
            return
        if last is not None and boot < last.boot:
            raise Rejected("replay")
        if last is None and len(self._devices) + batch.newcomers >= MAX_DEVICES:
            raise Rejected("too_many_devices")
        try:
            is_owner = curve.address(public_key) == device
        except ValueError:
            raise Rejected("malformed") from None
        if not is_owner:
            raise Rejected("wrong_device")
        if not curve.verify(curve.parse_public_key(public_key), digest, signature):
            raise Rejected("bad_signature")
        batch.announced[device] = announced
        batch.newcomers += last is None

    def _is_signed(self, batch: Batch, device: bytes, digest: bytes, signature: bytes) -> bool:
        known = self._devices.get(device)
        if known is not None and self._is_checked(known.public_key, digest, signature):
            return True
        return curve.verify(self._key(batch, device), digest, signature)

    def _key(self, batch: Batch, device: bytes) -> Any:
        key = self._keys.get(device)
        if key is None:
            known = self._devices.get(device) or batch.announced.get(device)
            if known is None:
                raise Rejected("unknown_device")
            key = self._keys[device] = curve.parse_public_key(known.public_key)
        return key


def split_topic(topic: str) -> tuple[bytes, str]:
    """(device id of 20 bytes, name) of "tinyren/ID/name".

    Raises:
        Rejected: another topic; an id is 40 lower-case hex digits.
    """
    parts: Sequence[str] = topic.split("/")
    if len(parts) != 3 or parts[0] != PREFIX or len(parts[1]) != ID_DIGITS:
        raise Rejected("malformed")
    try:
        device = bytes.fromhex(parts[1])
    except ValueError:
        raise Rejected("malformed") from None
    if device.hex() != parts[1]:
        raise Rejected("malformed")
    return device, parts[2]
