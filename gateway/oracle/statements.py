"""What gateways and oracles state about an epoch: values without behaviour, but for the digest that names them.

Who may state what is decided where a statement is received; how one travels is in messages.py.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from device.agent import cbor

Kind = Literal["prevote", "precommit"]
NOTHING = b""
"""The value of a vote for no evidence in this turn."""


@dataclass(frozen=True)
class Root:
    """What is signed, as the EIP-712 struct of the same name: root and evidence 32 bytes each, total in wei."""

    epoch: int
    root: bytes
    total: int
    evidence: bytes


@dataclass(frozen=True)
class Opened:
    """The word of a site's own gateway that it opened window `window` of `count`, of window_ms each, by this block.

    Its further gateways open theirs with it, so that a device has one beacon wherever it is heard.
    """

    epoch: int
    window: int
    count: int
    window_ms: int
    block: int


@dataclass(frozen=True)
class Commitment:
    """A gateway's word, in the next window, of what its evidence was when `window` was over.

    digest: 32 bytes, as evidence.digest, of the first so many bytes of the two files.
    """

    epoch: int
    window: int
    heartbeats_bytes: int
    windows_bytes: int
    digest: bytes


@dataclass(frozen=True)
class Close:
    """A gateway's word that an epoch is over: digest of its evidence, the block at which bindings are read.

    cid: where in R1FS the bundle lies, CIDv1 text; empty where the oracles read the gateway's own folder.
    """

    epoch: int
    evidence: bytes
    block: int
    cid: str = ""


@dataclass(frozen=True, order=True)
class Bundle:
    """One gateway's evidence of an epoch: gateway 20 bytes, the rest as in its Close.

    missing: (first, last) of windows that count for nobody, ascending, apart: not committed in time, or by a block that
        a reorg took.
    """

    gateway: bytes
    digest: bytes
    block: int
    cid: str = ""
    missing: tuple[tuple[int, int], ...] = ()

    def whole(self) -> "Bundle":
        """The same bundle, whoever judged its windows."""
        return replace(self, missing=()) if self.missing else self


@dataclass(frozen=True)
class Held:
    """An oracle holds these bundles, verified, at most one a gateway; `missing` is what it did not see committed."""

    epoch: int
    bundles: tuple[Bundle, ...]


@dataclass(frozen=True)
class Vote:
    """A vote in one turn; value: digest of 32 bytes of a set of evidence, or NOTHING."""

    epoch: int
    turn: int
    kind: Kind
    value: bytes


@dataclass(frozen=True)
class Said:
    """A statement and who signed it, 20 bytes; `payload` is what was published, to be shown to others."""

    sender: bytes
    message: "Message"
    payload: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True)
class Proposal:
    """The leader's: a quorum of Held, from which the set of evidence follows, and the lock that it carries on.

    lock_turn: -1, or an earlier turn in which a quorum of `votes` (prevotes) was for the same set.
    """

    epoch: int
    turn: int
    held: tuple[Said, ...]
    lock_turn: int = -1
    votes: tuple[Said, ...] = ()


@dataclass(frozen=True)
class Decision:
    """A quorum of precommits for the set that follows from `held`: proof for everybody, however late."""

    epoch: int
    turn: int
    held: tuple[Said, ...]
    votes: tuple[Said, ...]


@dataclass(frozen=True)
class Signature:
    """One oracle's signature, 65 bytes r | s | v, over the EIP-712 digest of `root`."""

    root: Root
    signature: bytes


Message = Opened | Commitment | Close | Held | Vote | Proposal | Decision | Signature


def faults_of(count: int) -> int:
    """f: how many of n oracles may lie in every way; n >= 3f + 1."""
    return (count - 1) // 3


def quorum_of(count: int) -> int:
    """How many make any two groups share an honest oracle: more than (n + f) / 2; 2f + 1 where n = 3f + 1."""
    return (count + faults_of(count)) // 2 + 1


def set_of(held: Iterable[Said], faults: int) -> tuple[Bundle, ...]:
    """The set of evidence that follows from Held statements of different oracles, the same for whoever computes it.

    A bundle is in it if more than `faults` hold it: one of them is honest, so it can be had; and what every honest
    oracle holds is in any quorum's set. Of one gateway's bundles the most held, then the one of the lowest digest. A
    window is missing unless more than `faults` of its holders saw it committed.
    """
    views: dict[Bundle, list[Bundle]] = {}
    for said in held:
        if isinstance(said.message, Held):
            for view in said.message.bundles:
                views.setdefault(view.whole(), []).append(view)
    chosen: dict[bytes, Bundle] = {}
    for bundle in sorted(views, key=lambda bundle: (-len(views[bundle]), bundle)):
        if len(views[bundle]) > faults:
            chosen.setdefault(bundle.gateway, replace(bundle, missing=_missing(views[bundle], faults)))
    return tuple(sorted(chosen.values()))


def encode_set(bundles: tuple[Bundle, ...]) -> bytes:
    """A set of evidence in deterministic CBOR: [[gateway, digest, block, cid, [[first, last], ...]], ...]."""
    items = [
        [bundle.gateway, bundle.digest, bundle.block, bundle.cid, [list(gap) for gap in bundle.missing]]
        for bundle in bundles
    ]
    return bytes(cbor.encode(items))


def digest_of(bundles: tuple[Bundle, ...]) -> bytes:
    """SHA-256 of a set of evidence as `encode_set` gives it, 32 bytes; NOTHING of none."""
    return hashlib.sha256(encode_set(bundles)).digest() if bundles else NOTHING


def evidence_of(bundles: tuple[Bundle, ...]) -> bytes:
    """What the root commits to: one gateway's whole bundle by its own digest, anything else by the set's."""
    if len(bundles) == 1 and not bundles[0].missing:
        return bundles[0].digest
    return digest_of(bundles)


def _missing(views: list[Bundle], faults: int) -> tuple[tuple[int, int], ...]:
    """Windows that fewer than faults + 1 of the views saw committed, as ranges."""
    changes: Counter[int] = Counter()
    for view in views:
        for first, last in view.missing:
            changes[first] += 1
            changes[last + 1] -= 1
    gaps: list[tuple[int, int]] = []
    depth, start = 0, None
    for place in sorted(changes):
        depth += changes[place]
        if start is None and depth >= len(views) - faults:
            start = place
        elif start is not None and depth < len(views) - faults:
            gaps.append((start, place - 1))
            start = None
    return tuple(gaps)
