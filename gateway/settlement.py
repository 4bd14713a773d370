"""A site's contracts: deploys them, mints deeds, binds devices, posts roots, claims. Refuses contracts made for other oracles.

Rules: every write asks the chain first whether it is done already, and again if it fails, so that a crash at any point,
or a second payer, never does a thing twice and never ends in an error. What is read is a pure function of the chain's
state. Who may do what is decided by contracts/src, not here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from coincurve import PrivateKey
from eth_account import Account

from gateway.chain import Chain, ChainError, Contract, Receipt

# 46,224 Node Deeds exist at most, each earns at most 1458508188386985115 wei an epoch (shared with rewards.py's source).
EPOCH_CAP_WEI = 46_224 * 1_458_508_188_386_985_115
PAGE = 100


@dataclass(frozen=True)
class Contracts:
    """Addresses, EIP-55."""

    r1: str
    deeds: str
    devices: str
    settlement: str


@dataclass(frozen=True)
class Deed:
    """A deed and the devices bound to it."""

    owner: str
    slots: int
    devices: tuple[str, ...]


@dataclass(frozen=True)
class PostedRoot:
    """A root on the chain; `root` and `evidence` are 32 bytes."""

    epoch: int
    root: bytes
    total_wei: int
    evidence: bytes
    tx: str
    block: int


@dataclass(frozen=True)
class Claim:
    """R1 minted to `owner` for `deed`."""

    deed: int
    owner: str
    amount_wei: int
    tx: str


def deploy(
    chain: Chain,
    key: PrivateKey,
    oracles: Sequence[str],
    threshold: int,
    known: Mapping[str, str],
    save: Callable[[str, str], None],
) -> Contracts:
    """Create those contracts of a site that are not in `known` (a field's name of Contracts -> address); `key` pays and mints.

    `save(name, address)` is called after each one: what it kept is the next call's `known`. A crash before `save` leaves a
    contract that nobody uses.

    Raises:
        ChainError: a known contract is not on this chain, or was made for other oracles.
    """
    have = dict(known)
    admin = Account.from_key(key.secret).address

    def ensure(name: str, contract: str, *arguments: object) -> None:
        if name not in have:
            have[name] = chain.deploy(contract, *arguments, key=key)[0].address
            save(name, have[name])

    ensure("deeds", "NodeDeed", admin)
    ensure("devices", "Devices", have["deeds"])
    ensure("settlement", "Settlement", have["deeds"], list(oracles), threshold, EPOCH_CAP_WEI)
    if "r1" not in have:
        have["r1"] = chain.call(Contract("Settlement", have["settlement"]), "r1")
        save("r1", have["r1"])
    contracts = Contracts(**{item.name: have[item.name] for item in fields(Contracts)})
    _check(chain, contracts, oracles, threshold)
    return contracts


def _check(chain: Chain, contracts: Contracts, oracles: Sequence[str], threshold: int) -> None:
    for item in fields(contracts):
        if not chain.has_code(getattr(contracts, item.name)):
            raise ChainError(f"{item.name}: no contract at {getattr(contracts, item.name)} on chain {chain.chain_id}")
    settlement = Contract("Settlement", contracts.settlement)
    found = chain.call(settlement, "threshold")
    if found != threshold:
        raise ChainError(f"settlement: threshold {found}, wanted {threshold}")
    for oracle in oracles:
        if not chain.call(settlement, "isOracle", oracle):
            raise ChainError(f"settlement: {oracle} is not among its oracles")


class Settlement:
    """The contracts of one site on one chain; `key` pays for what is written."""

    def __init__(self, chain: Chain, contracts: Contracts, key: PrivateKey) -> None:
        self.chain, self.contracts, self._key = chain, contracts, key
        self._r1 = Contract("R1", contracts.r1)
        self._deeds = Contract("NodeDeed", contracts.deeds)
        self._devices = Contract("Devices", contracts.devices)
        self._settlement = Contract("Settlement", contracts.settlement)

    def mint_deed(self, deed: int, owner: str, slots: int) -> Receipt | None:
        """Create deed number `deed`, the next one; None if it is there already. `key` must be the deeds' owner.

        Raises:
            ChainError: it is not the next one, or is there with other slots.
        """
        done = lambda: int(self.chain.call(self._deeds, "count")) >= deed  # noqa: E731
        receipt = self._once(done, self._deeds, "mint", deed, owner, slots)
        found = self.chain.call(self._deeds, "slots", deed)
        if found != slots:
            raise ChainError(f"deed {deed}: {found} slots, wanted {slots}")
        return receipt

    def nonce(self, device: str) -> int:
        """The nonce for the next Binding of `device`."""
        return int(self.chain.call(self._devices, "nonces", device))

    def bind(
        self, deed: int, device: str, board: str, deadline: int, owner_signature: bytes, device_signature: bytes
    ) -> Receipt | None:
        """Bind `device` to `deed` by two EIP-712 signatures (65 bytes) over the Binding; None if it is bound to it already.

        Raises:
            ChainError: a signature is wrong or over, the slots are taken, the device is bound to another deed.
            ValueError: `board` is not ASCII of at most 32 bytes.
        """
        name = board.encode("ascii")
        if len(name) > 32:
            raise ValueError(f"board {board!r}: {len(name)} bytes, wanted 32 at most")
        done = lambda: self.chain.call(self._devices, "deedOf", device) == deed  # noqa: E731
        arguments = (deed, device, name.ljust(32, b"\0"), deadline, owner_signature, device_signature)
        return self._once(done, self._devices, "bind", *arguments)
