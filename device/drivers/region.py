"""A part of a memory, as a memory whose addresses begin at 0; refuses to cut what is erased at once."""


class Region:
    """start, size and erase_bytes, in bytes; the rest as README.md says of memories.

    Args:
        memory: a memory. start: its byte that is the region's first. size: of the region.
    Raises:
        ValueError: it is not within the memory, or would share what is erased at once.
    """

    def __init__(self, memory, start, size):
        unit = memory.erase_bytes or 1
        if start < 0 or size <= 0 or start + size > memory.size or start % unit or size % unit:
            raise ValueError(f"region: got {start:#x}, {size} bytes, wanted units of {unit} within {memory.size:#x}")
        self._memory = memory
        self.start = start
        self.size = size
        self.erase_bytes = memory.erase_bytes

    def read(self, address, buffer):
        """Fill buffer with the bytes at address. ValueError: beyond the region's end; OSError: the memory's."""
        self._check(address, len(buffer))
        self._memory.read(self.start + address, buffer)

    def write(self, address, data):
        """Store data at address and return when it is stored; raises as read."""
        self._check(address, len(data))
        self._memory.write(self.start + address, data)

    def erase(self, address):
        """Set what is erased at once with address to 0xFF; raises as read."""
        self._check(address, 1)
        self._memory.erase(self.start + address)

    def _check(self, address, length):
        if not 0 <= address <= self.size - length:
            raise ValueError(f"region: got {length} bytes at {address:#x}, wanted them within {self.size:#x}")
