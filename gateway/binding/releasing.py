"""Has a device forget its owner, by that owner's signature, once the chain has released it; binds nobody.

    owner: release on chain ─▶ ask: fields to sign ─▶ sign: owner's signature ─▶ release message ─▶ device's answer

Rules (WIRE.md, 13):
1. The chain first: a device that is bound there is asked nothing, whoever signs.
2. The device alone knows its owner and decides; what is sent to it is only what carries a good signature of whoever
   says that it is the owner.
3. A signature is for one boot of the device. One that began anew since needs another.
4. The release on the chain takes the device's account too. On a UART it finds out by a missing PINGRESP (12.5 s), is
   refused with the account, and may lose its next CONNECT (5 s): it is asked until it is back.
Called by the page's threads, `answer` by the intake's.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from device.agent import eip712, owner, wire
from gateway import curve
from gateway.binding.pending import Refused, typed_data_of
from gateway.chain.chain import ChainError
from gateway.intake.registry import Device
from gateway.oracle.epoch import signer_of
from gateway.settlement.settlement import Settlement

RETRY_S = 2.0
ANSWER_S = 45.0  # twice what a device takes that has just lost its account
WAITING_MOST = 64


@dataclass(frozen=True)
class Release:
    """What owner and device sign: addresses of 20 bytes, the device's boot."""

    chain_id: int
    contract: bytes
    device: bytes
    owner: bytes
    boot: int

    def digest(self) -> bytes:
        """32 bytes, EIP-712."""
        return bytes(eip712.release_digest(curve.keccak, *vars(self).values()))

    def typed_data(self) -> dict[str, Any]:
        """The JSON that a wallet takes by eth_signTypedData_v4."""
        message = {"device": "0x" + self.device.hex(), "owner": "0x" + self.owner.hex(), "boot": str(self.boot)}
        return typed_data_of("Release", eip712.RELEASE_TYPE, self.chain_id, self.contract, message)


class Releasing:
    """One site's releases.

    Args:
        devices: what the registry knows, by id. publish: (topic, payload). say: tells a person.
        on_change: called after a device was found released on the chain.
        clock_s: seconds, monotonic.
    """

    def __init__(
        self,
        settlement: Settlement,
        devices: Mapping[bytes, Device],
        publish: Callable[[str, bytes], None],
        say: Callable[[str], None],
        on_change: Callable[[], None] = lambda: None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settlement, self._devices = settlement, devices
        self._publish, self._say, self._on_change, self._clock_s = publish, say, on_change, clock_s
        self._waiting: dict[bytes, Release] = {}
        self._answered: set[Release] = set()
        self._news = threading.Condition()

    def ask(self, device: bytes, owner_: bytes) -> Release:
        """What the owner signs.

        Raises:
            Refused: the chain has it bound still, or the device was never heard here.
        """
        try:
            deed = self._settlement.deed_of(to_checksum_address(device))
        except ChainError as error:
            raise Refused(
                "chain", f"nothing was released, the chain says {error}: mend that and begin again"
            ) from error
        if deed:
            raise Refused("bound", f"the device is bound to deed {deed}: its owner releases it on the chain first")
        self._on_change()
        known = self._devices.get(device)
        if known is None:
            raise Refused("silent", "the device has not been heard here: switch it on and see that it has its link")
        contract = bytes.fromhex(self._settlement.contracts.devices[2:])
        return Release(self._settlement.chain.chain_id, contract, device, owner_, known.boot)

    def sign(self, device: bytes, owner_: bytes, boot: int, signature: bytes) -> dict[str, Any]:
        """Have the device forget its owner: {"device", "boot"}, once it has. Waits up to ANSWER_S for it.

        Raises:
            Refused: as ask; another's signature, another boot, or the device does not answer.
        """
        release = self.ask(device, owner_)
        if boot != release.boot:
            raise Refused("expired", f"the device began anew since: boot {release.boot}, signed was {boot}: sign again")
        if len(signature) != 65 or signer_of(release.digest(), signature) != owner_:
            raise Refused("signature", f"signature: got another's, wanted that of {to_checksum_address(owner_)}")
        self._wait_for(release, signature)
        self._say(f"{to_checksum_address(device)} has forgotten its owner: bind it by a new label")
        return {"device": to_checksum_address(device), "boot": boot}

    def answer(self, device: bytes, nonce: int, signature: bytes) -> bool:
        """A device answered on `bound`; whether it is an answer to a release."""
        with self._news:
            release = self._waiting.get(device)
            if release is None or nonce != release.boot or signer_of(release.digest(), signature) != device:
                return False
            self._answered.add(release)
            self._news.notify_all()
            return True

    def _wait_for(self, release: Release, signature: bytes) -> None:
        frame = owner.encode_release(release.chain_id, release.contract, release.boot, signature)
        end_s = self._clock_s() + ANSWER_S
        with self._news:
            if len(self._waiting) >= WAITING_MOST:
                raise Refused("tries", "too many devices are being released: wait a minute and try again")
            if release.device in self._waiting:
                raise Refused("tries", "the device is asked to forget its owner already: wait a minute and look again")
            self._waiting[release.device] = release
        try:
            while self._clock_s() < end_s:
                self._publish(wire.topic(release.device, "release"), frame)
                with self._news:
                    if self._news.wait_for(lambda: release in self._answered, RETRY_S):
                        return
        finally:
            with self._news:
                self._waiting.pop(release.device, None)
                self._answered.discard(release)
        what = "switch it on and try again; a device answers its own owner only, and one without an owner not at all"
        raise Refused("silent", f"the device did not answer within {ANSWER_S:g} s: {what}")
