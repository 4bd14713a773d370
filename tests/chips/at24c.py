"""AT24C: a memory with 16-bit addresses, whose pages wrap, and which is silent while it stores."""


class Model:
    address = 0x50

    def __init__(self, size, page_bytes, silence):
        self.memory = bytearray(b"\xff" * size)
        self.page_bytes, self.silence, self.busy, self.pointer = page_bytes, silence, 0, 0

    def write(self, data):
        self._transfer()
        self.pointer = int.from_bytes(data[:2], "big")
        page = self.pointer // self.page_bytes * self.page_bytes
        for i, byte in enumerate(data[2:]):
            self.memory[page + (self.pointer - page + i) % self.page_bytes] = byte
        self.busy = self.silence if len(data) > 2 else 0

    def read(self, length):
        self._transfer()
        return bytes(self.memory[self.pointer : self.pointer + length])

    def _transfer(self):
        self.busy -= self.busy > 0
        if self.busy:
            raise OSError(19)
