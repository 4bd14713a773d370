"""The link on stock MicroPython: the console, or TCP over Wi-Fi, with TLS where there is an authority. Of the agent's
packets it reads the lengths alone.

At the console three may speak: the site's serial bridge, that is a broker; a person, whose Ctrl-C ends the agent; and
who brings Wi-Fi settings by Improv. What comes after GAP_MS of silence says who it is: no packet that a broker sends
begins with Ctrl-C, a line feed or the letter I. Within a packet of the broker's it takes STALL_MS of silence, for the
bytes of a long one may pause; and only one of the first two bytes is anybody's Ctrl-C. The console's own is off, for
MQTT's packets hold that byte.
"""

import select
import sys
import time

from agent import ticks
from micropython import const

GAP_MS = const(100)
STALL_MS = const(4000)
CONNECT_MS = const(8000)
ANSWER_MS = const(8000)
_CTRL_C = const(3)
_IMPROV = const(73)
_CAUSES = (  # what MicroPython's TLS says of a certificate, and what the board does
    (
        "not correctly signed",
        "its certificate is not of this board's authority; bring the site's by `tinyren flash --ca`",
    ),
    ("has expired", "its certificate has ended; see `tinyren gateway doctor` there"),
    ("in the future", "its certificate begins later than this board's clock says"),
    ("does not match", "its certificate is for another name; see `tinyren settings --set gateways=...`"),
    ("invalid cert", "authority.der is no certificate; bring the site's by `tinyren flash --ca`"),
    ("104", "it ended the connection; by TLS the port has to be that of tls.listen"),
)
_BROKERS = (0x20, 0x40, 0x90, 0xD0)  # CONNACK, PUBACK, SUBACK, PINGRESP; 0x30..0x3F is PUBLISH


class SerialLink:
    """The console. set_up: function that is called, once, for an object with receive(octets, now_ms) -> bytes to answer
    (agent.improv.Improv), when somebody speaks Improv.
    """

    def __init__(self, set_up):
        self._in, self._out = sys.stdin.buffer, sys.stdout.buffer
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._set_up, self._improv = set_up, None
        self._is_broker, self._silent_ms = False, STALL_MS
        self._left, self._shift = 0, -1  # octets of a packet to come; place of the next in its length, -1: none
        self._heard = 0  # octets since the silence

    def read(self, buffer, now_ms):
        """As run.step wants it. Raises KeyboardInterrupt: a person wants the console."""
        view, count = memoryview(buffer), 0
        while count < len(view) and self._poll.poll(0):
            self._in.readinto(view[count : count + 1])
            if self._silent_ms >= (STALL_MS if self._left or self._shift >= 0 else GAP_MS):
                self._is_broker = view[count] in _BROKERS or view[count] & 0xF0 == 0x30
                self._left, self._shift, self._heard = 0, -1, 0
            self._silent_ms = 0
            self._heard = min(3, self._heard + 1)
            if self._is_broker:
                self._follow(view[count])
                count += 1
            else:
                self._hear(view[count], now_ms)
        return count

    def write(self, data, now_ms):
        if b"MQTT" in bytes(data[:9]):  # a new session: what was begun of the last never ends
            self._silent_ms = STALL_MS
        return self._out.write(data)

    def wait(self, ms):
        since_ms = time.ticks_ms()
        self._poll.poll(ms)
        self._silent_ms = min(STALL_MS, self._silent_ms + time.ticks_diff(time.ticks_ms(), since_ms))

    def _follow(self, octet):
        """Know where the broker's packets begin and end (MQTT 3.1.1, section 2.2)."""
        if self._left:
            self._left -= 1
        elif self._shift < 0:
            self._shift = self._length = 0
        else:
            self._length |= (octet & 0x7F) << self._shift
            self._shift += 7
            if octet < 0x80 or self._shift > 21:
                self._left, self._shift = self._length, -1

    def _hear(self, octet, now_ms):
        """One that is no broker's; what follows a Ctrl-C is left to the REPL."""
        if self._improv is None:
            if octet == _CTRL_C and self._heard <= 2:
                raise KeyboardInterrupt
            if octet != _IMPROV:
                return
            self._improv = self._set_up()
        out = self._improv.receive(bytes((octet,)), now_ms)
        if out:
            self._out.write(out)


