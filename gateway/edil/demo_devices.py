"""The demo's devices: emulated boards, agents of this computer, and one that lies; all fed with samples over the link.

A board with sensors is started from its REPL with the link as its source instead, so that it sees what the others see.
The liar is the same agent, but for its encryption, which gives residues that are not below q.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from boards.board import Board
from boards.build import Firmware
from boards.emulator import Emulator
from device.agent.loop import READ_BYTES
from device.agent.port import FileMemory, Port
from device.agent.run import start, step
from device.agent.sampling import LinkSource
from device.native import edil
from device.native.shared import Model
from gateway.edil.demo_signals import FOLDER
from gateway.errors import CommandError
from gateway.site.children import end_with

REPL_S = 60.0
IDLE_MS = 50

# Runs among the globals of boards/qemu_main.py, whose agent was interrupted and whose core was forgotten.
_NAME = "print(hexlify(agent.identity.id).decode())"
_START = """
agent = model = None
import core, gc
gc.collect()
model, *wants = core.open_model(boot)
agent = firmware.start(_tinyren, core.open_regions()["store"], core.LinkSource(), model, *wants)
loop.run(agent, _tinyren, firmware.step)
"""


class BoardDevice:
    """An emulated board; `kind` is its name."""

    def __init__(self, board: Board, firmware: Firmware, folder: Path, port: int) -> None:
        self.kind = board.name
        self._emulator = Emulator(board, firmware.elf, folder, ("127.0.0.1", port))
        self._emulator.start()
        self._repl = self._emulator.open_repl(REPL_S)
        self.id = bytes.fromhex(self._repl.exec(_NAME).strip())
        self._repl.start(_START)

    def stop(self) -> None:
        """End it, as a power cut does."""
        self._repl.close()
        self._emulator.stop()


class HostDevice:
    """`python -m device.agent` as a child."""

    kind = "cpython"

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True)
        command = [sys.executable, "-m", "device.agent", "--broker", f"127.0.0.1:{port}", "--source", "link"]
        parent = os.getpid()
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--store", str(folder / "store")],
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: end_with(parent),
            )
        self._folder = folder
        self._id: bytes | None = None

    @property
    def id(self) -> bytes:
        """Its id, as soon as it has said it. Raises CommandError: it ended instead."""
        if self._id is None:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            if not line:
                raise CommandError(f"device.agent ended: {(self._folder / 'log').read_text().strip()}")
            self._id = bytes.fromhex(json.loads(line)["id"][2:])
        return self._id

    def stop(self) -> None:
        """Kill it, as a power cut does."""
        self._process.kill()
        self._process.wait()


class Liar(Port):
    """A port whose encryption gives residues that are not below q; the agent signs them all the same."""

    def encrypt(self, ring: int, *arguments: Any) -> int:
        size: int = edil.CIPHERTEXT_BYTES[ring]
        memoryview(arguments[-1]).cast("B")[:size] = b"\xff" * size
        return size


class LiarDevice:
    """The agent in a thread of this process, with a Liar for its port."""

    kind = "liar"

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True)
        facts = json.loads((FOLDER / "host.json").read_text())
        model = Model((FOLDER / "encoder.ren").read_bytes())
        self._port = Liar("127.0.0.1", port)
        memory = FileMemory(folder / "store")
        self._agent = start(self._port, memory, LinkSource(), model, facts["offsets"], facts["shifts"])
        self.id: bytes = self._agent.identity.id
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="liar", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        buffer = bytearray(READ_BYTES)
        while not self._stopping.is_set():
            self._port.idle(min(IDLE_MS, step(self._agent, self._port, buffer)))
        self._port.close()  # type: ignore[no-untyped-call]


Device = BoardDevice | HostDevice | LiarDevice


def count_instructions(board: Board, firmware: Firmware, folder: Path, ring: int, values: int, digits: int) -> int:
    """Instructions of one encryption for two share-holders on an emulated board, the call from Python included.

    Of values that all differ, in a ring of N = ring; from keys that are derived already.
    """
    setup = f"""
from array import array
_values = array("i", range({values}))
_work = bytearray(4 * {ring})
_arguments = {ring}, bytes(range(64)), bytes(32), bytes(range(32)), _values, {digits}, 8, _work
"""
    with Emulator(board, firmware.elf, folder, icount=True) as emulator:
        return int(emulator.count_instructions("_tinyren.encrypt(*_arguments)", setup))
