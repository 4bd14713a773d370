"""Tells how far a device is with its updates (UPDATE.md, section 4): each change once, all after a connection."""

from . import suit, wire
from .cbor import const
from .mqtt import QUEUE
from .phases import AGENT, KINDS, NOTHING, TRYING

_TENTHS = const(10)


class Progress:
    def __init__(self, identity, store, client, boot, fetches):
        """identity, store, client, boot: of install.Install. fetches: its {kind: fetch.Fetch}, which it changes."""
        self._identity = identity
        self._store = store
        self._client = client
        self._boot = boot
        self._fetches = fetches
        self._told = {}

    def tell_again(self, kind: int):
        """Let the next tell_change tell, whether there was a change or not."""
        self._told.pop(kind, None)

    def tell_change(self, kind: int, now_ms: int):
        """Tell where a kind stands, if that was not told in this connection and MQTT's queue has room."""
        status = self._status(kind)
        if status is None or self._client.queued >= QUEUE // 2:
            return
        sequence, state, reason, fetched = status
        fetch = self._fetches.get(kind)
        tenth = fetched * _TENTHS // fetch.manifest.size if fetch and fetch.is_fetching else _TENTHS
        change = (self._client.sessions, sequence, state, reason, tenth)
        if change != self._told.get(kind):
            self._told[kind] = change
            self.tell(kind, sequence, state, reason, fetched, now_ms)

    def tell(self, kind: int, sequence: int, state: int, reason: str, fetched: int, now_ms: int):
        """Publish `installed` with these fields, and with what is confirmed and runs."""
        me, runs = self._identity, [self._boot.sequence(kind) for kind in KINDS]
        frame = suit.sign_installed(me.id, me.sign, self._store.boot, kind, sequence, state, reason, fetched, *runs)
        self._client.publish(wire.topic(me.id, "installed"), frame, now_ms)

    def _status(self, kind):
        """(sequence, state, reason, fetched) of a kind, or None if there is nothing to tell."""
        unit, fetch = self._boot.banks.units[kind], self._fetches.get(kind)
        if unit.phase == TRYING:
            return unit.wanted, suit.TOLD_TRYING, "", unit.fetched
        if unit.phase != NOTHING:
            return unit.wanted, suit.TOLD_FETCHING, "", fetch.fetched if fetch else unit.fetched
        if self._boot.is_safe and kind == AGENT:
            return unit.sequence, suit.TOLD_SAFE, self._boot.banks.reason, 0
        if unit.failed:
            state = suit.TOLD_FAILED if unit.failures else suit.TOLD_REFUSED
            return unit.failed, state, unit.reason, 0
        return (unit.sequence, suit.TOLD_CONFIRMED, "", 0) if unit.sequence else None
