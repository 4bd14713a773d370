"""dAuth of a site: has its own boards' devices bound to its owners' deeds, on chain; binds nobody else's device.

    announce of a board's id ─▶ bind message ─▶ device's signature ─▶ owner's signature ─▶ Devices.bind

`enrolment` says who is asked for what; here are the effects. Owners' keys are the site's, files of its operator.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from coincurve import PrivateKey
from eth_utils.address import to_checksum_address

from device.agent import eip712, wire
from gateway import curve
from gateway.chain.chain import ChainError
from gateway.intake.enrolment import Enrolment, assign, plan_deeds
from gateway.intake.registry import Device
from gateway.oracle.epoch import sign_digest
from gateway.oracle.rewards import Deed
from gateway.settlement.settlement import Settlement
from gateway.web.view import short


class DAuth:
    """Used by one thread, but for `answer`.

    Args:
        devices: what the registry knows, by id; read at each turn.
        owner_keys: of owner 1 and owner 2.
        publish: (topic, payload). say: tells a person.

    Attributes:
        domain: chain id and address (20 bytes) of Devices, of what is signed off the chain. owner_keys: as given.
        deeds: bindings on the chain, by number, as of the last turn that changed them.
    """

    def __init__(
        self,
        settlement: Settlement,
        devices: Mapping[bytes, Device],
        owner_keys: Sequence[PrivateKey],
        publish: Callable[[str, bytes], None],
        say: Callable[[str], None],
    ) -> None:
        self._settlement, self._devices = settlement, devices
        self.domain = settlement.chain.chain_id, bytes.fromhex(settlement.contracts.devices[2:])
        self.owner_keys = owner_keys
        self._keys = {to_checksum_address(curve.address_of(key.secret)): key for key in owner_keys}
        self._owners = list(self._keys)
        self._publish, self._say = publish, say
        self._known_boots = {identity: device.boot for identity, device in devices.items()}
        self._answers: list[tuple[bytes, int, bytes]] = []
        self._enrolment = Enrolment(self._ask, self._nonce, self._bind)
        self._left: set[bytes] = set()
        self.deeds: Mapping[int, Deed] = {}

    def mint_deeds(self, devices: int) -> None:
        """Have the deeds for so many devices minted to the owners, those that are not there yet."""
        for deed in plan_deeds(devices):
            self._settlement.mint_deed(deed.number, self._owners[deed.owner - 1], deed.slots)
        self.deeds = self._settlement.bindings()

    def answer(self, device: bytes, nonce: int, signature: bytes) -> None:
        """A device answered a bind message; from any thread."""
        self._answers.append((device, nonce, signature))

    def owners(self) -> dict[bytes, bytes]:
        """Owner's address of each bound device, as of the last turn that changed a binding; from any thread."""
        return {device: deed.owner for deed in self.deeds.values() for device in deed.devices}

    def read_bound(self) -> Collection[bytes]:
        """Ids of the devices that are bound now, whoever bound them; from any thread. Raises ChainError."""
        self.read_deeds()
        return self.owners()

    def read_deeds(self) -> None:
        """Take over what was bound by others than this; from any thread."""
        self.deeds = self._settlement.bindings()

    def here(self, boards: Sequence[bytes | None]) -> list[bytes | None]:
        """The boards (device ids, None where it is not known yet) that announced themselves since this started."""
        return [device if device is not None and self._has_announced(device) else None for device in boards]

    def turn(self, boards: Sequence[bytes | None]) -> tuple[int, int]:
        """Go on with binding the boards that were never bound: one that was released waits for its label.

        Args:
            boards: device id of each board of the site, None where it is not known yet.
        Returns:
            (how many boards have announced themselves since this started, how many of these are not bound yet).
        """
        answers, self._answers = self._answers, []
        if self._enrolment.answered(answers):
            self.deeds = self._settlement.bindings()
        here = self.here(boards)
        deeds = {number: (deed.slots, deed.devices) for number, deed in self.deeds.items()}
        waiting = {device: deed for device, deed in assign(here, deeds).items() if not self._was_bound(device)}
        self._enrolment.want(waiting)
        return sum(device is not None for device in here), len(waiting)

    def _has_announced(self, identity: bytes) -> bool:
        """Whether it did so in this run, that is with a boot number that was not known before."""
        known = self._devices.get(identity)
        return known is not None and known.boot != self._known_boots.get(identity)

    def _was_bound(self, device: bytes) -> bool:
        if device not in self._left and self._nonce(device) > 0:
            self._left.add(device)
        return device in self._left

    def _nonce(self, device: bytes) -> int:
        return self._settlement.nonce(to_checksum_address(device))

    def _ask(self, device: bytes, deed: int, nonce: int, deadline_s: int) -> None:
        frame = wire.encode_bind(*self._binding(device, deed, nonce, deadline_s))
        self._publish(wire.topic(device, "bind"), frame)

    def _bind(self, device: bytes, deed: int, nonce: int, deadline_s: int, signature: bytes) -> None:
        chain_id, contract, deed, owner, board, nonce, deadline_s = self._binding(device, deed, nonce, deadline_s)
        digest = eip712.binding_digest(curve.keccak, chain_id, contract, deed, device, owner, board, nonce, deadline_s)
        name, key = to_checksum_address(device), self._keys[to_checksum_address(owner)]
        try:
            self._settlement.bind(deed, name, board, deadline_s, sign_digest(digest, key), signature)
            self._say(f"{board} {short(name)} is bound to deed {deed}")
        except ChainError as error:
            self._say(f"{board} {short(name)} is not bound: {error}")

    def _binding(
        self, device: bytes, deed: int, nonce: int, deadline_s: int
    ) -> tuple[int, bytes, int, bytes, str, int, int]:
        contract = bytes.fromhex(self._settlement.contracts.devices[2:])
        owner = self.deeds[deed].owner
        return self._settlement.chain.chain_id, contract, deed, owner, self._devices[device].board, nonce, deadline_s
