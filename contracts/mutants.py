"""`python -m contracts.mutants`: breaks the contracts on purpose, one line each, and wants contracts/test to notice.

Those of tests/test_contract_mutants.py are for the checks that run on the embedded chain; these are for forge's.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from contracts.compile import HERE, CompileError
from contracts.forge import forge

# name: (contract, what stands there once, what stands there instead)
MUTANTS = {
    "a root is in force at once": ("Settlement", "block.timestamp + delay", "block.timestamp"),
    "a root that waits is overwritten": (
        "Settlement",
        "if (block.timestamp < newest.activeAt) revert NotActive(last, newest.activeAt);",
        "",
    ),
    "the newest root pays while it waits": (
        "Settlement",
        "return block.timestamp < newest.activeAt ? before : newest;",
        "return block.timestamp < newest.activeAt ? newest : newest;",
    ),
    "anybody vetoes": ("Settlement", "if (msg.sender != guardian) revert NotGuardian(msg.sender);", ""),
    "a veto of another epoch": (
        "Settlement",
        "if (epoch_ != newest.epoch) revert WrongEpoch(epoch_, newest.epoch);",
        "",
    ),
    "a root in force is vetoed": (
        "Settlement",
        "if (block.timestamp >= newest.activeAt) revert IsActive(epoch_, newest.activeAt);",
        "",
    ),
    "a veto leaves the root": (
        "Settlement",
        "(newest.root, newest.epoch, newest.activeAt, newest.total) = (0, 0, 0, 0);",
        "",
    ),
    "anybody rotates": (
        "Settlement",
        "_checkQuorum(keccak256(abi.encode(ORACLES, number, members, threshold_)), signatures);",
        "",
    ),
    "a rotation is played again": ("Settlement", "uint256 number = oraclesNumber + 1;", "uint256 number = 2;"),
    "two quorums apart": ("Settlement", "|| 2 * threshold_ <= count", ""),
    "a threshold that nobody reaches": ("Settlement", "threshold_ > count || ", ""),
    "nobody is an oracle": ("Settlement", "oracles[i] == address(0) || ", ""),
    "an oracle is named twice": ("Settlement", " || _isOracle[number][oracles[i]]", ""),
    "old oracles stay": ("Settlement", "_isOracle[oraclesNumber];", "_isOracle[1];"),
    "minted is not counted": ("Settlement", "minted = all;", ""),
    "double pay": ("Settlement", "uint256 amount = cumulative - paid;", "uint256 amount = cumulative;"),
    "a release does not cool down": ("Devices", "place.releasedAt :", "0 :"),
    "a transfer does not cool down": ("Devices", ": deeds.movedAt(place.deed)", ": 0"),
    "a transfer is not dated": ("NodeDeed", "_deeds[deed].movedAt = uint64(block.timestamp);", ""),
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
        CompileError: as contracts.forge.forge, or the mutant does not compile, or does not fit the source any more.
    """
    contract, good, bad = MUTANTS[name]
    path = f"src/{contract}.sol"
    text = (HERE / path).read_text()
    if text.count(good) != 1:
        raise CompileError(f"{name}: {path} has {text.count(good)} places, wanted one")
    for part in ("SettlementTest", "InvariantsTest"):
        done = forge("--match-contract", part, changed={path: text.replace(good, bad)})
        if "Compiler run failed" in done.stdout + done.stderr:
            raise CompileError(f"{name}: {done.stdout}{done.stderr}")
        if done.returncode:
            return True
    return False


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CompileError as error:
        sys.exit(f"contracts.mutants: {error}")
