"""What a device runs in this boot, and whether that was good: the core's decisions; it imports and resets nothing.

Rules (UPDATE.md, section 8):
  1. A try is counted and kept before what is tried runs. A boot of a trial that ended otherwise than in accept() is
     rolled back, with the reason.
  2. Only what is whole and fits this firmware runs: every boot hashes a bank anew. Else the firmware's own runs.
  3. Three boots in a row that ended by an error or the watchdog, before a heartbeat of theirs was accepted, lead to
     safe mode. A trial leads out of it; a power-on gives what is confirmed one more chance. A device that never kept
     anything writes nothing until something is to be kept: its first bad end counts whether it was accepted or not.
  4. A trial that is not accepted within 120 s online is rolled back. One that never is online is no failure: after
     600 s what is confirmed runs again, and once that is online the trial gets another try, of three.
  5. Where the firmware's own agent was renewed, it goes before a package that was confirmed, and the row of bad boots,
     which were another's, is over.
"""

from . import ticks
from .cbor import const
from .errors import WireError
from .phases import AGENT, KINDS, MODEL, NOTHING, POSTPONED, READY, TRYING, cut
from .version import CORE_ABI, abi

MODEL_ABI = "ren3"
_BAD_BOOTS = const(3)
_TRIES = const(3)
_ACCEPT_MS = const(120000)
_ONLINE_MS = const(600000)

POWER, WATCHDOG, ASKED = "power", "watchdog", "asked"
RENEWED = "flashed: the board was given another agent; apply the job again"


def decide(banks, reset: str):
    """Account for the boot before and choose what this one runs, in banks' fields; the caller keeps them.

    Args:
        reset: why the boot before ended: "power", "asked", "watchdog", or "error: " and which.
    Returns:
        (kind that is on trial or 0, whether this is safe mode).
    """
    for kind in KINDS:
        if banks.units[kind].phase == TRYING:
            roll_back(banks, kind, reset)
            banks.is_open = 0
    if banks.is_open and reset not in (POWER, ASKED):
        _count_bad(banks, reset)
    if reset == POWER and banks.bad == _BAD_BOOTS:
        banks.bad = _BAD_BOOTS - 1
    trial = 0
    for kind in KINDS:
        if banks.units[kind].phase == READY and banks.takes(kind) and not trial:
            trial = kind
            banks.units[kind].phase = TRYING
            banks.units[kind].tries = min(255, banks.units[kind].tries + 1)
    is_safe = banks.bad == _BAD_BOOTS and not trial
    banks.is_open = int(not is_safe)
    return trial, is_safe


def roll_back(banks, kind: int, reason: str):
    """Give up what is in the idle bank of a kind; the reason is what the device reports."""
    unit = banks.units[kind]
    unit.failures = min(255, unit.failures + 1) if unit.failed == unit.wanted else 1
    unit.failed, unit.reason = unit.wanted, cut(reason)
    unit.phase, unit.tries, unit.fetched = NOTHING, 0, 0


def take_back(unit, reason: str):
    """Let the firmware's own run in the place of what is confirmed of a kind (banks.Unit); the reason is what the
    device reports. The highest sequence stays, so the same manifest can be sent again.
    """
    unit.failed, unit.failures, unit.reason = unit.sequence, 1, cut(reason)
    unit.bank = unit.sequence = unit.fetched = unit.tries = 0
    unit.phase = NOTHING


def _count_bad(banks, reason):
    banks.bad = min(_BAD_BOOTS, banks.bad + 1)
    banks.reason = cut(reason)
    banks.is_open = 0


def describe(error) -> str:
    """An exception as the reason of a failed boot: "error: NameError: name 'x' isn't defined", cut to what is kept."""
    return cut(f"error: {type(error).__name__}: {error}")


