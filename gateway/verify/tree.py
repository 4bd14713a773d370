"""The leaves of the second scorer (verify.py) and the root over them; shares no code with the first scorer.

A root stands over up to three trees: of deeds, of accounts, of work. Each is OpenZeppelin's with sorted pairs, its
leaves ascending by key and hashed twice:
    deed     abi.encode(deed, wei)
    account  abi.encode(keccak("tinyren account"), owner, wei)
    work     abi.encode(keccak("tinyren work"), escrow, job, deed, units)
The roots of those that are not empty are, in this order, the leaves of one more tree, whose root is signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.verify.read import keccak

Work = tuple[bytes, int, int]
"""(escrow of 20 bytes, job, deed)"""


@dataclass(frozen=True)
class Leaves:
    """All that was earned since the first epoch: wei by deed, wei by owner (20 bytes), units by Work."""

    deeds: Mapping[int, int] = field(default_factory=dict)
    accounts: Mapping[bytes, int] = field(default_factory=dict)
    work: Mapping[Work, int] = field(default_factory=dict)


def read_leaves(text: Mapping[str, object]) -> Leaves:
    """The leaves in a settlement file; raises ValueError, TypeError, KeyError, AttributeError or OverflowError."""
    deeds, accounts, work = text["leaves"], text.get("accounts", []), text.get("work", [])
    if not (isinstance(deeds, list) and isinstance(accounts, list) and isinstance(work, list)):
        raise TypeError("leaves, accounts and work are lists")
    return Leaves(
        {int(deed): int(wei) for deed, wei in deeds},
        {bytes.fromhex(owner[2:]): int(wei) for owner, wei in accounts},
        {(bytes.fromhex(escrow[2:]), int(job), int(deed)): int(units) for escrow, job, deed, units in work},
    )


def root_of(leaves: Leaves) -> bytes:
    """32 bytes; zeros for no leaves."""
    account, work = keccak(b"tinyren account"), keccak(b"tinyren work")
    trees = [
        [_words(deed, wei) for deed, wei in sorted(leaves.deeds.items())],
        [account + _words(owner, wei) for owner, wei in sorted(leaves.accounts.items())],
        [work + _words(*key, units) for key, units in sorted(leaves.work.items())],
    ]
    return _tree([_tree([keccak(keccak(leaf)) for leaf in tree]) for tree in trees if tree])


def _words(*values: int | bytes) -> bytes:
    raw = (value if isinstance(value, bytes) else value.to_bytes(32, "big") for value in values)
    return b"".join(value.rjust(32, b"\0") for value in raw)


def _tree(leaves: list[bytes]) -> bytes:
    """The root over hashed leaves in their order."""
    if not leaves:
        return bytes(32)
    nodes = [b""] * (len(leaves) - 1) + leaves[::-1]
    for index in range(len(leaves) - 2, -1, -1):
        nodes[index] = keccak(b"".join(sorted(nodes[2 * index + 1 : 2 * index + 3])))
    return nodes[0]
