"""Says why a deed earned what it earned in one epoch, window by window; decides nothing, and asks nobody.

    evidence and bindings of an epoch, what the chain holds ─▶ Explanation ─▶ text, JSON or the page

The verdict is the oracles' own (oracle/availability.py): `judge` gives both the score and the reasons, so that what is
told here cannot differ from what is paid. A window has one of the outcomes of OUTCOMES. Times are the gateway's, in ms
since 1970, amounts wei.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.oracle import availability
from gateway.oracle.availability import FULL, Heartbeat, Windows
from gateway.oracle.rewards import ND_REWARD_WEI, Deed, epoch_reward
from gateway.poai.verdict import MISSED, Checked, Work
from gateway.web.view import r1

ANSWERED, NOT_OPENED, SILENT, COPIED = "answered", "not opened", "silent", "copied"
REFUSED = {2: "replayed", 3: "forged", 4: "no beacon", 5: "out of time"}
OUTCOMES = {
    ANSWERED: "a signed heartbeat with this window's beacon came in time",
    NOT_OPENED: "the gateway did not open this window, so nobody could answer it",
    SILENT: "no heartbeat with this window's beacon came",
    REFUSED[2]: "its (boot, sequence) is not above the last one that the device signed",
    REFUSED[3]: "its signature is not the device's",
    REFUSED[4]: "its beacon is none of this epoch's windows",
    REFUSED[5]: "it came before the window was opened, or after it was over",
    COPIED: "another gateway heard another heartbeat under the same (boot, sequence): two boards hold one key",
}
RULE = (
    "A window is answered by a heartbeat that the device signed over this window's beacon, with a new (boot, "
    f"sequence), received while the window was open. Availability is floor({FULL} x windows answered / windows of the "
    f"epoch), and a deed earns floor({ND_REWARD_WEI} wei x sum of its devices' availability / ({FULL} x slots))."
)
WORK_RULE = (
    "Of the inferences that its heartbeats commit it to, a device is asked to show some that nobody could foresee, and "
    "anyone can run the model again on what it shows. Units are floor(claimed x sound^2 / challenged^2). What is "
    "sealed to a buyer counts alike, for this buyer's jobs, and only the buyer can check it. A device that signed an "
    "output which the model does not give, or a chain to which its outputs do not lead, is a fraud, and what it signed "
    "is the proof: its deed earns nothing in the epoch, neither R1 nor units. Silence only costs units."
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
    """A device (20 bytes): availability 0..255, every window, heartbeats that name none of them, what it worked."""

    device: bytes
    availability: int
    windows: tuple[WindowVerdict, ...]
    strays: tuple[Evidence, ...]
    work: Work
    challenges: tuple[Checked, ...]

    def count(self, outcome: str) -> int:
        """How many windows had this outcome."""
        return sum(window.outcome == outcome for window in self.windows)


@dataclass(frozen=True)
class Money:
    """Wei: what the leaf was before the epoch and after it, and what was paid for it until now.

    is_account: the leaf is that of the owner's account, with what all its deeds earned, and not the deed's own.
    """

    before_wei: int
    cumulative_wei: int
    claimed_wei: int
    is_account: bool = False

    @property
    def due_wei(self) -> int:
        """What a claim by this epoch's root would still pay."""
        return max(0, self.cumulative_wei - self.claimed_wei)


@dataclass(frozen=True)
class Worked:
    """Work in the epoch: of each device, each challenge, and the deed's units that (escrow, job) took of it."""

    works: Mapping[bytes, Work] = field(default_factory=dict)
    checked: tuple[Checked, ...] = ()
    jobs: Mapping[tuple[bytes, int], int] = field(default_factory=dict)


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
    jobs: Mapping[tuple[bytes, int], int]
    money: Money
    root: bytes
    evidence: bytes
    advice: tuple[str, ...]

    @property
    def availability_sum(self) -> int:
        """Of all its devices; at most 255 for each slot."""
        return sum(device.availability for device in self.devices)

    @property
    def frauds(self) -> tuple[bytes, ...]:
        """Its devices that signed what is not so."""
        return tuple(device.device for device in self.devices if device.work.frauds)


