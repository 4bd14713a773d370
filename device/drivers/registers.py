"""The registers of a chip on I2C: reads and writes whose errors name chip, address and register. It knows no chip.

Source: NXP UM10204, section 3.1. A chip that is gone does not acknowledge its address, which is an error; one that goes
within a read leaves the line high, so that the rest of the bytes are 0xFF, and the read after it is the error.
"""


class Registers:
    """8-bit registers behind one address.

    Args:
        name: of the chip, for errors.
        i2c: MicroPython's machine.I2C or its like.
        address: the chip's, 7 bits.
    """

    def __init__(self, name, i2c, address):
        self._name = name
        self._i2c = i2c
        self._address = address
        self._byte = bytearray(1)

    def read(self, register, buffer):
        """Fill buffer from register on; it allocates nothing. OSError: no answer."""
        try:
            self._i2c.readfrom_mem_into(self._address, register, buffer)
        except OSError as error:
            self.fail(error.args[0], register, "no answer")

    def get(self, register):
        """The byte in register. OSError: no answer."""
        self.read(register, self._byte)
        return self._byte[0]

    def write(self, register, *values):
        """Write bytes from register on. OSError: no answer."""
        try:
            self._i2c.writeto_mem(self._address, register, bytes(values))
        except OSError as error:
            self.fail(error.args[0], register, "no answer")

    def keep(self, register, value, mask=0xFF):
        """Write a setting and see that the chip has it in the bits of mask. OSError: no answer, or not kept."""
        self.write(register, value)
        self.expect(register, value & mask, mask)

    def expect(self, register, wanted, mask=0xFF):
        """See that a register holds what it must: an identity, a setting. OSError: no answer, or something else."""
        got = self.get(register) & mask
        if got != wanted:
            self.fail(19, register, f"got {got:#x}, wanted {wanted:#x}")

    def fail(self, errno, register, what):
        """Raise the OSError that names this chip and register."""
        raise OSError(errno, f"{self._name} at {self._address:#x}: register {register:#x}: {what}")


def int16(high, low):
    """A two's complement number from its two bytes."""
    value = high << 8 | low
    return value - 0x10000 if value & 0x8000 else value


def clamp16(value):
    """The int16 that is nearest to value."""
    return max(-0x8000, min(0x7FFF, value))


def scaled(a, b, shift):
    """a * b >> shift, exactly, for shift >= 8, by halves: a 32-bit MicroPython allocates products from 2**30 on."""
    return (a * (b >> 8) + (a * (b & 0xFF) >> 8)) >> shift - 8
