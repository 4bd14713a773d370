"""What a device makes for one round: sums of its windows, then their ciphertext. It knows no key and stores nothing.

Its memory, 4 bytes a coefficient of the ring and 4 a value, is taken when it is made and serves until it is dropped.
"""

from array import array

from . import rounds, statistics, ticks
from .cbor import const

SPARE_BYTES = const(4096)  # that must be left for messages when an update has taken its memory


class Update:
    """manifest (rounds.Manifest), index (of its next ciphertext), count (windows in that), and upload (upload.Upload of
    a ciphertext on its way, or None while windows are added up).
    """

    def __init__(self, manifest, vector, now_ms: int):
        """vector: for kind 5, as many integers as the manifest's rows; they are held to what digits carry.

        Raises:
            MemoryError: it does not fit beside what is there.
        """
        self.manifest = manifest
        self.index = 0
        self.count = 0
        self.upload = None
        self._work = bytearray(4 * manifest.ring)
        self._values = array("i", bytes(4 * statistics.count_values(manifest)))
        self._left_ms = manifest.duration_ms
        self._since_ms = now_ms
        bytearray(SPARE_BYTES)
        if manifest.kind == rounds.VECTOR:
            bound = statistics.largest(manifest.digits)
            for index, value in enumerate(vector):
                self._values[index] = min(bound, max(-bound, value))
            self.count = 1

    def add(self, window, output, label, add_moments) -> bool:
        """Add a window (int8[n]) and its embedding (int8[width]) -> whether there was room for one more.

        Args:
            label: its class, below the manifest's classes for that kind. add_moments: the port's.
        """
        if self.upload or self.count == self._wanted():
            return False
        statistics.add_window(self.manifest, self._values, output, window, label, add_moments)
        self.count += 1
        return True

    def pass_time(self, now_ms: int):
        """Count the time that has passed since the last call; to be called at least each 2**29 ms (6 days)."""
        self._left_ms = max(0, self._left_ms - ticks.diff(now_ms, self._since_ms))
        self._since_ms = now_ms

    @property
    def is_due(self) -> bool:
        """Whether what was added up is to be encrypted now."""
        if self.upload or not self.count:
            return False
        return self.count == self._wanted() or not self._left_ms

    def encrypt(self, port, s_keys: bytes, a_key: bytes, noise):
        """Encrypt what was added up (EDIL.md, section 1) -> view of the ciphertext, good until the next one is made.

        Args:
            s_keys: 32 bytes of each holder, joined. a_key: 32 bytes. noise: 32 fresh random bytes, for this call alone.
        """
        manifest = self.manifest
        size = port.encrypt(manifest.ring, s_keys, a_key, noise, self._values, manifest.digits, self.count, self._work)
        return memoryview(self._work)[:size]

    def go_on(self) -> bool:
        """Turn to the next ciphertext, once the last is no longer needed -> whether the round wants one more."""
        self.upload = None
        self.count = 0
        self.index += 1
        return self.manifest.kind == rounds.INFERENCE and self.index < self.manifest.windows

    def _wanted(self):
        return 1 if self.manifest.kind in (rounds.INFERENCE, rounds.VECTOR) else self.manifest.windows
