"""Binds a device to a deed for whoever has its label and the deed's key; sees no key, asks a device for no one else.

    find: label's code ─▶ ask: fields to sign ─▶ sign: owner's signature ─▶ bind message ─▶ bound ─▶ chain ─▶ burn

`pending` says what each step needs; here are the effects. Called by the page's threads, `answer` by the intake's.
Rules:
1. Nothing on a label is enough to take a deed that is bound: a bound device's code is burned, at the latest when
   somebody tries it, and the contract binds no device twice.
2. The chain has the last word; what it refuses changes nothing here, and the same signatures may be brought again.
3. Codes are checked one after another, so that many who try share one core and 16 MiB.
"""

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from device.agent import wire
from gateway.binding.lights import Lights
from gateway.binding.pending import VALID_S, Binding, Pending, PendingBindings, Refused
from gateway.binding.releasing import ANSWER_S, Releasing
from gateway.binding.tries import Tries
from gateway.chain.chain import Chain, ChainError
from gateway.errors import CommandError
from gateway.intake.registry import Device
from gateway.labels import codes, payload
from gateway.labels.codes import Codes, CodesFull, Labelled
from gateway.labels.payload import Label, LabelError
from gateway.oracle.epoch import signer_of
from gateway.oracle.rewards import Deed
from gateway.settlement.settlement import Settlement

RETRY_S = 2.0
TOKEN_BYTES = 16
_ERC1271 = bytes.fromhex("1626ba7e")  # isValidSignature(bytes32,bytes), and its answer


