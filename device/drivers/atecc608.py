"""ATECC608A and B over I2C, as a source of random numbers and of a serial number that its owner cannot change.

It cannot hold a device's key: its only curve is NIST P-256, and a device signs with secp256k1 (ES256K). Random numbers
for making that key are what it is good for here; its own signatures, SHA-256, AES and slots are not used.

A chip whose configuration is not locked answers with a fixed pattern for random numbers, and is refused. The bus runs
at 100 kHz or less, because what wakes the chip is a low line for 60 us.

Source: Microchip's ATECC608A summary, DS40001977, and the ATECC508A's complete data sheet, DS20005927, whose frames it
keeps: wake-up, CRC-16 with 0x8005, Read 0x02, Random 0x1B.
"""

_WOKEN = b"\x04\x11\x33\x43"
_POLLS = 1000  # each is 9 bits, 90 us: Random takes up to 24 ms, waking 1.5 ms
_READ = 0x02
_RANDOM = 0x1B
_CONFIGURATION = 0x80  # Read: 32 bytes of the configuration
_LOCKED = 23  # in its third block, LockConfig: 0x00
_BLOCK = 32


def crc16(data):
    """The check sum of data, two bytes, the low one first."""
    crc = 0
    for byte in data:
        for bit in range(8):
            differs = (byte >> bit & 1) != crc >> 15
            crc = crc << 1 & 0xFFFF ^ (0x8005 if differs else 0)
    return bytes((crc & 0xFF, crc >> 8))


class Atecc608:
    """One chip; `serial` is its number, 9 bytes.

    Args:
        i2c: MicroPython's machine.I2C or its like, at 100 kHz or less.
        address: 0x60 as it is sold (its documents say 0xC0); 0x35 and 0x36 for Trust&GO and TrustFLEX.
    Raises:
        OSError: the chip does not answer, is another one, or its configuration is not locked.
    """

    name = "atecc608"

    def __init__(self, i2c, address=0x60):
        self._i2c = i2c
        self._address = address
        head = self._ask(_READ, _CONFIGURATION, 0)
        if head[6] != 0x60 or head[:2] != b"\x01\x23":
            self._fail(19, f"revision and serial number: got {head[4:8]}, {head[:2]}, wanted 0x60 third, b'\\x01#'")
        if self._ask(_READ, _CONFIGURATION, 2 * 8)[_LOCKED]:
            self._fail(19, "configuration not locked, wanted it locked: its random numbers are a fixed pattern")
        self.serial = head[:4] + head[8:13]

    def random(self, buffer):
        """Fill buffer with random bytes. OSError: no answer, a fault, a wrong check sum: a part may be filled."""
        for start in range(0, len(buffer), _BLOCK):
            data = self._ask(_RANDOM, 0, 0)
            part = min(_BLOCK, len(buffer) - start)
            buffer[start : start + part] = data[:part]

    def _ask(self, opcode, mode, place):
        """The 32 bytes with which the chip answers a command; it is woken before, and asleep afterwards."""
        self._wake()
        command = bytes((7, opcode, mode, place & 0xFF, place >> 8))
        answer = bytearray(_BLOCK + 3)
        try:
            self._i2c.writeto(self._address, b"\x03" + command + crc16(command))
            self._poll(answer)
        finally:
            self._sleep()
        if answer[0] == 4:
            self._fail(5, f"command {opcode:#x}: the chip says {answer[1]:#x}, wanted {_BLOCK} bytes")
        if answer[0] != len(answer) or crc16(answer[:-2]) != answer[-2:]:
            self._fail(5, f"command {opcode:#x}: got {answer[0]} bytes or a wrong check sum, wanted {len(answer)}")
        return bytes(answer[1:-2])

    def _wake(self):
        try:
            self._i2c.writeto(0, b"")
        except OSError:
            pass  # nobody answers at address 0: it is the low line that wakes
        woken = bytearray(4)
        self._poll(woken)
        if woken != _WOKEN:
            self._fail(19, f"wake-up: got {bytes(woken)}, wanted {_WOKEN}")

    def _sleep(self):
        try:
            self._i2c.writeto(self._address, b"\x01")
        except OSError:
            pass  # it sleeps by itself after 1.3 s

    def _poll(self, buffer):
        for _ in range(_POLLS):
            try:
                return self._i2c.readfrom_into(self._address, buffer)
            except OSError as error:
                busy = error
        self._fail(busy.args[0], "no answer")

    def _fail(self, errno, what):
        raise OSError(errno, f"{self.name} at {self._address:#x}: {what}")
