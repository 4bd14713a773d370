"""Takes one board through the factory: boot or flash, test, compare what it signed; it keeps nothing.

Nothing of a board is believed but its signature: the id is that of the key which signed the announce, and this board's
console gave it.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from boards.board import BoardError, load_board
from boards.build import Firmware
from boards.console import ConsoleError, identify, open_console
from boards.emulator import Emulator, EmulatorError
from boards.selftest import SelfTest, run_selftest
from device.agent import wire
from device.agent.errors import WireError
from gateway import curve
from gateway.errors import CommandError
from gateway.flashing.flash import Request, flash
from gateway.flashing.tools import check_port
from gateway.progress import Progress
from gateway.provisioning.batch import Row

SAMPLE = (6400, 110, 220, 330)  # 25 degC and a field that no chip shows by itself
BOOT_S = 20.0
POLL_S = 0.05


class Dead(Exception):
    """A board does not leave the factory; why, and what to do next."""


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
        firmwares: of emulated boards, by name. image, files: what boards at a port are flashed with, if anything.
    """

    folder: Path
    firmwares: dict[str, Firmware]
    progress: Progress
    image: Path | None = None
    files: Path | None = None

    def take(self, row: Row) -> Tested:
        """Test one board.

        Raises:
            Dead: it does not answer, is another board, or a part of it does not work.
        """
        try:
            return self._at_port(row) if row.port else self._emulated(row)
        except (CommandError, ConsoleError, EmulatorError, BoardError, OSError) as error:
            raise Dead(str(error)) from error

    def _emulated(self, row: Row) -> Tested:
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
            test = _ask(emulator.pty, row)
            if has_sensors and test.values != SAMPLE:
                raise Dead(f"sensors: got {test.values}, wanted {SAMPLE}, which they were set to")
        return Tested(_verify(test, row), hashlib.sha256(firmware.elf.read_bytes()).digest(), firmware.version)

    def _at_port(self, row: Row) -> Tested:
        digest = b""
        if self.image or self.files:
            done = flash(Request(row.board, row.port, self.image, self.files), self.progress)
            digest = bytes.fromhex(done.sha256)
        check_port(row.port)
        test = _ask(row.port, row)
        return Tested(_verify(test, row), digest, _announced(test)[2])


def _ask(port: str, row: Row) -> SelfTest:
    with open_console(port) as repl:
        who = identify(repl)
        if who.board != row.board:
            raise Dead(f"board: got {who.board or who.machine}, wanted {row.board}: another board is at this place")
        return run_selftest(repl)


def _announced(test: SelfTest) -> tuple[str, int, str, str, bytes, bytes, str]:
    return wire.decode_announce(wire.open_sign1(test.announce, wire.ANNOUNCE_MAX_BYTES)[1])


def _verify(test: SelfTest, row: Row) -> bytes:
    """The device id of an announce that its key signed."""
    try:
        device, _, signature, digest = wire.open_sign1(test.announce, wire.ANNOUNCE_MAX_BYTES)
        board, *_, public_key, _ = _announced(test)
    except WireError as error:
        raise Dead(f"announce: {error}") from error
    if board != row.board or curve.recover(signature, digest, device) != public_key:
        raise Dead(f"announce: got one of {board} that its key did not sign; do not use this board")
    return device


def _wait(is_so: Callable[[], bool], else_: str) -> None:
    end_s = time.monotonic() + BOOT_S
    while not is_so():
        if time.monotonic() > end_s:
            raise Dead(f"{else_} within {BOOT_S:g} s")
        time.sleep(POLL_S)