class Boot:
    """This boot: banks (banks.Banks), core_abi, model_abi and agent_abi (what artifacts must be), trial (kind that is
    on trial, or 0), is_safe, is_accepted (an ack for a heartbeat came), wants_reset (whether the core shall reset now,
    with the reason "asked"), model and agent (manifest.Manifest of what runs, or None for the firmware's own).
    """

    core_abi = CORE_ABI
    model_abi = MODEL_ABI

    def __init__(self, banks, board: str, reset: str, now_ms: int, is_renewed: bool = False):
        """Decide, and keep it before anything runs.

        Args:
            banks: banks.Banks. board: this board's name. reset: as of decide.
            is_renewed: the firmware's own agent is another than it was when this was last kept.
        Raises:
            OSError: it could not be kept.
        """
        self.banks = banks
        self.board = board
        self.agent_abi = abi()
        self.is_accepted = self.wants_reset = False
        self._is_renewed = is_renewed
        if is_renewed:
            banks.is_open = banks.bad = 0
        self.trial, self.is_safe = decide(banks, reset)
        self._runs = {kind: self._open(kind) for kind in KINDS}
        self.model, self.agent = self._runs[MODEL], self._runs[AGENT]
        if banks.is_used or banks.bad:
            banks.keep()
        self._online_ms = self._offline_ms = 0
        self._since_ms = now_ms

    def bank_of(self, kind: int):
        """The bank whose content runs; None for the firmware's own."""
        manifest = self._runs[kind]
        return self.banks.bank(kind, self._number(kind)) if manifest and manifest.size else None

    @property
    def wants(self):
        """(offsets, shifts, sample_ms) of the model's manifest; None for the firmware's own."""
        if not self.model:
            return None
        from . import suit

        return suit.decode_parameters(self.model.parameters)[:3]

    def sequence(self, kind: int) -> int:
        """Sequence of what is confirmed and runs; 0 for the firmware's own."""
        return 0 if self.is_safe or not self.banks.takes(kind) else self.banks.units[kind].sequence

    def tick(self, now_ms: int, is_online: bool):
        """Let a trial's time pass; to be called at least each 6 days.

        Raises:
            OSError: what follows could not be kept.
        """
        passed = ticks.diff(now_ms, self._since_ms)
        self._since_ms = now_ms
        if not self.trial:
            return
        if is_online:
            self._online_ms += passed
        else:
            self._offline_ms += passed
        if self._online_ms >= _ACCEPT_MS:
            self.fail("not accepted within 120 s")
            self.wants_reset = True
        elif not self._online_ms and self._offline_ms >= _ONLINE_MS:
            self._postpone()
            self.wants_reset = True

    def accept(self):
        """The first ack of this boot came: what runs is good.

        Raises:
            OSError: it could not be kept; the next ack is another chance.
        """
        if self.is_accepted:
            return
        banks = self.banks
        kind = self.trial
        if kind:
            unit = banks.units[kind]
            unit.bank, unit.sequence, unit.highest = unit.idle, unit.wanted, max(unit.highest, unit.wanted)
            unit.phase, unit.tries, unit.failures, unit.failed, unit.reason = NOTHING, 0, 0, 0, ""
        if banks.is_used and (kind or banks.is_open or banks.bad):
            banks.is_open, banks.bad = 0, 0
            banks.keep(bool(kind))
        self.trial = 0
        self.is_accepted = True

    def fail(self, reason: str):
        """What runs has ended by this reason ("error: ..."); the core then resets, with the reason "asked".

        Raises:
            OSError: it could not be kept; then the reset's reason has to tell it.
        """
        if self.trial:
            roll_back(self.banks, self.trial, reason)
            self.banks.is_open = 0
        elif self.banks.is_open:
            _count_bad(self.banks, reason)
        else:
            return
        self.banks.keep()
        self.trial = 0

    def ask_trial(self):
        """Reset, so that what is ready in an idle bank is tried."""
        self.wants_reset = True

    def give_up(self, kind: int, reason: str):
        """What is in the idle bank of a kind is not what it should be, and was not tried.

        Raises:
            OSError: it could not be kept.
        """
        roll_back(self.banks, kind, reason)
        self.banks.units[kind].failures = 0
        self.banks.keep()

    def why_not(self, manifest, provided: int):
        """Why an artifact cannot run on this device, as text; None if it can.

        Args:
            manifest: manifest.Manifest. provided: ABI of what runs it (`needs`).
        """
        kind = manifest.kind
        wanted = (self.board, self.model_abi if kind == MODEL else self.agent_abi)
        for name, got, want in (("board", manifest.board, wanted[0]), ("abi", manifest.abi, wanted[1])):
            if got != want:
                return f"{name}: got {got}, wanted {want}"
        if manifest.needs > provided:
            return f"needs: got {manifest.needs}, wanted at most {provided}"
        if not self.banks.takes(kind):
            return f"kind: got {kind}, wanted one that this device has banks for"
        size = self.banks.idle(kind).size
        return f"size: got {manifest.size}, wanted at most {size}" if manifest.size > size else None

    def _number(self, kind):
        """The bank that is chosen for a kind; 0 for the firmware's own."""
        unit = self.banks.units[kind]
        if self.is_safe or not self.banks.takes(kind):
            return 0
        return unit.idle if unit.phase == TRYING else unit.bank

    def _open(self, kind):
        """Manifest of what runs, or None for the firmware's own. What cannot run is given up."""
        while self._number(kind):
            manifest, reason = self._verify(kind, self._number(kind))
            if not reason:
                return manifest
            if self.trial == kind:
                roll_back(self.banks, kind, reason)
                self.trial, self.is_safe = 0, self.banks.bad == _BAD_BOOTS
                self.banks.is_open = int(not self.is_safe)
            else:
                take_back(self.banks.units[kind], reason)
        return None

    def _verify(self, kind, number):
        """(manifest of what is in a bank, None), or (None, why it cannot run)."""
        from . import suit

        bank, unit = self.banks.bank(kind, number), self.banks.units[kind]
        try:
            manifest = suit.open_manifest(bank.frame() or b"")[0]
        except WireError:
            return None, "bank: got no manifest, wanted one"
        if manifest.sequence != (unit.wanted if self.trial == kind else unit.sequence) or manifest.kind != kind:
            return None, "bank: got another manifest, wanted the one that was kept"
        if self._is_renewed and kind == AGENT and manifest.size and self.trial != kind:
            return manifest, RENEWED
        reason = self.why_not(manifest, CORE_ABI if kind == AGENT else manifest.needs)
        if not reason and manifest.size and bank.digest(manifest.size) != manifest.digest:
            reason = "digest: got another, wanted the manifest's"
        return manifest, reason

    def _postpone(self):
        unit = self.banks.units[self.trial]
        if unit.tries >= _TRIES:
            roll_back(self.banks, self.trial, f"not online within 600 s, {_TRIES} times")
        else:
            unit.phase = POSTPONED
        self.banks.is_open = 0
        self.banks.keep()
        self.trial = 0
