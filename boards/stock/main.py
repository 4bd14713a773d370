"""Runs the agent on stock MicroPython until Ctrl-C; `main.py` imports it, and so does who wants to go on at the REPL.

What is wrong in the settings is said and left out. An exception is kept as the reason of the boot's end, shown for 5 s,
and the board begins anew; three such boots in a row lead to safe mode (agent.boot), so none of it is a loop that nobody
hears of. Ctrl-C leaves the board at its REPL, where a timer feeds the watchdog.
"""

import gc
import sys
from binascii import hexlify

import micropython
from micropython import const

gc.threshold(4096)  # else what an import leaves behind lies scattered over the heap, and no large block is left

import _tinyren  # noqa: E402
import core  # noqa: E402
from agent import run  # noqa: E402

_SHOWN_MS = const(5000)
_CTRL_C = const(3)


def end(error):
    """Keep why this boot ended, show it, and begin anew -> never."""
    sys.print_exception(error)
    reason, reset = f"error: {type(error).__name__}: {error}", "asked"
    try:
        journal.note(_tinyren.ticks_ms() // 1000, reason)
        boot.fail(reason)
    except Exception as other:  # whatever it is, the board has to come back
        sys.print_exception(other)
        reset = "error"
    _tinyren.watchdog()
    _tinyren.link = None
    _tinyren.idle(_SHOWN_MS)
    _tinyren.reset(reset)


def say(text):
    """To the journal; to the console too, unless that is the link."""
    journal.note(_tinyren.ticks_ms() // 1000, text)
    if not is_console:
        print(text)


boot = None
is_console = False
journal = core.open_journal()
try:
    settings, wrong = core.open_settings()
    for line in wrong:
        say(line)
    _tinyren.watchdog()
    regions = core.open_regions()
    boot = core.open_boot(regions)
    if boot.is_safe:
        from agent import safe

        agent = safe.start(_tinyren, regions["store"], boot)
    else:
        kept = {"boot": boot, "ring": regions["ring"], "journal": journal}
        agent = run.start(_tinyren, regions["store"], core.open_source(settings, say), *core.open_model(), **kept)
        agent.switch = core.open_switch()
        del kept
    _tinyren.link = core.open_link(settings, say)
    print("device", hexlify(agent.identity.id).decode())  # by which whoever holds the board knows which device it is
    is_console = type(_tinyren.link).__name__ == "SerialLink"
    if is_console:
        micropython.kbd_intr(-1)
    del regions, settings, wrong, core
    for opened in ("core", "board", "host_model", "stock.settings"):
        sys.modules.pop(opened, None)
    gc.collect()
    run.run(agent, _tinyren, boot, feed=_tinyren.watchdog)
    _tinyren.reset("asked")
except KeyboardInterrupt:
    micropython.kbd_intr(_CTRL_C)
    _tinyren.rest()
    print("the agent rests; it goes on after a reset: import machine; machine.reset()")
except BaseException as error:  # SystemExit too: an agent that ends itself is no reason to be left at the console
    micropython.kbd_intr(_CTRL_C)
    end(error)
