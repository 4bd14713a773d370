"""The frozen `main` of the emulated boards: joins drivers, store, encoder and agent, and runs them until Ctrl-C.

An error that ends the agent is shown, and after 5 s, in which Ctrl-C leads to the REPL, the board resets itself.
"""

import sys
from binascii import hexlify

import _tinyren
import board
import host_model
import machine
from agent.run import run, start
from agent.sampling import LinkSource
from drivers.at24c import At24c
from drivers.cfi_flash import CfiFlash
from drivers.lsm303dlhc import Lsm303dlhc
from drivers.sample_source import SampleSource
from drivers.tmp105 import Tmp105
from micropython import const
from uctypes import bytearray_at

FLASH_BASE = const(0x22000000)  # virt's second CFI flash
SHOWN_MS = const(5000)


def open_memory():
    """What keeps key and boot number."""
    if board.STORE == "at24c":
        return At24c(_tinyren.I2C(board.I2C_BUS))
    return CfiFlash(machine.mem32, bytearray_at, FLASH_BASE)


def open_source():
    """Where samples come from: the bus, or the link on a board without one."""
    if board.I2C_BUS is None:
        return LinkSource()
    i2c = _tinyren.I2C(board.I2C_BUS)
    return SampleSource(Tmp105(i2c), Lsm303dlhc(i2c))


try:
    model = _tinyren.Model(host_model.ARTIFACT)
    wants = host_model.OFFSETS, host_model.SHIFTS, host_model.SAMPLE_MS
    agent = start(_tinyren, open_memory(), open_source(), model, *wants)
    print("device", hexlify(agent.identity.id).decode())  # by which whoever holds the board knows which device it is
    run(agent, _tinyren)
except Exception as error:
    sys.print_exception(error)
    _tinyren.idle(SHOWN_MS)
    machine.reset()
