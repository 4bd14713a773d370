"""A share-holder at work: polls gateways for closed sets and answers those that pass; shows no key.

    gateway ─ closed set ─▶ shares.check_set ─▶ answers (disk) ─▶ share ─▶ gateway ─▶ data owner

1. An answer is on the disk before it leaves. Killed before that, nothing was given; after it, the same bytes are given.
2. One answer for each (data owner, round): the same set gives the same bytes again, another set is refused.
3. What cannot be known now (gateway or chain away, disk full) is tried again at the next turn.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from coincurve import PrivateKey

from gateway.edil import shares
from gateway.edil.answers import Answer, Answers
from gateway.edil.client import Gateway, GatewayAway, GatewayRefused
from gateway.edil.counting import Counting
from gateway.edil.keys import NONCE_BYTES
from gateway.edil.shares import CheckedSet, SetRefused
from gateway.oracle.rpc import ChainAway
from gateway.text import one_line

CLOSED = "closed"


@dataclass
class _Seen:
    """Of one gateway: sets that were dealt with, and what was last said about a round, or about itself under ""."""

    done: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)

    def forget_others(self, names: list[tuple[str, str]]) -> None:
        """Remember no more than the rounds (digest, set) that it tells of now."""
        self.done &= {closed_set for _, closed_set in names}
        self.told = {name: self.told[name] for name, _ in names if name in self.told}


class Holder:
    """One share-holder.

    Args:
        counting: which devices may be counted, asked for each set. least: devices in any sum (shares.check_set).
        say: told one line for a person about each set, once.
    """

    def __init__(
        self, secret: PrivateKey, answers: Answers, counting: Counting, least: int, say: Callable[[str], None]
    ) -> None:
        self._secret, self._answers = secret, answers
        self._counting, self._least, self._say = counting, least, say
        self._key = secret.public_key.format()
        self._seen: dict[str, _Seen] = {}

    def answer(self, manifest: bytes, closed_set: bytes) -> tuple[CheckedSet, bytes]:
        """The share for a closed set, stored before it is returned; the frames of manifest and set.

        Raises:
            SetRefused: the set fails a check, or another one was answered for this data owner and round.
            ChainAway: who is bound cannot be known now. OSError: the answer could not be stored.
        """
        checked = shares.check_set(manifest, closed_set, self._key, self._counting(), self._least)
        if checked.index == 0:
            raise SetRefused("holders: got this key as the data owner's, who adds its share itself")
        number = checked.manifest.round
        frame = shares.answer(checked, self._secret, os.urandom(NONCE_BYTES))
        found = self._answers.keep(checked.owner, number, Answer(checked.manifest.digest, checked.digest, frame))
        if (found.manifest, found.closed_set) != (checked.manifest.digest, checked.digest):
            got = f"got set {checked.digest.hex()}, but {found.closed_set.hex()} was answered"
            raise SetRefused(f"round {number} of 0x{checked.owner.hex()}: {got}, and there is one answer a round")
        return checked, found.share

    def turn(self, gateway: Gateway) -> dict[str, int]:
        """Look once at a gateway's closed rounds; how many sets were answered, refused, or wait for the next turn."""
        counts, seen = {"answered": 0, "refused": 0, "waiting": 0}, self._seen.setdefault(gateway.url, _Seen())
        try:
            closed = [row for row in gateway.rounds() if row.get("state") == CLOSED]
        except (GatewayAway, GatewayRefused) as error:
            self._tell(seen, "", str(error))
            return counts | {"waiting": 1}
        if seen.told.pop("", None):
            self._say(f"{gateway.url} answers again")
        names = [(one_line(row.get("digest")), one_line(row.get("set"))) for row in closed]
        for name, closed_set in names:
            if outcome := self._consider(gateway, seen, name, closed_set):
                counts[outcome] += 1
        seen.forget_others(names)
        return counts

    def _consider(self, gateway: Gateway, seen: _Seen, name: str, closed_set: str) -> str:
        """Deal with one closed round: "answered", "refused", "waiting", or "" if it was dealt with before."""
        if closed_set in seen.done:
            return ""
        try:
            found = gateway.closed(bytes.fromhex(name))
            checked, share = self.answer(found.manifest, found.closed_set)
        except SetRefused as error:
            seen.done.add(closed_set)
            self._say(f"refused {name[:16]}: {error}")
            return "refused"
        except (GatewayAway, GatewayRefused, ChainAway, OSError, ValueError) as error:
            self._tell(seen, name, f"{name[:16]} waits: {error}")
            return "waiting"
        try:
            gateway.give_share(share)
        except (GatewayAway, GatewayRefused) as error:
            self._tell(seen, name, f"{name[:16]} is answered, but the gateway does not take it: {error}")
            return "waiting"
        seen.done.add(closed_set)
        self._say(
            f"answered round {checked.manifest.round} of 0x{checked.owner.hex()}: {len(checked.devices)} devices, "
            f"set {checked.digest.hex()[:16]}, as holder {checked.index}"
        )
        return "answered"

    def _tell(self, seen: _Seen, about: str, text: str) -> None:
        """Say what is new about something, and not again what was said last."""
        if seen.told.get(about) != text:
            seen.told[about] = text
            self._say(text)
