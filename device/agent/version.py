"""What this agent is called and what it fits, in one place; it decides nothing (UPDATE.md, section 2: `needs`).

An update names what it needs at least: a model the agent's ABI, an agent the core's. What runs is a version of its own
in a package, so a package's CORE_ABI is what it was written for, and the firmware's is what there is.
"""

from .cbor import const

VERSION = "0.1.0"
AGENT_ABI = const(1)  # to a model: artifacts of REN3, channels of a sample, what parameters and reports are
CORE_ABI = const(1)  # to an agent: names of the port, of boot.Boot and banks.Banks, arguments of run.start and run.step
