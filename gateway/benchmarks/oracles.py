"""What an agreement costs oracles: messages and bytes, as they are really encoded and signed, and processor time.

Everything arrives at once and in order, one gateway, nobody lies: the least that the protocol needs. A message is
published once and goes to the n - 1 others; bytes are those of payloads, MQTT's and TCP's framing is not counted.
"""

import time
from typing import Any

from gateway.oracle import messages
from gateway.oracle.simulated import address
from gateway.oracle.simulator import Network, Plan
from gateway.oracle.statements import Message, Said

COUNTS = (4, 7, 13, 31)
SITE = messages.Site(1331, bytes(20))


def measure() -> dict[str, Any]:
    """{"4": {"published", "published_bytes", "delivered", "delivered_bytes", "largest_bytes", "open_ms"}, ...}.

    open_ms: an oracle's processor time to verify and read all that it receives in an epoch.
    """
    return {str(count): _measure(count) for count in COUNTS}


def _measure(count: int) -> dict[str, Any]:
    payloads: list[bytes] = []

    def say_as(number: int, message: Message) -> Said:
        payload = messages.seal(message, SITE, number.to_bytes(32, "big")).payload
        return Said(address(number), message, payload)

    network = Network(Plan(oracles=count, gateways=1, epochs=1, is_bad=False), say_as)
    network.on_published = lambda said: payloads.append(said.payload)
    network.calm(1)
    if network.violations or network.settled != 1:
        raise AssertionError(f"{count} oracles did not settle: {network.violations}")
    started = time.process_time()
    for payload in payloads:
        messages.open_sealed(payload, SITE)
    open_s = (time.process_time() - started) * (count - 1) / count
    total = sum(map(len, payloads))
    return {
        "published": len(payloads),
        "published_bytes": total,
        "delivered": len(payloads) * (count - 1),
        "delivered_bytes": total * (count - 1),
        "largest_bytes": max(map(len, payloads)),
        "open_ms": round(1000 * open_s),
    }
