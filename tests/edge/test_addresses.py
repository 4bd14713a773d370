"""Which addresses are this computer's, and a gateway that goes on when they change, in a network of its own."""

import json
import shutil
import subprocess
import sys

import pytest

from gateway.lan.addresses import lasting, own_addresses
from gateway.lan.tls import this_computer
from tests.lan_scene import FIRST, SECOND, SIXTH
from tests.up_site import ROOT

WAIT_S = 60
NETWORK = ["unshare", "-rn"]


def line(scope="00", flags="80", address="20010db8000000000000000000000007"):
    return f"{address} 04 40 {scope} {flags}     eth0\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        (line(), ("2001:db8::7",)),
        (line(flags="00"), ("2001:db8::7",)),
        (line() + line(address="fd" + "0" * 29 + "1") + line(), ("2001:db8::7", "fd00::1")),
        (line(scope="20"), ()),  # of one link
        (line(scope="10"), ()),  # loopback
        (line(flags="01"), ()),  # temporary
        (line(flags="a0"), ()),  # deprecated
        (line(flags="48"), ()),  # a duplicate
        (line(flags="c0"), ()),  # not ours yet
    ],
)
def test_of_ipv6_only_what_lasts_and_suffices_is_told(text, found):
    assert lasting(text) == found


def test_a_certificate_is_for_every_address_of_this_computer():
    assert set(own_addresses()) | {"127.0.0.1", "::1", "localhost"} <= set(this_computer())


def has_networks():
    return shutil.which("ip") and subprocess.run([*NETWORK, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_networks(), reason="no network of one's own can be made here (unshare -rn, ip)")
def test_new_addresses_are_told_and_certified_while_the_gateway_runs_and_devices_need_no_new_trust(tmp_path):
    scene = [*NETWORK, sys.executable, "-m", "tests.lan_scene", str(tmp_path)]
    ended = subprocess.run(scene, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["before"]["told"] == [FIRST] and FIRST in found["before"]["names"]
    assert found["after"]["told"] == [SECOND, SIXTH] and {SECOND, SIXTH} <= set(found["after"]["names"])
    assert FIRST not in found["after"]["names"] and "fe80::7" not in found["before"]["names"]
    assert (found["said_before"], found["said_after"]) == ([], [])
    assert found["said"] == [
        "TLS has a new certificate; connections that are open stay",
        f"the local network is told of new addresses: {SECOND}, {SIXTH}",
    ]
    assert found["reloads"] == 1 and found["same_authority"] and found["is_told_once"]
