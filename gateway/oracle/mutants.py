"""`python -m gateway.oracle.mutants`: breaks the oracles' agreement on purpose, one place each; the tests must notice.

Each mutant is a copy of the tree whose gateway/oracle/ has one line changed; the tests of traces, schedules and
exhaustive search run in it.
"""

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = [
    f"tests/oracle/test_{name}.py" for name in ("oracle_exploration", "consensus", "oracle_simulator", "oracle_bundles")
]

# name: (file, what stands there once, what stands there instead)
MUTANTS = {
    "two quorums share no honest oracle": ("statements", "(count + faults_of(count)) // 2 + 1", "faults_of(count) + 1"),
    "a bundle that only liars hold": ("statements", "if len(views[bundle]) > faults:", "if views[bundle]:"),
    "who closes early leaves others out": (
        "consensus",
        "if work.since_ms is None and bundle.gateway == self._first:",
        "if work.since_ms is None:",
    ),
    "windows that nobody saw committed": (
        "statements",
        "replace(bundle, missing=_missing(views[bundle], faults))",
        "bundle",
    ),
    "a set with gaps is called whole": ("statements", " and not bundles[0].missing:", ":"),
    "a lock holds nobody": ("rules", "place.locked_turn <= lock_turn or ", "True or "),
    "a lock holds for ever": ("rules", "place.locked_turn <= lock_turn or ", "place.locked_turn < 0 or "),
    "a precommit locks nothing": ("rules", "step=PRECOMMIT, locked_turn=place.turn, locked=value", "step=PRECOMMIT"),
    "always the same leader": ("rules", "(epoch + turn) % count", "epoch % count"),
    "votes of one sender count as often as it says": ("ballots", "len(senders & set(self.oracles))", "len(votes)"),
    "strangers vote": ("ballots", "len(senders & set(self.oracles))", "len(senders)"),
    "a set of a few": ("ballots", "len(senders) < self.quorum or ", ""),
    "one Held counts twice": ("ballots", "len(senders) != len(held) or ", ""),
    "anybody leads": ("ballots", "if said.sender != self.leader(proposal.turn):", "if said.sender == b'':"),
    "a lock of a later turn": ("ballots", "return lock_turn < proposal.turn and ", "return "),
    "one oracle drags all ahead": (
        "ballots",
        "return reached[self.faulty] if len(reached)",
        "return reached[0] if len(reached)",
    ),
    "votes are kept for every turn": ("ballots", "return self.now <= turn <= self.now + 1", "return self.now <= turn"),
    "equivocation is not recorded": ("ballots", "self.faults.setdefault(said.sender, (first, said))", ""),
    "a vote for what is not here": (
        "agreement",
        "if turn.proven and self._has(turn.proven.bundles) else",
        "if turn.proven else",
    ),
    "a leader forgets the lock": (
        "agreement",
        "if isinstance(lock, Proposal):",
        "if lock is None and isinstance(lock, Proposal):",
    ),
    "nothing is said again": ("agreement", "self._out = self._out or list(self._own.values())", ""),
    "a decision is not shown": (
        "agreement",
        "if self._decision is not None and now_ms",
        "if self._decision is None and now_ms",
    ),
    "a decision without a look at it": (
        "agreement",
        "self.ballots.proven_by(decision)",
        "self.ballots.prove(decision.held)",
    ),
    "no step is ever given up": ("agreement", "self._give_up(now_ms)\n        self._act", "pass\n        self._act"),
    "votes are not persisted": ("consensus", "if agreement.memory != work.choice.memory:", "if agreement is None:"),
    "a vote is out before it is durable": (
        "consensus",
        "effects.append(Persist(work.choice))\n        effects += [Publish(said) for said in out]",
        "effects += [Publish(said) for said in out] + [Persist(work.choice)]\n            out = []",
    ),
    "a signature is not persisted": (
        "consensus",
        "return [Persist(work.choice), Publish(said), ",
        "return [Publish(said), ",
    ),
    "any root is signed": (
        "consensus",
        ' or root.evidence != evidence_of(decided.bundles):\n            return [Reject(self.me, "not asked for")]',
        ':\n            return [Reject(self.me, "not asked for")]',
    ),
    "a second root is signed": (
        "consensus",
        'if work.choice.signature is not None:\n            return [Reject(self.me, "signed before")]',
        "",
    ),
    "stale evidence counts": (
        "consensus",
        "if decided is not None and message.root.evidence",
        "if decided is None and message.root.evidence",
    ),
    "the last close counts": ("consensus", "if known is None:", "if known is None or known.message != message:"),
    "epochs without end are kept": (
        "consensus",
        "if message.epoch > self.settled + MAX_OPEN:",
        "if message.epoch < 0:",
    ),
    "strangers are heard": ("consensus", "if said.sender not in self.oracles:", 'if said.sender == b"":'),
    "one signature too few": ("quorum", "len(same) == self.threshold", "len(same) == self.threshold - 1"),
    "a signature is not checked": (
        "quorum",
        "if self.signer_of(message.root, message.signature) != sender:",
        'if sender == b"":',
    ),
}


def main() -> int:
    """Print what each mutant came to; 1 if one was not noticed."""
    with ThreadPoolExecutor(2) as pool:
        killed = dict(zip(MUTANTS, pool.map(is_killed, MUTANTS), strict=True))
    for name, was_killed in killed.items():
        print(f"{'killed' if was_killed else 'SURVIVED':<10}{name}")
    return 0 if all(killed.values()) else 1


def is_killed(name: str) -> bool:
    """Whether a test fails on the mutant.

    Raises:
        ValueError: the mutant does not fit the source any more.
    """
    file, good, bad = MUTANTS[name]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for path in ROOT.iterdir():
            if path.name not in ("gateway", ".git", ".venv", ".cache"):
                (copy / path.name).symlink_to(path)
        shutil.copytree(ROOT / "gateway", copy / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
        source = copy / "gateway" / "oracle" / f"{file}.py"
        text = source.read_text()
        if text.count(good) != 1:
            raise ValueError(f"{name}: {source.name} has {text.count(good)} places, wanted one")
        source.write_text(text.replace(good, bad))
        options = ["-q", "-x", "-p", "no:cacheprovider", "--no-header"]
        command = [sys.executable, "-m", "pytest", *options, *TESTS]
        return subprocess.run(command, cwd=copy, capture_output=True, check=False).returncode == 1


if __name__ == "__main__":
    sys.exit(main())
