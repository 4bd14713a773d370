"""Scores an epoch a second time from its evidence alone; refuses to take anything from the gateway's own scorer.

`tinyren verify SITE --epoch N` is this file. It shares no code with what it checks: evidence is read with cbor2, keys
are recovered with coincurve, and the rules are written out again (of work, in work.py; of the root, in tree.py). A
damaged or hostile file never stops it: what cannot be read counts for nobody and is named as a finding.

Rules (DESIGN.md D6, D8, D9; device/agent/WIRE.md):
1. The beacon of a window is epoch u32 | window u16 | the first 8 bytes of SHA-256("tinyren beacon" | block hash |
   epoch | window). A window whose block hash is not the chain's, or whose beacon is not this one, counts for nobody.
   One that does not count by the set of evidence may have any hash: a reorg may have taken its block.
2. A heartbeat is a deterministic COSE_Sign1 with a low-S ES256K signature from which its kid is recovered. It counts
   for the window of its beacon when opened_ms <= receipt < opened_ms + window_ms, its device is bound at the close
   block, and its (boot, sequence) is greater than that of the device's last good signature in file order.
3. availability = floor(255 * windows answered / K); K is the windows an epoch has, opened or not.
4. A deed of S slots earns floor(EPOCH_REWARD_WEI * sum of its devices' availabilities / (255 * S)), and nothing, no
   unit of work either, if one of its devices signed what is not so. It is added to its leaf, or to its owner's account
   if the owner is paid so.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from gateway.verify.messages import Heartbeat, is_answer, read_answer, read_heartbeat
from gateway.verify.read import ChainReader, Findings, Refused, Windows, checksum, read_sequence, read_windows
from gateway.verify.sets import Answers, Source, answers_of, find_sources
from gateway.verify.tree import Leaves, read_leaves, root_of
from gateway.verify.work import WorkCheck, share_out

EPOCH_REWARD_WEI = 1_458_508_188_386_985_115
FULL = 255


@dataclass(frozen=True)
class Result:
    """The verdict on one epoch. Ids are EIP-55 text, digests 0x hex, `evidence` that of EIP-712's Root.

    leaves, accounts: wei of each deed and of each owner's account; work: units of each (escrow, job, deed).
    units, frauds: of devices, in this epoch.
    """

    epoch: int
    ok: bool
    root: str | None
    chain_root: str | None
    evidence: str | None
    availability: dict[str, int]
    leaves: dict[int, int]
    accounts: dict[str, int]
    work: tuple[tuple[str, int, int, int], ...]
    units: dict[str, int]
    frauds: tuple[str, ...]
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

    @property
    def total_wei(self) -> int:
        """What must be signed as the root's total."""
        return sum(self.leaves.values()) + sum(self.accounts.values())


@dataclass
class _Score:
    windows: Windows
    leaves: Leaves
    availability: dict[bytes, int] = field(default_factory=dict)
    units: Counter[bytes] = field(default_factory=Counter)
    frauds: set[bytes] = field(default_factory=set)
    heartbeats: int = 0
    counted: int = 0
    root: bytes | None = None
    evidence: str | None = None


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
    leaves = Leaves()
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
    held, evidence, attested = chain.root(epoch), score.evidence, _hex(chain.evidence(epoch))
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
        leaves=dict(score.leaves.deeds),
        accounts={checksum(owner): wei for owner, wei in score.leaves.accounts.items()},
        work=tuple((checksum(escrow), job, deed, n) for (escrow, job, deed), n in score.leaves.work.items()),
        units={checksum(device): units for device, units in sorted(score.units.items())},
        frauds=tuple(map(checksum, sorted(score.frauds))),
        windows=score.windows.total,
        windows_opened=len(score.windows.opened),
        heartbeats=score.heartbeats,
        counted=score.counted,
        recomputed=(*earlier, epoch),
        findings=tuple(findings.texts),
        findings_left_off=findings.left_off,
    )


