"""The core's loop around an agent that was started, its own or a package's; what a turn does is the agent's `step`."""

from .cbor import const

READ_BYTES = const(256)
IDLE_MS = const(5000)  # a watchdog is fed in each turn


def run(agent, port, step, boot=None, feed=None):
    """Run an agent until boot wants a reset, or the port raises KeyboardInterrupt.

    Args:
        step: that of the agent's own run module. boot: boot.Boot, or None. feed: function, called in each turn.
    """
    buffer = bytearray(READ_BYTES)
    while boot is None or not boot.wants_reset:
        if feed:
            feed()
        idle_ms = step(agent, port, buffer)
        if boot:
            boot.tick(port.ticks_ms(), agent.is_online)
        port.idle(min(idle_ms, IDLE_MS))
