"""The verdict on one closed epoch, from its evidence and what the chain says; asks nobody and stores nothing.

    evidence/epoch-N.* + the chain at the close block + leaves before ─▶ Verdict ─▶ EIP-712 Root ─▶ signature

A verdict is a pure function of its inputs: two oracles that read the same bytes reach the same root. A heartbeat that
cannot be decoded counts for nobody; damaged files, or windows that contradict themselves, are no evidence at all.
Availability is what was measured. A device that signed what is not so (poai/verdict.py) costs its deed the epoch's
reward and units all the same. Work is looked at only of devices that revealed something: the others have no units.

Source: the files are those of intake/evidence.py; Root is the struct that contracts/src/Settlement.sol verifies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coincurve import PrivateKey, PublicKey

from device.agent import eip712, wire
from device.agent.errors import WireError
from gateway import curve
from gateway.intake import evidence
from gateway.oracle import availability, rewards
from gateway.oracle.at_close import Chain
from gateway.oracle.availability import EvidenceError, Heartbeat, Windows
from gateway.oracle.statements import Root
from gateway.poai import answers, jobs, score
from gateway.poai import verdict as work_verdict
from gateway.poai.draw import turns
from gateway.poai.models import Models
from gateway.poai.score import Heard
from gateway.poai.verdict import Checked, Work
from gateway.settlement.tree import Leaves, add_epoch, root_of

ROOT_TYPE = b"Root(uint256 epoch,bytes32 root,uint256 total,bytes32 evidence)"
ROOT_NAME = b"tinyren Settlement"


@dataclass(frozen=True)
class Verdict:
    """What an epoch comes to.

    Attributes:
        availability: 0..255 of each bound device, as measured.
        root, evidence: 32 bytes. total, minted: wei, minted being what this epoch added.
        units: of each device that has any. frauds: devices that signed what is not so, ascending.
    """

    epoch: int
    availability: Mapping[bytes, int]
    leaves: Leaves
    root: bytes
    total: int
    evidence: bytes
    minted: int
    units: Mapping[bytes, int]
    frauds: tuple[bytes, ...]

    def attested(self) -> Root:
        """What oracles sign of it."""
        return Root(self.epoch, self.root, self.total, self.evidence)


def verdict(
    folder: Path,
    epoch: int,
    wanted: bytes,
    chain: Chain,
    previous: Leaves,
    models: Callable[[], Models],
) -> Verdict:
    """Score an epoch.

    Args:
        folder: of the evidence; heartbeats are read as a stream.
        wanted: the digest (32 bytes) that the evidence must have, before and after it is scored.
        previous: the leaves that are settled.
        models: whose work counts; asked if there is work to check.
    Raises:
        EvidenceError: the evidence is other, damaged, open or contradicts itself or the chain.
        OSError: a file cannot be read.
    """
    return verdict_of([Source(folder, wanted)], epoch, wanted, chain, previous, models)


@dataclass(frozen=True)
class Source:
    """One gateway's evidence: its folder, the digest that it must have, and ranges of windows that do not count."""

    folder: Path
    digest: bytes
    missing: tuple[tuple[int, int], ...] = ()


