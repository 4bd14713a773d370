"""What this agent is called and what it fits, in one place; it decides nothing (UPDATE.md, section 2: `needs`).

An update names what it needs at least: a model the agent's ABI, an agent the core's. What runs is a version of its own
in a package, so a package's CORE_ABI is what it was written for, and the firmware's is what there is.
"""

import sys

from .cbor import const

VERSION = "0.1.0"
AGENT_ABI = const(2)  # to a model: artifacts of REN3, channels of a sample, what parameters and reports are
SEALING_ABI = const(2)  # the first AGENT_ABI that knows a reader; one before would reveal to everybody
CORE_ABI = const(2)  # to an agent: names of the port, boot.Boot, banks.Banks, journal.Journal, arguments of run.start


def abi() -> str:
    """What an agent package must be to run here: "mpy6.3" on MicroPython, "python3.11" on CPython."""
    mpy = getattr(sys.implementation, "_mpy", None)
    if mpy is None:
        return f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return f"mpy{mpy & 0xFF}.{mpy >> 8 & 3}"
