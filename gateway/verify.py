"""Scores an epoch a second time from its evidence alone; refuses to take anything from the gateway's own scorer.

`tinyren verify SITE --epoch N` is this file. It shares no code with what it checks: evidence is read with cbor2, keys
are recovered with coincurve, and the rules are written out again. A damaged or hostile file never stops it: what cannot
be read counts for nobody and is named as a finding.

Rules (DESIGN.md D6, D8, D9; device/agent/WIRE.md):
1. The beacon of a window is epoch u32 | window u16 | the first 8 bytes of SHA-256("tinyren beacon" | block hash |
   epoch | window). A window whose block hash is not the chain's, or whose beacon is not this one, counts for nobody.
2. A heartbeat is a deterministic COSE_Sign1 with a low-S ES256K signature from which its kid is recovered. It counts
   for the window of its beacon when opened_ms <= receipt < opened_ms + window_ms, its device is bound at the close
   block, and its (boot, sequence) is greater than that of the device's last good signature in file order.
3. availability = floor(255 * windows answered / K); K is the windows an epoch has, opened or not.
4. A deed of S slots earns floor(EPOCH_REWARD_WEI * sum of its devices' availabilities / (255 * S)), added to its leaf.
5. Leaves keccak(keccak(abi.encode(deed, cumulative))) by ascending deed, in OpenZeppelin's tree with sorted pairs.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from textwrap import wrap

from gateway.verify_read import (
    ChainReader,
    Findings,
    Heartbeat,
    Refused,
    Windows,
    checksum,
    is_reveal,
    keccak,
    read_heartbeat,
    read_sequence,
    read_windows,
)

EPOCH_REWARD_WEI = 1_458_508_188_386_985_115
FULL = 255
Leaves = dict[int, int]


@dataclass(frozen=True)
class Result:
    """The verdict on one epoch. Ids are EIP-55 text, digests 0x hex, leaves wei, `evidence` that of EIP-712's Root."""

    epoch: int
    ok: bool
    root: str | None
    chain_root: str | None
    evidence: str | None
    availability: dict[str, int]
    leaves: dict[int, int]
    windows: int
    windows_opened: int
    heartbeats: int
    counted: int
    recomputed: tuple[int, ...]
    findings: tuple[str, ...]
    findings_left_off: int

    @property
    def exit_code(self) -> int:
        """0 when the chain holds this root for this evidence, else 8."""
        return 0 if self.ok else 8


@dataclass
class _Score:
    windows: Windows
    leaves: Leaves
    availability: dict[bytes, int] = field(default_factory=dict)
    heartbeats: int = 0
    counted: int = 0
    root: bytes | None = None


def verify_epoch(site: Path, epoch: int, chain: ChainReader, *, from_settlement: bool = False) -> Result:
    """Recompute an epoch and compare its root with the chain's.

    Args:
        site: the site's folder; read only.
        epoch: the epoch's number.
        from_settlement: take the leaves before it from settlement/epoch-(N-1).json, if they hash to the chain's root,
            instead of recomputing every earlier epoch from its evidence.
    Raises:
        ValueError: the epoch is no u32. Beyond that only what `chain` raises.
    """
    if not 0 <= epoch < 2**32:
        raise ValueError(f"epoch is {epoch}, wanted 0 to {2**32 - 1}")
    findings = Findings()
    leaves: Leaves = {}
    earlier: list[int] = []
    if from_settlement:
        leaves = _settled_leaves(site, epoch - 1, chain, findings)
    else:
        earlier = _earlier_epochs(site, epoch, findings)
    for number in earlier:
        score = _score(site, number, leaves, chain, findings)
        leaves = score.leaves
        if score.root is not None and score.root != (held := chain.root(number)):
            findings.add(f"epoch {number}: root is {_hex(score.root)}, the chain holds {_hex(held) or 'none'}")
    score = _score(site, epoch, leaves, chain, findings)
    held, evidence, attested = chain.root(epoch), _evidence_digest(site, epoch), _hex(chain.evidence(epoch))
    if held is None:
        findings.add(f"epoch {epoch}: the chain holds no root")
    if attested not in (None, evidence):
        findings.add(f"epoch {epoch}: the evidence here is {evidence or 'unreadable'}, the oracles signed {attested}")
    return Result(
        epoch=epoch,
        ok=score.root is not None and score.root == held and attested in (None, evidence),
        root=_hex(score.root),
        chain_root=_hex(held),
        evidence=evidence,
        availability={checksum(device): value for device, value in sorted(score.availability.items())},
        leaves=score.leaves,
        windows=score.windows.total,
        windows_opened=len(score.windows.opened),
        heartbeats=score.heartbeats,
        counted=score.counted,
        recomputed=(*earlier, epoch),
        findings=tuple(findings.texts),
        findings_left_off=findings.left_off,
    )


