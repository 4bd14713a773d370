"""Who speaks at the console of a board with stock MicroPython: a broker, whose packets may pause, or a person."""

import pytest

from tests.stock_unix import new_unix

PROGRAM = """
from stock.link import GAP_MS, STALL_MS, SerialLink

class Console:
    def __init__(self):
        self.waiting = b""
    def poll(self, ms):
        return self.waiting
    def readinto(self, buffer):
        buffer[0], self.waiting = self.waiting[0], self.waiting[1:]

def hear(link, silent_ms, octets):
    link._silent_ms, link._in.waiting = silent_ms, octets
    buffer = bytearray(64)
    try:
        return bytes(buffer[: link.read(buffer, 0)])
    except KeyboardInterrupt:
        return "Ctrl-C"

link = SerialLink(lambda: None)
link._in = link._poll = Console()
packet = b"\\x32\\x08\\x00\\x01t\\x00\\x07\\x03\\x03\\x03"
for at in range(1, len(packet)):
    assert hear(link, GAP_MS, packet[:at]) + hear(link, GAP_MS, packet[at:]) == packet, at
print(hear(link, GAP_MS, b"\\r\\x03"))
print(hear(link, 0, b"\\x03"), hear(link, GAP_MS, b"\\x03"), hear(link, GAP_MS, b"ab\\x03"))
print(hear(link, GAP_MS, packet[:5]), hear(link, GAP_MS, b"\\x03"), hear(link, STALL_MS, b"\\r\\x03"))
hear(link, GAP_MS, packet[:5])
link._out = type("Out", (), {"write": lambda self, data: len(data)})()
link.write(b"\\x10\\x0c\\x00\\x04MQTT\\x04\\x02\\x00\\x1e\\x00\\x00", 0)
print(hear(link, link._silent_ms, b"\\x20\\x02\\x00\\x00"), link._left)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return new_unix(tmp_path_factory.mktemp("lib"))


def test_a_pause_within_a_packet_makes_no_ctrl_c_of_it_and_a_persons_is_heard_after_silence(run):
    assert run(PROGRAM) == [
        "Ctrl-C",
        "b'' Ctrl-C b''",
        r"b'2\x08\x00\x01t' b'\x03' Ctrl-C",
        r"b' \x02\x00\x00' 0",
    ]
