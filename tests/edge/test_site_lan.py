"""A running gateway on the network: TLS of its authority on the broker, and its announcement, as others meet them."""

import re
import secrets
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest

from gateway.configuration.settings import SETTINGS
from gateway.errors import CommandError, Exit
from gateway.lan import mdns, tls
from gateway.site.lan import Lan
from gateway.web.app import app
from gateway.web.serve import serve
from tests.edge.test_tls import other_issuer
from tests.ports import free_port
from tests.up_site import COMMAND, ROOT, tinyren
from tests.web_demo import DemoSource, empty_snapshot

OWN = "0x" + "ab" * 20
WAIT_S = 60
PAGE = SimpleNamespace(port=8420)  # what announcing needs of the page


def settings(**changes):
    return {one.name: one.default for one in SETTINGS} | {name.replace("_", ".", 1): to for name, to in changes.items()}


def test_a_gateway_on_loopback_tells_nobody_and_makes_no_certificate(tmp_path):
    lan = Lan(tmp_path, settings(), lambda: None)
    with ExitStack() as ends:
        lan.announce(OWN, PAGE, ends)
        assert (lan.tls, lan.turn(), list(tmp_path.iterdir())) == (None, [], [])


def found(site):
    """What a site announces; asked again until it is heard."""
    for _ in range(20):
        if here := [one for one in mdns.find(0.5, "127.0.0.1") if one.site == site.name]:
            break
    return here


@pytest.mark.alone
def test_what_is_not_to_be_announced_is_not(tmp_path):
    quiet, loud = (tmp_path / secrets.token_hex(6) for _ in range(2))
    with ExitStack() as ends:
        for site, is_told in ((quiet, False), (loud, True)):  # when the later one is heard, the earlier would have been
            lan = Lan(site, settings(tls_listen="127.0.0.1:8883", mdns_announce=is_told), lambda: None)
            lan.announce(OWN, PAGE, ends)
        assert found(loud)
        assert [one for one in mdns.find(0.5, "127.0.0.1") if one.site == quiet.name] == []


@pytest.mark.alone
def test_only_what_others_reach_is_announced_with_the_authority_to_compare(tmp_path):
    site = tmp_path / secrets.token_hex(6)
    lan = Lan(site, settings(tls_listen="127.0.0.1:8883"), lambda: None)
    with ExitStack() as ends:
        lan.announce(OWN, PAGE, ends)
        (told,) = found(site)
        assert lan.turn() == []
    assert (told.gateway, told.page, told.mqtt, told.mqtts, told.addresses) == (OWN, 0, 0, 8883, ("127.0.0.1",))
    assert told.ca == tls.describe(site)["ca_sha256"]


def test_a_network_that_cannot_be_told_is_a_notice(tmp_path):
    lan = Lan(tmp_path, settings(broker_listen="203.0.113.9:1883"), lambda: None)
    with ExitStack() as ends:
        lan.announce(OWN, PAGE, ends)
    assert [text.startswith("the local network is not told where this gateway is: ") for text in lan.turn()] == [True]
    assert lan.turn() == []


def test_tls_for_a_broker_elsewhere_is_refused(tmp_path):
    with pytest.raises(CommandError, match="tls.listen: got one with broker.url"):
        Lan(tmp_path, settings(tls_listen="127.0.0.1:8883", broker_url="mqtt://a"), lambda: None)
    assert list(tmp_path.iterdir()) == []


def started(folder, *options):
    """A gateway that runs, and its line about the broker."""
    command = [*COMMAND, "gateway", "up", str(folder), "--set", f"page.port={free_port()}", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(WAIT_S, process.kill)
    guard.start()
    try:
        line = next(line for line in process.stderr if "Ctrl-C ends it" in line)
    finally:
        guard.cancel()
    return process, line


def test_a_gateway_serves_tls_that_its_authority_vouches_for(tmp_path):
    assert tinyren("gateway", "init", tmp_path / "gw", stdin=subprocess.DEVNULL).returncode == Exit.OK
    port, page = free_port(), free_port()
    listen = [f"tls.listen=127.0.0.1:{port}", f"page.tls_listen=127.0.0.1:{page}"]
    process, _ = started(tmp_path / "gw", *(word for item in listen for word in ("--set", item)))
    try:
        context = ssl.create_default_context(cafile=tmp_path / "gw" / "tls" / "ca.pem")
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as link:
                link.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x05\x00\x04gate")
                assert link.recv(4)[:2] == b"\x20\x02" and link.version() in ("TLSv1.2", "TLSv1.3")
        far = {"Host": f"localhost:{page}", "Forwarded": "for=192.0.2.9"}  # as one who comes from elsewhere
        answer = httpx.get(f"https://localhost:{page}/state.json", verify=context, headers=far)
        assert answer.status_code == 401 and "admin code" in answer.text
        assert httpx.get(f"https://localhost:{page}/state.json", verify=context).status_code == 200
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)
    assert process.returncode == Exit.OK


def test_a_page_reads_a_renewed_certificate_and_goes_on(tmp_path):
    lan = Lan(tmp_path, settings(page_tls_listen=f"127.0.0.1:{free_port()}", mdns_announce=False), lambda: None)
    page = serve(app(DemoSource(empty_snapshot())), tls=lan.page_tls)
    try:
        with ExitStack() as ends:
            lan.announce(OWN, page, ends)
            first = shown(tmp_path, lan.page_tls[1])
            tls.prepare(tmp_path, tls.wanted_by(settings()), datetime.now(UTC), is_new=True)
            assert lan.turn() == ["TLS has a new certificate; connections that are open stay"]
            for _ in range(100):  # the page's thread reads it between two connections
                if shown(tmp_path, lan.page_tls[1]) != first:
                    break
            assert shown(tmp_path, lan.page_tls[1]) != first
    finally:
        page.stop()


def shown(folder, port):
    """The certificate that the page shows who trusts the site's authority."""
    context = ssl.create_default_context(cafile=folder / "tls" / "ca.pem")
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as link:
            return link.getpeercert(binary_form=True)


@pytest.mark.parametrize(
    ("issued", "message"),
    [
        (datetime.now(UTC) - timedelta(days=800), r"tls.cert_file: .*acme.pem: it ended on 20\d\d-.*renewed, or mend"),
        (None, r"acme.pem: the key does not fit the certificate"),
    ],
)
def test_a_certificate_that_cannot_serve_keeps_the_gateway_from_starting(issued, message, tmp_path):
    assert tinyren("gateway", "init", tmp_path / "gw", stdin=subprocess.DEVNULL).returncode == Exit.OK
    cert, key = other_issuer(tmp_path, now=issued or datetime.now(UTC))
    if issued is None:
        key = other_issuer(tmp_path, name="another")[1]
    options = ["tls.listen=127.0.0.1:8883", f"tls.cert_file={cert}", f"tls.key_file={key}"]
    ended = tinyren("gateway", "up", tmp_path / "gw", *(word for item in options for word in ("--set", item)))
    assert ended.returncode == Exit.TRUST and re.search(message, ended.stderr.splitlines()[-1])
    assert not (tmp_path / "gw" / "tls").exists()
