"""The frozen `main` of the emulated boards: runs what the core opens, until Ctrl-C.

What runs is `agent.boot`'s decision (device/agent/UPDATE.md): the firmware's agent and encoder, or those of a bank. A
watchdog is fed between the agent's steps, whatever the link does. An exception is kept as the reason of the boot's end
and shown for 5 s; then the board resets itself.
"""

from binascii import hexlify

import _tinyren
import core
from agent import run as firmware
from agent import safe

boot = None
journal = core.open_journal()
try:
    core.feed()
    regions = core.open_regions()
    boot = core.open_boot(regions)
    if boot.is_safe:
        chosen, agent = firmware, safe.start(_tinyren, regions["store"], boot)
    else:
        chosen, (model, *wants) = core.open_agent(boot), core.open_model(boot)
        kept = {"boot": boot, "ring": regions["ring"], "journal": journal}
        agent = chosen.start(_tinyren, regions["store"], core.open_source(), model, *wants, **kept)
    print("device", hexlify(agent.identity.id).decode())  # by which whoever holds the board knows which device it is
    firmware.run(agent, _tinyren, boot, chosen.step, core.feed)
    _tinyren.reset("asked")
except KeyboardInterrupt:
    raise
except BaseException as error:  # SystemExit too: an agent that ends itself is no reason to be left at the console
    core.end(error, boot, journal)
