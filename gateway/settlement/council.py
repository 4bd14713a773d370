"""The council of a settlement that holders of R1 govern: where it will be, and founding it. Governs nothing itself.

Settlement names its governor for good: the timelock that the Council creates, which counts Votes of the R1 that the
Settlement creates. So the council is founded last and its timelock's address is known first: it follows from the key of
a founder, who creates the Council and does nothing else, ever. Founding can be stopped anywhere and begun again.
What can be governed, and what never: contracts/src/Council.sol and interfaces/ISettlement.sol.
"""

from dataclasses import dataclass
from pathlib import Path

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


# A site of one's own, whose chain has a block a window: a vote is over in some minutes.
SITE = Rules(wait_blocks=2, period_blocks=60, least_votes_wei=10**18, least_quorum_wei=10**18, lock_s=60)
COUNCIL_GAS = 6_000_000  # contracts/gas.json, rounded up
MARGIN = 3  # the price of gas may rise until it is sent


def council_key(folder: Path) -> Path:
    """Where a site keeps its founder's key."""
    return folder / "keys" / "council.key"


def address_by(founder: PrivateKey) -> str:
    """Where the council of a founder is, or will be."""
    return to_checksum_address(_created(bytes.fromhex(address_of(founder)[2:]), 0))


def timelock_by(founder: PrivateKey) -> str:
    """Who governs by that council: the address for Settlement's `governor` and Sale's owner."""
    return to_checksum_address(_created(bytes.fromhex(address_by(founder)[2:]), 1))


def found(chain: Chain, payer: PrivateKey, founder: PrivateKey, settlement: str, rules: Rules) -> str:
    """Create Votes and the Council, whose founder gets the coin for it from `payer`; its address, also if it is there.

    Raises:
        ChainError: as Chain.deploy; the settlement is governed by another, or the founder's key did something else.
    """
    council, timelock = address_by(founder), timelock_by(founder)
    if chain.has_code(council):
        return council
    contract = Contract("Settlement", settlement)
    if (governor := chain.call(contract, "governor")) != timelock:
        raise ChainError(
            f"settlement {settlement}: it is governed by {governor}, this council's timelock is {timelock}"
        )
    if chain.request("eth_getTransactionCount", [address_of(founder), "latest"]) != "0x0":
        raise ChainError(f"founder {address_of(founder)}: it has sent other transactions, so no council can be there")
    votes, _ = chain.deploy("Votes", chain.call(contract, "r1"), key=payer)
    fee_wei = MARGIN * COUNCIL_GAS * int(chain.request("eth_gasPrice", []), 16)
    if int(chain.request("eth_getBalance", [address_of(founder), "latest"]), 16) < fee_wei:
        chain.pay(address_of(founder), fee_wei, payer)
    values = (rules.wait_blocks, rules.period_blocks, rules.least_votes_wei)
    quorum = (rules.quorum_percent, rules.least_quorum_wei)
    chain.deploy("Council", votes.address, *values, *quorum, rules.lock_s, key=founder)
    return council


def _created(creator: bytes, nonce: int) -> bytes:
    """The address, 20 bytes, of the contract that `creator` makes with its nonce (Ethereum yellow paper, 7)."""
    return keccak(rlp.encode([creator, nonce]))[12:]
