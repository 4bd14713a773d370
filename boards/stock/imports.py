"""Imports what the core is made of, leaves first; of what it does nothing.

An import within an import takes 1 KB of stack each time, and at the bottom the file system another; a Pico W has 8 KiB.
So main.py imports this before stock.main, whose own imports then find everything loaded.

And Ctrl-C is off from here until it is known who speaks at the console: after a reset what comes there may be the rest
of a broker's packets, which hold that byte.
"""

import gc

import micropython

micropython.kbd_intr(-1)
gc.threshold(4096)  # else what an import leaves behind lies scattered over the heap, and no large block is left

for _name in (
    "agent.errors",
    "agent.cbor",
    "agent.phases",
    "agent.ticks",
    "agent.version",
    "agent.fields",
    "agent.packets",
    "agent.cose",
    "agent.wire",
    "agent.mqtt",
    "agent.records",
    "agent.banks",
    "agent.reports",
    "agent.journal",
    "agent.boot",
    "stock.files",
    "stock.link",
    "_tinyren",
    "stock.settings",
    "core",
    "agent.loop",
):
    __import__(_name)
