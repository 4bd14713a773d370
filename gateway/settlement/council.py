"""A settlement that holders of R1 govern: contracts in the order in which they need each other. Governs nothing itself.

Settlement names its governor for good, which is the timelock that the Council creates, which counts Votes of the R1
that the Settlement creates. So the timelock's address is computed before: it follows from the payer's next nonces.
What can be governed, and what never: contracts/src/Council.sol and interfaces/ISettlement.sol.
"""

from dataclasses import dataclass

import rlp  # type: ignore[import-untyped]
from coincurve import PrivateKey
from eth_utils.address import to_checksum_address

from gateway.chain.chain import Chain, ChainError, Contract, address_of
from gateway.curve import keccak


@dataclass(frozen=True)
class Rules:
    """How a Council decides.

    wait_blocks: from a proposal until votes are counted; period_blocks: of voting; least_votes_wei: to propose;
    quorum_percent: of all votes, cast for it or abstaining, and at least least_quorum_wei; lock_s: from the decision
    until it is done.
    """

    wait_blocks: int = 7_200
    period_blocks: int = 50_400
    least_votes_wei: int = 10_000 * 10**18
    quorum_percent: int = 10
    least_quorum_wei: int = 1_000_000 * 10**18
    lock_s: int = 2 * 24 * 3600


@dataclass(frozen=True)
class Governed:
    """Addresses, EIP-55."""

    settlement: str
    votes: str
    council: str
    timelock: str


def deploy(
    chain: Chain,
    key: PrivateKey,
    deeds: str,
    oracles: list[str],
    threshold: int,
    epoch_cap_wei: int,
    delay_s: int,
    guardian: str,
    rules: Rules,
) -> Governed:
    """Create Settlement, Votes and Council; `key` pays, owns nothing of them, and must send nothing else meanwhile.

    Raises:
        ChainError: as Chain.deploy, or another transaction of `key` came between, so that the governor is nobody.
    """
    sender = bytes.fromhex(address_of(key)[2:])
    nonce = int(chain.request("eth_getTransactionCount", [address_of(key), "latest"]), 16)
    timelock = to_checksum_address(_created(_created(sender, nonce + 2), 1))
    arguments = (deeds, oracles, threshold, epoch_cap_wei, delay_s, guardian, timelock)
    settlement, _ = chain.deploy("Settlement", *arguments, key=key)
    votes, _ = chain.deploy("Votes", chain.call(settlement, "r1"), key=key)
    values = (rules.wait_blocks, rules.period_blocks, rules.least_votes_wei)
    quorum = (rules.quorum_percent, rules.least_quorum_wei)
    council, _ = chain.deploy("Council", votes.address, *values, *quorum, rules.lock_s, key=key)
    found = chain.call(Contract("Council", council.address), "timelock")
    if found != timelock:
        raise ChainError(
            f"timelock is {found}, the settlement's governor {timelock}: deploy again, with nothing between"
        )
    return Governed(settlement.address, votes.address, council.address, timelock)


def _created(creator: bytes, nonce: int) -> bytes:
    """The address, 20 bytes, of the contract that `creator` makes with its nonce (Ethereum yellow paper, 7)."""
    return keccak(rlp.encode([creator, nonce]))[12:]
