"""Which device is it: has one blink for some seconds, each at most once in a while; sends nothing else."""

import threading
import time
from collections.abc import Callable, Mapping

from device.agent import light, wire
from gateway.binding.pending import Refused
from gateway.intake.registry import Device

REST_S = light.REST_MS / 1000


class Lights:
    """One site's.

    Args:
        devices: what the registry knows, by id. publish: (topic, payload). clock_s: seconds, monotonic.
    """

    def __init__(
        self,
        devices: Mapping[bytes, Device],
        publish: Callable[[str, bytes], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._devices, self._publish, self._clock_s = devices, publish, clock_s
        self._until_s: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def identify(self, device: bytes, seconds: int) -> None:
        """Have it blink for so long, 1 to 30 s.

        Raises:
            Refused: it was never heard here, or blinks or rests still. LocalError: too long.
        """
        if device not in self._devices:
            raise Refused("silent", "the device has not been heard here: switch it on and see that it has its link")
        frame = light.encode_identify(seconds)
        with self._lock:
            now_s = self._clock_s()
            self._until_s = {one: until_s for one, until_s in self._until_s.items() if until_s > now_s}
            if device in self._until_s:
                left_s = int(self._until_s[device] - now_s) + 1
                raise Refused("tries", f"the device blinks or rests: ask again in {left_s} s")
            self._until_s[device] = now_s + seconds + REST_S
        self._publish(wire.topic(device, "identify"), frame)
