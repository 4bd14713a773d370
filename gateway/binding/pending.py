"""Bindings on their way, pure: what each has and lacks; time, tokens and chain facts are arguments, nothing is sent.

| a binding   | has                                     | goes on by                                        |
|-------------|-----------------------------------------|---------------------------------------------------|
| found       | a label whose set-up code was right     | ask: somebody names a deed                        |
| asked       | the fields that both sign, a deadline   | sign: the deed's owner signed them                |
| signed      | the owner's signature; device is asked  | answer: the device signed the same fields         |
| co-signed   | both signatures, good for the chain     | close: the binding is on the chain, code burned   |

The owner signs first, because a device keeps the first owner that asks it: a wallet that refuses must leave nothing on
the device. A refusal changes nothing. A binding ends KEPT_S after it was found, and is forgotten with the process.
"""

from dataclasses import dataclass, replace
from typing import Any

from device.agent import eip712
from device.agent.errors import LocalError
from gateway import curve
from gateway.oracle.epoch import signer_of

KEPT_S = 900.0
VALID_S = 600
MOST = 64


class Refused(Exception):
    """A binding does not go on. `reason` is one word for programs, the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Binding:
    """What owner and device sign: addresses of 20 bytes, the board's name, the deadline in seconds since 1970."""

    chain_id: int
    contract: bytes
    deed: int
    device: bytes
    owner: bytes
    board: str
    nonce: int
    deadline_s: int

    def digest(self) -> bytes:
        """32 bytes, EIP-712."""
        return bytes(eip712.binding_digest(curve.keccak, *vars(self).values()))

    def typed_data(self) -> dict[str, Any]:
        """The JSON that a wallet takes by eth_signTypedData_v4; numbers of the message are decimal text."""
        message = {
            "deed": str(self.deed),
            "device": _hex(self.device),
            "owner": _hex(self.owner),
            "board": _hex(eip712.board_word(self.board)),
            "nonce": str(self.nonce),
            "deadline": str(self.deadline_s),
        }
        return typed_data_of("Binding", eip712.BINDING_TYPE, self.chain_id, self.contract, message)


def typed_data_of(
    name: str, encoded_type: bytes, chain_id: int, contract: bytes, message: dict[str, str]
) -> dict[str, Any]:
    """A struct of the Devices contract's domain as eth_signTypedData_v4 takes it; contract: 20 bytes."""
    return {
        "types": {"EIP712Domain": _members(eip712.DOMAIN_TYPE), name: _members(encoded_type)},
        "primaryType": name,
        "domain": {
            "name": eip712.BINDING_NAME.decode(),
            "version": eip712.VERSION.decode(),
            "chainId": chain_id,
            "verifyingContract": _hex(contract),
        },
        "message": message,
    }


def read_typed_data(value: Any) -> Binding:
    """The binding of what `typed_data` gives; whoever is to sign it compares its fields with what it wants.

    Raises:
        Refused: it is anything else, also if it only has one member more.
    """
    try:
        domain, message = value["domain"], value["message"]
        names = (domain["verifyingContract"], message["device"], message["owner"])
        contract, device, owner = (bytes.fromhex(text[2:]) for text in names)
        board = bytes.fromhex(message["board"][2:]).rstrip(b"\0").decode("ascii")
        deed, nonce, deadline_s = (int(message[name]) for name in ("deed", "nonce", "deadline"))
        found = Binding(int(domain["chainId"]), contract, deed, device, owner, board, nonce, deadline_s)
        if found.digest() and found.typed_data() == value:
            return found
    except (KeyError, TypeError, ValueError, AttributeError, LocalError):
        pass
    raise Refused("malformed", "typed data: got something else, wanted a Binding as tinyren's contract has it")


@dataclass(frozen=True)
class Pending:
    """A binding on its way. Signatures are 65 bytes (an owner's that is a contract: any), b"" while they lack.

    salt: that of the label's code, by which another label of the device is told apart.
    """

    device: bytes
    salt: bytes
    ends_s: float
    binding: Binding | None = None
    owner_signature: bytes = b""
    device_signature: bytes = b""
    wrong_answer: bool = False


class PendingBindings:
    """All of a gateway's, by token. The clock's seconds are monotonic, `wall_s` are those since 1970."""

    def __init__(self) -> None:
        self._kept: dict[str, Pending] = {}

    def open(self, token: str, device: bytes, salt: bytes, now_s: float) -> None:
        """Begin one for a device whose label's code was right; above MOST the oldest is forgotten."""
        self._kept = {name: pending for name, pending in self._kept.items() if pending.ends_s > now_s}
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[token] = Pending(device, salt, now_s + KEPT_S)

    def get(self, token: str, now_s: float) -> Pending:
        """Raises Refused: there is none of this token, or no more."""
        pending = self._kept.get(token)
        if pending is None or pending.ends_s <= now_s:
            raise Refused("expired", "this binding is over: read the label again")
        return pending

    def ask(self, token: str, binding: Binding, now_s: float) -> None:
        """Set what both are to sign; signatures over something else are dropped."""
        self._kept[token] = replace(
            self.get(token, now_s), binding=binding, owner_signature=b"", device_signature=b"", wrong_answer=False
        )

    def asked(self, token: str, now_s: float, wall_s: float) -> Binding:
        """The fields to be signed.

        Raises:
            Refused: no deed was named yet, or the deadline is over.
        """
        binding = self.get(token, now_s).binding
        if binding is None:
            raise Refused("deed", "deed: got none, wanted the number of the deed first")
        if wall_s > binding.deadline_s:
            raise Refused("expired", "this binding's deadline is over: name the deed again and sign once more")
        return binding

    def sign(self, token: str, signature: bytes, now_s: float) -> None:
        """Keep the owner's signature, which the caller has checked."""
        self._kept[token] = replace(self.get(token, now_s), owner_signature=signature, wrong_answer=False)

    def answer(self, device: bytes, nonce: int, signature: bytes) -> bool:
        """Take what a device answered; whether somebody waits for it. What answers none of those is marked, not kept.

        Two who have the label are asked for at once, so an answer to one says nothing of the other.
        """
        waiting = {
            token: pending
            for token, pending in self._kept.items()
            if pending.binding and pending.owner_signature
            and (pending.binding.device, pending.binding.nonce) == (device, nonce)
        }  # fmt: skip
        signed = [token for token, pending in waiting.items() if _has_signed(pending, signature)]
        for token in signed:
            self._kept[token] = replace(waiting[token], device_signature=signature)
        if not signed:
            self._kept |= {token: replace(pending, wrong_answer=True) for token, pending in waiting.items()}
        return bool(waiting)

    def close(self, device: bytes) -> None:
        """Forget all that are for a device: it is bound."""
        self._kept = {token: pending for token, pending in self._kept.items() if pending.device != device}


def _has_signed(pending: Pending, signature: bytes) -> bool:
    return pending.binding is not None and signer_of(pending.binding.digest(), signature) == pending.device


def _members(encoded_type: bytes) -> list[dict[str, str]]:
    """The members of an encodeType string, as eth_signTypedData_v4 wants them."""
    members = encoded_type.decode().partition("(")[2].removesuffix(")").split(",")
    return [{"name": name, "type": kind} for kind, name in (member.split(" ") for member in members)]


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
