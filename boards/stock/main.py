"""Runs what the core opens on stock MicroPython until Ctrl-C; `main.py` calls `go`, and so does who wants to go on at
the REPL.

What runs is `agent.boot`'s decision (device/agent/UPDATE.md): the agent and encoder that were copied here, or those of
a bank. What is wrong in the settings is said and left out. An exception is kept as the reason of the boot's end, shown
for 5 s, and the board begins anew; three such boots in a row lead to safe mode (agent.boot), so none of it is a loop
that nobody hears of. Ctrl-C leaves the board at its REPL, where a timer feeds the watchdog.
"""

import gc
import sys
from binascii import hexlify

import micropython
import stock.imports  # noqa: F401 - before all that it imports
from micropython import const

# isort: split
import _tinyren
from agent import loop

_SHOWN_MS = const(5000)
_CTRL_C = const(3)

boot = agent = journal = None
is_console = False


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


def go():
    """Open what the core opens, and run it -> when Ctrl-C ended it; else never."""
    try:
        step = _open()
        loop.run(agent, _tinyren, step, boot, _tinyren.watchdog)
        _tinyren.reset("asked")
    except KeyboardInterrupt:
        micropython.kbd_intr(_CTRL_C)
        _tinyren.rest()
        print("the agent rests; it goes on after a reset: import machine; machine.reset()")
    except BaseException as error:  # SystemExit too: an agent that ends itself is no reason to be left at the console
        micropython.kbd_intr(_CTRL_C)
        end(error)


def _open():
    """Open all and forget the core -> step of the run module that was chosen."""
    global boot, agent, journal, is_console
    import core

    journal = core.open_journal()
    settings, wrong = core.open_settings()
    for line in wrong:
        say(line)
    _tinyren.watchdog()
    regions = core.open_regions()
    boot = core.open_boot(regions)
    _tinyren.watchdog()
    if boot.is_safe:
        from agent import run as chosen
        from agent import safe

        agent = safe.start(_tinyren, regions["store"], boot)
    else:
        model = core.open_model(boot)
        chosen = core.open_agent(boot)
        kept = {"boot": boot, "ring": regions["ring"], "journal": journal}
        agent = chosen.start(_tinyren, regions["store"], core.open_source(settings, say), *model, **kept)
        agent.switch = core.open_switch()
        del kept, model
    _tinyren.link = core.open_link(settings, say)
    print("device", hexlify(agent.identity.id).decode())  # by which whoever holds the board knows which device it is
    is_console = type(_tinyren.link).__name__ == "SerialLink"
    if not is_console:
        micropython.kbd_intr(_CTRL_C)
    del regions, settings, wrong, core
    for opened in ("core", "board", "host_model", "package_files", "stock.settings", "stock.part"):
        sys.modules.pop(opened, None)
    gc.collect()
    return chosen.step
