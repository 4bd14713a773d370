"""Tells outputs of the encoder as a manifest asks for (UPDATE.md, section 2); what would have to wait is left out."""

from . import suit, wire
from .cbor import const
from .mqtt import ONLINE

NO_INDEX = const(255)
QUEUED = const(2)


class Output:
    """left_out: outputs that were to be told while others still waited."""

    def __init__(self, identity, sampler, client, clock, every: int, index: int, least: int):
        """
        Args:
            identity: identity.Identity. sampler: sampling.Sampler, which it listens to. client: mqtt.Client.
            clock: function -> now_ms. every, index, least: of the manifest's report.
        Raises:
            ValueError: the model's outputs are too long, or have no such index.
        """
        size = sampler.output_bytes
        if size > suit.OUTPUT_MOST or (index != NO_INDEX and index >= size):
            raise ValueError(
                f"report: got outputs of {size} bytes, wanted at most {suit.OUTPUT_MOST}, and index {index}"
            )
        self.left_out = 0
        self._identity = identity
        self._client = client
        self._clock = clock
        self._report = every, index, least
        self._count = 0
        sampler.listeners.append(self._take)

    def _take(self, window, output):
        self._count += 1
        every, index, least = self._report
        is_high = index != NO_INDEX and (output[index] ^ 0x80) - 0x80 >= least
        if self._count % every and not is_high:
            return
        if self._client.state != ONLINE or self._client.queued >= QUEUED:
            self.left_out += 1
            return
        frame = suit.encode_output(self._count, bytes(output))
        self._client.publish(wire.topic(self._identity.id, "output"), frame, self._clock())
