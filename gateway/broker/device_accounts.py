"""Gives each bound device its account at the site's broker, and takes it back; binds nobody and decides no right.

    chain: who is bound ─▶ turn ─▶ account made at the broker, the gateway's key told to the device ─▶ it comes back
                                ─▶ account deleted: the device is disconnected and a stranger again

The registry's keys and the chain's bindings are the truth. The broker's own list is made of them at each start of it,
and changed while it runs. Password and client id are what device and gateway agree on by their keys (WIRE.md, 15), so
they are never sent but to the broker. Used by one thread, but for `entered` and `answered`.
"""

import time
from collections.abc import Callable, Collection, Mapping

from coincurve import PrivateKey

from device.agent import account, wire
from gateway.broker import accounts as broker_accounts
from gateway.chain.chain import ChainError
from gateway.intake.registry import Device

POLL_S = 0.5
SHARE = 20  # asking the chain takes at most a twentieth of this thread's time
Publish = Callable[[str, bytes, bool], object]


class DeviceAccounts:
    """
    Args:
        key: the gateway's. devices: what the registry knows, by id.
        read_bound: ids of the devices that are bound now; may raise ChainError, then everything stays as it is.
        publish: (topic, payload, whether it is retained) to the broker, in order.
    """

    def __init__(
        self,
        key: PrivateKey,
        devices: Mapping[bytes, Device],
        read_bound: Callable[[], Collection[bytes]],
        publish: Publish,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key, self._public_key = key, key.public_key.format()
        self._devices, self._read_bound, self._publish, self._clock_s = devices, read_bound, publish, clock_s
        self._passwords: dict[bytes, str] = {}
        self._made: dict[str, str] = {}
        self._told: set[bytes] = set()
        self._entered: set[bytes] = set()
        self._due_s = 0.0
        self._refusals: list[str] = []

    def at_start(self) -> dict[str, str]:
        """Passwords by user, with which the broker is to start; it has forgotten what it was told before."""
        self._told.clear()
        self._made = self._wanted()
        return dict(self._made)

    def turn(self) -> list[str]:
        """Have the broker follow the chain, each POLL_S; what it did not do, in words."""
        now_s = self._clock_s()
        if now_s >= self._due_s:
            self._follow()
            self._due_s = now_s + max(POLL_S, SHARE * (self._clock_s() - now_s))
        said, self._refusals = self._refusals, []
        return said

    def entered(self, device: bytes) -> None:
        """A device uses its account: only who has it may say so."""
        self._entered.add(device)

    def has_entered(self, device: bytes | None) -> bool:
        return device in self._entered

    def count(self) -> int:
        """How many devices have an account."""
        return len(self._made)

    def answered(self, payload: bytes) -> None:
        """What the broker says to a command."""
        self._refusals += [f"the broker refuses an account: {text}" for text in broker_accounts.refusals(payload)]

    def _follow(self) -> None:
        wanted = self._wanted()
        for user in self._made.keys() - wanted.keys():
            self._forget(bytes.fromhex(user))
        for command in broker_accounts.commands(self._made, wanted):
            self._publish(broker_accounts.CONTROL_TOPIC, command, False)
        self._made = wanted
        for user in wanted:
            self._tell(bytes.fromhex(user))

    def _wanted(self) -> dict[str, str]:
        try:
            bound = self._read_bound()
        except ChainError:
            return self._made
        return {device.hex(): self._password(device) for device in sorted(bound) if device in self._devices}

    def _password(self, device: bytes) -> str:
        if device not in self._passwords:
            agreed = self._key.ecdh(self._devices[device].public_key)
            self._passwords[device] = account.derive(agreed, device, self._public_key)[1][1]
        return self._passwords[device]

    def _tell(self, device: bytes) -> None:
        if device not in self._told:
            self._told.add(device)
            self._publish(wire.topic(device, "account"), wire.encode_account(self._public_key), True)

    def _forget(self, device: bytes) -> None:
        self._told.discard(device)
        self._entered.discard(device)
        self._publish(wire.topic(device, "account"), b"", True)