class TcpLink:
    """A connection to one of `gateways`, (host, port number) each, tried in turn.

    wifi: stock.wifi.Wifi. authority: DER of the certificate that must have signed the gateway's, b"" for no TLS.
    say: function of a text, called when something changed.
    """

    def __init__(self, wifi, gateways, authority, say):
        self._wifi, self._gateways, self._authority, self._say = wifi, gateways, authority, say
        self._turn = -1
        self._socket = self._poll = None
        self._is_connecting = self._is_waiting = False
        self._since_ms = 0

    def read(self, buffer, now_ms):
        """As run.step wants it; raises OSError: the connection is gone."""
        if not self._wifi.is_joined(now_ms):
            if self._socket:
                self._leave("the network is gone")
            return 0
        if self._socket is None or self._is_connecting:
            return 0
        try:
            size = self._socket.readinto(buffer)
        except (OSError, ValueError) as error:
            self._leave(_why(error))
        if size == 0:
            self._leave("it ended the connection")
        if size is None:
            return 0
        self._is_waiting = False
        return size

    def write(self, data, now_ms):
        """As run.step wants it; raises OSError: no connection, so the next gateway is tried next."""
        if not self._wifi.is_joined(now_ms):
            return 0
        try:
            if self._socket is None:
                self._connect(now_ms)
            if self._is_connecting and not self._is_connected(now_ms):
                return 0
            size = self._socket.write(data)
        except (OSError, ValueError, MemoryError) as error:
            self._leave(_why(error))
        if not self._is_waiting:
            self._is_waiting, self._since_ms = True, now_ms
        elif ticks.diff(now_ms, self._since_ms) > ANSWER_MS:
            self._leave("no answer")
        return size or 0

    def wait(self, ms):
        if self._socket is None:
            time.sleep_ms(ms)
        else:
            self._poll.poll(ms)

    def _connect(self, now_ms):
        import socket

        self._turn = (self._turn + 1) % len(self._gateways)
        address = socket.getaddrinfo(*self._gateways[self._turn])[0][-1]
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._watch(select.POLLOUT)
        self._is_connecting, self._is_waiting, self._since_ms = True, False, now_ms
        try:
            self._socket.connect(address)
        except OSError as error:
            if error.errno not in (115, 119):  # EINPROGRESS, as lwIP and as ESP-IDF number it
                raise

    def _is_connected(self, now_ms):
        for _, event in self._poll.poll(0):
            if event & (select.POLLERR | select.POLLHUP):
                raise OSError(111, "refused")
            self._is_connecting = False
            if self._authority:
                self._begin_tls()
            self._watch(select.POLLIN)
            host, number = self._gateways[self._turn]
            self._say("gateway: connected to " + host + ":" + str(number))
            return True
        if ticks.diff(now_ms, self._since_ms) > CONNECT_MS:
            raise OSError(110, "no answer")
        return False

    def _begin_tls(self):
        import tls

        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self._authority)
        context.verify_mode = tls.CERT_REQUIRED
        host = self._gateways[self._turn][0]
        self._socket = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)

    def _watch(self, events):
        self._poll = select.poll()
        self._poll.register(self._socket, events)

    def _leave(self, why):
        """Raises OSError."""
        if self._socket:
            self._socket.close()
        self._socket = self._poll = None
        self._is_connecting = False
        host, number = self._gateways[self._turn]
        self._say("gateway: " + host + ":" + str(number) + ": " + str(why))
        raise OSError(104, "gateway: " + str(why))


def _why(error):
    """Of a connection that is gone, in plain words where they are known."""
    if isinstance(error, MemoryError) or error.args[0] == 12:  # ENOMEM
        return "not enough memory for TLS on this board"
    text = str(error.args[-1])
    for words, cause in _CAUSES:
        if words in text:
            return cause
    return text
