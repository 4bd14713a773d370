"""A site's contracts: deploy, mint deeds, bind devices, post roots, claim. Refuses contracts made for other oracles.

Rules: every write asks the chain first whether it is done already, and again if it fails, so that a crash at any point,
or a second payer, never does a thing twice and never ends in an error. What is read is a pure function of the chain's
state. Who may do what is decided by contracts/src, not here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from coincurve import PrivateKey

from device.agent.eip712 import board_word
from gateway.chain.chain import Chain, ChainError, Contract, Receipt, address_of
from gateway.oracle.rewards import ND_REWARD_WEI, Deed
from gateway.settlement.escrow import GRACE_EPOCHS, PATIENCE_S

# No epoch can earn more: there are at most 46,224 Node Deeds (Ratio1's tokenomics).
EPOCH_CAP_WEI = 46_224 * ND_REWARD_WEI
NOBODY = "0x" + "00" * 20
PAGE = 100


@dataclass(frozen=True)
class Contracts:
    """Addresses, EIP-55; escrow: of R1, for paid jobs; empty where there is none."""

    r1: str
    deeds: str
    devices: str
    settlement: str
    escrow: str = ""


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
    """R1 paid to `owner` for `deed`; None: for the owner's account. job: for the deed's work for that job, else 0."""

    deed: int | None
    owner: str
    amount_wei: int
    tx: str
    job: int = 0

    @property
    def what(self) -> str:
        """What it was paid for, in words."""
        if self.deed is None:
            return "account"
        return f"deed {self.deed}, work for job {self.job}" if self.job else f"deed {self.deed}"


def deploy(
    chain: Chain,
    key: PrivateKey,
    oracles: Sequence[str],
    threshold: int,
    known: Mapping[str, str],
    save: Callable[[str, str], None],
    epoch_cap_wei: int = EPOCH_CAP_WEI,
    delay_s: int = 0,
    guardian: str = NOBODY,
    cool_down_s: int = 0,
    governor: str = NOBODY,
) -> Contracts:
    """Create a site's contracts that are not in `known` (field of Contracts -> address); `key` pays and is admin.

    A root is in force `delay_s` after it was posted, and `guardian` may veto it until then; a device that left a deed
    is not bound again for `cool_down_s`. `governor`, a Council's timelock, may later make the first two stricter. A
    site of one's own needs none of them.

    `save(name, address)` is called after each one: what it kept is the next call's `known`. A crash before `save`
    leaves a contract that nobody uses.

    Raises:
        ChainError: a known contract is not on this chain, or was made for other oracles.
    """
    have = dict(known)

    def ensure(name: str, contract: str, *arguments: object) -> None:
        if name not in have:
            have[name] = chain.deploy(contract, *arguments, key=key)[0].address
            save(name, have[name])

    ensure("deeds", "NodeDeed", address_of(key))
    ensure("devices", "Devices", have["deeds"], cool_down_s)
    settled = (have["deeds"], list(oracles), threshold, epoch_cap_wei, delay_s, guardian, governor)
    ensure("settlement", "Settlement", *settled)
    if "r1" not in have:
        have["r1"] = chain.call(Contract("Settlement", have["settlement"]), "r1")
        save("r1", have["r1"])
    _check(chain, Contracts(have["r1"], have["deeds"], have["devices"], have["settlement"]), oracles, threshold)
    ensure("escrow", "Escrow", have["settlement"], have["r1"], GRACE_EPOCHS, PATIENCE_S)
    settles = chain.call(Contract("Escrow", have["escrow"]), "settlement")
    if settles != have["settlement"]:
        raise ChainError(f"escrow: {have['escrow']} is settled by {settles}, wanted {have['settlement']}")
    return Contracts(**{item.name: have[item.name] for item in fields(Contracts)})


def _check(chain: Chain, contracts: Contracts, oracles: Sequence[str], threshold: int) -> None:
    for name, address in vars(contracts).items():
        if address and not chain.has_code(address):
            raise ChainError(f"{name}: no contract at {address} on chain {chain.chain_id}")
    settlement = Contract("Settlement", contracts.settlement)
    found = chain.call(settlement, "threshold")
    if found != threshold:
        raise ChainError(f"settlement: threshold {found}, wanted {threshold}")
    for oracle in oracles:
        if not chain.call(settlement, "isOracle", oracle):
            raise ChainError(f"settlement: {oracle} is not among its oracles")


class Settlement:
    """The contracts of one site on one chain; `key` pays for what is written, without one nothing can be."""

    def __init__(self, chain: Chain, contracts: Contracts, key: PrivateKey | None = None) -> None:
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
        receipt = self.once(
            lambda: self.chain.call(self._deeds, "count") >= deed, self._deeds, "mint", deed, owner, slots
        )
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
        """Bind `device` to `deed` by two EIP-712 signatures (65 bytes) over the Binding; None if that is done already.

        Raises:
            ChainError: a signature is wrong or over, the slots are taken, the device is bound to another deed.
            LocalError: `board` is not ASCII of 1 to 32 bytes.
        """
        arguments = (deed, device, board_word(board), deadline, owner_signature, device_signature)
        return self.once(lambda: self.deed_of(device) == deed, self._devices, "bind", *arguments)

    def release(self, device: str) -> Receipt | None:
        """Unbind `device` from its deed, whose owner `key` must be; None if it is bound to none.

        Raises:
            ChainError: the key is not the owner's, or cannot pay.
        """
        return self.once(lambda: self.deed_of(device) == 0, self._devices, "release", device)

    def deed_of(self, device: str) -> int:
        """The deed that `device` is bound to now; 0 if none."""
        return int(self.chain.call(self._devices, "deedOf", device))

    def deed(self, number: int) -> Deed | None:
        """One deed as it is now; None if it was never minted."""
        page = self.chain.call(self._devices, "bindings", number, number)
        return _deed(*page[0][1:]) if page else None

    def bindings(self, block: int | None = None) -> dict[int, Deed]:
        """Every deed by number, as of the end of `block` or now.

        Raises:
            ChainError: the chain does not keep the state of that block (a node that prunes keeps some hundred blocks).
        """
        found: dict[int, Deed] = {}
        while True:
            first = len(found) + 1
            page = self.chain.call(self._devices, "bindings", first, first + PAGE - 1, block=block)
            found.update({number: _deed(*rest) for number, *rest in page})
            if len(page) < PAGE:
                return found

    def epoch(self) -> int:
        """The last epoch posted; 0 before the first."""
        return int(self.chain.call(self._settlement, "epoch"))

    def post_root(
        self, epoch: int, root: bytes, total_wei: int, evidence: bytes, signatures: Mapping[str, bytes]
    ) -> PostedRoot:
        """Post an epoch's root with its oracles' signatures (65 bytes, by address); what the chain has if it is there.

        Raises:
            ChainError: not the next epoch, too few or wrong signatures, a total that the contract refuses, or the epoch
                was posted with other values.
        """
        ordered = [signatures[signer] for signer in sorted(signatures, key=str.lower)]
        arguments = (epoch, root, total_wei, evidence, ordered)
        receipt = self.once(lambda: self.epoch() >= epoch, self._settlement, "post", *arguments)
        since = receipt.block if receipt else 0
        posted = next(item for item in self.roots(since) if item.epoch == epoch)
        if (posted.root, posted.total_wei, posted.evidence) != (root, total_wei, evidence):
            raise ChainError(f"epoch {epoch}: root 0x{posted.root.hex()} was posted, wanted 0x{root.hex()}")
        return posted

    def roots(self, first: int = 0) -> list[PostedRoot]:
        """All roots posted since block `first`, in order."""
        return [
            PostedRoot(
                epoch=event.arguments["epoch"],
                root=event.arguments["root"],
                total_wei=event.arguments["total"],
                evidence=event.arguments["evidence"],
                tx=event.tx,
                block=event.block,
            )
            for event in self.chain.events(self._settlement, "RootPosted", first)
        ]

    def claimed(self, deed: int) -> int:
        """What `deed` was paid so far, in wei."""
        return int(self.chain.call(self._settlement, "claimed", deed))

    def claim(self, deed: int, cumulative_wei: int, proof: Sequence[bytes]) -> Claim | None:
        """Have `deed`'s owner paid up to `cumulative_wei` by the newest root; None if that much is paid already.

        Raises:
            ChainError: the proof does not fit the newest root, or there is no such deed.
        """
        receipt = self.once(
            lambda: self.claimed(deed) >= cumulative_wei, self._settlement, "claim", deed, cumulative_wei, list(proof)
        )
        if receipt is None:
            return None
        return next(item for item in self.claims(receipt.block, receipt.block) if item.tx == receipt.tx)

    def claim_many(
        self, leaves: Sequence[tuple[int, int]], proof: Sequence[bytes], flags: Sequence[bool]
    ) -> list[Claim]:
        """Have the one owner of several deeds paid in one transaction; none if all of it is paid already.

        Args:
            leaves: (deed, cumulative wei), with `proof` and `flags` as settlement_tree.Trees.deeds gives them.
        Raises:
            ChainError: the proof does not fit the newest root, or the deeds have several owners.
        """
        receipt = self.once(
            lambda: all(self.claimed(deed) >= wei for deed, wei in leaves),
            *(self._settlement, "claimMany", list(leaves), list(proof), list(flags)),
        )
        if receipt is None:
            return []
        return [item for item in self.claims(receipt.block, receipt.block) if item.tx == receipt.tx]

    def claims(self, first: int = 0, last: int | None = None) -> list[Claim]:
        """All claims paid in blocks `first` to `last` (default: the newest), in order."""
        found = [(event.arguments, event.tx) for event in self.chain.events(self._settlement, "Claimed", first, last)]
        return [Claim(values["deed"], values["owner"], values["amount"], tx) for values, tx in found]

    def balance(self, owner: str) -> int:
        """R1 held by `owner`, in wei."""
        return int(self.chain.call(self._r1, "balanceOf", owner))

    def minted(self) -> int:
        """All R1 ever minted, in wei."""
        return int(self.chain.call(self._settlement, "minted"))

    def once(self, done: Callable[[], bool], contract: Contract, function: str, *arguments: object) -> Receipt | None:
        """Send unless it is done; None if it was, also if somebody else did it in between."""
        if done():
            return None
        if self._key is None:
            raise ChainError(f"{contract.name}.{function}: there is no key to pay with")
        try:
            return self.chain.send(contract, function, *arguments, key=self._key)
        except ChainError:
            if done():
                return None
            raise


def _deed(owner: str, slots: int, devices: Sequence[str]) -> Deed:
    owner_bytes, *ids = (bytes.fromhex(address[2:]) for address in (owner, *devices))
    return Deed(owner_bytes, slots, tuple(ids))
