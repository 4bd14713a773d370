"""The verdict on one closed epoch, from its evidence and what the chain says; asks nobody and stores nothing.

    evidence/epoch-N.* + bindings at the close block + leaves before ─▶ Verdict ─▶ EIP-712 Root ─▶ signature

A verdict is a pure function of its inputs: two oracles that read the same bytes reach the same root. A heartbeat that
cannot be decoded counts for nobody; damaged files, or windows that contradict themselves, are no evidence at all.

Source: the files are those of gateway/evidence.py; Root is the struct that contracts/src/Settlement.sol verifies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coincurve import PrivateKey, PublicKey

from device.agent import eip712, wire
from device.agent.errors import WireError
from gateway import curve, evidence
from gateway.oracle import availability, merkle, rewards
from gateway.oracle.availability import EvidenceError, Heartbeat, Windows
from gateway.oracle.rewards import Deed, Leaves
from gateway.oracle.statements import Root

ROOT_TYPE = b"Root(uint256 epoch,bytes32 root,uint256 total,bytes32 evidence)"
ROOT_NAME = b"tinyren Settlement"


@dataclass(frozen=True)
class Verdict:
    """What an epoch comes to. root, evidence: 32 bytes; total, minted: wei, minted being what this epoch added."""

    epoch: int
    availability: Mapping[bytes, int]
    leaves: Leaves
    root: bytes
    total: int
    evidence: bytes
    minted: int

    def attested(self) -> Root:
        """What oracles sign of it."""
        return Root(self.epoch, self.root, self.total, self.evidence)


def verdict(
    folder: Path,
    epoch: int,
    wanted: bytes,
    deeds: Callable[[Windows], Mapping[int, Deed]],
    previous: Leaves,
) -> Verdict:
    """Score an epoch.

    Args:
        folder: of the evidence; heartbeats are read as a stream.
        wanted: the digest (32 bytes) that the evidence must have, before and after it is scored.
        deeds: given the windows, the deeds and their devices at the close block; it raises EvidenceError where the
            chain contradicts the windows.
        previous: the leaves that are settled.
    Raises:
        EvidenceError: the evidence is other, damaged, open or contradicts itself.
        OSError: a file cannot be read.
    """
    return verdict_of([Source(folder, wanted)], epoch, wanted, deeds, previous)


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
    deeds: Callable[[Windows], Mapping[int, Deed]],
    previous: Leaves,
) -> Verdict:
    """Score an epoch that several gateways heard; as `verdict`, which is the case of one.

    Args:
        attested: 32 bytes that name the evidence in the root (statements.evidence_of).
        deeds: asked with the windows of the gateway whose close block is the lower median of theirs.
    """
    for source in sources:
        _verify_digest(source.folder, epoch, source.digest)
    try:
        windows = [_windows_that_count(source, epoch) for source in sources]
        bound = deeds(sorted(windows, key=lambda each: each.block)[(len(windows) - 1) // 2])
        devices = [device for deed in bound.values() for device in deed.devices]
        heartbeats = [
            read_heartbeats(evidence.read(evidence.heartbeats_path(source.folder, epoch))) for source in sources
        ]
        is_signed = SignerKeys().is_signed
        if len(sources) == 1:
            scores = availability.score(windows[0], heartbeats[0], is_signed, devices)
        else:
            scores = availability.score_union(zip(windows, heartbeats, strict=True), is_signed, devices)
    except evidence.EvidenceDamaged as error:
        raise EvidenceError(str(error)) from error
    for source in sources:
        _verify_digest(source.folder, epoch, source.digest)
    leaves = rewards.next_leaves(previous, bound, scores)
    total = rewards.total(leaves)
    return Verdict(
        epoch=epoch,
        availability=scores,
        leaves=leaves,
        root=root_of(leaves),
        total=total,
        evidence=attested,
        minted=total - rewards.total(previous),
    )


def root_of(leaves: Leaves) -> bytes:
    """Merkle root, 32 bytes; zeros of no leaves."""
    return merkle.root([merkle.leaf(deed, amount) for deed, amount in leaves])


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


def _windows_that_count(source: Source, epoch: int) -> Windows:
    windows = read_windows(source.folder, epoch)
    availability.verify_windows(windows)
    opened = (
        window for window in windows.opened if not any(first <= window.window <= last for first, last in source.missing)
    )
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