def _score(site: Path, epoch: int, before: Leaves, chain: ChainReader, findings: Findings) -> _Score:
    sources, evidence = find_sources(site, epoch, chain.evidence(epoch), findings)
    opened = [read_windows(source.windows, epoch, chain, findings, source.counts) for source in sources]
    windows = sorted(opened, key=lambda each: each.block or 0)[len(opened) // 2]
    score = _Score(windows, before, evidence=evidence)
    if windows.block is None or any(each.block is None for each in opened):
        findings.add(f"epoch {epoch}: it is not closed, so it has no root")
        return score
    if len({(each.total, each.window_ms) for each in opened}) != 1:
        findings.add(f"epoch {epoch}: its gateways have other numbers or lengths of windows, so it has no root")
        return score
    bindings = chain.bindings(windows.block)
    bound = {bytes(device) for _, _, devices in bindings.values() for device in devices}
    work = WorkCheck(epoch, chain, findings)
    heard = []
    for source, each in zip(sources, opened, strict=True):
        work.listen(each, only_revealing=len(sources) > 1)
        heard.append(_answers(source, epoch, each, bound, score, work, findings))
    answered = answers_of(heard)
    score.availability = {device: FULL * answered.get(device, 0) // windows.total for device in bound}
    units, score.frauds = work.end()
    for (device, _), count in units.items():
        score.units[device] += count
    score.leaves = _next_leaves(epoch, score, units, chain)
    score.root = root_of(score.leaves)
    return score


def _next_leaves(epoch: int, score: _Score, units: Mapping[tuple[bytes, bytes], int], chain: ChainReader) -> Leaves:
    """The leaves of before, and what the epoch adds; `score` has windows, availability and frauds."""
    block = score.windows.block or 0
    bindings = chain.bindings(block)
    chosen = chain.to_account({owner for owner, _, _ in bindings.values()}, epoch, block) if bindings else ()
    deeds, accounts, work = dict(score.leaves.deeds), dict(score.leaves.accounts), dict(score.leaves.work)
    delivered: Counter[tuple[bytes, int]] = Counter()
    for deed, (owner, slots, devices) in bindings.items():
        is_paid = not score.frauds & set(devices)
        total = sum(score.availability[bytes(device)] for device in devices) if is_paid else 0
        reward = EPOCH_REWARD_WEI * total // (FULL * slots) if slots else 0
        if owner in chosen:
            accounts[owner] = accounts.get(owner, 0) + reward
        else:
            deeds[deed] = deeds.get(deed, 0) + reward
        for (device, model), count in units.items():
            if is_paid and device in devices:
                delivered[model, deed] += count
    jobs = chain.jobs(epoch, bindings.keys(), block) if delivered else ()
    for key, count in share_out(delivered, jobs, work).items():
        work[key] = work.get(key, 0) + count
    return Leaves(dict(sorted(deeds.items())), dict(sorted(accounts.items())), dict(sorted(work.items())))


def _answers(
    source: Source,
    epoch: int,
    windows: Windows,
    bound: set[bytes],
    score: _Score,
    work: WorkCheck,
    findings: Findings,
) -> Answers:
    """What of bound devices answered a window at one gateway; what they worked goes to `work`."""
    last: dict[bytes, tuple[int, int]] = {}
    answers: Answers = {}
    unbound: Counter[bytes] = Counter()
    for number, item in enumerate(read_sequence(source.heartbeats, findings), 1):
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
            window = _find_window(heartbeat, epoch, windows)
            if not source.counts(window):
                raise Refused(f"window {window} was not committed in time, or a reorg took its block")
            answers.setdefault(device, {})[position] = (heartbeat.content, window)
            work.take_heartbeat(heartbeat, window)
            score.counted += 1
        except Refused as refused:
            if not is_answer(item):
                findings.add(f"epoch {epoch} heartbeat {number}: {refused}")
                continue
            score.heartbeats -= 1
            with contextlib.suppress(Refused):  # one that is none is no answer: the challenge was missed
                work.take_answer(read_answer(item))
    for device, count in sorted(unbound.items()):
        findings.add(f"epoch {epoch}: {checksum(device)} is bound to no deed; heartbeats that do not count: {count}")
    return answers


def _find_window(heartbeat: Heartbeat, epoch: int, windows: Windows) -> int:
    of_epoch, window = int.from_bytes(heartbeat.beacon[:4], "big"), int.from_bytes(heartbeat.beacon[4:6], "big")
    if of_epoch != epoch:
        raise Refused(f"beacon is of epoch {of_epoch}")
    if window not in windows.opened:
        raise Refused(f"beacon is of window {window}, which was not opened")
    opened = windows.opened[window]
    if heartbeat.beacon != opened.beacon:
        raise Refused(f"beacon is not window {window}'s")
    late_ms = heartbeat.receipt_ms - opened.opened_ms
    if not 0 <= late_ms < windows.window_ms:
        raise Refused(f"received {late_ms} ms after window {window} opened, wanted 0 to {windows.window_ms - 1}")
    return window


def _settled_leaves(site: Path, epoch: int, chain: ChainReader, findings: Findings) -> Leaves:
    held = chain.root(epoch)
    try:
        text = json.loads((site / "settlement" / f"epoch-{epoch}.json").read_text())
        leaves = read_leaves(text)
        if root_of(leaves) == held:
            return leaves
        findings.add(f"epoch {epoch}: the leaves of its settlement file do not hash to the chain's root")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        findings.add(f"epoch {epoch}: it has no settlement file that can be read")
    return Leaves()


def _earlier_epochs(site: Path, epoch: int, findings: Findings) -> list[int]:
    """The epochs before this one that left evidence, ascending; an epoch without any earned nobody anything."""
    paths = (site / "evidence").glob("epoch-*")
    names = (re.fullmatch(r"epoch-(0|[1-9][0-9]{0,9})\.(cborseq|set\.cbor)", path.name) for path in paths)
    earlier = sorted({number for name in names if name and (number := int(name[1])) < epoch})
    for number, following in pairwise([*earlier, epoch]):
        if following > number + 1:
            findings.add(f"after epoch {number} there is no evidence before epoch {following}")
    return earlier


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else "0x" + digest.hex()
