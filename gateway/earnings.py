"""Says why a deed earned what it earned in one epoch, window by window; decides nothing, and asks nobody.

    evidence and bindings of an epoch, what the chain holds ─▶ Explanation ─▶ text, JSON or the page

The verdict is the oracles' own (oracle/availability.py): `judge` gives both the score and the reasons, so that what is
told here cannot differ from what is paid. A window has one of the outcomes of OUTCOMES. Times are the gateway's, in ms
since 1970, amounts wei.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.oracle import availability
from gateway.oracle.availability import FULL, Heartbeat, Windows
from gateway.oracle.rewards import ND_REWARD_WEI, Deed, epoch_reward

ANSWERED, NOT_OPENED, SILENT = "answered", "not opened", "silent"
REFUSED = {2: "replayed", 3: "forged", 4: "no beacon", 5: "out of time"}
OUTCOMES = {
    ANSWERED: "a signed heartbeat with this window's beacon came in time",
    NOT_OPENED: "the gateway did not open this window, so nobody could answer it",
    SILENT: "no heartbeat with this window's beacon came",
    REFUSED[2]: "its (boot, sequence) is not above the last one that the device signed",
    REFUSED[3]: "its signature is not the device's",
    REFUSED[4]: "its beacon is none of this epoch's windows",
    REFUSED[5]: "it came before the window was opened, or after it was over",
}
RULE = (
    "A window is answered by a heartbeat that the device signed over this window's beacon, with a new (boot, "
    f"sequence), received while the window was open. Availability is floor({FULL} x windows answered / windows of the "
    f"epoch), and a deed earns floor({ND_REWARD_WEI} wei x sum of its devices' availability / ({FULL} x slots))."
)


@dataclass(frozen=True)
class Evidence:
    """A heartbeat: what was signed as a SHA-256 digest of 32 bytes; after_ms counts from the window's opening."""

    receipt_ms: int
    after_ms: int | None
    boot: int
    sequence: int
    digest: bytes
    is_signed: bool
    outcome: str


@dataclass(frozen=True)
class WindowVerdict:
    """One window of one device; opened_ms and block are None where it was not opened. evidence: in file order."""

    window: int
    opened_ms: int | None
    block: int | None
    outcome: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class DeviceVerdict:
    """A device (20 bytes): availability 0..255, every window of the epoch, and heartbeats that name none of them."""

    device: bytes
    availability: int
    windows: tuple[WindowVerdict, ...]
    strays: tuple[Evidence, ...]

    def count(self, outcome: str) -> int:
        """How many windows had this outcome."""
        return sum(window.outcome == outcome for window in self.windows)


@dataclass(frozen=True)
class Money:
    """Wei: what the deed's leaf was before the epoch and after it, and what was paid for it until now."""

    before_wei: int
    cumulative_wei: int
    claimed_wei: int

    @property
    def due_wei(self) -> int:
        """What a claim by this epoch's root would still pay."""
        return max(0, self.cumulative_wei - self.claimed_wei)


@dataclass(frozen=True)
class Explanation:
    """Why deed number `deed` earned what it did. root, evidence: 32 bytes, as oracles signed them; owner: 20 bytes."""

    epoch: int
    deed: int
    owner: bytes
    slots: int
    windows: int
    window_ms: int
    devices: tuple[DeviceVerdict, ...]
    earned_wei: int
    money: Money
    root: bytes
    evidence: bytes
    advice: tuple[str, ...]

    @property
    def availability_sum(self) -> int:
        """Of all its devices; at most 255 for each slot."""
        return sum(device.availability for device in self.devices)


def explain(
    number: int,
    deed: Deed,
    windows: Windows,
    heartbeats: Iterable[Heartbeat],
    is_signed: Callable[[Heartbeat], bool],
    money: Money,
    attested: tuple[bytes, bytes],
) -> Explanation:
    """Explain one deed's epoch.

    Args:
        deed: as bound at the epoch's close. heartbeats: in file order, of anybody; consumed once.
        attested: (root, digest of the evidence), 32 bytes each.
    """
    found: dict[bytes, list[tuple[int | None, Evidence]]] = {device: [] for device in deed.devices}
    for beat, window, broken in availability.judge(windows, heartbeats, is_signed, found):
        after_ms = None if window is None else beat.receipt_ms - window.opened_ms
        outcome = REFUSED.get(broken, ANSWERED)
        signed = broken != 3 and (broken != 2 or is_signed(beat))
        item = Evidence(beat.receipt_ms, after_ms, beat.boot, beat.sequence, beat.digest, signed, outcome)
        found[beat.device].append((None if window is None else window.window, item))
    devices = tuple(_device(device, windows, found[device]) for device in deed.devices)
    earned = epoch_reward(sum(device.availability for device in devices), deed.slots) if deed.devices else 0
    advice = tuple(_advise(deed, devices, windows, money))
    shape = (deed.owner, deed.slots, windows.count, windows.window_ms)
    return Explanation(windows.epoch, number, *shape, devices, earned, money, *attested, advice)


def _device(device: bytes, windows: Windows, found: list[tuple[int | None, Evidence]]) -> DeviceVerdict:
    of_window: dict[int, list[Evidence]] = {}
    for number, item in found:
        if number is not None:
            of_window.setdefault(number, []).append(item)
    opened = {window.window: window for window in windows.opened}
    verdicts = []
    for number in range(windows.count):
        window, evidence = opened.get(number), tuple(of_window.get(number, ()))
        opened_ms, block = (window.opened_ms, window.block) if window else (None, None)
        verdicts.append(WindowVerdict(number, opened_ms, block, _outcome(window is not None, evidence), evidence))
    answered = sum(verdict.outcome == ANSWERED for verdict in verdicts)
    strays = tuple(item for number, item in found if number is None)
    return DeviceVerdict(device, FULL * answered // windows.count, tuple(verdicts), strays)


def _outcome(is_opened: bool, evidence: tuple[Evidence, ...]) -> str:
    if not is_opened:
        return NOT_OPENED
    outcomes = [item.outcome for item in evidence]
    return ANSWERED if ANSWERED in outcomes else outcomes[0] if outcomes else SILENT


def _advise(deed: Deed, devices: tuple[DeviceVerdict, ...], windows: Windows, money: Money) -> Iterable[str]:
    """What the owner can do, the costliest loss first within each kind."""
    lost: Counter[str] = Counter()
    for device in devices:
        lost.update(window.outcome for window in device.windows)
    if lost[NOT_OPENED]:
        yield f"{lost[NOT_OPENED]} windows were not opened: ask the site's operator why gateway or chain was away."
    if lost[SILENT]:
        yield f"{lost[SILENT]} windows had no heartbeat: check the device's power and its link."
    if lost[REFUSED[5]]:
        yield f"{lost[REFUSED[5]]} answers were out of time: the link is slow for windows of {windows.window_ms} ms."
    if lost[REFUSED[2]] or lost[REFUSED[3]]:
        count = lost[REFUSED[2]] + lost[REFUSED[3]]
        yield f"{count} answers were replayed or forged: two boards may hold one key; bind a device with a new key."
    free = deed.slots - len(deed.devices)
    if free > 0:
        share = epoch_reward(FULL, deed.slots)
        yield f"{free} of {deed.slots} slots are empty: each further device earns the deed up to {share} wei an epoch."
    if money.due_wei:
        yield f"{money.due_wei} wei are due: anybody may claim them for the owner; the gateway does so itself."
    yield f"Compute it again with other code: tinyren verify SITE --epoch {windows.epoch}."
