"""`python -m contracts.mutants`: breaks the contracts on purpose, one line each, and wants contracts/test to notice.

Those of tests/contracts/test_contract_mutants.py are for the checks that run on the embedded chain; these are for
forge's. The list is contracts/mutants.json: name -> [contract, what stands there once, what stands there instead].
Words behind the command take only the mutants whose contract or name has them all.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from contracts.compile import HERE, CompileError
from contracts.forge import project

MUTANTS: dict[str, tuple[str, str, str]] = {
    name: tuple(mutant) for name, mutant in json.loads((HERE / "mutants.json").read_text()).items()
}
# Where a contract's mutants are looked for, the quick ones first.
TESTS = {
    "Settlement": ("Settlement", "Accounts", "Invariants"),
    "Devices": ("Settlement", "Invariants"),
    "NodeDeed": ("Settlement", "Invariants"),
    "Escrow": ("Escrow", "EscrowMany", "EscrowInvariants"),
    "Sale": ("Sale",),
    "MasterDeed": ("Sale",),
    "R1": ("R1",),
    "Council": ("Council",),
    "Votes": ("Council",),
}


def main() -> int:
    """Print what each mutant came to; 1 if one was not noticed, 2 if none was chosen."""
    chosen = [name for name in MUTANTS if all(word in f"{MUTANTS[name][0]}: {name}" for word in sys.argv[1:])]
    if not chosen:
        print(f"no mutant has {' and '.join(sys.argv[1:])} in its contract or name; see mutants.json")
        return 2
    survived = 0
    with ThreadPoolExecutor(2) as pool:
        for name, was_killed in zip(chosen, pool.map(is_killed, chosen), strict=True):
            survived += not was_killed
            print(f"{'killed' if was_killed else 'SURVIVED':<10}{name}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} killed")
    return 1 if survived else 0


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
    tests = [f"test/{part}.t.sol" for part in TESTS[contract]]
    with project({path: text.replace(good, bad)}, tests) as run:
        for test in tests:
            done = run(["forge", "test", "--optimize", "false", "--match-path", test])  # compiles in half the time
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
