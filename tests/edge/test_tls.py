"""What a gateway serves TLS with, as files, a real mosquitto, a device's agent and the command line take it."""

import json
import queue
import socket
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from gateway import cli
from gateway.broker.broker import Broker, BrokerFailed
from gateway.broker.bus import Bus
from gateway.errors import CommandError, Exit
from gateway.lan import certificates, tls
from gateway.lan.tls import Wanted, prepare
from tests.ports import free_port
from tests.up_site import ROOT

NAMES = ("gw.example", "gw.local", "localhost", "127.0.0.1")
OWN = Wanted(NAMES)
NOW = datetime.now(UTC)
WAIT_S = 20


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def seen(served, port, name="localhost"):
    """The certificate that a client is shown which trusts served.ca, and connects to a name."""
    context = ssl.create_default_context(cafile=served.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as plain:
        with context.wrap_socket(plain, server_hostname=name) as link:
            return link.getpeercert(binary_form=True)


def other_issuer(folder, names=("gw.example",), now=NOW, name="acme"):
    """(certificates, key) as files of an issuer that is not this site's."""
    authority = certificates.authority_of(certificates.new_key(), "issuer")
    pair = certificates.issue(authority, names, now)
    (folder / f"{name}.pem").write_bytes(pair.chain_pem() + authority.chain_pem())
    (folder / f"{name}.key").write_bytes(pair.pem().partition(pair.chain_pem())[2])
    return folder / f"{name}.pem", folder / f"{name}.key"


def test_a_sites_keys_are_for_its_user_alone_and_a_second_turn_writes_nothing(tmp_path):
    served = prepare(tmp_path, OWN, NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o600}
    before = tree(tmp_path)
    assert prepare(tmp_path, Wanted(NAMES[:2]), NOW + timedelta(days=200)) == served
    assert tree(tmp_path) == before


def test_a_renewal_needs_no_new_trust_and_keeps_the_names_that_devices_know(tmp_path):
    first = prepare(tmp_path, OWN, NOW)
    ca = first.ca.read_bytes()
    second = prepare(tmp_path, Wanted(("10.0.0.9",)), NOW + timedelta(days=300))
    leaf = tls.load(tmp_path).leaf
    assert second.digest != first.digest and first.ca.read_bytes() == ca
    assert set(certificates.names_of(leaf)) == {"10.0.0.9", "gw.example", "gw.local", "localhost"}
    assert leaf.not_valid_after_utc > NOW + timedelta(days=300 + certificates.DUE_DAYS)


@pytest.mark.parametrize("lost", [("server.pem",), ("ca.pem",), ("ca.pem", "server.pem")])
def test_what_a_crash_left_undone_is_done_by_the_same_authority(lost, tmp_path):
    prepare(tmp_path, OWN, NOW)
    key = (tmp_path / "tls" / "ca.key").read_bytes()
    for name in lost:
        (tmp_path / "tls" / name).unlink()
        (tmp_path / "tls" / f"{name}.part").write_bytes(b"torn")
    served = prepare(tmp_path, OWN, NOW)
    assert (tmp_path / "tls" / "ca.key").read_bytes() == key
    authority = certificates.read_pair(served.ca.read_bytes(), key)
    assert certificates.is_issued_by(tls.load(tmp_path).leaf, authority.leaf)


def test_a_damaged_server_pair_is_made_anew_and_a_damaged_authority_is_refused(tmp_path):
    prepare(tmp_path, OWN, NOW)
    (tmp_path / "tls" / "server.pem").write_bytes(b"noise")
    prepare(tmp_path, OWN, NOW)
    tls.load(tmp_path)
    for damage, message in (
        (lambda path: path.write_bytes(b"noise"), "ca.pem: it holds no key"),
        (lambda path: path.unlink(), r"ca.key is missing; restore it .* every device .* renew --authority"),
    ):
        damage(tmp_path / "tls" / "ca.key")
        before = tree(tmp_path)
        with pytest.raises(CommandError, match=message):
            prepare(tmp_path, OWN, NOW)
        assert tree(tmp_path) == before


def test_a_clock_before_tinyren_was_made_issues_nothing_and_serves_what_is_there(tmp_path):
    long_ago = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    with pytest.raises(CommandError, match="clock says 1970-01-01.*set the clock first"):
        prepare(tmp_path, OWN, long_ago)
    assert tree(tmp_path) == {}
    served = prepare(tmp_path, OWN, NOW)
    again = prepare(tmp_path, OWN, long_ago)
    assert again.digest == served.digest and "set it" in again.notes[0]


def test_a_clock_that_ran_years_ahead_is_told_and_what_it_issued_still_serves(tmp_path):
    prepare(tmp_path, OWN, NOW)
    ahead = prepare(tmp_path, OWN, NOW + timedelta(days=3650))
    assert "is this computer's clock right?" in ahead.notes[0]
    back = prepare(tmp_path, OWN, NOW)
    assert (back.digest, back.notes) == (ahead.digest, ())


def test_another_issuers_files_are_served_once_checked_and_then_the_sites_own_again(tmp_path):
    own = prepare(tmp_path, OWN, NOW)
    cert, key = other_issuer(tmp_path)
    served = prepare(tmp_path, Wanted(NAMES, cert, key), NOW)
    assert served.ca is None and served.notes == () and served.digest != own.digest
    assert len(tls.load(tmp_path).chain) == 2
    assert prepare(tmp_path, OWN, NOW).ca == own.ca


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cert, key, _: key.write_bytes(b"noise"), "it holds no key"),
        (lambda cert, key, folder: key.write_bytes(other_issuer(folder, name="b")[1].read_bytes()), "does not fit"),
        (lambda cert, key, _: cert.unlink(), "No such file"),
        (lambda cert, key, folder: other_issuer(folder, now=NOW - timedelta(days=800)), "it ended on"),
    ],
)
def test_files_that_cannot_serve_are_refused_and_the_last_pair_stays(change, message, tmp_path):
    cert, key = other_issuer(tmp_path)
    prepare(tmp_path, Wanted(NAMES, cert, key), NOW)
    before = (tmp_path / "tls" / "server.pem").read_bytes()
    change(cert, key, tmp_path)
    with pytest.raises(CommandError, match=message) as raised:
        prepare(tmp_path, Wanted(NAMES, cert, key), NOW)
    assert (tmp_path / "tls" / "server.pem").read_bytes() == before and "acme" in str(raised.value)


