"""Frozen into the stand-in: its `machine`, with pins that only remember, and the bus to which QEMU attaches chips."""

import umachine
from umachine import *  # noqa: F403

levels = {}  # of pins that were written, by name


class Pin:
    OUT = 1

    def __init__(self, name, mode=None):
        self._name = name

    def value(self, level):
        levels[self._name] = level


def SoftI2C(scl, sda):
    return umachine.I2C(3)  # of the MPS2 boards; the others have none
