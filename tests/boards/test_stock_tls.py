"""TLS of a board with stock MicroPython: its TcpLink and authority against mosquitto with a site's certificates.

MicroPython is its unix port with mbedTLS, as boards of silicon have it; no radio, no chip, and a clock that is right.
"""

import datetime
import ssl
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from boards.board import BoardError
from boards.sources import MBEDTLS, get_sources
from boards.unix import build_unix_tls
from gateway.lan.certificates import SERVER_DAYS, authority_of, issue, new_key
from tests.mqtt_servers import Mosquitto
from tests.stock_unix import new_unix

NOW = datetime.datetime.now(datetime.UTC)
LONG_AGO = NOW - datetime.timedelta(days=2 * SERVER_DAYS)
AUTHORITY, OTHER = (authority_of(new_key(), "test") for _ in range(2))
DER = AUTHORITY.leaf.public_bytes(Encoding.DER)
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
CONNACK = "b' \\x02\\x00\\x00'"
"""MQTT 3.1.1, 3.1 and 3.2: clean session, keep alive of 60 s, client id "a"; accepted."""
PROGRAM = """
import time
from stock.link import TcpLink
class Wifi:
    def is_joined(self, now_ms):
        return True
link = TcpLink(Wifi(), [("127.0.0.1", %d)], %r, print)
buffer, heard, data = bytearray(64), b"", %r
for _ in range(2000):
    now_ms = time.ticks_ms() & 0x3FFFFFFF
    try:
        heard += bytes(buffer[: link.read(buffer, now_ms)])
        data = data[link.write(data, now_ms) if data else 0 :]
    except OSError as error:
        print("lost", error.errno)
        break
    if heard:
        print(heard)
        break
    link.wait(5)
"""


ENDED = "it ended the connection; by TLS the port has to be that of tls.listen"
FULL = """
import sys
class tls:
    PROTOCOL_TLS_CLIENT = 0
    def SSLContext(protocol):
        raise MemoryError
sys.modules["tls"] = tls
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    try:
        get_sources(lambda *_: None, (MBEDTLS,))
    except BoardError as error:  # Debian replaces a library of its stable suite when it mends it
        pytest.skip(f"no mbedTLS: {error}; name a checkout of 3.6 by TINYREN_MBEDTLS")
    return new_unix(tmp_path_factory.mktemp("lib"), build_unix_tls)


@contextmanager
def gateway(folder, authority=AUTHORITY, names=("127.0.0.1",), now=NOW):
    """A broker's port with TLS; its certificate of an authority, for names, issued at a time."""
    folder.mkdir()
    (folder / "server.pem").write_bytes(issue(authority, names, now).pem())
    lines = [f"{kind} {folder / 'server.pem'}" for kind in ("certfile", "keyfile")]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    broker = Mosquitto(folder / "broker", *lines, "allow_anonymous true", context=context)
    try:
        yield broker.start().port
    finally:
        broker.stop()


def tell(port, authority=DER):
    return PROGRAM % (port, authority, CONNECT)


def test_a_board_reaches_a_broker_whose_certificate_its_authority_signed(run, tmp_path):
    with gateway(tmp_path / "gateway") as port:
        assert run(tell(port)) == [f"gateway: connected to 127.0.0.1:{port}", CONNACK]


@pytest.mark.parametrize(
    ("served", "why"),
    [({"authority": OTHER},
      "its certificate is not of this board's authority; bring the site's by `tinyren flash --ca`"),
     ({"now": LONG_AGO}, "its certificate has ended; see `tinyren gateway doctor` there"),
     ({"names": ("gateway.local", "127.0.0.2")},
      "its certificate is for another name; see `tinyren settings --set gateways=...`")],
    ids=["another authority", "ended", "another name"],
)  # fmt: skip
def test_a_certificate_that_does_not_hold_is_refused_and_the_journal_says_what_to_do(served, why, run, tmp_path):
    with gateway(tmp_path / "gateway", **served) as port:
        said = run(tell(port))
    assert said[-2:] == [f"gateway: 127.0.0.1:{port}: {why}", "lost 104"] and CONNACK not in said


def test_an_authority_that_is_damaged_is_said_and_nothing_is_sent(run, tmp_path):
    with gateway(tmp_path / "gateway") as port:
        why = "authority.der is no certificate; bring the site's by `tinyren flash --ca`"
        assert run(tell(port, b"\x30\x03abc")) == [f"gateway: 127.0.0.1:{port}: {why}", "lost 104"]


def test_a_broker_without_tls_is_not_spoken_to_in_clear(run, tmp_path):
    broker = Mosquitto(tmp_path / "plain", "allow_anonymous true").start()
    try:
        said = run(tell(broker.port))
    finally:
        broker.stop()
    assert said[1:] == [f"gateway: 127.0.0.1:{broker.port}: {ENDED}", "lost 104"]


def test_a_board_without_the_memory_says_so_and_goes_on(run, tmp_path):
    with gateway(tmp_path / "gateway") as port:
        said = run(FULL + tell(port))
    assert said == [f"gateway: 127.0.0.1:{port}: not enough memory for TLS on this board", "lost 104"]
