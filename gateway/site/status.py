"""What a site looks like now: the one snapshot behind the page, `--json` and the summary; it changes nothing."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from device.agent import wire
from gateway import curve
from gateway.chain.chain import ChainError
from gateway.intake.dauth import DAuth
from gateway.intake.epochs import Epochs
from gateway.intake.late import Account
from gateway.intake.registry import Progress, Registry
from gateway.oracle.rewards import epoch_reward
from gateway.settlement import ledger
from gateway.settlement.ledger import Settled
from gateway.settlement.relaying import all_claims
from gateway.settlement.settlement import Claim, Settlement
from gateway.settlement.tree import Leaves
from gateway.site.history import History
from gateway.storage.cid import encode_text
from gateway.web.rpc import RpcError

RECENT_WINDOWS = 24
EPOCHS_KEPT = 1000
NOTES_KEPT = 20
TROUBLES = {
    "no_space": "the disk is full: heartbeats are neither stored nor acknowledged; free some space",
    "no_block": "no window can be opened, the chain gives no block",
    "overload": "more messages come than can be dealt with; the newest are dropped",
}


@dataclass
class Timings:
    """Seconds from the start of the command; None until it has happened."""

    setup: float | None = None
    boot: float | None = None
    first_heartbeat: float | None = None
    first_root: float | None = None


class Status:
    """Gathers; `snapshot`, `changed` and `rpc` are what the page calls, from its own threads.

    Args:
        started_ms: site time when the boards were started in this run.
        chain_error: why there was no newest block, the last time that there was none.
        rounds: gives EDIL's rounds, oldest first. jobs: Deeploy's. stores: gives what the stores keep, by CID.
            low: why devices lose work soon (alerts.py), by id.
        outputs: the last of each device's encoder; name_of: what the operator calls it. details: what one page shows
            (status_detail.py). oracles: their addresses, and how many sign.
    """

    def __init__(self, folder: str, registry: Registry, epochs: Epochs, settlement: Settlement, dauth: DAuth) -> None:
        self.timings = Timings()
        self.started_ms = 0
        self.block = 0
        self.chain_error = ""
        self.settled: deque[Settled] = deque(maxlen=EPOCHS_KEPT)
        self.claims: list[Claim] = []
        self.rounds: Callable[[], list[dict[str, Any]]] = list
        self.jobs: Callable[[], list[dict[str, Any]]] = list
        self.stores: Callable[[], dict[str, Any]] = dict
        self.low: Callable[[], Mapping[str, str]] = dict
        self.outputs: Callable[[], dict[bytes, tuple[int, bytes, int]]] = dict
        self.name_of: Callable[[bytes], str] = lambda _: ""
        self.details: Callable[[str, str], Mapping[str, Any] | None] = lambda what, name: None
        self.oracles: tuple[list[str], int] = [], 0
        self.history = History()
        self.notes: deque[str] = deque(maxlen=NOTES_KEPT)
        self._folder, self._registry, self._epochs = folder, registry, epochs
        self._settlement, self._dauth = settlement, dauth
        self._opened: deque[tuple[int, int]] = deque(maxlen=RECENT_WINDOWS)
        self._answered: dict[bytes, deque[tuple[int, int]]] = {}
        self._first_ms: dict[bytes, int] = {}
        self._earned_by: dict[bytes, tuple[tuple[int, int], int]] = {}
        self._counts = registry.rejected
        self._told: dict[str, int] = {}
        self._version, self._news = 0, threading.Condition()

    def load(self, folder: Path, first: int) -> None:
        """Take up what was settled before epoch `first`, from the ledger in `folder`, and what was claimed."""
        found = (ledger.read(folder, epoch) for epoch in range(max(1, first - EPOCHS_KEPT), first))
        self.settled.extend(settled for settled in found if settled)
        self.claims = all_claims(self._settlement)

    def follow(self) -> None:
        """Look at windows and heartbeats; call at least once a window, from one thread."""
        windows = self._epochs.windows
        current = windows.epoch, windows.window
        if windows.opened_ms is not None and windows.window >= 0 and current not in self._opened:
            self._opened.append(current)
            self.history.opened(current)
        for device, progress in self._registry.progress.copy().items():
            answered = self._answered.setdefault(device, deque(maxlen=RECENT_WINDOWS))
            if progress.last_ms >= self.started_ms:
                self._first_ms.setdefault(device, progress.last_ms)
                place = wire.split_beacon(_claims(progress.frame)[0])
                if place not in answered:
                    answered.append(place)
                    is_known = place == current and windows.opened_ms is not None
                    due_ms = (windows.opened_ms or 0) + windows.window * windows.window_ms
                    after_ms = max(0, progress.last_ms - due_ms) if is_known else None
                    self.history.heard(device, place, progress.last_ms, after_ms)
        for device, told in self.outputs().items():
            self.history.told(device, *told)
        with self._news:
            self._version += 1
            self._news.notify_all()

    def troubles(self) -> list[str]:
        """What kept the site from its work since the last call, each kind once an epoch; the page has the counts."""
        before, self._counts, epoch = self._counts, self._registry.rejected, self._epochs.windows.epoch
        grown = [reason for reason in TROUBLES if self._counts[reason] > before[reason]]
        new = [reason for reason in grown if self._told.get(reason) != epoch]
        self._told.update(dict.fromkeys(new, epoch))
        return [TROUBLES[reason] + (f": {self.chain_error}" if reason == "no_block" else "") for reason in new]

    def heard(self) -> set[bytes]:
        """Devices whose heartbeat was accepted in this run."""
        return set(self._first_ms)

    def changed(self, after: int, timeout_s: float) -> int:
        """Block until the version is above `after` or the time is over; the version."""
        with self._news:
            self._news.wait_for(lambda: self._version > after, timeout_s)
            return self._version

    def detail(self, what: str, name: str = "") -> Mapping[str, Any] | None:
        """What only one page shows: `details` (status_detail.py)."""
        return self.details(what, name)

    def rpc(self, method: str, params: Any) -> Any:
        """The chain's answer, for oracles and wallets.

        Raises:
            RpcError: the chain's own error.
        """
        try:
            return self._settlement.chain.request(method, params)
        except ChainError as error:
            raise RpcError(error.code, str(error), error.data) from error

    def result(self) -> dict[str, Any]:
        """The fields of `--json`, but for the total time."""
        return {
            "site": self._folder,
            "devices": self._devices(),
            "epochs": [settled.summary() for settled in self.settled],
            "claims": [{**vars(claim), "amount_wei": str(claim.amount_wei)} for claim in self.claims],
            "rejected": dict(self._registry.rejected),
            "stores": self.stores(),
            "timings_s": {name: None if at is None else round(at, 2) for name, at in vars(self.timings).items()},
        }

    def snapshot(self) -> dict[str, Any]:
        """`result`, and what only the page shows (gateway/web/app.py lists it)."""
        result = self.result()
        for device in result["devices"]:
            device.update(self._live(bytes.fromhex(device["id"][2:])))
        for epoch in result["epochs"]:
            epoch |= {"state": "settled", "windows_open": epoch["windows"]}
        result["epochs"] += self._unsettled()
        return result | {
            "owners": self._owners(),
            "chain": {"id": self._settlement.chain.chain_id, "block": self.block},
            "notes": list(self.notes),
            "window_ms": self._epochs.windows.window_ms,
            "windows": self.history.windows(),
            "oracles": {"addresses": self.oracles[0], "threshold": self.oracles[1]},
            "edil": self.rounds(),
            "jobs": self.jobs(),
        }

    def _devices(self) -> list[dict[str, Any]]:
        places = {
            device: (number, slot)
            for number, deed in self._dauth.deeds.items()
            for slot, device in enumerate(deed.devices, 1)
        }
        rows, low = [], self.low()
        known = sorted(self._registry.devices.copy().items(), key=lambda item: (item[1].board, item[0]))
        for identity, device in known:
            name = _address(identity)
            deed, slot = places.get(identity, (None, None))
            progress = self._registry.progress.get(identity)
            first_ms = self._first_ms.get(identity)
            rows.append(
                {
                    "id": name,
                    "ren": curve.ratio1_address(device.public_key),
                    "board": device.board,
                    "core": device.core,
                    "firmware": device.firmware,
                    "model": encode_text(device.model),
                    "deed": deed,
                    "slot": slot,
                    "heartbeats": progress.heartbeats if progress else 0,
                    "first_heartbeat_s": None if first_ms is None else round((first_ms - self.started_ms) / 1000, 2),
                    "offline": self._offline(identity, progress) | {"low": low.get(name, "")},
                }
            )
        return rows

    def _offline(self, device: bytes, progress: Progress | None) -> dict[str, int | str | None]:
        """How long the device can be without us, and what became of the windows in which it was."""
        late = self._registry.late
        account = late.accounts.get(device, Account())
        return {
            "budget_hours": _claims(progress.frame)[6] if progress else None,
            "late": account.late,
            "kept": late.kept[device],
            "dropped": account.dropped,
            "missing": account.missing,
        }

    def _live(self, device: bytes) -> dict[str, Any]:
        known, progress = self._registry.devices.get(device), self._registry.progress.get(device)
        answered, opened = set(self._answered.get(device, deque()).copy()), self._opened.copy()
        windows = [place for place in opened if place in answered or place != opened[-1]]
        count = _claims(progress.frame)[4] if progress else 0
        return {
            "name": self.name_of(device),
            "source": known.source if known else "",
            "last_heartbeat_ms": progress.last_ms if progress else None,
            "inferences": count,
            "recent": [int(place in answered) for place in windows],
            "earned_wei": str(self._earned(device)),
            "emulated": True,
            "journals": [
                {"boot": report.boot, "reason": report.reason, "lines": report.lines, "received_ms": report.receipt_ms}
                for report in self._registry.late.journals.get(device, ())
            ],
        }

    def _earned(self, device: bytes) -> int:
        slots = next((deed.slots for deed in self._dauth.deeds.values() if device in deed.devices), 0)
        state = slots, self.settled[-1].epoch if self.settled else 0
        known = self._earned_by.get(device)
        if known is None or known[0] != state:
            shares = [settled.availability.get(device, 0) for settled in self.settled.copy()]
            known = state, sum(epoch_reward(share, slots) for share in shares) if slots else 0
            self._earned_by[device] = known
        return known[1]

    def _unsettled(self) -> list[dict[str, Any]]:
        last = self.settled[-1].epoch if self.settled else 0
        windows = self._epochs.windows
        rows = [(epoch, windows.count, "closing") for epoch in range(last + 1, windows.epoch)]
        if windows.opened_ms is not None:
            rows.append((windows.epoch, windows.window + 1, "open"))
        return [
            {
                "epoch": epoch,
                "windows": windows.count,
                "windows_open": opened,
                "state": state,
                "availability": {},
                "root": None,
                "tx": None,
                "signers": [],
                "minted_wei": None,
            }
            for epoch, opened, state in rows
        ]

    def _owners(self) -> list[dict[str, Any]]:
        newest = self.settled[-1].leaves if self.settled else Leaves()
        leaves, accounts = dict(newest.deeds), dict(newest.accounts)
        rows: dict[bytes, dict[str, Any]] = {}
        for number, deed in self._dauth.deeds.items():
            row = rows.setdefault(deed.owner, {"owner": _address(deed.owner), "deeds": [], "earned": 0})
            row["earned"] += accounts.pop(deed.owner, 0)
            row["deeds"].append(number)
            row["earned"] += leaves.get(number, 0)
        for row in rows.values():
            claimed = sum(claim.amount_wei for claim in self.claims if claim.owner == row["owner"] and not claim.job)
            row |= {"earned_wei": str(row.pop("earned")), "claimed_wei": str(claimed)}
        return list(rows.values())


@lru_cache(maxsize=2048)
def _claims(frame: bytes) -> tuple[bytes, int, int, bytes, int, bytes, int]:
    return wire.decode_heartbeat(wire.open_sign1(frame)[1])


@lru_cache(maxsize=1 << 14)
def _address(device: bytes) -> str:
    return str(to_checksum_address(device))
