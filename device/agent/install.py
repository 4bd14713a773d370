"""Updates on the device: whom to trust, what is taken, how far it is (UPDATE.md); it runs nothing and resets nothing.

Rules:
  1. Trust is the owner's alone, and only a higher number replaces it.
  2. A manifest is taken if the trusted key signed it, it is for this device, and its sequence is above what runs and
     not below what was ever confirmed. It replaces one that is not yet tried; what is refused changes nothing.
  3. What failed is not taken again before its back-off: 1 h of uptime, twice as long after each further failure.
  4. One trial at a time. It begins by a reset, which boot.Boot asks the core for.
  5. `installed` tells each change of state, each tenth of a fetch, and all of it once after each connection.
"""

from binascii import hexlify

from . import eip712, suit, ticks, version, wire
from .cbor import const
from .errors import WireError
from .fetch import Fetch
from .identity import device_id
from .mqtt import ONLINE
from .phases import AGENT, FETCHING, KINDS, NOTHING, POSTPONED, READY, TRYING, cut
from .progress import Progress

BACKOFF_S = const(3600)
DOUBLINGS = const(6)
KEEP_BYTES = const(4096)
FAULTS = const(3)
IDLE_MS = const(10000)


class Install:
    """counts (dict of int): refused (manifests), chunks (that helped), kept (records), faults (of a memory)."""

    def __init__(self, identity, store, client, port, boot, now_ms: int):
        """
        Args:
            identity: identity.Identity. store: store.Store after open. client: mqtt.Client.
            port: has keccak256 and recover, as `_tinyren`. boot: boot.Boot.
        """
        self.counts = {"refused": 0, "chunks": 0, "kept": 0, "faults": 0}
        self._identity = identity
        self._store = store
        self._client = client
        self._port = port
        self._boot = boot
        self._banks = boot.banks
        self._uptime_ms = 0
        self._uptime_s = 0
        self._since_ms = now_ms
        self._fetches = {}
        self._progress = Progress(identity, store, client, boot, self._fetches)
        for kind in KINDS:
            self._resume(kind, now_ms)

    def receive(self, name: str, payload, now_ms: int):
        """Take a message on the topic of that name: "trust", "manifest" or "chunk".

        Raises:
            WireError: it is none, or is refused without an answer. OSError: it could not be kept; nothing changed.
        """
        if name == "trust":
            self._take_trust(*suit.decode_trust(payload))
        elif name == "manifest":
            self._take_manifest(bytes(payload), now_ms)
        else:
            self._take_chunk(*suit.decode_chunk(payload), now_ms)

    def tick(self, now_ms: int):
        """Do what is due."""
        self._uptime_ms += ticks.diff(now_ms, self._since_ms)
        self._since_ms = now_ms
        seconds, self._uptime_ms = divmod(self._uptime_ms, 1000)
        self._uptime_s += seconds
        is_online = self._client.state == ONLINE
        for kind in [kind for kind in KINDS if self._banks.takes(kind)]:
            try:
                self._go_on(kind, is_online, now_ms)
            except (OSError, ValueError):
                self._note_fault(kind, now_ms)
            if is_online:
                self._progress.tell_change(kind, now_ms)

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until tick has something to do, at least 0."""
        left = [fetch.ms_left(now_ms) for fetch in self._fetches.values()
                if self._client.state == ONLINE or not fetch.is_fetching]  # fmt: skip
        return min(left) if left else IDLE_MS

    # Trust

    def _take_trust(self, chain_id, contract, key, number, signature):
        banks, owner, keccak = self._banks, self._store.owner, self._port.keccak256
        if (key, number) == (banks.key, banks.number):
            return
        if owner is None:
            raise WireError("malformed", "trust: got one, wanted an owner first")
        digest = eip712.trust_digest(keccak, chain_id, contract, owner, key, number)
        if self._recover(digest, signature[:64], signature[64] - 27) != owner:
            raise WireError("malformed", "trust: got another's signature, wanted the owner's")
        if number <= banks.number:
            raise WireError("malformed", f"number: got {number}, wanted above {banks.number}")
        banks.key, banks.number = key, number
        for kind in KINDS:  # what another key signed is not tried any more
            if banks.units[kind].phase != TRYING:
                banks.units[kind].phase = NOTHING
        banks.keep(True)
        self._fetches.clear()

    def _recover(self, digest, signature, recovery_id):
        """Address (20 bytes) that signed, or None."""
        try:
            return device_id(self._port.recover(digest, signature + bytes([recovery_id])), self._port.keccak256)
        except ValueError:
            return None

    # Manifests

    def _take_manifest(self, frame, now_ms):
        manifest, signer, signature, signed = suit.open_manifest(frame)
        unit = self._banks.units[manifest.kind]
        reason = self._why_not(manifest, unit, signer, signature, signed)
        if reason:
            self.counts["refused"] += 1
            self._progress.tell(manifest.kind, manifest.sequence, suit.TOLD_REFUSED, cut(reason), 0, now_ms)
        elif self._is_known(unit, manifest):
            self._progress.tell_again(manifest.kind)
        else:
            self._begin(manifest, frame, now_ms)

    def _why_not(self, manifest, unit, signer, signature, signed):
        """Why a manifest is refused, as text, or None."""
        banks = self._banks
        if not banks.number:
            return "key: got a manifest, wanted the owner's trust in a key first"
        if signer != banks.key:
            return f"key: got 0x{hexlify(signer[:8]).decode()}.., wanted 0x{hexlify(banks.key[:8]).decode()}.."
        if signer not in [self._recover(signed, signature, recovery_id) for recovery_id in (0, 1)]:
            return "signature: got another's, wanted the trusted key's"
        if manifest.sequence < max(unit.sequence, unit.highest):
            return f"sequence: got {manifest.sequence}, wanted above {max(unit.sequence, unit.highest)}"
        if unit.phase != NOTHING and manifest.sequence < unit.wanted:
            return f"sequence: got {manifest.sequence}, wanted {unit.wanted} or above"
        provided = self._boot.core_abi if manifest.kind == AGENT else version.AGENT_ABI
        return self._boot.why_not(manifest, provided)

    def _is_known(self, unit, manifest):
        """Whether a manifest changes nothing: it runs, is on its way, has to wait for a trial or for its back-off."""
        if manifest.sequence == unit.sequence or unit.phase == TRYING:
            return True
        if manifest.sequence == unit.wanted and unit.phase != NOTHING:
            return True
        backoff_s = BACKOFF_S << min(max(unit.failures - 1, 0), DOUBLINGS)
        return manifest.sequence == unit.failed and self._uptime_s < backoff_s

    def _begin(self, manifest, frame, now_ms):
        """Make the idle bank this manifest's, and begin to fill it."""
        banks, kind = self._banks, manifest.kind
        unit, bank = banks.units[kind], banks.idle(kind)
        self._fetches.pop(kind, None)
        if unit.phase != NOTHING:
            unit.phase = NOTHING
            self._keep()
        keeps = not manifest.size or _holds(bank, manifest)
        bank.begin(frame, keeps)
        unit.phase, unit.wanted, unit.tries = FETCHING, manifest.sequence, 0
        unit.fetched = manifest.size if keeps else 0
        self._keep()
        self._fetches[kind] = Fetch(manifest, bank, unit.fetched, self._source(kind, manifest), now_ms)

    def _source(self, kind, manifest):
        """The bank that is confirmed, if it holds the same artifact, or None."""
        number = self._banks.units[kind].bank
        source = self._banks.bank(kind, number) if number else None
        return source if source and _holds(source, manifest) else None

    def _resume(self, kind, now_ms):
        """Go on with the fetch that was kept; one whose bank is no longer its own is forgotten."""
        unit = self._banks.units[kind]
        self._fetches.pop(kind, None)
        if unit.phase != FETCHING or not self._banks.takes(kind):
            return
        bank = self._banks.idle(kind)
        try:
            manifest = suit.open_manifest(bank.frame() or b"")[0]
        except WireError:
            manifest = None
        if manifest is None or manifest.sequence != unit.wanted or manifest.kind != kind:
            unit.phase = NOTHING
            return
        source = self._source(kind, manifest)
        if source is None and unit.fetched < manifest.size:
            unit.fetched -= unit.fetched % suit.CHUNK_BYTES
        self._fetches[kind] = Fetch(manifest, bank, unit.fetched, source, now_ms)

    # Progress

    def _take_chunk(self, start, offset, data, now_ms):
        for kind, fetch in self._fetches.items():
            try:
                is_next = fetch.take(start, offset, data, now_ms)
            except (OSError, ValueError):
                self._note_fault(kind, now_ms)
                return
            if is_next:
                self.counts["chunks"] += 1
                return

    def _go_on(self, kind, is_online, now_ms):
        unit, fetch, boot = self._banks.units[kind], self._fetches.get(kind), self._boot
        if unit.phase == POSTPONED and is_online and not boot.trial:
            unit.phase = READY
            self._keep()
        if unit.phase == READY and not boot.trial:
            boot.ask_trial()
        if fetch is None:
            return
        if fetch.is_fetching:
            wanted = fetch.want(now_ms) if is_online else None
            if wanted:
                self._publish("want", suit.encode_want(fetch.manifest.digest, *wanted), now_ms)
        else:
            fetch.work()
        if fetch.fetched - unit.fetched >= KEEP_BYTES or (fetch.fetched > unit.fetched and not fetch.is_fetching):
            unit.fetched = fetch.fetched
            self._keep()
        if fetch.is_right is not None:
            self._finish(kind, fetch, now_ms)

    def _finish(self, kind, fetch, now_ms):
        """Make what was hashed ready for its trial, or fetch it anew, or give it up."""
        unit = self._banks.units[kind]
        if fetch.is_right:
            unit.phase = READY
            self._keep()
            del self._fetches[kind]
        elif not fetch.is_fresh:
            self._fetch_anew(kind, fetch, now_ms)
        else:
            self._give_up(kind, "digest: got another, wanted the manifest's")

    def _fetch_anew(self, kind, fetch, now_ms):
        """Once more from the first chunk: what was kept, copied, or of several boots is not what it should be."""
        unit, bank = self._banks.units[kind], self._banks.idle(kind)
        unit.fetched = 0
        self._keep()
        bank.begin(bank.frame(), False)
        self._fetches[kind] = Fetch(fetch.manifest, bank, 0, None, now_ms)

    def _give_up(self, kind, reason):
        self._fetches.pop(kind, None)
        self._boot.give_up(kind, reason)

    def _note_fault(self, kind, now_ms):
        """A memory failed: go on from what is kept, thrice in a boot."""
        self.counts["faults"] += 1
        try:
            if self.counts["faults"] < FAULTS:
                self._banks.load()
                self._resume(kind, now_ms)
            elif kind in self._fetches:
                self._give_up(kind, "memory: got a fault, wanted what was written")
        except OSError:
            self._fetches.pop(kind, None)

    def _keep(self):
        self._banks.keep()
        self.counts["kept"] += 1

    def _publish(self, name, payload, now_ms):
        self._client.publish(wire.topic(self._identity.id, name), payload, now_ms)


def _holds(bank, manifest):
    """Whether a bank says that it holds this manifest's artifact; its hash will tell whether it does."""
    try:
        there = suit.open_manifest(bank.frame() or b"")[0]
    except WireError:
        return False
    return there.size and (there.size, there.digest) == (manifest.size, manifest.digest)