def verdict_of(
    sources: Sequence[Source],
    epoch: int,
    attested: bytes,
    chain: Chain,
    previous: Leaves,
    models: Callable[[], Models],
) -> Verdict:
    """Score an epoch that several gateways heard; as `verdict`, which is the case of one.

    Args:
        attested: 32 bytes that name the evidence in the root (statements.evidence_of).
        chain: asked with the windows of the gateway whose close block is the upper median of theirs.
    """
    for source in sources:
        _verify_digest(source.folder, epoch, source.digest)
    try:
        opened = [_verified_windows(source.folder, epoch) for source in sources]
        windows = [that_count(each, source.missing) for each, source in zip(opened, sources, strict=True)]
        close = chain.at_close(sorted(windows, key=lambda each: each.block)[len(windows) // 2])
        devices = [device for deed in close.deeds.values() for device in deed.devices]
        is_signed = SignerKeys().is_signed
        items = [_items(source.folder, epoch) for source in sources]
        scores = _availability(windows, items, is_signed, devices)
        heard = [_heard(*each, is_signed, set(devices)) for each in zip(opened, windows, items, strict=True)]
        works, _ = _score_work(heard, is_signed, chain, models)
    except evidence.EvidenceDamaged as error:
        raise EvidenceError(str(error)) from error
    for source in sources:
        _verify_digest(source.folder, epoch, source.digest)
    units = jobs.assign(epoch, work_verdict.units_of_deeds(works, close.deeds), close.jobs, dict(previous.work))
    paid = rewards.rewards_of(close.deeds, work_verdict.availability_after(scores, works, close.deeds))
    owners = {number: deed.owner for number, deed in close.deeds.items()}
    leaves = add_epoch(previous, paid, owners, close.to_account, units)
    return Verdict(
        epoch=epoch,
        availability=scores,
        leaves=leaves,
        root=root_of(leaves),
        total=leaves.total_wei,
        evidence=attested,
        minted=leaves.total_wei - previous.total_wei,
        units={device: work.units for device, work in works.items() if work.units},
        frauds=tuple(sorted(work_verdict.frauds_of(works))),
    )


Items = Callable[[], Iterable[tuple[int, bytes]]]
"""A gateway's (receipt time in ms, COSE_Sign1), from the first, at each call."""


def _items(folder: Path, epoch: int) -> Items:
    return lambda: evidence.read(evidence.heartbeats_path(folder, epoch))


def _availability(
    windows: Sequence[Windows],
    items: Sequence[Items],
    is_signed: Callable[[Heartbeat], bool],
    devices: Sequence[bytes],
) -> dict[bytes, int]:
    beats = [(each, read_heartbeats(of_each())) for each, of_each in zip(windows, items, strict=True)]
    if len(beats) == 1:
        return availability.score(*beats[0], is_signed, devices)
    return availability.score_union(beats, is_signed, devices)


def _heard(
    opened: Windows, windows: Windows, items: Items, is_signed: Callable[[Heartbeat], bool], devices: Set[bytes]
) -> Heard:
    reveals = [each for each in answers.read_answers(items(), is_signed) if each.device in devices]
    return Heard(windows, turns(opened), items, reveals)


def _score_work(
    heard: Sequence[Heard], is_signed: Callable[[Heartbeat], bool], chain: Chain, models: Callable[[], Models]
) -> tuple[dict[bytes, Work], list[Checked]]:
    """Units and frauds of the devices that revealed something, and each challenge of theirs; as score.score."""
    revealed = {reveal.device for each in heard for reveal in each.reveals}
    return score.score(heard, is_signed, revealed, chain.block_hash, models()) if revealed else ({}, [])


def read_windows(folder: Path, epoch: int) -> Windows:
    """The windows of a closed epoch.

    Raises:
        EvidenceError: they are another epoch's, or it is not closed.
        evidence.EvidenceDamaged: the file cannot be read.
    """
    found = evidence.read_windows(evidence.windows_path(folder, epoch))
    if found.epoch != epoch:
        raise EvidenceError(f"windows of epoch {found.epoch}, wanted {epoch}")
    if found.block is None:
        raise EvidenceError(f"epoch {epoch} is not closed")
    return Windows(epoch, found.count, found.window_ms, found.windows, found.block)


def _verified_windows(folder: Path, epoch: int) -> Windows:
    windows = read_windows(folder, epoch)
    availability.verify_windows(windows)
    return windows


def that_count(windows: Windows, missing: tuple[tuple[int, int], ...]) -> Windows:
    """The windows without those in ranges (first, last) that do not count."""
    opened = (each for each in windows.opened if not any(first <= each.window <= last for first, last in missing))
    return replace(windows, opened=tuple(opened))


def read_heartbeats(items: Iterable[tuple[int, bytes]]) -> Iterator[Heartbeat]:
    """Those of (receipt time in ms, COSE_Sign1) that are heartbeats, in order; signatures are not checked here."""
    for receipt_ms, envelope in items:
        try:
            device, payload, signature, digest = wire.open_sign1(envelope)
            beacon, boot, sequence, *_ = wire.decode_heartbeat(payload)
        except WireError:
            continue
        yield Heartbeat(receipt_ms, device, beacon, boot, sequence, digest, signature)


class SignerKeys:
    """Checks heartbeats' signatures; a device's public key is recovered from its first good one and remembered."""

    def __init__(self) -> None:
        self.keys: dict[bytes, Any] = {}

    def is_signed(self, heartbeat: Heartbeat) -> bool:
        """Tell whether the digest was signed by the key whose address is the heartbeat's device id."""
        key = self.keys.get(heartbeat.device)
        if key is not None:
            return curve.verify(key, heartbeat.digest, heartbeat.signature)
        public_key = curve.recover(heartbeat.signature, heartbeat.digest, heartbeat.device)
        if public_key is not None:
            self.keys[heartbeat.device] = curve.parse_public_key(public_key)
        return public_key is not None


def root_digest(root: Root, chain_id: int, contract: bytes) -> bytes:
    """EIP-712 digest, 32 bytes, that oracles sign for the settlement contract (20 bytes) of one chain."""
    struct = eip712.hash_struct(curve.keccak, ROOT_TYPE, root.epoch, root.root, root.total, root.evidence)
    domain = eip712.hash_domain(curve.keccak, ROOT_NAME, chain_id, contract)
    return bytes(eip712.digest(curve.keccak, domain, struct))


def sign_digest(digest: bytes, key: PrivateKey) -> bytes:
    """65 bytes r | s | v (27 or 28) over a digest of 32 bytes; RFC 6979, so always the same."""
    signature = key.sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


def signer_of(digest: bytes, signature: bytes) -> bytes | None:
    """The address, 20 bytes, that a contract would recover from a signature of 65 bytes; None where it would refuse."""
    if len(signature) != 65 or signature[64] not in (27, 28) or not curve.is_low_s(signature):
        return None
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except ValueError:
        return None
    return curve.address(key.format())


def _verify_digest(folder: Path, epoch: int, wanted: bytes) -> None:
    got = evidence.digest(folder, epoch)
    if got != wanted:
        raise EvidenceError(f"evidence of epoch {epoch}: digest {got.hex()}, the gateway announced {wanted.hex()}")
