"""What an oracle's state machine asks for, to be carried out in order, and the choice that it must not lose."""

from dataclasses import dataclass

from gateway.oracle.agreement import Memory
from gateway.oracle.quorum import Settle
from gateway.oracle.statements import Bundle, Said


@dataclass(frozen=True)
class Choice:
    """What an oracle may never contradict, of the one epoch it works on."""

    epoch: int
    memory: Memory = Memory()
    signature: Said | None = None


@dataclass(frozen=True)
class Fetch:
    """Effect: get and verify this bundle of an epoch; `held` is the answer, nothing if it cannot be had now."""

    epoch: int
    bundle: Bundle


@dataclass(frozen=True)
class Score:
    """Effect: compute the root that follows from the agreed set; `scored` is the answer."""

    epoch: int
    bundles: tuple[Bundle, ...]


@dataclass(frozen=True)
class Persist:
    """Effect: make the choice durable before carrying out what follows; `Oracle` is started with it."""

    choice: Choice


@dataclass(frozen=True)
class Publish:
    """Effect: send to every oracle and gateway."""

    said: Said


@dataclass(frozen=True)
class Reject:
    """Effect: count this; nothing changed, except that a fault is now on record."""

    sender: bytes
    reason: str


Effect = Fetch | Score | Persist | Publish | Settle | Reject