def explain(
    number: int,
    deed: Deed,
    windows: Windows,
    heartbeats: Iterable[Heartbeat],
    is_signed: Callable[[Heartbeat], bool],
    money: Money,
    attested: tuple[bytes, bytes],
    worked: Worked | None = None,
    others: Sequence[tuple[Windows, Iterable[Heartbeat]]] = (),
) -> Explanation:
    """Explain one deed's epoch.

    Args:
        deed: as bound at the epoch's close. heartbeats: in file order, of anybody; consumed once.
        attested: (root, digest of the evidence), 32 bytes each. worked: None if no work was looked at.
        others: what the site's other gateways opened and heard, as windows and heartbeats.
    """
    worked = worked or Worked()
    found: dict[bytes, list[tuple[int | None, Evidence]]] = {device: [] for device in deed.devices}
    heard = [(windows, heartbeats), *others]
    for opened, beats in heard:
        for beat, window, broken in availability.judge(opened, beats, is_signed, found):
            after_ms = None if window is None else beat.receipt_ms - window.opened_ms
            outcome = REFUSED.get(broken, ANSWERED)
            signed = broken != 3 and (broken != 2 or is_signed(beat))
            item = Evidence(beat.receipt_ms, after_ms, beat.boot, beat.sequence, beat.digest, signed, outcome)
            found[beat.device].append((None if window is None else window.window, item))
    together = replace(windows, opened=tuple(window for opened, _ in heard for window in opened.opened))
    devices = tuple(_device(device, together, _told_apart(found[device]), worked) for device in deed.devices)
    is_paid = bool(deed.devices) and not any(device.work.frauds for device in devices)
    earned = epoch_reward(sum(device.availability for device in devices), deed.slots) if is_paid else 0
    advice = tuple(_advise(deed, devices, windows, money))
    shape = (deed.owner, deed.slots, windows.count, windows.window_ms)
    return Explanation(windows.epoch, number, *shape, devices, earned, worked.jobs, money, *attested, advice)


def _told_apart(found: list[tuple[int | None, Evidence]]) -> list[tuple[int | None, Evidence]]:
    """The same, but that two different answers under one (boot, sequence), at two gateways, count for nobody."""
    answers: dict[tuple[int, int], set[tuple[int | None, bytes]]] = {}
    for number, item in found:
        if item.outcome == ANSWERED:
            answers.setdefault((item.boot, item.sequence), set()).add((number, item.digest))
    copied = {place for place, different in answers.items() if len(different) > 1}
    return [
        (number, replace(item, outcome=COPIED) if item.outcome == ANSWERED and place in copied else item)
        for number, item in found
        for place in [(item.boot, item.sequence)]
    ]


def _device(device: bytes, windows: Windows, found: list[tuple[int | None, Evidence]], worked: Worked) -> DeviceVerdict:
    of_window: dict[int, list[Evidence]] = {}
    for number, item in found:
        if number is not None:
            of_window.setdefault(number, []).append(item)
    opened = {window.window: window for window in reversed(windows.opened)}
    verdicts = []
    for number in range(windows.count):
        window, evidence = opened.get(number), tuple(of_window.get(number, ()))
        opened_ms, block = (window.opened_ms, window.block) if window else (None, None)
        verdicts.append(WindowVerdict(number, opened_ms, block, _outcome(window is not None, evidence), evidence))
    answered = sum(verdict.outcome == ANSWERED for verdict in verdicts)
    strays = tuple(item for number, item in found if number is None)
    challenges = tuple(checked for checked in worked.checked if checked.claim.device == device)
    work = worked.works.get(device, Work())
    return DeviceVerdict(device, FULL * answered // windows.count, tuple(verdicts), strays, work, challenges)


def _outcome(is_opened: bool, evidence: tuple[Evidence, ...]) -> str:
    if not is_opened:
        return NOT_OPENED
    outcomes = [item.outcome for item in evidence]
    return ANSWERED if ANSWERED in outcomes else outcomes[0] if outcomes else SILENT


def _advise(deed: Deed, devices: tuple[DeviceVerdict, ...], windows: Windows, money: Money) -> Iterable[str]:
    """What the owner can do, the costliest loss first within each kind."""
    lost: Counter[str] = Counter()
    for device in devices:
        if device.work.frauds:
            yield (
                f"0x{device.device.hex()} signed what is not so: the deed earned nothing. Install its firmware anew; "
                f"look at its memory and supply. What it signed shows tinyren work --epoch {windows.epoch}."
            )
        if missed := sum(checked.outcome == MISSED for checked in device.challenges):
            yield f"{missed} challenges to 0x{device.device.hex()} had no answer in time: check its link."
        lost.update(window.outcome for window in device.windows)
    if lost[NOT_OPENED]:
        yield f"{lost[NOT_OPENED]} windows were not opened: ask the site's operator why gateway or chain was away."
    if lost[SILENT]:
        yield f"{lost[SILENT]} windows had no heartbeat: check the device's power and its link."
    if lost[REFUSED[5]]:
        yield f"{lost[REFUSED[5]]} answers were out of time: the link is slow for windows of {windows.window_ms} ms."
    if count := lost[REFUSED[2]] + lost[REFUSED[3]] + lost[COPIED]:
        yield f"{count} answers were replayed or forged: two boards may hold one key; bind a device with a new key."
    free = deed.slots - len(deed.devices)
    if free > 0:
        share = r1(epoch_reward(FULL, deed.slots))
        yield f"{free} of {deed.slots} slots are empty: each further device earns the deed up to {share} R1 an epoch."
    if money.due_wei:
        yield f"{r1(money.due_wei)} R1 are due: anybody may claim them for the owner; the gateway does so itself."
    yield f"Compute it again with other code: tinyren verify SITE --epoch {windows.epoch}."
