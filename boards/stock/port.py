"""The names of `_tinyren` on stock MicroPython, out of its own modules and our native ones; it opens no link by itself.

What a chip does not keep: RAM is lost by a reset, so a reset that is asked for puts the last lines and its reason into
END first, and those before a watchdog's or a power cut are lost. Boards without machine.WDT have no watchdog, and no
watchdog can be stopped, so at the console a timer feeds it. Entropy is os.urandom: a Pico's ring oscillator, an ESP32's
or STM32's or nRF52's generator (an ESP32's needs its radio on to be fed by it).
"""

import os
import time

import machine
from board import BOARD, CORE, VERSION  # noqa: F401
from micropython import const
from stock.files import replace, take
from tinyren_curve import blind, ecdh, keccak256, pubkey, recover, sign  # noqa: F401
from tinyren_model import Model  # noqa: F401

END = "tinyren.end"
_TICKS = const(0x3FFFFFFF)
_RETAINED_BYTES = const(512)
_WATCHDOG_MS = const(8000)  # a Pico's takes 8,388 at most
_FED_MS = const(2000)

link = None  # stock.link's, set by main before the agent runs
_watchdog = _timer = None
_reason, _, _kept = take(END, 1024).partition(b"\n")
_retained = bytearray(_kept[:_RETAINED_BYTES])
_retained.extend(bytes(_RETAINED_BYTES - len(_retained)))
blind(os.urandom(32))


def ticks_ms():
    return time.ticks_ms() & _TICKS


def ticks_us():
    return time.ticks_us() & _TICKS


def idle(ms):
    """Sleep until the link has something to read, or ms passed."""
    if link:
        link.wait(ms)
    else:
        time.sleep_ms(ms)


def entropy(buffer):
    buffer[:] = os.urandom(len(buffer))


def encrypt(*arguments):
    """EDIL's, which is loaded when it is first used."""
    import tinyren_edil

    return tinyren_edil.encrypt(*arguments)


def add_moments(*arguments):
    import tinyren_edil

    return tinyren_edil.add_moments(*arguments)


def link_read(buffer):
    return link.read(buffer, ticks_ms())


def link_write(data):
    return link.write(data, ticks_ms())


def watchdog():
    """Start it, or tell it that the agent goes on."""
    global _watchdog
    if _watchdog is None and hasattr(machine, "WDT"):
        _watchdog = machine.WDT(timeout=_WATCHDOG_MS)
    elif _watchdog:
        _watchdog.feed()


def rest():
    """For a person at the console: from now on a timer feeds the watchdog."""
    global _timer
    if _watchdog and _timer is None and hasattr(machine, "Timer"):
        watchdog()
        _timer = machine.Timer(-1)
        _timer.init(period=_FED_MS, callback=lambda _: _watchdog.feed())


def reset_reason():
    """ "asked", "error", "watchdog" or "power"."""
    if _reason:
        return _reason.decode()
    cause = getattr(machine, "reset_cause", int)()
    return "watchdog" if cause == getattr(machine, "WDT_RESET", -1) else "power"


def reset(reason):
    """Begin anew; the next boot's reset_reason() is this one, "asked" or "error"."""
    try:
        replace(END, reason.encode() + b"\n" + _retained)
    finally:
        machine.reset()


def retained():
    """The last lines: of the boot before, if it ended by `reset`."""
    return _retained
