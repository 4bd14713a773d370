"""The emulated boards of a site: started, fed with sensor values, started again when they end; judges nothing.

A reset by the guest or its watchdog is its own affair: QEMU goes on. An end of QEMU is a power cut; the board comes
back with its EEPROM or flash as it was.
Boards with an I2C bus have their emulated chips set through QMP; the others get the same samples over the link.
"""

import re
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from boards.board import Board
from boards.build import Firmware
from boards.emulator import Emulator, EmulatorError
from boards.signals import SAMPLE_MS, HostSignals, RecordingError, Replay, encode
from gateway.site.children import Backoff

LINK_BATCH = 5
TOLD = 120
CONSOLE_TAIL_BYTES = 4096
CONSOLE_ID = re.compile(rb"device ([0-9a-f]{40})\r?\n")

Signals = HostSignals | Replay


class Fleet:
    """Emulated boards, numbered from 1 in the order of `boards`; each has the folder SITE/boards/NUMBER.

    Args:
        link: (host, port) of the broker.
        send_samples: told (name of the signals, int16[LINK_BATCH, 4] little-endian) for the boards without a bus.

    Attributes:
        told: the last TOLD samples that sensors were told, one of LINK_BATCH, oldest first.
    """

    def __init__(
        self,
        boards: Sequence[Board],
        firmwares: Sequence[Firmware],
        folder: Path,
        link: tuple[str, int],
        signals: Signals,
        send_samples: Callable[[str, bytes], None],
    ) -> None:
        self.emulators = [
            Emulator(board, firmware.elf, folder / str(number), link)
            for number, (board, firmware) in enumerate(zip(boards, firmwares, strict=True), 1)
        ]
        self.failure: Exception | None = None
        self.told: deque[tuple[int, int, int, int]] = deque(maxlen=TOLD)
        self._ids: dict[Path, bytes] = {}
        self._backoffs = [Backoff() for _ in self.emulators]
        self._signals, self._send_samples = signals, send_samples
        self._stopping = threading.Event()
        self._feeder = threading.Thread(target=self._feed, name="sensors", daemon=True)

    def start(self) -> None:
        """Start every board and their sensors.

        Raises:
            EmulatorError: QEMU is missing or does not start.
        """
        for emulator in self.emulators:
            emulator.start()
        self._feeder.start()

    def ids(self) -> list[bytes | None]:
        """Device id of each board, as it stands on its console; None where it has not said it yet."""
        return [self._id(emulator.folder / "logs" / "repl.log") for emulator in self.emulators]

    def watch(self) -> list[str]:
        """Start again what ended; what happened in words."""
        said = []
        for number, (emulator, backoff) in enumerate(zip(self.emulators, self._backoffs, strict=True), 1):
            if emulator.alive() or not backoff.ended():
                continue
            code = emulator.poll()
            try:
                emulator.restart()
                said.append(f"board {number} ({emulator.board.name}) ended (code {code}) and was started again")
            except EmulatorError as error:
                said.append(f"board {number}: {error}")
        return said

    def stop(self) -> None:
        """End sensors and boards."""
        self._stopping.set()
        if self._feeder.is_alive():
            self._feeder.join()
        for emulator in self.emulators:
            emulator.stop()

    def _id(self, console: Path) -> bytes | None:
        """What is remembered is for when the log's end, which alone is read, no longer holds it."""
        if found := read_id(console):
            self._ids[console] = found
        return self._ids.get(console)

    def _feed(self) -> None:
        batch: list[tuple[int, int, int, int]] = []
        due_s = time.monotonic()
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + SAMPLE_MS / 1000, time.monotonic() - 1)
            try:
                values = self._signals.next()
            except (RecordingError, OSError) as error:
                self.failure = error
                return
            if values is None:
                return
            sample = encode(values)
            self._set_sensors(sample)
            batch.append(sample)
            if len(batch) == LINK_BATCH:
                self._send_samples(self._signals.name, b"".join(struct.pack("<4h", *item) for item in batch))
                self.told.append(sample)
                batch.clear()

    def _set_sensors(self, sample: tuple[int, int, int, int]) -> None:
        for emulator in self.emulators:
            if emulator.board.emulator["sensors"]:
                try:
                    emulator.set_sample(sample)
                except EmulatorError:
                    continue  # it is between an end and its return; `watch` says so


def read_id(console: Path) -> bytes | None:
    """The last id in the tail of a console's log; what a board prints is foreign, so only an id's form is believed."""
    try:
        with console.open("rb") as file:
            file.seek(max(0, console.stat().st_size - CONSOLE_TAIL_BYTES))
            found = CONSOLE_ID.findall(file.read())
    except FileNotFoundError:
        return None
    return bytes.fromhex(found[-1].decode()) if found else None
