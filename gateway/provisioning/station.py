"""Takes one board through the factory: boot, or flash and bring, then test; it keeps nothing."""

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from boards.board import BoardError, load_board
from boards.build import Firmware
from boards.console import ConsoleError, open_console
from boards.emulator import Emulator, EmulatorError
from boards.selftest import run_selftest
from gateway.errors import CommandError
from gateway.flashing.flash import Request, flash
from gateway.progress import Progress
from gateway.provisioning.at_port import Wanted, bring
from gateway.provisioning.batch import Row
from gateway.provisioning.shown import Dead, Shown, verify

SAMPLE = (6400, 110, 220, 330)  # 25 degC and a field that no chip shows by itself
BOOT_S = 20.0
POLL_S = 0.05


@dataclass(frozen=True)
class Tested:
    """A board that passed: device id 20 bytes, SHA-256 of the firmware that was written (b"" if none), its version."""

    device: bytes
    firmware: bytes
    version: str


@dataclass(frozen=True)
class Station:
    """Where boards are tested.

    Args:
        folder: emulated boards live below it, each in a folder of its serial number.
        firmwares: of emulated boards, by name.
        image: what boards at a port are flashed with, if anything. wanted: what they are brought, by board; those that
        are none of it (emulated ones) are only tested. A row's own settings go before.
    """

    folder: Path
    firmwares: dict[str, Firmware]
    progress: Progress
    image: Path | None = None
    wanted: Mapping[str, Wanted] = field(default_factory=dict)

    def take(self, row: Row) -> Tested:
        """Test one board.

        Raises:
            Dead: it does not answer, is another board, or a part of it does not work.
        """
        try:
            firmware, version, shown = self._at_port(row) if row.port else self._emulated(row)
        except (CommandError, ConsoleError, EmulatorError, BoardError, OSError) as error:
            raise Dead(str(error)) from error
        if row.device and row.device.lower() != f"0x{shown.device.hex()}":
            what = "it is another board, or was erased: mend the list, or leave `device` out and label it anew"
            raise Dead(f"device: got 0x{shown.device.hex()}, wanted the one of its label; {what}")
        if shown.owner:
            what = f"run: tinyren settings {row.port or 'PORT'} --forget-owner, then the same command again"
            raise Dead(f"owner: got a board that is 0x{shown.owner.hex()}'s, wanted nobody's; {what}")
        return Tested(shown.device, firmware, version)

    def _emulated(self, row: Row) -> tuple[bytes, str, Shown]:
        """(SHA-256 and version of its firmware, what it showed)."""
        firmware = self.firmwares[row.board]
        emulator = Emulator(load_board(row.board), firmware.elf, self.folder / row.serial)
        console = self.folder / row.serial / "logs" / "repl.log"
        printed = console.stat().st_size if console.exists() else 0
        with ExitStack() as ends:
            ends.callback(emulator.stop)
            emulator.start()
            _wait(lambda: console.stat().st_size > printed, "the board prints nothing")
            has_sensors = emulator.board.emulator["sensors"]
            if has_sensors:
                emulator.set_sample(SAMPLE)
            assert emulator.pty
            with open_console(emulator.pty) as repl:
                test = run_selftest(repl)
            if has_sensors and test.values != SAMPLE:
                raise Dead(f"sensors: got {test.values}, wanted {SAMPLE}, which they were set to")
        digest = hashlib.sha256(firmware.elf.read_bytes()).digest()
        return digest, firmware.version, verify(test, row.board)

    def _at_port(self, row: Row) -> tuple[bytes, str, Shown]:
        """(SHA-256 of the firmware that was written, b"" for none, version of what runs, what it showed)."""
        port, digest = row.port, b""
        if self.image:
            done = flash(Request(row.board, row.port, self.image, is_alone=True), self.progress)
            port, digest = done.port, bytes.fromhex(done.sha256)
            if not port:
                raise Dead("its firmware is written, but it shows no port: name that in the list, leave --firmware out")
        wanted = self.wanted.get(row.board, Wanted(row.board))
        self.progress.say(f"{row.serial}: at {port}, to have {len(wanted.files)} files")
        wanted = replace(wanted, settings={**wanted.settings, **row.settings})
        shown = bring(port, wanted, lambda *_: None).shown
        return digest, shown.version, shown


def _wait(is_so: Callable[[], bool], else_: str) -> None:
    end_s = time.monotonic() + BOOT_S
    while not is_so():
        if time.monotonic() > end_s:
            raise Dead(f"{else_} within {BOOT_S:g} s")
        time.sleep(POLL_S)