def report(result: Result) -> str:
    """The verdict for a terminal of 80 columns."""
    lines = [
        f"epoch {result.epoch}: {result.windows_opened} of {result.windows} windows opened, "
        f"{result.heartbeats} heartbeats read, {result.counted} counted",
        f"recomputed from evidence: epochs {result.recomputed[0]} to {result.recomputed[-1]}",
        "",
        "device                                      availability",
        *(f"{device}  {value:>3}  {'#' * (value // 15)}".rstrip() for device, value in result.availability.items()),
        "",
        "deed    earned in all, R1",
        *(f"{deed:<6}  {wei // 10**18}.{wei % 10**18:018}" for deed, wei in result.leaves.items()),
        "",
        f"computed  {result.root or 'none'}",
        f"on chain  {result.chain_root or 'none'}",
    ]
    if result.findings:
        lines += ["", f"findings: {len(result.findings) + result.findings_left_off}"]
        for text in result.findings:
            lines += wrap(text, 80, initial_indent="- ", subsequent_indent="  ")
    if result.findings_left_off:
        lines.append(f"- and {result.findings_left_off} more")
    verdict = "OK the chain holds this root" if result.ok else "MISMATCH the chain holds another root or evidence"
    return "\n".join([*lines, "", f"RESULT: {verdict}, epoch={result.epoch}"])


def as_json(result: Result) -> str:
    """The verdict as one JSON object; amounts are decimal strings of wei."""
    return json.dumps({**asdict(result), "leaves": [[deed, str(wei)] for deed, wei in result.leaves.items()]})


def merkle_root(leaves: Mapping[int, int]) -> bytes:
    """OpenZeppelin's root over (uint256 deed, uint256 cumulative), deeds ascending; 32 zero bytes for no leaves."""
    if not leaves:
        return bytes(32)
    encoded = [deed.to_bytes(32, "big") + wei.to_bytes(32, "big") for deed, wei in sorted(leaves.items())]
    nodes = [b""] * (len(encoded) - 1) + [keccak(keccak(leaf)) for leaf in reversed(encoded)]
    for index in range(len(encoded) - 2, -1, -1):
        nodes[index] = keccak(b"".join(sorted(nodes[2 * index + 1 : 2 * index + 3])))
    return nodes[0]


