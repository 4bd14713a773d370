"""From a board to a paid claim, by stages; does again nothing that is done, and has no key leave this process.

    emulated    firmware ─▶ site ─▶ announce ─▶ label ─▶ bind ─▶ heartbeat ─▶ claim
    silicon     flash ─▶ site ─▶ announce ─▶ label ─▶ bind ─▶ heartbeat ─▶ claim

An emulated board lives in its site, which `tinyren up` runs as a child of this process unless it runs already; one of
silicon joins a site that runs, and at a port is asked which device it is. What is done is read off site and chain, not
remembered: the same command goes on with a run that was killed anywhere. The set-up code is made, used and burned here,
so no label is left that opens anything.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boards.board import board_names
from gateway import keys
from gateway.binding import client
from gateway.binding.pending import Refused
from gateway.commands.first_flash import flash_first, needs_flash
from gateway.commands.up import set_up
from gateway.configuration import configuration
from gateway.errors import CommandError, Exit
from gateway.labels import payload
from gateway.labels.codes import Codes, CodesFull, new_code
from gateway.labels.payload import Label
from gateway.progress import Progress
from gateway.site import site_file
from gateway.site.fleet import read_id
from gateway.site.running_site import ChildSite, is_running, state_of
from gateway.web.view import r1, short

POLL_S = 0.1
BOARD_S, CLAIM_S = 60.0, 60.0
EPOCH_S, WINDOW_S = 20, 2
OWNER_KEY = Path("keys", "owner-1.key")


@dataclass(frozen=True)
class Request:
    """What is asked for. port, firmware, files, authority: for a board of silicon, as `tinyren flash` has them;
    settings: by name, as `tinyren settings` has them.
    """

    board: str
    site: Path
    port: str = ""
    firmware: Path | None = None
    files: Path | None = None
    authority: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    deed: int = 1
    key: Path | None = None


@dataclass
class Result:
    """What came of it, for --json; stages: {"stage", "seconds", "said", "was_done"}."""

    board: str
    site: str
    id: str = ""
    deed: int = 0
    claimed_wei: str = "0"
    stages: list[dict[str, Any]] = field(default_factory=list)
    total_s: float = 0.0


class FirstRun:
    """One run. Every stage raises CommandError: the stage's name, what happened, what to do next."""

    def __init__(self, request: Request, progress: Progress) -> None:
        self._request, self._progress = request, progress
        self._is_emulated = request.board in board_names()
        self.result = Result(request.board, str(request.site))
        self._said, self._was_done = "", False
        self._child: ChildSite | None = None

    def run(self) -> Result:
        """All stages; the site that was started here is ended."""
        with ExitStack() as ends:
            if self._is_emulated:
                with self._stage("firmware"):
                    self._get_firmware()
            elif needs_flash(self._request):
                with self._stage("flash"):
                    self._flash()
            started_ms = int(time.time() * 1000)
            with self._stage("site"):
                self._find_site(ends)
            with self._stage("announce"):
                self._await_announce()
            with self._stage("label"):
                label = self._make_label()
            with self._stage("bind"):
                self._bind(label)
            with self._stage("heartbeat"):
                self._await_heartbeat(started_ms)
            with self._stage("claim"):
                self._await_claim()
        self.result.total_s = round(self._progress.elapsed_s(), 1)
        return self.result

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started_s, self._said, self._was_done = time.monotonic(), "", False
        try:
            yield
        except CommandError as error:
            raise CommandError(f"{name}: {error}", error.code) from error
        seconds = round(time.monotonic() - started_s, 2)
        self.result.stages.append({"stage": name, "seconds": seconds, "said": self._said, "was_done": self._was_done})
        done = "; was done before" if self._was_done else ""
        self._progress.say(f"{name}: {self._said}{done} ({seconds:.1f} s)")

    def _get_firmware(self) -> None:
        (firmware,) = set_up(self._progress, [self._request.board])
        self._said = f"{firmware.version}, {firmware.flash_bytes // 1024} KiB"

    def _flash(self) -> None:
        flashed = flash_first(self._request, self._progress)
        self._said, self._was_done, self.result.id = flashed.said, flashed.was_done, flashed.device

    def _find_site(self, ends: ExitStack) -> None:
        folder, board, kept = self._request.site, self._request.board, site_file.read(self._request.site)
        if self._is_emulated and kept and board not in kept.boards:
            what = f"was made with {', '.join(kept.boards) or 'no emulated boards'}; name another --site"
            raise CommandError(f"{folder}: got board {board}, but this site {what}", Exit.REFUSED)
        number = kept.boards.index(board) + 1 if kept and self._is_emulated else 1
        self._console = folder / "boards" / str(number) / "logs" / "repl.log"
        if not self._is_emulated or is_running(folder):
            self._said = f"{folder} runs at {self._state()[0]}"
            return
        self._child = ChildSite(folder, [] if kept else ["--boards", board, *_lengths(folder)])
        ends.callback(self._child.stop)
        self._child.start()
        self._said = f"{folder} {'goes on' if kept else 'is made'}, what it says is in its logs/run.log"

    def _state(self) -> tuple[str, dict[str, Any]]:
        """(address of the page, state) of the site, which runs."""
        try:
            return state_of(self._request.site)
        except CommandError:
            if self._child:
                self._child.check(wait_s=1.0)
            raise

    def _row(self) -> dict[str, Any]:
        """What the site says of the device."""
        rows = self._state()[1]["devices"]
        found: dict[str, Any] = next((row for row in rows if row["id"].lower() == self.result.id.lower()), {})
        return found

    def _await_announce(self) -> None:
        def here() -> dict[str, Any] | None:
            found = [row for row in self._state()[1]["devices"] if self._is_ours(row)]
            if len(found) > 1:
                what = "bind each by `tinyren label` and `tinyren bind`"
                raise CommandError(f"got {len(found)} unbound boards of this kind, wanted one; {what}", Exit.REFUSED)
            return found[0] if found else None

        wanted = "see that it has power, its link and this site's address"
        if self._is_emulated:
            wanted = f"see {self._console}"
        elif self._request.port:
            wanted += f"; run: tinyren settings {self._request.port}, tinyren logs {self._request.port}"
        row = self._wait(here, BOARD_S, f"no {self._request.board} was heard; {wanted}")
        self.result.id = row["id"]
        self._said = f"{short(row['id'])} made its own key and signs with it"

    def _is_ours(self, row: dict[str, Any]) -> bool:
        """Whether a device can be the board: by the id that its console gave, else by its kind, unbound."""
        if self._is_emulated:
            device = read_id(self._console)
            return device is not None and row["id"].lower() == f"0x{device.hex()}"
        if self.result.id:
            return bool(row["id"].lower() == self.result.id.lower())
        return bool(row["board"] == self._request.board and not row["deed"])

    def _make_label(self) -> Label | None:
        """The device's label, whose code is kept; None for a device that is bound."""
        if self._row()["deed"]:
            self._said, self._was_done = "none is needed, the device is bound", True
            return None
        device, board = bytes.fromhex(self.result.id[2:]), self._row()["board"]
        codes = Codes(self._request.site)
        try:
            if not self._is_emulated and codes.find(device):
                what = "bind it by that one: `tinyren bind`, or the page's /bind"
                raise CommandError(f"{self.result.id} has a label already; {what}", Exit.REFUSED)
            label = Label(device, payload.board_digest(board), new_code())
            codes.keep(device, board, label.code)
        except CodesFull as error:
            raise CommandError(str(error)) from error
        finally:
            codes.close()
        self._said = f"{payload.manual_code(label)[:4]}-****-****, used at once"
        return label

    def _bind(self, label: Label | None) -> None:
        if label is None:
            self.result.deed, self._was_done = self._row()["deed"], True
            self._said = f"deed {self.result.deed}"
            return
        key = keys.load(self._request.key or self._request.site / OWNER_KEY)
        site = site_file.read(self._request.site)
        contract = bytes.fromhex(site.contracts["devices"][2:]) if site else b""
        try:
            done = client.bind(self._state()[0], payload.encode(label), self._request.deed, key, contract)
        except Refused as error:
            raise CommandError(str(error), client.CODES.get(error.reason, Exit.REFUSED)) from error
        except client.GatewayAway as error:
            raise CommandError(str(error), Exit.TIMEOUT) from error
        self.result.deed = self._request.deed
        self._said = f"deed {self.result.deed}, signed by device and owner, {short(str(done['tx']))}"

    def _await_heartbeat(self, started_ms: int) -> None:
        def beats() -> dict[str, Any] | None:
            row = self._row()
            return row if (row["last_heartbeat_ms"] or 0) >= started_ms else None

        wanted = "see the device's page for what the gateway refused"
        row = self._wait(beats, BOARD_S, f"no heartbeat was taken; {wanted}")
        self._said = f"{row['heartbeats']} verified and on the disk"

    def _await_claim(self) -> None:
        def claimed() -> dict[str, Any] | None:
            self._state()
            row = self._row()
            owner = self._owner()
            return owner if int(row["earned_wei"]) and int(owner.get("claimed_wei", 0)) else None

        before = claimed()
        site = site_file.read(self._request.site)
        limit_s = CLAIM_S + 2 * (site.epoch_seconds if site else 0)
        wanted = "see the page, and its settlement's signers; the same command waits again"
        owner = before or self._wait(claimed, limit_s, f"no epoch was settled and paid; {wanted}")
        self.result.claimed_wei, self._was_done = owner["claimed_wei"], before is not None
        self._said = f"{r1(owner['claimed_wei'])} R1 paid to {short(owner['owner'])}"

    def _owner(self) -> dict[str, Any]:
        owners = self._state()[1]["owners"]
        found: dict[str, Any] = next((one for one in owners if self.result.deed in one["deeds"]), {})
        return found

    def _wait(self, found: Any, limit_s: float, else_: str) -> dict[str, Any]:
        end_s = time.monotonic() + limit_s
        while True:
            value: dict[str, Any] | None = found()
            if value:
                return value
            if time.monotonic() > end_s:
                raise CommandError(f"{else_} (waited {limit_s:g} s)", Exit.TIMEOUT)
            time.sleep(POLL_S)


def _lengths(folder: Path) -> list[str]:
    """Short epochs for a new site, so that the first claim comes soon, unless somebody chose their length."""
    configured = configuration.load(folder)
    if configured.is_set("site.epoch_seconds") or configured.is_set("site.window_seconds"):
        return []
    return ["--epoch-seconds", str(EPOCH_S), "--window-seconds", str(WINDOW_S)]