def test_what_will_soon_trouble_is_told_once(tmp_path):
    cert, key = other_issuer(tmp_path, ("elsewhere.example",), NOW - timedelta(days=390))
    served = prepare(tmp_path, Wanted(NAMES, cert, key), NOW)
    assert [note.partition("acme.pem ")[2] for note in served.notes] == [
        "ends in 6 days; whoever renews it should have by now",
        "is for elsewhere.example, which is none of this computer's names; devices must connect to that name",
    ]
    watch = tls.Watch(tmp_path, lambda: Wanted(NAMES, cert, key), served, lambda: None)
    assert watch.turn(0, NOW) == [] and watch.turn(tls.CHECK_S, NOW) == []


def test_one_file_without_the_other_is_a_usage_error(tmp_path):
    for wanted in (Wanted(NAMES, tmp_path / "a", None), Wanted(NAMES, None, tmp_path / "a")):
        with pytest.raises(CommandError, match="got one without tls"):
            prepare(tmp_path, wanted, NOW)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("name", ["", "a b", "https://gw", "gw:8883", "*.example"])
def test_a_name_that_no_certificate_can_have_is_refused(name):
    with pytest.raises(CommandError, match="tls.names: got"):
        tls.this_computer([name])


def test_a_broker_reads_a_renewed_certificate_and_keeps_open_connections(tmp_path):
    served, port = prepare(tmp_path, OWN, NOW), free_port()
    broker = Broker(tmp_path / "broker", tls=("127.0.0.1", port, served.pem))
    broker.start()
    try:
        first = seen(served, port)
        context = ssl.create_default_context(cafile=served.ca)
        plain = socket.create_connection(("127.0.0.1", port), WAIT_S)
        with context.wrap_socket(plain, server_hostname="gw.local") as link:
            watch = tls.Watch(tmp_path, lambda: OWN, served, broker.reload)
            assert watch.turn(0, NOW) == [] and seen(served, port) == first
            later = NOW + timedelta(days=300)
            assert watch.turn(tls.CHECK_S / 2, later) == []
            assert watch.turn(tls.CHECK_S, later) == ["TLS has a new certificate; connections that are open stay"]
            for _ in range(200):  # the broker reads it when it gets to the signal
                if seen(served, port) != first:
                    break
            assert seen(served, port) != first
            link.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x05\x00\x04gate")
            assert link.recv(4) == b"\x20\x02\x00\x00"
        assert watch.turn(2 * tls.CHECK_S, later) == []
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch|not valid for"):
            seen(served, port, "gw.elsewhere")
    finally:
        broker.stop()


