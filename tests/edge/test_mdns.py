"""What a gateway tells the network, over real multicast on loopback; what a liar tells is cut and harms nothing."""

import json
import secrets
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zeroconf import ServiceInfo

from gateway import cli
from gateway.errors import Exit
from gateway.lan import mdns
from gateway.lan.mdns import KIND, Gateway

LOOPBACK = "127.0.0.1"
TRIES = 20


def gateway(name, **changes):
    told = {"host": "gw.local", "addresses": (LOOPBACK,), "site": "yard.1", "gateway": "0x" + "ab" * 20}
    return Gateway(name, **told | {"page": 8420, "page_tls": 0, "mqtt": 1883, "mqtts": 8883, "ca": "cd" * 32} | changes)


def found(*names):
    """The gateways of these names that answer; asked again until all do, for multicast promises nothing."""
    for _ in range(TRIES):
        here = [one for one in mdns.find(0.5, LOOPBACK) if one.name in names]
        if len(here) == len(names):
            break
    return here


@pytest.fixture
def name():
    """A name that no other test's gateway on this computer has."""
    return f"test {secrets.token_hex(6)}"


def test_a_gateway_that_tells_is_found_as_it_is_and_is_gone_when_it_stops(name):
    told = mdns.announce(gateway(name), LOOPBACK)
    try:
        assert found(name) == [gateway(name)] and told.failure() == ""
    finally:
        told.stop()
    assert [one for one in mdns.find(0.5, LOOPBACK) if one.name == name] == []


@pytest.mark.alone
def test_two_gateways_of_one_name_are_both_found(name):
    first = mdns.announce(gateway(name), LOOPBACK)
    assert found(name)
    second = mdns.announce(gateway(name, gateway="0x" + "12" * 20), LOOPBACK)
    try:
        both = found(name, f"{name}-2")
        assert [one.gateway for one in both] == ["0x" + "ab" * 20, "0x" + "12" * 20]
        assert second.failure() == ""
    finally:
        first.stop()
        second.stop()


@pytest.mark.parametrize(
    ("ports", "kinds"),
    [
        ({"page_tls": 8443}, [(KIND, 8443), (mdns.MQTT, 1883), (mdns.MQTTS, 8883)]),
        ({}, [(KIND, 8420), (mdns.MQTT, 1883), (mdns.MQTTS, 8883)]),
        ({"page": 0, "mqtt": 0}, [(KIND, 8883), (mdns.MQTTS, 8883)]),
        ({"mqtts": 0, "page": 0}, [(KIND, 1883), (mdns.MQTT, 1883)]),
        ({"mqtts": 0, "page": 0, "mqtt": 0}, []),
    ],
)
def test_only_ports_that_others_can_reach_are_told(ports, kinds):
    assert [(info.type, info.port) for info in mdns.services(gateway("a", **ports))] == kinds


def test_a_name_with_dots_or_too_long_is_one_label():
    for name, label in (("gw.example.org", "gw example org"), ("ü" * 80, "ü" * 31)):
        assert next(mdns.services(gateway(name))).name == f"{label}.{KIND}"


def heard(properties, name="x", server="gw.local."):
    return mdns.read(ServiceInfo(KIND, f"{name}.{KIND}", 1, 0, 0, properties, server))


@pytest.mark.parametrize(
    ("properties", "shown"),
    [
        ({"site": "\x1b[2Jcleared"}, ("site", "?[2Jcleared")),
        ({"site": "a" * 200}, ("site", "a" * mdns.HEARD_MAX_CHARACTERS)),
        ({"gateway": b"\xff\xfe"}, ("gateway", "��")),
        ({"page": "80808"}, ("page", 0)),
        ({"page": "-1"}, ("page", 0)),
        ({"page": "٣"}, ("page", 0)),
        ({"mqtt": None}, ("mqtt", 0)),
        ({}, ("ca", "")),
    ],
)
def test_what_cannot_be_shown_is_cut(properties, shown):
    assert getattr(heard(properties), shown[0]) == shown[1]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(text=st.binary(max_size=200))
def test_any_bytes_that_are_told_give_text_that_can_be_printed(text):
    info = ServiceInfo(KIND, f"x.{KIND}", 1, 0, 0, text, "gw.local.")
    for value in vars(mdns.read(info)).values():
        assert isinstance(value, int | tuple) or value.isprintable() and len(value) <= mdns.HEARD_MAX_CHARACTERS


def run(capsys, *arguments):
    code = cli.main(["gateway", "find", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_shows_what_to_open_and_what_to_compare(capsys, name):
    told = mdns.announce(gateway(name), LOOPBACK)
    try:
        assert found(name)
        code, out, _ = run(capsys, "--seconds", 1, "--address", LOOPBACK)
        assert code == Exit.OK and all(
            text in out for text in (name, "http://gw.local:8420", "mqtts://gw.local:8883", "SHA-256 " + "cd" * 32)
        )
        rows = json.loads(run(capsys, "--seconds", 1, "--address", LOOPBACK, "--json")[1])
        assert [row for row in rows if row["name"] == name] == [vars(gateway(name)) | {"addresses": [LOOPBACK]}]
    finally:
        told.stop()


def test_an_address_of_no_network_here_is_a_usage_error(capsys):
    code, out, err = run(capsys, "--address", "203.0.113.9")
    assert (code, out) == (Exit.USAGE, "") and "--address: got 203.0.113.9: " in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("seconds", ["0", "-1", "61", "nan", "soon"])
def test_seconds_that_cannot_be_are_a_usage_error(seconds, capsys):
    with pytest.raises(SystemExit):
        run(capsys, "--seconds", seconds)
    assert f"got '{seconds}', wanted seconds above 0 and up to 60" in capsys.readouterr().err


def test_noise_on_the_port_stops_nobody(name):
    told = mdns.announce(gateway(name), LOOPBACK)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            noise.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
            for size in (0, 1, 11, 12, 500, 1400):
                noise.sendto(secrets.token_bytes(size), ("224.0.0.251", 5353))
        assert found(name) == [gateway(name)] and told.failure() == ""
    finally:
        told.stop()
