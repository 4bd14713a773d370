"""Wi-Fi and TCP of a board with stock MicroPython: a model of network.WLAN as documented, and real sockets.

No radio was tried: the model says what the documentation says.
"""

import contextlib
import socket
import threading

import pytest

from tests.stock_unix import new_unix

NETWORK = """
STA_IF = 0
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 0, 1, 3
STAT_CONNECT_FAIL, STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = -1, -2, -3
in_reach = {"workshop": "right-password", "open": ""}
asked = []
LOOKS = 3

def hostname(name):
    asked.append(("hostname", name))

class WLAN:
    one = None

    def __init__(self, interface):
        WLAN.one = self
        self._is_active, self._left, self._status = False, 0, STAT_IDLE

    def active(self, is_active):
        self._is_active = is_active

    def connect(self, ssid, key=None):
        if not self._is_active:
            raise OSError(1)
        asked.append(("connect", ssid))
        right = in_reach.get(ssid)
        self._ends = STAT_NO_AP_FOUND if right is None else STAT_GOT_IP if key == right else STAT_WRONG_PASSWORD
        self._left, self._status = LOOKS, STAT_CONNECTING

    def disconnect(self):
        self._status = STAT_IDLE

    def status(self):
        if self._status == STAT_CONNECTING:
            self._left -= 1
            if self._left <= 0:
                self._status = self._ends
        return self._status

    def isconnected(self):
        return self.status() == STAT_GOT_IP

    def ifconfig(self):
        return ("10.0.0.9", "255.0.0.0", "10.0.0.1", "10.0.0.1")
"""
WIFI = """
import network
from stock.wifi import Wifi
def go(wifi, start_s, seconds):
    return [second for second in range(start_s, start_s + seconds) if
            [wifi.is_joined(second * 1000 + part) for part in range(0, 1000, 100)][-1]]
"""
JOINS = (
    WIFI
    + """
wifi = Wifi(network, {"ssid": "workshop", "password": "right-password", "name": "hall 1"}, print, 0)
print(go(wifi, 0, 4), network.asked, repr(wifi.cause))
network.WLAN.one.disconnect()
print(go(wifi, 4, 4), len(network.asked))
"""
)
REFUSED = (
    WIFI
    + """
wifi = Wifi(network, {"ssid": %r, "password": "wrong-password"}, print, 0)
print(go(wifi, 0, 300), len(network.asked))
network.in_reach[%r] = "wrong-password"
print(len(go(wifi, 300, 70)) > 0)
"""
)
SILENT = (
    WIFI
    + """
network.LOOKS = 1 << 29
wifi = Wifi(network, {"ssid": "workshop"}, print, 0)
print(go(wifi, 0, 70), len(network.asked))
"""
)
LINK = """
import time
from stock.link import TcpLink
class Wifi:
    is_up = True
    def is_joined(self, now_ms):
        return self.is_up
wifi, now_ms, heard = Wifi(), 0, b""
link = TcpLink(wifi, %r, b"", print)
buffer = bytearray(64)
def turn(data=b""):
    global now_ms, heard
    now_ms += 100
    try:
        heard += bytes(buffer[: link.read(buffer, now_ms)])
        sent = link.write(data, now_ms) if data else 0
    except OSError as error:
        print("lost", error.errno)
        return 0
    link.wait(5)
    return sent
"""
SCAN = """
import network, sys
class _tinyren:
    pass
sys.modules["_tinyren"] = _tinyren
from agent import improv
from stock.improv import new_setup
network.WLAN.scan = lambda self: [(b"hall", 0, 1, -60, 4, 0), (b"\\xff\\xfe", 0, 1, -50, 4, 0), (b"", 0, 1, -40, 0, 1),
                                  (b"open", 0, 1, -71, 0, 0)]
out = new_setup("board", "1", "core").receive(improv.encode_command(improv.SCAN), 0)
print([improv.split_texts(out[at + 9:at + 9 + out[at + 8]]) for at in range(len(out)) if out[at:at + 6] == b"IMPROV"])
"""
IN_TURN = (
    LINK
    + """
for _ in range(600):
    turn(b"hello\\n")
    if b"hello" in heard:
        break
print(heard[:6])
wifi.is_up = False
turn(b"x")
print(turn(b"x"))
"""
)


class Server:
    """A gateway's port; answers each line by itself if it `echoes`, else takes connections and says nothing."""

    def __init__(self, echoes):
        self._echoes = echoes
        self._server = socket.create_server(("127.0.0.1", 0))
        self.place = "127.0.0.1", self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        kept = []
        with contextlib.suppress(OSError):
            while True:
                link = self._server.accept()[0]
                kept.append(link)
                while self._echoes and (said := link.recv(64)):
                    link.send(said)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return new_unix(tmp_path_factory.mktemp("lib"))


def closed_place():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()


def test_a_network_is_joined_under_the_boards_name_and_again_when_it_is_lost(run):
    assert run(JOINS, network=NETWORK) == [
        "wifi: joined, address 10.0.0.9",
        "[0, 1, 2, 3] [('hostname', 'hall-1'), ('connect', 'workshop')] ''",
        "wifi: the network is gone",
        "wifi: joined, address 10.0.0.9",
        "[4, 5, 6, 7] 3",
    ]


@pytest.mark.parametrize(
    ("ssid", "cause"),
    [("workshop", "the network refuses the password; see `tinyren settings`"),
     ("elsewhere", "no network of that name is in reach")],
)  # fmt: skip
def test_a_network_that_refuses_is_named_once_asked_ever_more_seldom_and_joined_once_it_does_not(run, ssid, cause):
    said, joined, *rest = run(REFUSED % (ssid, ssid), network=NETWORK)
    assert said == f"wifi: {cause}"
    assert joined.startswith("[] ") and 8 <= int(joined.split()[1]) <= 12
    assert rest == ["wifi: joined, address 10.0.0.9", "True"]


def test_a_network_that_never_answers_is_left_after_its_time_and_asked_again(run):
    assert run(SILENT, network=NETWORK) == ["wifi: no answer from the network", "[] 4"]


def test_a_neighbours_network_whose_name_is_no_text_hides_none_of_the_others(run):
    assert run(SCAN, network=NETWORK)[-1] == "[['hall', '-60', 'YES'], ['open', '-71', 'NO'], []]"


def test_gateways_are_tried_in_turn_until_one_answers_and_a_lost_network_ends_the_connection(run):
    with Server(echoes=False) as silent, Server(echoes=True) as gateway:
        places = [closed_place(), silent.place, gateway.place]
        names = [f"gateway: {host}:{number}" for host, number in places]
        said = run(IN_TURN % (places,))
    assert said == [
        f"{names[0]}: refused",
        "lost 104",
        f"gateway: connected to {names[1][9:]}",
        f"{names[1]}: no answer",
        "lost 104",
        f"gateway: connected to {names[2][9:]}",
        "b'hello\\n'",
        f"{names[2]}: the network is gone",
        "lost 104",
        "0",
    ]
