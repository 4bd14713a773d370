"""Run Python on a board through MicroPython's raw REPL, over a serial device or an emulator's pty. It starts no board,
and believes none: what answers is bounded, and may be any octets. It needs mpremote, which a running site does not.
"""

import struct

from mpremote import transport_serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from boards.emulator import EmulatorError

TRIES = 3  # what runs may take the first Ctrl-C with what follows it
MOST_BYTES = 256 * 1024  # of an answer: what prints without end is no answer
MOST_CHARACTERS = 200  # of a board's text in a message
FAILURES = (TransportError, OSError, struct.error)  # what mpremote raises

transport_serial.print = lambda *_: None  # it shows a board's octets before it raises, on the stdout of --json

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
        timeout_s: how long a board may be silent, or take nothing.
    Raises:
        EmulatorError: no answer, or one without end.
    """

    def __init__(self, name, device, timeout_s):
        self._name = name
        self._timeout_s = timeout_s
        self._left_bytes = MOST_BYTES
        try:
            self._transport = SerialTransport(device, timeout=timeout_s)
        except TransportError as error:
            raise EmulatorError(f"{name}: REPL: {error}") from error
        port = self._transport.serial
        port.read, port.write_timeout = self._bounded(port.read), timeout_s
        for tries_left in reversed(range(TRIES)):
            try:
                return self._transport.enter_raw_repl(soft_reset=False, timeout_overall=timeout_s / TRIES)
            except FAILURES as error:
                if not tries_left or isinstance(error, OSError):
                    self.close()
                    raise EmulatorError(f"{name}: REPL: {printable(str(error))}") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def exec(self, code):
        """Run code; what it printed, text.

        Raises:
            EmulatorError: no answer, or the code raised; with the board's last line.
        """
        self._left_bytes = MOST_BYTES
        try:
            printed, raised = self._transport.exec_raw(code, timeout=self._timeout_s)
        except FAILURES as error:
            raise EmulatorError(f"{self._name}: REPL: {printable(str(error))}") from error
        if raised:
            *_, last = ["", *raised.decode(errors="replace").strip().splitlines()]
            raise EmulatorError(f"{self._name}: {printable(last)}")
        return printed.decode(errors="replace").replace("\r\n", "\n")

    def fresh(self):
        """Have MicroPython begin anew and run no main.py: an empty heap, and what was copied. Raises EmulatorError."""
        self._left_bytes = MOST_BYTES
        try:
            self._transport.enter_raw_repl(soft_reset=True, timeout_overall=self._timeout_s)
        except FAILURES as error:
            raise EmulatorError(f"{self._name}: REPL: {printable(str(error))}") from error

    def start(self, code):
        """Run code that does not end; nothing else may be run afterwards. Raises EmulatorError: the board took none."""
        self._left_bytes = MOST_BYTES
        try:
            self._transport.exec_raw_no_follow(code)
        except FAILURES as error:
            raise EmulatorError(f"{self._name}: REPL: {printable(str(error))}") from error

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

    def _bounded(self, read):
        """A port's `read` that ends a conversation in which the board says too much at once."""

        def read_bounded(size=1):
            octets = read(size)
            self._left_bytes -= len(octets)
            if self._left_bytes < 0:
                raise OSError(f"got more than {MOST_BYTES} bytes, wanted an answer: does the board print without end?")
            return octets

        return read_bounded


def printable(text):
    """A board's text for a message: one line, cut, nothing that a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text[:MOST_CHARACTERS])