def _score(site: Path, epoch: int, before: Leaves, chain: ChainReader, findings: Findings) -> _Score:
    windows = read_windows(_paths(site, epoch)[1], epoch, chain, findings)
    score = _Score(windows, before)
    if windows.block is None:
        findings.add(f"epoch {epoch}: it is not closed, so it has no root")
        return score
    bindings = chain.bindings(windows.block)
    bound = {bytes(device) for _, _, devices in bindings.values() for device in devices}
    answered = _count_answers(site, epoch, windows, bound, score, findings)
    score.availability = {device: FULL * answered[device] // windows.total for device in bound}
    leaves = dict.fromkeys(before.keys() | bindings.keys(), 0) | before
    for deed, (_, slots, devices) in bindings.items():
        total = sum(score.availability[bytes(device)] for device in devices)
        leaves[deed] += EPOCH_REWARD_WEI * total // (FULL * slots) if slots else 0
    score.leaves = dict(sorted(leaves.items()))
    score.root = merkle_root(score.leaves)
    return score


def _count_answers(
    site: Path, epoch: int, windows: Windows, bound: set[bytes], score: _Score, findings: Findings
) -> Counter[bytes]:
    """The number of windows that each bound device answered."""
    last: dict[bytes, tuple[int, int]] = {}
    answers: set[tuple[bytes, int]] = set()
    unbound: Counter[bytes] = Counter()
    for number, item in enumerate(read_sequence(_paths(site, epoch)[0], findings), 1):
        score.heartbeats += 1
        try:
            heartbeat = read_heartbeat(item)
            device, position = heartbeat.device, heartbeat.position
            if position <= last.get(device, (-1, -1)):
                raise Refused(f"(boot, sequence) is {position}, the last of its device was {last[device]}")
            last[device] = position
            if device not in bound:
                unbound[device] += 1
                continue
            answers.add((device, _find_window(heartbeat, epoch, windows)))
            score.counted += 1
        except Refused as refused:
            if is_reveal(item):
                score.heartbeats -= 1
                continue
            findings.add(f"epoch {epoch} heartbeat {number}: {refused}")
    for device, count in sorted(unbound.items()):
        findings.add(f"epoch {epoch}: {checksum(device)} is bound to no deed; heartbeats that do not count: {count}")
    return Counter(device for device, _ in answers)


def _find_window(heartbeat: Heartbeat, epoch: int, windows: Windows) -> int:
    of_epoch, window = int.from_bytes(heartbeat.beacon[:4], "big"), int.from_bytes(heartbeat.beacon[4:6], "big")
    if of_epoch != epoch:
        raise Refused(f"beacon is of epoch {of_epoch}")
    if window not in windows.opened:
        raise Refused(f"beacon is of window {window}, which was not opened")
    beacon, opened_ms = windows.opened[window]
    if heartbeat.beacon != beacon:
        raise Refused(f"beacon is not window {window}'s")
    late_ms = heartbeat.receipt_ms - opened_ms
    if not 0 <= late_ms < windows.window_ms:
        raise Refused(f"received {late_ms} ms after window {window} opened, wanted 0 to {windows.window_ms - 1}")
    return window


def _settled_leaves(site: Path, epoch: int, chain: ChainReader, findings: Findings) -> Leaves:
    held = chain.root(epoch)
    try:
        text = json.loads((site / "settlement" / f"epoch-{epoch}.json").read_text())
        leaves = {int(deed): int(wei) for deed, wei in text["leaves"]}
        if merkle_root(leaves) == held:
            return leaves
        findings.add(f"epoch {epoch}: the leaves of its settlement file do not hash to the chain's root")
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        findings.add(f"epoch {epoch}: it has no settlement file that can be read")
    return {}


def _earlier_epochs(site: Path, epoch: int, findings: Findings) -> list[int]:
    """The epochs before this one that left evidence, ascending; an epoch without any earned nobody anything."""
    paths = (site / "evidence").glob("epoch-*.cborseq")
    names = (re.fullmatch(r"epoch-(0|[1-9][0-9]{0,9})\.cborseq", path.name) for path in paths)
    earlier = sorted(number for name in names if name and (number := int(name[1])) < epoch)
    for number, following in pairwise([*earlier, epoch]):
        if following > number + 1:
            findings.add(f"after epoch {number} there is no evidence before epoch {following}")
    return earlier


def _evidence_digest(site: Path, epoch: int) -> str | None:
    try:
        digests = []
        for path in _paths(site, epoch):
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return None
    return _hex(hashlib.sha256(b"".join(digests)).digest())


def _paths(site: Path, epoch: int) -> tuple[Path, Path]:
    """Where an epoch's heartbeats and its windows are."""
    return site / "evidence" / f"epoch-{epoch}.cborseq", site / "evidence" / f"epoch-{epoch}.windows.cborseq"


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else "0x" + digest.hex()
