"""Starts an agent, and is one turn of it: link to MQTT, MQTT to agent, agent to link. All I/O is the port's.

A port has the names of `_tinyren`; link_read and link_write may raise OSError when the link knows that it is broken.
"""

from . import identity, late  # noqa: F401 - `late` before `agent`: boards/stock/imports.py
from .agent import Agent
from .cbor import const
from .sampling import SAMPLE_MS, Sampler
from .store import Store

_READS = const(8)
_BUSY_MS = const(5)


def start(port, memory, source, model, offsets, shifts, sample_ms=SAMPLE_MS, vector=None, boot=None,
          ring=None, journal=None, receipts=None) -> Agent:  # fmt: skip
    """Open the store, count this boot and make the agent.

    Args:
        port: `_tinyren`, or port.Port on CPython.
        memory: where key, boot number and owner are kept (store.Store).
        source: of samples (sampling.Sampler). model: the encoder, as `_tinyren.Model`.
        offsets, shifts: one integer a channel, the model's. sample_ms: between two of its samples.
        vector: function -> integers for EDIL's rounds of kind 5.
        boot: boot.Boot, or None on a device that takes no updates.
        ring: memory for late records (ring.Ring), or None: windows without a beacon leave nothing.
        journal: journal.Journal, or None.
        receipts: memory for what may be revealed (sampling.Sampler), or None: it is taken from the heap.
    Raises:
        StoreError: the boot could not be counted, or the ring's memory has another shape.
        ValueError: the model does not take samples of so many channels, cannot be reported as its manifest asks, or the
            reader that it names is no point of the curve.
    """
    store = Store(memory)
    secret = store.open(lambda: identity.new_secret(port.entropy))
    now_ms = port.ticks_ms()
    sampler = Sampler(source, model, offsets, shifts, now_ms, sample_ms, receipts)
    agent = Agent(identity.Identity(secret, port), store, sampler, model.cid, port, now_ms, vector, boot, ring, journal)
    if boot and boot.model:
        _tell_as_asked(agent, sampler, port, boot.model)
    return agent


def _tell_as_asked(agent, sampler, port, manifest):
    """Tell outputs, and seal what is revealed, as a model's manifest asks. The firmware's own asks nothing."""
    from . import suit
    from .output import Output

    report, reader = suit.decode_parameters(manifest.parameters)[3:]
    if report[0]:
        agent.output = Output(agent.identity, sampler, agent.client, port.ticks_ms, *report)
    if reader:
        agent.identity.agree(reader)
        agent.reader = reader


def step(agent, port, buffer) -> int:
    """Read, do what is due, write -> milliseconds that the core may sleep. buffer: bytearray, overwritten."""
    client = agent.client
    try:
        for _ in range(_READS):
            size = port.link_read(buffer)
            if not size:
                break
            client.feed(memoryview(buffer)[:size], port.ticks_ms())
        agent.tick(port.ticks_ms())
        while len(client.pending()):
            size = port.link_write(client.pending())
            if not size:
                return _BUSY_MS
            client.written(size)
    except OSError:
        client.lost(port.ticks_ms())
    return agent.ms_left(port.ticks_ms())
