"""A broker elsewhere: its address, what is said of one that does not fit, and that its password is written nowhere."""

import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker import broker_url
from gateway.broker.broker_url import Remote
from gateway.broker.bus import Bus
from gateway.broker.nats_cluster import _free_ports
from gateway.broker.relay import Relay
from gateway.errors import CommandError, Exit
from gateway.site import site_file
from gateway.site.site_file import Site
from tests.mqtt_servers import READY_S, Mosquitto

SECRET = "pass:w@rd,/ %é"
QUOTED = "pass%3Aw%40rd%2C%2F%20%25%C3%A9"
GOOD = {
    "mqtt://h": Remote((("h", 1883),)),
    "mqtts://h": Remote((("h", 8883),), True),
    "mqtt://a:1,b,[::1]:7/": Remote((("a", 1), ("b", 1883), ("::1", 7))),
    "mqtt://me@h": Remote((("h", 1883),), user="me"),
    f"mqtts://me:{QUOTED}@h:5": Remote((("h", 5),), True, user="me", password=SECRET),
}
BAD = ["", "h", "h:1883", "http://h", "mqtt://", "mqtt://@h", "mqtt://:x@h", "mqtt://h:0x", "mqtt://h:99999", "mqtt://a,,b",
       "mqtt://h/topic", "mqtt://h?x=1", "mqtt://h#x", "mqtt://[", f"mqtt://{'u' * 1001}@h"]  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key) of 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=tinyren test", "-addext", "subjectAltName=IP:127.0.0.1"]
    where = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([*made.split(), *names, *where], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def mosquitto(tmp_path):
    """Starts brokers with the lines that it is given; they end with the test."""
    made = []

    def start(*lines, **options):
        made.append(Mosquitto(tmp_path / f"mosquitto{len(made)}", *lines, **options).start())
        return made[-1]

    yield start
    for broker in made:
        broker.stop()


def accounts(folder, user="me", password="right"):
    """Configuration of a broker that knows one account, besides clients without one."""
    path = folder / "accounts"
    path.write_text(f"{user}:{password}\n")
    subprocess.run(["mosquitto_passwd", "-U", path], check=True, capture_output=True)
    return f"password_file {path}"


def at(*ports, **more):
    return Remote(tuple(("127.0.0.1", port) for port in ports), **more)


def refused(remote):
    with pytest.raises(CommandError) as caught:
        broker_url.check(remote)
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize("url", GOOD)
def test_an_address_is_read_and_told_without_the_password(url):
    remote = broker_url.parse_url(url)
    assert remote == GOOD[url] and broker_url.parse_url(remote.url) == Remote(
        remote.places, remote.is_tls, None, remote.user
    )


@pytest.mark.parametrize("url", BAD)
def test_another_form_is_refused(url):
    with pytest.raises(CommandError, match="--mqtt: got ") as caught:
        broker_url.parse_url(url)
    assert caught.value.code == Exit.USAGE


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["mqtt://", "mqtts://", "mqtt://u:geheim@", ""]))
def test_any_text_is_an_address_or_refused_and_no_password_is_told(text, before):
    try:
        remote = broker_url.parse_url(before + text)
    except CommandError as error:
        assert "geheim" not in str(error) or "geheim" in text
    else:
        assert remote.places and all(host and 0 < port < 65536 for host, port in remote.places)
        assert "geheim" not in repr(remote) + remote.url or "geheim" in text


def test_a_password_comes_from_the_address_or_a_file_not_from_both(tmp_path):
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    assert broker_url.parse_url("mqtt://me@h", None, path).account == ("me", SECRET)
    for url in ("mqtt://h", f"mqtt://me:{QUOTED}@h"):
        with pytest.raises(CommandError, match="--mqtt-password: wanted a user, and no password"):
            broker_url.parse_url(url, None, path)


def test_a_site_keeps_the_password_in_a_file_of_its_own_alone(tmp_path):
    site = Site(boards=["b"], broker_port=7)
    remote = broker_url.parse_url(f"mqtts://me:{QUOTED}@h:5", Path("ca.pem"))
    broker_url.keep(tmp_path, site, remote)
    site_file.write(tmp_path, site)
    assert SECRET not in (text := (tmp_path / site_file.NAME).read_text()) and QUOTED not in text
    assert SECRET not in repr(remote)
    path = tmp_path / "broker" / broker_url.PASSWORD
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    found, account = broker_url.find(tmp_path, "oracle-1")
    assert account == ("me", SECRET) and found.ca == Path("ca.pem").absolute() and found.places == remote.places
    broker_url.keep(tmp_path, site, None)
    site_file.write(tmp_path, site)
    (tmp_path / "broker" / "oracle-1.password").write_text("own")
    assert broker_url.find(tmp_path, "oracle-1") == (7, ("oracle-1", "own")) and not path.exists()


