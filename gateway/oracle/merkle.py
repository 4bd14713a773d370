"""The Merkle tree of an epoch's rewards, as contracts/src/Settlement.sol checks it. Any list of leaves has a root.

A leaf is keccak256(keccak256(abi.encode(uint256 deed, uint256 cumulative))), hashed twice so that no inner node can
pass for one. A node is keccak256 of its two children, the smaller first. The tree is a complete binary tree in an array
(root at 0, children of i at 2i + 1 and 2i + 2), the leaves from its end backwards in the order given. No leaves: the
root is 32 zero bytes, which nothing proves. One leaf: it is the root, its proof is empty.
Source: OpenZeppelin merkle-tree 1.0, StandardMerkleTree with sortLeaves false.
"""

from collections.abc import Sequence

from gateway.curve import keccak

EMPTY_ROOT = bytes(32)


def leaf(deed: int, cumulative_wei: int) -> bytes:
    """32 bytes. Raises OverflowError outside 0..2**256 - 1."""
    return keccak(keccak(deed.to_bytes(32, "big") + cumulative_wei.to_bytes(32, "big")))


def root(leaves: Sequence[bytes]) -> bytes:
    """32 bytes; EMPTY_ROOT of no leaves."""
    return _tree(leaves)[0] if leaves else EMPTY_ROOT


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings from leaf `index` up to the root. Raises IndexError if there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    return _siblings(_tree(leaves), index)


def proofs(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The proof of each leaf, from one tree."""
    tree = _tree(leaves) if leaves else []
    return [_siblings(tree, index) for index in range(len(leaves))]


def is_proved(root_: bytes, leaf_: bytes, siblings: Sequence[bytes]) -> bool:
    """Whether `siblings` lead from `leaf_` to `root_`, as the contract decides it."""
    node = leaf_
    for sibling in siblings:
        node = _parent(node, sibling)
    return node == root_


def _tree(leaves: Sequence[bytes]) -> list[bytes]:
    inner = len(leaves) - 1
    tree = [b""] * inner + list(reversed(leaves))
    for i in range(inner - 1, -1, -1):
        tree[i] = _parent(tree[2 * i + 1], tree[2 * i + 2])
    return tree


def _siblings(tree: list[bytes], index: int) -> list[bytes]:
    place, found = len(tree) - 1 - index, []
    while place:
        found.append(tree[place + 1 if place % 2 else place - 1])
        place = (place - 1) // 2
    return found


def _parent(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)
