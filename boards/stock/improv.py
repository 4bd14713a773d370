"""Wi-Fi settings that come by Improv over the console: tries them, keeps them if they work, begins anew. Shows and
keeps no password of a network that was not joined.
"""

import json
import sys
import time

import _tinyren
from agent import ticks
from agent.improv import SCAN, Improv
from stock.files import read, replace

_FILE = "settings.json"
_POLL_MS = 50


def new_setup(board, version, core):
    """What SerialLink tells octets to."""
    return Setup(Improv("tinyren", version, core, board))


class Setup:
    """A board's side of Improv, with what it asks for done."""

    def __init__(self, improv):
        self._improv = improv

    def receive(self, octets, now_ms):
        """Octets in, octets to answer out; does not return where the board begins anew with new settings."""
        out = self._improv.receive(octets, now_ms)
        asked = self._improv.asked
        if asked is None:
            return out
        sys.stdout.buffer.write(out)
        if asked[0] == SCAN:
            return self._improv.scanned(_scan())
        if not _join(asked[1], asked[2], now_ms):
            return self._improv.not_joined()
        _keep(asked[1], asked[2])
        sys.stdout.buffer.write(self._improv.joined())
        time.sleep_ms(10 * _POLL_MS)  # for the answer to leave the USB port
        _tinyren.reset("asked")


def _join(ssid, password, now_ms):
    try:
        import network
        from stock.wifi import JOIN_MS, Wifi
    except ImportError:
        return False
    wifi = Wifi(network, {"ssid": ssid, "password": password}, lambda _: None, now_ms)
    start_ms = now_ms
    while not wifi.is_joined(now_ms):
        if wifi.cause or ticks.diff(now_ms, start_ms) > JOIN_MS:
            return False
        _tinyren.watchdog()
        time.sleep_ms(_POLL_MS)
        now_ms = _tinyren.ticks_ms()
    return True


def _scan():
    try:
        import network

        wlan = network.WLAN(network.STA_IF)
        wlan.active(True)
        found = [(_text(row[0]), row[3], row[4] != 0) for row in wlan.scan()]
    except (ImportError, OSError):
        return []
    return [row for row in found if row[0]]


def _text(name):
    """A network's name; "" for one that Improv cannot say, which hides none of the others."""
    try:
        return str(name, "utf-8")
    except UnicodeError:
        return ""


def _keep(ssid, password):
    try:
        settings = json.loads(read(_FILE, 2048))
        settings.update(ssid=ssid, password=password)
    except (ValueError, AttributeError):
        settings = {"ssid": ssid, "password": password}
    replace(_FILE, json.dumps(settings).encode())