class BindingService:
    """One site's bindings by label.

    Args:
        devices: what the registry knows, by id; read at each step.
        publish: (topic, payload). say: tells a person. on_change: called after a binding is on the chain.
        clock_s: seconds, monotonic. wall_s: seconds since 1970.

    Attributes:
        releasing, lights: of the same devices.
    """

    def __init__(
        self,
        store: Codes,
        settlement: Settlement,
        devices: Mapping[bytes, Device],
        publish: Callable[[str, bytes], None],
        say: Callable[[str], None],
        on_change: Callable[[], None] = lambda: None,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._codes, self._settlement, self._devices = store, settlement, devices
        self._publish, self._say, self._on_change = publish, say, on_change
        self._clock_s, self._wall_s = clock_s, wall_s
        self._pending, self._tries = PendingBindings(), Tries()
        self.releasing = Releasing(settlement, devices, publish, say, on_change, clock_s)
        self.lights = Lights(devices, publish, clock_s)
        self._codes_lock, self._news = threading.Lock(), threading.Condition()

    def find(self, text: str) -> dict[str, Any]:
        """The device of a label's text or manual code: {"token", "device", "board", "is_here"}.

        Raises:
            Refused: mistyped, of another site, a wrong or burned code, too many tries.
        """
        with self._codes_lock:
            labelled = self._labelled(text)
            self._refuse_bound(labelled.device)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._news:
            self._pending.open(token, labelled.device, labelled.salt, self._clock_s())
        device = to_checksum_address(labelled.device)
        return {"token": token, "device": device, "board": labelled.board, "is_here": labelled.device in self._devices}

    def ask(self, token: str, deed: int) -> dict[str, Any]:
        """What the owner of deed number `deed` has to sign, as eth_signTypedData_v4 takes it.

        Raises:
            Refused: no such deed, no free slot, the device never announced itself or says that it is another board, or
                the label is void by now.
        """
        labelled = self._still_good(token)
        device, known = labelled.device, self._devices.get(labelled.device)
        if known is None:
            raise Refused("silent", "the device has not been heard here yet: switch it on and see that it has its link")
        if known.board != labelled.board:
            raise Refused("device", f"board: the device says {known.board}, its label {labelled.board}: label it anew")
        binding = self._binding(device, known.board, deed)
        with self._news:
            self._pending.ask(token, binding, self._clock_s())
        return binding.typed_data()

    def sign(self, token: str, signature: bytes) -> dict[str, Any]:
        """Bind by the owner's signature over what `ask` gave: {"deed", "device", "owner", "tx"}, once on the chain.

        Waits up to ANSWER_S for the device, which is asked every RETRY_S.

        Raises:
            Refused: another's signature, the device does not answer or with another key, the deadline is over, the
                chain refuses. The binding stays as it was, and may be tried again until its deadline.
        """
        with self._news:
            binding = self._pending.asked(token, self._clock_s(), self._wall_s())
        self._refuse_bound(binding.device)
        self._still_good(token)
        if not _accepts(self._settlement.chain, binding, signature):
            owner = to_checksum_address(binding.owner)
            what = f"wanted that of {owner}, who owns deed {binding.deed}: choose its account"
            raise Refused("signature", f"signature: got another's, {what}")
        with self._news:
            self._pending.sign(token, signature, self._clock_s())
        return self._put_on_chain(binding, signature, self._co_sign(token, binding))

    def answer(self, device: bytes, nonce: int, signature: bytes) -> None:
        """A device answered a bind or a release message."""
        if self.releasing.answer(device, nonce, signature):
            return
        with self._news:
            if self._pending.answer(device, nonce, signature):
                self._news.notify_all()

    def show(self, token: str, seconds: int) -> None:
        """Have the device of `find` blink; raises Refused."""
        with self._news:
            device = self._pending.get(token, self._clock_s()).device
        self.lights.identify(device, seconds)

    def _labelled(self, text: str) -> Labelled:
        """The label in our books that a text is of, its code compared."""
        text = payload.without_page(text)
        try:
            if text.startswith(payload.PREFIX):
                label = payload.decode(text)
                return self._compare(self._of(label), label.code)
            hint, code = payload.read_manual_code(text)
        except LabelError as error:
            raise Refused("label", str(error)) from error
        found = [device for device in self._codes.devices() if payload.hint(device) == hint]
        refused = Refused("elsewhere", "code: no device with this label is known here: is it another site's?")
        for device in found:
            labelled = self._codes.find(device)
            try:
                if labelled:
                    return self._compare(labelled, code)
            except Refused as error:
                refused = error
        raise refused

    def _of(self, label: Label) -> Labelled:
        labelled = self._codes.find(label.device)
        if labelled is None or payload.board_digest(labelled.board) != label.board:
            raise Refused("elsewhere", "label: this site has no such label: is it another site's, or made anew?")
        return labelled

    def _compare(self, labelled: Labelled, code: int) -> Labelled:
        if labelled.hash is None:
            raise Refused("burned", "this label's code was used to bind its device: the operator makes a new one")
        self._tries.check(labelled.device, self._clock_s())
        if not codes.is_code(labelled, code):
            self._tries.failed(labelled.device, self._clock_s())
            raise Refused("code", "set-up code: wrong for this device: is there a newer label on it?")
        self._tries.passed(labelled.device)
        return labelled

    def _still_good(self, token: str) -> Labelled:
        """The label that was found, if it is still the device's and its code still good."""
        with self._news:
            pending = self._pending.get(token, self._clock_s())
        with self._codes_lock:
            labelled = self._codes.find(pending.device)
        if labelled is None or labelled.hash is None or labelled.salt != pending.salt:
            raise Refused("burned", "this label was used or replaced since you read it: read the one on the device now")
        return labelled

    def _refuse_bound(self, device: bytes) -> None:
        deed = _from_chain(lambda: self._settlement.deed_of(to_checksum_address(device)))
        if deed:
            self._burn(device)
            raise Refused("bound", f"the device is bound to deed {deed}: its owner has to release it first")

    def _burn(self, device: bytes) -> None:
        try:
            self._codes.burn(device)
        except CodesFull:  # it is burned when it is tried next: a bound device's code opens nothing
            self._say(f"the disk is full: the set-up code of 0x{device.hex()} is not burned yet")

    def _binding(self, device: bytes, board: str, number: int) -> Binding:
        deed: Deed | None = _from_chain(lambda: self._settlement.deed(number))
        if deed is None:
            raise Refused("deed", f"deed: got {number}, wanted one that is there: see the number in your wallet")
        if len(deed.devices) >= deed.slots:
            what = f"all of its {deed.slots} slots are taken: release a device or take another deed"
            raise Refused("deed", f"deed {number}: {what}")
        nonce = _from_chain(lambda: self._settlement.nonce(to_checksum_address(device)))
        place = self._settlement.chain.chain_id, bytes.fromhex(self._settlement.contracts.devices[2:])
        deadline_s = int(self._wall_s()) + VALID_S
        return Binding(*place, number, device, deed.owner, board, nonce, deadline_s)

    def _co_sign(self, token: str, binding: Binding) -> bytes:
        """The device's signature, which it is asked for until it answers."""
        fields = (binding.chain_id, binding.contract, binding.deed, binding.owner, binding.board, binding.nonce)
        frame = wire.encode_bind(*fields, binding.deadline_s)
        end_s = self._clock_s() + ANSWER_S

        def found() -> Pending | None:
            pending = self._pending.get(token, self._clock_s())
            return pending if pending.device_signature else None

        while self._clock_s() < end_s:
            self._publish(wire.topic(binding.device, "bind"), frame)
            with self._news:
                self._news.wait_for(found, RETRY_S)
                pending = found()
            if pending:
                return pending.device_signature
        with self._news:
            if self._pending.get(token, self._clock_s()).wrong_answer:  # and none of its key, in all that time
                raise Refused("device", "the device answers with another key than its label's: do not use it")
        what = "switch it on and try again; one that another owner had before signs for that owner until released"
        raise Refused("silent", f"the device did not answer within {ANSWER_S:g} s: {what}")

    def _put_on_chain(self, binding: Binding, owner_signature: bytes, device_signature: bytes) -> dict[str, Any]:
        device, owner = to_checksum_address(binding.device), to_checksum_address(binding.owner)
        signatures = (binding.deadline_s, owner_signature, device_signature)
        receipt = _from_chain(lambda: self._settlement.bind(binding.deed, device, binding.board, *signatures))
        with self._codes_lock:
            self._burn(binding.device)
        with self._news:
            self._pending.close(binding.device)
        self._say(f"{binding.board} {device} is bound to deed {binding.deed} by its label")
        self._on_change()
        return {"deed": binding.deed, "device": device, "owner": owner, "tx": receipt.tx if receipt else None}


@contextmanager
def open_binding(
    folder: Path,
    settlement: Settlement,
    devices: Mapping[bytes, Device],
    publish: Callable[[str, bytes], None],
    say: Callable[[str], None],
    on_change: Callable[[], None],
) -> Iterator[BindingService]:
    """A site's service over SITE/labels.sqlite, for as long as the context lasts.

    Raises:
        CommandError: the file is no database.
    """
    try:
        store = Codes(folder)
    except sqlite3.DatabaseError as error:
        what = "if it is damaged, move it away and label the devices anew"
        raise CommandError(f"{folder / codes.NAME}: {error}; {what}") from error
    try:
        yield BindingService(store, settlement, devices, publish, say, on_change)
    finally:
        store.close()


def _from_chain(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ChainError as error:
        raise Refused("chain", f"nothing was bound, the chain says {error}: mend that and begin again") from error


def _accepts(chain: Chain, binding: Binding, signature: bytes) -> bool:
    """Whether a signature is the owner's: of its key, or by its own word if it is a contract (ERC-1271)."""
    digest = binding.digest()
    if signer_of(digest, signature) == binding.owner:
        return True
    owner = to_checksum_address(binding.owner)
    padded = signature + bytes(-len(signature) % 32)
    data = _ERC1271 + digest + (64).to_bytes(32, "big") + len(signature).to_bytes(32, "big") + padded
    try:
        if not chain.has_code(owner):
            return False
        said = chain.request("eth_call", [{"to": owner, "data": "0x" + data.hex()}, "latest"])
    except ChainError:
        return False
    return bool(said == "0x" + _ERC1271.hex().ljust(64, "0"))
