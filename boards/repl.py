"""Run Python on a board through MicroPython's raw REPL, over a serial device or an emulator's pty. It starts no board.

It needs mpremote, which a site does not: nothing imports this file but `Emulator.open_repl`, for tests and the bench.
"""

import struct

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from boards.emulator import EmulatorError

TRIES = 3  # what runs may take the first Ctrl-C with what follows it

_COUNT = """
from machine import mem32
{setup}
def _now():
    {capture}
    return mem32[{address}]
def _count(call):
    before = _now()
    call()
    return (_now() - before) & 0xFFFFFFFF
print(_count(lambda: None), _count(lambda: {call}))
"""


class Repl:
    """One conversation with a board; it ends what runs there. Nobody else may hold the device meanwhile.

    Args:
        name: of the board, for errors.
        device: a device node.
        timeout_s: how long any answer may take.
    Raises:
        EmulatorError: no answer.
    """

    def __init__(self, name, device, timeout_s):
        self._name = name
        self._timeout_s = timeout_s
        try:
            self._transport = SerialTransport(device, timeout=timeout_s)
        except TransportError as error:
            raise EmulatorError(f"{name}: REPL: {error}") from error
        for tries_left in reversed(range(TRIES)):
            try:
                return self._transport.enter_raw_repl(soft_reset=False, timeout_overall=timeout_s / TRIES)
            except (TransportError, OSError) as error:
                if not tries_left or isinstance(error, OSError):
                    self.close()
                    raise EmulatorError(f"{name}: REPL: {error}") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def exec(self, code):
        """Run code; what it printed, text.

        Raises:
            EmulatorError: no answer, or the code raised; with the board's last line.
        """
        try:
            printed, raised = self._transport.exec_raw(code, timeout=self._timeout_s)
        except (TransportError, OSError, struct.error) as error:
            raise EmulatorError(f"{self._name}: REPL: {error}") from error
        if raised:
            raise EmulatorError(f"{self._name}: {raised.decode().strip().splitlines()[-1]}")
        return printed.decode().replace("\r\n", "\n")

    def start(self, code):
        """Run code that does not end; nothing else may be run afterwards. Raises EmulatorError: the board took none."""
        try:
            self._transport.exec_raw_no_follow(code)
        except (TransportError, OSError) as error:
            raise EmulatorError(f"{self._name}: REPL: {error}") from error

    def count(self, address, call, setup="pass", capture=None):
        """How far the counter at address moves in one evaluation of the expression `call`, after `setup` has run; int.

        What an empty call costs is taken off. The counter has 32 bits, counts up, and may wrap once. A 1 written to
        `capture`, if there is one, brings the count to address.
        """
        take = "pass" if capture is None else f"mem32[{capture}] = 1"
        empty, full = self.exec(_COUNT.format(setup=setup, call=call, address=address, capture=take)).split()[-2:]
        return int(full) - int(empty)

    def close(self):
        """Leave the raw REPL, and the device; harmless when the board has ended."""
        try:
            self._transport.exit_raw_repl()
        except OSError:
            pass  # the board has ended, and with it its pty
        self._transport.serial.close()