def test_a_broker_that_takes_gateway_and_boards_is_taken(mosquitto, tmp_path):
    broker = mosquitto("allow_anonymous true", accounts(tmp_path))
    broker_url.check(at(_free_ports(1)[0], broker.port, user="me", password="right"))
    broker_url.check(at(broker.port))


def test_who_refuses_whom_is_said(mosquitto, tmp_path):
    broker = mosquitto("allow_anonymous false", accounts(tmp_path))
    code, said = refused(at(broker.port, user="me", password="wrong"))
    assert code == Exit.REFUSED and "refuses the account 'me'" in said and "wrong" not in said.partition(":")[0]
    code, said = refused(at(broker.port))
    assert code == Exit.REFUSED and "refuses a client without an account" in said
    code, said = refused(at(broker.port, user="me", password="right"))
    assert code == Exit.REFUSED and "emulated boards have none" in said


def test_a_certificate_counts_only_if_it_is_signed_by_who_is_named(mosquitto, certificate, tmp_path):
    cert, key = certificate
    context = ssl.create_default_context(cafile=cert)
    broker = mosquitto(f"certfile {cert}", f"keyfile {key}", "allow_anonymous true", context=context)
    broker_url.check(at(broker.port, is_tls=True, ca=cert))
    code, said = refused(at(broker.port, is_tls=True))
    assert code == Exit.TRUST and "self-signed certificate" in said and "--mqtt-ca" in said
    code, said = refused(Remote((("localhost", broker.port),), is_tls=True, ca=cert))
    assert code == Exit.TRUST and "localhost" in said
    assert refused(at(broker.port))[0] == Exit.TIMEOUT  # no TLS where it is wanted
    (tmp_path / "none.pem").write_text("none")
    code, said = refused(at(broker.port, is_tls=True, ca=tmp_path / "none.pem"))
    assert code == Exit.USAGE and "wanted certificates, PEM" in said


def test_what_is_no_broker_or_away_is_said_with_each_server(monkeypatch):
    monkeypatch.setattr(broker_url, "WAIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as web:

        def answer():
            link, _ = web.accept()
            with link:
                link.recv(100)
                link.sendall(b"HTTP/1.1 400 Bad Request\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        away = _free_ports(1)[0]
        code, said = refused(at(away, web.getsockname()[1], silent.getsockname()[1]))
        thread.join()
    assert (
        code == Exit.TIMEOUT and "Connection refused" in said and "it answers 48545450" in said and "timed out" in said
    )


def test_a_relay_leads_over_tls_to_the_first_server_that_answers(mosquitto, certificate):
    cert, key = certificate
    lines = f"certfile {cert}", f"keyfile {key}", "allow_anonymous true"
    context = ssl.create_default_context(cafile=cert)
    first, second = mosquitto(*lines, context=context), mosquitto(*lines, context=context)
    relay = Relay(at(_free_ports(1)[0], first.port, second.port, is_tls=True, ca=cert))
    try:
        place = "127.0.0.1", relay.port
        assert broker_url.ask(place, None, ("", "")) == 0
        first.kill()
        assert broker_url.ask(place, None, ("", "")) == 0
        second.kill()
        with pytest.raises(OSError):
            broker_url.ask(place, None, ("", ""))
        with socket.create_connection(place) as waiting:
            assert waiting.recv(1) == b""  # closed, so that QEMU connects again
    finally:
        relay.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place)


def test_the_bus_goes_on_at_the_next_server(mosquitto, tmp_path):
    lines = "allow_anonymous true", accounts(tmp_path)
    first, second = mosquitto(*lines), mosquitto(*lines)
    heard, arrived = [], threading.Condition()

    def receive(topic, payload, _, token):
        bus.ack(token)
        with arrived:
            heard.append(payload)
            arrived.notify_all()

    def wait_for(payload):
        """Published again until it arrives: what is published while no server has the subscription may be missed."""
        with arrived:
            for _ in range(10 * READY_S):
                bus.publish("tinyren/x/announce", payload, qos=1)
                if arrived.wait_for(lambda: payload in heard, 0.2):
                    return
        raise AssertionError(heard)

    remote = at(first.port, second.port, user="me", password="right")
    bus = Bus("test", remote, remote.account, receive, lambda: 0)
    bus.subscribe("tinyren/+/announce")
    bus.start()
    try:
        wait_for(b"one")
        first.kill()
        wait_for(b"two")
        first.start()
        second.kill()
        wait_for(b"three")
    finally:
        bus.stop()
