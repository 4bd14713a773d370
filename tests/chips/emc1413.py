"""EMC1413: a read of a high byte holds the low byte that belongs to it, until the next."""

from tests.chips.bus import RegisterFile

LOW = {0x00: 0x29, 0x01: 0x10, 0x23: 0x24}


class Model:
    address = 0x4C
    identities = (0xFD, 0xFE)

    def __init__(self):
        # stopped and in the extended range, as if somebody had set that
        self.file = RegisterFile({0x03: b"\x44\x06", 0xFD: b"\x21\x5d\x01"}, (0x03, 0x04), counts=False)
        self.write = self.file.write
        self.values = {0x00: 0, 0x01: 0, 0x23: 0}
        self.after_high = None  # what happens between two reads

    def show(self, internal, external1=0, external2=0, faults=0):
        """1/256 degC, in steps of 32; faults: register 0x1B."""
        self.values = {0x00: internal, 0x01: external1, 0x23: external2}
        self.file.put(0x1B, bytes([faults]))

    def read(self, count):
        at = self.file.pointer
        if at in LOW:
            self.file.put(at, bytes([self.values[at] >> 8 & 0xFF]))
            self.file.put(LOW[at], bytes([self.values[at] & 0xE0]))
            if self.after_high:
                self.after_high()
        return self.file.read(count)
