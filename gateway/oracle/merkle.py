"""Merkle trees of what was earned, as contracts/src verifies them. Any list of leaves has a root.

A leaf is keccak256(keccak256(value)), hashed twice so that no inner node can pass for one; its value is
abi.encode(uint256 deed, uint256 cumulative), or that of ACCOUNT or WORK with its fields behind it. A node is keccak256
of its two children, the smaller first. The tree is a complete binary tree in an array (root at 0, children of i at
2i + 1 and 2i + 2), the leaves from its end backwards in the order given. No leaves: the root is 32 zero bytes, which
nothing proves. One leaf: it is the root, its proof is empty.
Source: OpenZeppelin merkle-tree 1.0, StandardMerkleTree with sortLeaves false, getProof and getMultiProof.
"""

from collections import deque
from collections.abc import Sequence

from gateway.curve import keccak

EMPTY_ROOT = bytes(32)
ACCOUNT = keccak(b"tinyren account")
WORK = keccak(b"tinyren work")


def leaf(deed: int, cumulative_wei: int) -> bytes:
    """What a deed has earned, 32 bytes. Raises OverflowError outside 0..2**256 - 1."""
    return _hashed(_word(deed), _word(cumulative_wei))


def account_leaf(owner: bytes, cumulative_wei: int) -> bytes:
    """What the account `owner` (20 bytes) has earned, 32 bytes. Raises OverflowError as leaf."""
    return _hashed(ACCOUNT, owner.rjust(32, b"\0"), _word(cumulative_wei))


def work_leaf(escrow: bytes, job: int, deed: int, units: int) -> bytes:
    """What a deed has delivered for a job of an escrow (20 bytes), 32 bytes. Raises OverflowError as leaf."""
    return _hashed(WORK, escrow.rjust(32, b"\0"), _word(job), _word(deed), _word(units))


class Tree:
    """One tree; all of its nodes are kept, so that each proof costs only its length."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        inner = max(len(leaves) - 1, 0)
        self._nodes = [b""] * inner + list(reversed(leaves))
        for i in range(inner - 1, -1, -1):
            self._nodes[i] = _parent(self._nodes[2 * i + 1], self._nodes[2 * i + 2])

    def __len__(self) -> int:
        """The number of leaves."""
        return (len(self._nodes) + 1) // 2

    @property
    def root(self) -> bytes:
        """32 bytes; EMPTY_ROOT of no leaves."""
        return self._nodes[0] if self._nodes else EMPTY_ROOT

    def proof(self, index: int) -> list[bytes]:
        """The siblings from leaf `index` up to the root. Raises IndexError if there is no such leaf."""
        place, found = self._place(index), []
        while place:
            found.append(self._nodes[_sibling(place)])
            place = (place - 1) // 2
        return found

    def multiproof(self, indices: Sequence[int]) -> tuple[list[bytes], list[bool]]:
        """(siblings, flags) that prove several leaves together, in the order of their indices.

        Raises:
            IndexError: there is no such leaf. ValueError: the indices are not strictly ascending, or none.
        """
        if not indices or any(a >= b for a, b in zip(indices, indices[1:], strict=False)):
            raise ValueError(f"indices {list(indices)[:9]}, wanted one or more, strictly ascending")
        places = deque(self._place(index) for index in indices)
        siblings, flags = [], []
        while places[0]:
            place = places.popleft()
            is_known = bool(places) and places[0] == _sibling(place)
            if is_known:
                places.popleft()
            else:
                siblings.append(self._nodes[_sibling(place)])
            flags.append(is_known)
            places.append((place - 1) // 2)
        return siblings, flags

    def _place(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"leaf {index} of {len(self)}")
        return len(self._nodes) - 1 - index


def root(leaves: Sequence[bytes]) -> bytes:
    """32 bytes; EMPTY_ROOT of no leaves."""
    return Tree(leaves).root


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings from leaf `index` up to the root. Raises IndexError if there is no such leaf."""
    return Tree(leaves).proof(index)


def proofs(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The proof of each leaf, from one tree."""
    tree = Tree(leaves)
    return [tree.proof(index) for index in range(len(leaves))]


def is_proved(root_: bytes, leaf_: bytes, siblings: Sequence[bytes]) -> bool:
    """Whether `siblings` lead from `leaf_` to `root_`, as the contract decides it."""
    return root_by(leaf_, siblings) == root_


def root_by(leaf_: bytes, siblings: Sequence[bytes]) -> bytes:
    """The root to which `siblings` lead from `leaf_`."""
    node = leaf_
    for sibling in siblings:
        node = _parent(node, sibling)
    return node


def _sibling(place: int) -> int:
    return place + 1 if place % 2 else place - 1


def _parent(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)


def _hashed(*words: bytes) -> bytes:
    return keccak(keccak(b"".join(words)))


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
