"""What a board makes of its settings.json: right values, each wrong one named, and any bytes at all."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards.settings import SETTINGS, check
from boards.stock.settings import decode_settings

SECRET = "not-to-be-shown"
RIGHT = [
    ("gateways", "gw.local:8883,10.0.0.2:1883", [("gw.local", 8883), ("10.0.0.2", 1883)]),
    ("ssid", "Wörkshop", "Wörkshop"),
    ("password", SECRET, SECRET),
    ("password", "", ""),
    ("name", "hall 1", "hall 1"),
    ("sensors", "tmp105", [("tmp105", None)]),
    ("sensors", "bme280:02+lis2dh12", [("bme280", (0, 2)), ("lis2dh12", None)]),
]
WRONG = [
    ("gateways", "gw.local", "wanted HOST:PORT"),
    ("gateways", "gw.local:0", "wanted HOST:PORT"),
    ("gateways", "a:1,b:2,c:3,d:4,e:5", "got 5 of them, wanted at most 4"),
    ("gateways", 1883, "got no text, wanted text"),
    ("ssid", "", "got 0 bytes, wanted 1 to 32"),
    ("ssid", "x" * 33, "got 33 bytes, wanted 1 to 32"),
    ("password", "short", "got 5 bytes, wanted 8 to 63"),
    ("password", SECRET * 5, "got 75 bytes, wanted 8 to 63"),
    ("sensors", "../boot", "wanted drivers as"),
    ("sensors", "tmp105:x", "wanted drivers as"),
    ("colour", "blue", "does not know"),
]


def as_file(**values):
    return json.dumps(values).encode()


@pytest.mark.parametrize(("name", "value", "wanted"), RIGHT)
def test_a_right_value_is_taken(name, value, wanted):
    check(name, value)
    found, wrong = decode_settings(as_file(**{name: value}))
    assert found == {name: wanted} and [line for line in wrong if not line.startswith("gateways: got none")] == []


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_value_is_named_and_the_others_stay(name, value, said):
    found, (line,) = decode_settings(as_file(**{"name": "hall 1", name: value}))
    assert found == {"name": "hall 1"}
    assert line.startswith(f"{name}: got ") and said in line and SECRET not in line


def test_a_network_without_a_gateway_is_said_because_it_is_of_no_use():
    found, (line,) = decode_settings(as_file(ssid="workshop"))
    assert found == {"ssid": "workshop"} and line.startswith("gateways: got none, wanted HOST:PORT")


@pytest.mark.parametrize("data", [b"[]", b"{", b"\xff\x00", b"7", b'"x"', b"null", b"{}" + b" " * 2048])
def test_what_is_no_settings_file_is_nothing_set_and_says_what_to_do(data):
    assert decode_settings(data) == (
        {},
        ["settings.json: got no object of settings; write it again by: tinyren settings"],
    )


def test_no_file_is_nothing_set_and_nothing_wrong():
    assert decode_settings(b"") == ({}, [])


def test_every_setting_of_the_command_is_one_that_boards_know():
    assert {name for name, *_ in RIGHT} == set(SETTINGS)


@settings(max_examples=300, derandomize=True)
@given(st.one_of(st.binary(max_size=200), st.dictionaries(st.sampled_from([*SETTINGS, "x"]), st.text(max_size=70))))
def test_anything_gives_settings_that_can_be_used_and_never_raises(data):
    found, wrong = decode_settings(data if isinstance(data, bytes) else json.dumps(data).encode())
    assert set(found) <= set(SETTINGS) and all(isinstance(line, str) for line in wrong)
    for host, number in found.get("gateways", ()):
        assert host and 0 < number < 65536
