"""`tinyren emulate`: one emulated board with its REPL on a pty, as a USB board has it; it joins no site."""

import signal
import tempfile
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

from boards.emulator import Emulator, EmulatorError
from gateway.commands.up import load_boards, set_up
from gateway.errors import CommandError
from gateway.progress import Progress


def emulate(arguments: Namespace, progress: Progress) -> int:
    """Run the board until it ends or Ctrl-C; prints the pty's path on stdout as soon as the REPL is there.

    Raises:
        CommandError: no such board, no firmware, or QEMU does not start.
    """
    (board,) = load_boards([arguments.board])
    (firmware,) = set_up(progress, [arguments.board])
    with ExitStack() as ends:
        folder = arguments.state or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="tinyren-")))
        emulator = Emulator(board, firmware.elf, folder)
        ends.callback(emulator.stop)
        try:
            emulator.start()
        except EmulatorError as error:
            raise CommandError(str(error)) from error
        print(emulator.pty, flush=True)
        progress.say(f"{board.name} ({board.core}, emulated by QEMU), firmware {firmware.version}")
        progress.say(f"mpremote connect {emulator.pty}    (Ctrl-C here ends the board)")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while (code := emulator.wait()) == 0:
                progress.say("the board was reset")
                emulator.restart()
                print(emulator.pty, flush=True)
        except KeyboardInterrupt:
            return 0
    raise CommandError(f"{board.name}: QEMU ended with code {code}")
