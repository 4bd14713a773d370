"""ATECC608: asleep until its line is low, then one command at a time; not locked, its random numbers are a pattern."""


def crc(data):
    """CRC-16, polynomial 0x8005, each byte from its lowest bit on; two bytes, the low one first."""
    remainder = 0
    for byte in data:
        for bit in range(8):
            remainder ^= (byte >> bit & 1) << 15
            remainder = (remainder << 1 ^ (0x18005 if remainder & 0x8000 else 0)) & 0xFFFF
    return bytes([remainder & 0xFF, remainder >> 8])


def drawn(count):
    """The random numbers of the count-th draw."""
    return bytes([(count * 40503 + i * i * 77) >> 3 & 0xFF for i in range(32)])


class Model:
    address = 0x60

    def __init__(self, locked=True, revision=0x60, busy=3):
        self.configuration = bytearray(128)
        self.configuration[0:13] = bytes([0x01, 0x23, 9, 8, 0, 0, revision, 2, 7, 6, 5, 4, 0xEE])
        self.configuration[87] = 0 if locked else 0x55
        self.awake = False
        self.polls = busy  # each read while it works is not acknowledged
        self.busy = 0
        self.answer = b""
        self.count = 0
        self.refuses = self.damages = False

    def wake(self):
        """The low line, which is a write to address 0 on a slow bus."""
        if not self.awake:
            self.awake, self.busy, self.answer = True, self.polls, b"\x04\x11\x33\x43"

    def write(self, data):
        if not self.awake or self.busy:
            raise OSError(19)
        if data == b"\x01":
            self.awake = False
            return
        assert data[0] == 0x03 and data[1] == len(data) - 1 and data[-2:] == crc(data[1:-2])
        self.busy, answer = self.polls, bytes(1)
        if data[2] == 0x02 and data[3] == 0x80 and data[4] & 7 == 0:
            answer = bytes(self.configuration[data[4] * 4 : data[4] * 4 + 32])
        elif data[2] == 0x1B and data[3:6] == bytes(3):
            self.count += 1
            answer = b"\xff\xff\x00\x00" * 8 if self.configuration[87] else drawn(self.count)
        if self.refuses:
            answer = b"\x0f"
        answer = bytes([len(answer) + 3]) + answer
        self.answer = answer + crc(answer)
        if self.damages:
            self.answer = self.answer[:-1] + bytes([self.answer[-1] ^ 1])

    def read(self, count):
        if not self.awake or self.busy:
            self.busy -= self.busy > 0
            raise OSError(19)
        return (self.answer + b"\xff" * count)[:count]


class LowLine:
    """Address 0: nobody acknowledges it, and a chip wakes."""

    def __init__(self, model):
        self.model = model

    def write(self, data):
        self.model.wake()
        raise OSError(19)