def test_a_watch_that_cannot_renew_says_so_once_and_has_nothing_read_again(tmp_path):
    cert, key = other_issuer(tmp_path)
    wanted, reloads = Wanted(NAMES, cert, key), []
    watch = tls.Watch(tmp_path, lambda: wanted, prepare(tmp_path, wanted, NOW), lambda: reloads.append(1))
    good = key.read_bytes()
    key.write_bytes(b"half")
    said = watch.turn(0, NOW)
    assert len(said) == 1 and said[0].startswith("TLS goes on with the last certificate: ") and str(cert) in said[0]
    assert watch.turn(tls.CHECK_S, NOW) == [] and reloads == []
    key.write_bytes(good)
    assert watch.turn(2 * tls.CHECK_S, NOW) == [] and reloads == []


def test_a_taken_port_is_named_before_anything_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = Broker(tmp_path / "broker", tls=("127.0.0.1", port, tmp_path / "none.pem"))
        with pytest.raises(BrokerFailed, match=f"tls.listen: port {port} of 127.0.0.1 is taken; end"):
            broker.start()
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("trusts", ["own", "other"])
def test_an_agent_connects_where_it_trusts_the_sites_authority_and_nowhere_else(trusts, tmp_path):
    served, port = prepare(tmp_path / "own", OWN, NOW), free_port()
    prepare(tmp_path / "other", OWN, NOW)
    broker, heard = Broker(tmp_path / "own" / "broker", tls=("127.0.0.1", port, served.pem)), queue.Queue()
    broker.start()
    bus = Bus("gateway", broker.port, broker.account(), lambda topic, *_: heard.put(topic), lambda: 0)
    bus.subscribe("tinyren/+/announce")
    bus.start()
    assert bus.wait_subscribed(WAIT_S)
    command = [sys.executable, "-m", "device.agent", "--broker", f"127.0.0.1:{port}", "--store", tmp_path / "store"]
    command += ["--ca", tmp_path / trusts / "tls" / "ca.pem"]
    agent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        if trusts == "own":
            assert heard.get(timeout=WAIT_S).endswith("/announce")
        else:
            assert any("certificate is refused: " in line for line in iter(agent.stderr.readline, ""))
            assert heard.empty()
    finally:
        agent.kill()
        agent.communicate()
        bus.stop()
        broker.stop()


def run(capsys, *arguments):
    code = cli.main(["gateway", "tls", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_commands_make_show_and_renew(capsys, tmp_path):
    assert run(capsys, "show", tmp_path)[::2] == (
        Exit.USAGE,
        f"tinyren: {tmp_path}/tls/server.pem is missing; make it: tinyren gateway tls init {tmp_path}\n",
    )
    code, out, _ = run(capsys, "init", tmp_path, "--json")
    first = json.loads(out)
    assert code == Exit.OK and first["days_left"] >= certificates.SERVER_DAYS - 1 and len(first["ca_sha256"]) == 64
    assert run(capsys, "init", tmp_path)[0] == Exit.NOTHING_TO_DO
    code, out, _ = run(capsys, "renew", tmp_path, "--json")
    second = json.loads(out)
    assert code == Exit.OK and second["sha256"] != first["sha256"] and second["ca_sha256"] == first["ca_sha256"]
    third = json.loads(run(capsys, "renew", tmp_path, "--authority", "--json")[1])
    assert third["ca_sha256"] != first["ca_sha256"]
    code, out, _ = run(capsys, "show", tmp_path)
    assert code == Exit.OK and third["ca_sha256"] in out and "PRIVATE" not in out


def test_a_folder_that_is_no_site_is_a_usage_error(capsys, tmp_path):
    code, out, err = run(capsys, "init", tmp_path / "none")
    assert (code, out) == (Exit.USAGE, "") and "`tinyren gateway init` makes one" in err and tree(tmp_path) == {}


def test_every_step_and_option_is_in_the_guide():
    guide = (ROOT / "docs" / "install.md").read_text()
    gateway = next(action for action in cli.parser()._actions if action.choices).choices["gateway"]
    verbs = next(action for action in gateway._actions if action.choices).choices
    steps = next(action for action in verbs["tls"]._actions if action.choices).choices
    assert all(f"`tls {name}" in guide for name in steps)
    for parser in (*steps.values(), verbs["find"]):
        told = [word for action in parser._actions for word in action.option_strings if word.startswith("--")]
        assert [word for word in told if word not in guide and word != "--help"] == []
