"""Joins a Wi-Fi network and stays in it, without blocking; opens no connection. Tried with a model of WLAN only.

  state     leaves to   when
  resting   joining     its time has come
  joining   joined      the network gave an address
  joining   resting     it refuses (wrong password, no such network), or JOIN_MS are over; rests twice as long each time
  joined    resting     the network is gone; its time has come at once

Source: MicroPython 1.25, docs/library/network.WLAN.rst.
"""

from agent import ticks
from micropython import const

JOIN_MS = const(20000)
_LOOK_MS = const(100)
REST_MS = const(1000)
REST_LIMIT_MS = const(60000)
_RESTING, _JOINING, _JOINED = const(0), const(1), const(2)
_CAUSES = (
    ("STAT_WRONG_PASSWORD", "the network refuses the password; see `tinyren settings`"),
    ("STAT_NO_AP_FOUND", "no network of that name is in reach"),
    ("STAT_CONNECT_FAIL", "the network refuses"),
)


class Wifi:
    """cause: text of why it is not joined, "" while all is well."""

    def __init__(self, network, settings, say, now_ms):
        """
        Args:
            network: MicroPython's module. settings: has ssid, and password and name if they are set.
            say: function of a text, called once for each new cause and when a network was joined.
        """
        if "name" in settings and hasattr(network, "hostname"):
            network.hostname(settings["name"].replace(" ", "-"))
        self.cause = ""
        self._network, self._say = network, say
        self._wlan = network.WLAN(network.STA_IF if hasattr(network, "STA_IF") else network.WLAN.IF_STA)
        self._wlan.active(True)
        self._names = settings["ssid"], settings.get("password", "")
        self._state, self._due_ms, self._looked_ms = _RESTING, now_ms, now_ms
        self._rest_ms = REST_MS

    def is_joined(self, now_ms):
        """Do what is due -> whether there is a network."""
        if self._state == _RESTING:
            if ticks.diff(now_ms, self._due_ms) >= 0:
                self._join(now_ms)
        elif ticks.diff(now_ms, self._looked_ms) >= _LOOK_MS:
            self._looked_ms = now_ms
            self._look(now_ms)
        return self._state == _JOINED

    def _join(self, now_ms):
        self._state, self._due_ms, self._looked_ms = _JOINING, ticks.add(now_ms, JOIN_MS), now_ms
        try:
            self._wlan.connect(*self._names)
        except OSError as error:
            self._rest(f"the radio does not begin: {error}", now_ms)

    def _look(self, now_ms):
        is_connected = self._wlan.isconnected()
        if self._state == _JOINED:
            if not is_connected:
                self._rest_ms = 0
                self._rest("the network is gone", now_ms)
        elif is_connected:
            self._state, self._rest_ms, self.cause = _JOINED, REST_MS, ""
            self._say("wifi: joined, address " + self._wlan.ifconfig()[0])
        else:
            status = self._wlan.status()
            for name, cause in _CAUSES:
                if status == getattr(self._network, name, None):
                    return self._rest(cause, now_ms)
            if ticks.diff(now_ms, self._due_ms) >= 0:
                self._rest("no answer from the network", now_ms)

    def _rest(self, cause, now_ms):
        if cause != self.cause:
            self.cause = cause
            self._say("wifi: " + cause)
        try:
            self._wlan.disconnect()
        except OSError:
            pass  # it was not connected
        self._state, self._due_ms = _RESTING, ticks.add(now_ms, self._rest_ms)
        self._rest_ms = min(REST_LIMIT_MS, max(REST_MS, self._rest_ms * 2))
