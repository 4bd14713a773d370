"""Where each epoch's rewards are added up: deeds, accounts, work under one root. Decides no reward, reads no chain.

    rewards of an epoch, owners and their choices at its close, the leaves before ─▶ Leaves ─▶ root, total, claims

Rules (contracts/src/interfaces/ISettlement.sol):
1. A deed's reward of an epoch is added to one leaf: to its owner's account if that owner is paid to its account in this
   epoch, else to the deed. The owner is the one at the epoch's close.
2. Nothing moves from leaf to leaf. Who chooses an account, or takes that back, changes where later rewards go; what is
   in a deed's leaf goes with the deed when it is transferred, and what is in an account's leaf stays the account's.
3. So each unit of reward is in exactly one leaf, no leaf ever shrinks, and the leaves of deeds and accounts sum to all
   that was ever earned. Work is counted in units, which the escrow pays: it is in no sum.
4. The root is that of the tree over the roots of the three trees, those that are empty left out. Without accounts
   and work it is therefore the root of the deeds alone.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gateway.oracle import merkle
from gateway.oracle.merkle import Tree

Work = tuple[bytes, int, int]
"""(escrow of 20 bytes, job, deed)"""


@dataclass(frozen=True)
class Leaves:
    """All that was earned since the first epoch, each in ascending order of its key.

    deeds: (deed, wei). accounts: (owner of 20 bytes, wei). work: ((escrow, job, deed), units).
    """

    deeds: tuple[tuple[int, int], ...] = ()
    accounts: tuple[tuple[bytes, int], ...] = ()
    work: tuple[tuple[Work, int], ...] = ()

    @property
    def total_wei(self) -> int:
        """Wei in all leaves of deeds and accounts: the `total` that is signed with the root."""
        return sum(wei for _, wei in self.deeds) + sum(wei for _, wei in self.accounts)


def add_epoch(
    before: Leaves,
    rewards_wei: Mapping[int, int],
    owners: Mapping[int, bytes],
    to_account: Set[bytes],
    units: Mapping[Work, int] | None = None,
) -> Leaves:
    """The leaves after one more epoch.

    Args:
        rewards_wei: what each bound deed earned in this epoch; a deed with 0 gets its leaf all the same.
        owners: of these deeds at the epoch's close, 20 bytes. to_account: the owners that are paid to their account.
        units: what was verified in this epoch of each deed's work for a job.
    Raises:
        ValueError: a reward or a number of units is negative. KeyError: a deed has no owner.
    """
    deeds, accounts, work = dict(before.deeds), dict(before.accounts), dict(before.work)
    for deed, wei in rewards_wei.items():
        owner = owners[deed]
        if owner in to_account:
            accounts[owner] = accounts.get(owner, 0) + _natural(wei, f"reward of deed {deed}")
        else:
            deeds[deed] = deeds.get(deed, 0) + _natural(wei, f"reward of deed {deed}")
    for key, more in (units or {}).items():
        work[key] = work.get(key, 0) + _natural(more, f"units of deed {key[2]} for job {key[1]}")
    return Leaves(tuple(sorted(deeds.items())), tuple(sorted(accounts.items())), tuple(sorted(work.items())))


def _natural(value: int, name: str) -> int:
    if value < 0:
        raise ValueError(f"{name}: {value}, wanted 0 or more")
    return value


def encode_leaves(leaves: Leaves) -> dict[str, Any]:
    """The leaves as JSON values: wei as decimal strings, addresses as 0x hex."""
    return {
        "leaves": [[deed, str(wei)] for deed, wei in leaves.deeds],
        "accounts": [["0x" + owner.hex(), str(wei)] for owner, wei in leaves.accounts],
        "work": [["0x" + escrow.hex(), job, deed, units] for (escrow, job, deed), units in leaves.work],
    }


def decode_leaves(fields: Mapping[str, Any]) -> Leaves:
    """The leaves of encode_leaves; without accounts and work there are none of these.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OverflowError: they are none.
    """
    accounts, work = fields.get("accounts", ()), fields.get("work", ())
    return Leaves(
        tuple(sorted((_u256(deed), _u256(wei)) for deed, wei in fields["leaves"])),
        tuple(sorted((decode_address(owner), _u256(wei)) for owner, wei in accounts)),
        tuple(sorted(((decode_address(at), _u256(job), _u256(deed)), _u256(n)) for at, job, deed, n in work)),
    )


def _u256(value: Any) -> int:
    found = int(value)
    if not 0 <= found < 1 << 256:
        raise ValueError(f"amount or number {str(value)[:80]}: wanted 0 to 2^256 - 1")
    return found


def decode_address(text: str) -> bytes:
    """20 bytes of 0x and 40 hex digits; raises ValueError, AttributeError or TypeError."""
    found = bytes.fromhex(text.removeprefix("0x"))
    if len(found) != 20:
        raise ValueError(f"address {text[:50]!r}: wanted 0x and 40 hex digits")
    return found


def root_of(leaves: Leaves) -> bytes:
    """The root over all leaves, 32 bytes; zeros if there are none."""
    return Trees(leaves).root


class Trees:
    """The root over all leaves, and what claims need; KeyError where there is no such leaf."""

    def __init__(self, leaves: Leaves) -> None:
        self.leaves = leaves

    @cached_property
    def root(self) -> bytes:
        """32 bytes; zeros if there are no leaves."""
        return self._roots.root

    def deed(self, deed: int) -> tuple[int, list[bytes]]:
        """(cumulative wei, proof) for Settlement.claim."""
        index = self._deed_places[deed]
        return self.leaves.deeds[index][1], [*self._deeds.proof(index), *self._above(self._deeds)]

    def deeds(self, deeds: Sequence[int]) -> tuple[list[tuple[int, int]], list[bytes], list[bool]]:
        """(leaves of (deed, cumulative wei), proof, flags) for Settlement.claimMany.

        Raises:
            ValueError: no deed, or one of them twice.
        """
        indices = sorted(self._deed_places[deed] for deed in deeds)
        proof, flags = self._proof_of_many(self._deeds, indices)
        return [self.leaves.deeds[index] for index in indices], proof, flags

    def account(self, owner: bytes) -> tuple[int, list[bytes]]:
        """(cumulative wei, proof) for Settlement.claimAccount."""
        index = self._account_places[owner]
        return self.leaves.accounts[index][1], [*self._accounts.proof(index), *self._above(self._accounts)]

    def work(self, escrow: bytes, job: int, deed: int) -> tuple[int, list[bytes]]:
        """(units, proof) for Escrow.claim."""
        index = self._work_places[escrow, job, deed]
        return self.leaves.work[index][1], [*self._work.proof(index), *self._above(self._work)]

    def works(
        self, escrow: bytes, job: int, deeds: Sequence[int]
    ) -> tuple[list[tuple[int, int]], list[bytes], list[bool]]:
        """(works of (deed, units), proof, flags) for Escrow.claimMany.

        Raises:
            ValueError: no deed, or one of them twice.
        """
        indices = sorted(self._work_places[escrow, job, deed] for deed in deeds)
        proof, flags = self._proof_of_many(self._work, indices)
        return [(self.leaves.work[index][0][2], self.leaves.work[index][1]) for index in indices], proof, flags

    def _proof_of_many(self, tree: Tree, indices: Sequence[int]) -> tuple[list[bytes], list[bool]]:
        siblings, flags = tree.multiproof(indices)
        above = self._above(tree)
        return siblings + above, flags + [False] * len(above)

    @cached_property
    def _deeds(self) -> Tree:
        return Tree([merkle.leaf(deed, wei) for deed, wei in self.leaves.deeds])

    @cached_property
    def _accounts(self) -> Tree:
        return Tree([merkle.account_leaf(owner, wei) for owner, wei in self.leaves.accounts])

    @cached_property
    def _work(self) -> Tree:
        return Tree([merkle.work_leaf(*key, units) for key, units in self.leaves.work])

    @cached_property
    def _deed_places(self) -> dict[int, int]:
        return {deed: index for index, (deed, _) in enumerate(self.leaves.deeds)}

    @cached_property
    def _account_places(self) -> dict[bytes, int]:
        return {owner: index for index, (owner, _) in enumerate(self.leaves.accounts)}

    @cached_property
    def _work_places(self) -> dict[Work, int]:
        return {key: index for index, (key, _) in enumerate(self.leaves.work)}

    @cached_property
    def _present(self) -> list[Tree]:
        return [tree for tree in (self._deeds, self._accounts, self._work) if len(tree)]

    @cached_property
    def _roots(self) -> Tree:
        return Tree([tree.root for tree in self._present])

    def _above(self, tree: Tree) -> list[bytes]:
        return self._roots.proof(next(index for index, item in enumerate(self._present) if item is tree))
