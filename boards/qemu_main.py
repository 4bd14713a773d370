"""The frozen `main` of the emulated boards: runs what the core opens, until Ctrl-C.

What runs is `agent.boot`'s decision (device/agent/UPDATE.md): the firmware's agent and encoder, or those of a bank. A
watchdog is fed between the agent's steps, whatever the link does. An exception is kept as the reason of the boot's end
and shown for 5 s; then the board resets itself.
"""

import sys
from binascii import hexlify

import _tinyren
import core
from agent import loop
from agent import run as firmware
from micropython import const

_SHOWN_MS = const(5000)
_WATCHDOG_MS = const(16000)


def feed():
    """Tell the watchdog that the core goes on."""
    _tinyren.watchdog(_WATCHDOG_MS)


def end(error):
    """Keep why this boot ended, show it, and reset -> never."""
    sys.print_exception(error)
    reason, reset = f"error: {type(error).__name__}: {error}", "asked"
    try:
        journal.note(_tinyren.ticks_ms() // 1000, reason)
        boot.fail(reason)
    except Exception as other:  # whatever it is, the board has to come back
        sys.print_exception(other)
        reset = "error"
    feed()
    _tinyren.idle(_SHOWN_MS)
    _tinyren.reset(reset)


def switch(is_on):
    """These boards have no light that anybody sees, so they say so."""
    print("light", "on" if is_on else "off")


boot = None
journal = core.open_journal()
try:
    feed()
    regions = core.open_regions()
    boot = core.open_boot(regions)
    if boot.is_safe:
        from agent import safe

        chosen, agent = firmware, safe.start(_tinyren, regions["store"], boot)
    else:
        chosen, (model, *wants) = core.open_agent(boot), core.open_model(boot)
        kept = {"boot": boot, "ring": regions["ring"], "journal": journal, "receipts": core.open_receipts()}
        agent = chosen.start(_tinyren, regions["store"], core.open_source(), model, *wants, **kept)
        agent.switch = switch
        del kept, wants
    del regions, core
    for opened in ("core", "board", "host_model"):  # 2 KB of heap that the agent may use
        del sys.modules[opened]
    print("device", hexlify(agent.identity.id).decode())  # by which whoever holds the board knows which device it is
    loop.run(agent, _tinyren, chosen.step, boot, feed)
    _tinyren.reset("asked")
except KeyboardInterrupt:
    raise
except BaseException as error:  # SystemExit too: an agent that ends itself is no reason to be left at the console
    end(error)
