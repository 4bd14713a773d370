"""A site that runs takes a further gateway: noted once, known to the broker at once, and no asker breaks it."""

import contextlib
import errno
import threading

import pytest

from gateway.broker.broker import Broker
from gateway.broker.bus import Bus
from gateway.errors import CommandError, Exit
from gateway.site import admissions, joining, site_file
from gateway.site.admissions import Admissions
from gateway.site.site_file import Site

ADDRESS, OTHER = "0x" + "b" * 40, "0x" + "c" * 40
URL = "http://10.0.0.2:8421"
WAIT_S = 30


class Running:
    """A site's folder that is held, and its look at who asks."""

    def __init__(self, folder):
        self.folder, self.let_in, self.said = folder, [], []
        site = Site(boards=[], gateway="0x" + "a" * 40, broker_port=21000, chain_rpc="http://127.0.0.1:1/rpc")
        site.contracts = {"settlement": "0x" + "1" * 40, "devices": "0x" + "2" * 40}
        folder.mkdir()
        site_file.write(folder, site)
        self.admissions = Admissions(folder, site, self.let_in.append)

    def turn(self):
        self.said += self.admissions.turn()

    def ask(self, name, content):
        (self.folder / admissions.FOLDER).mkdir(exist_ok=True)
        (self.folder / admissions.FOLDER / name).write_bytes(content)

    def asking(self):
        return sorted(path.name for path in (self.folder / admissions.FOLDER).iterdir())


@pytest.fixture
def running(tmp_path):
    made = Running(tmp_path / "site")
    with site_file.locked(made.folder):
        yield made


def test_who_is_admitted_while_the_site_runs_gets_an_invitation_and_is_in_its_file(running):
    is_over = threading.Event()

    def look():
        while not is_over.wait(0.01):
            running.turn()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        invitation = joining.admit(running.folder, ADDRESS, URL)
        assert joining.admit(running.folder, ADDRESS, URL) == invitation
    finally:
        is_over.set()
        thread.join()
    assert set(invitation) == set(joining.FIELDS) and all(invitation.values())
    assert site_file.read(running.folder).gateways == {ADDRESS: URL} and running.asking() == []
    assert running.let_in == [ADDRESS] and all("is a further gateway" in said for said in running.said)


def test_a_site_that_was_killed_after_it_noted_one_takes_it_again_and_changes_nothing(running):
    running.ask(ADDRESS, URL.encode())
    running.turn()
    kept = (running.folder / site_file.NAME).read_bytes()
    running.ask(ADDRESS, URL.encode())
    running.turn()
    assert (running.folder / site_file.NAME).read_bytes() == kept and running.asking() == []
    running.ask(ADDRESS, b"http://10.0.0.3:8421")
    running.turn()
    assert site_file.read(running.folder).gateways == {ADDRESS: "http://10.0.0.3:8421"}
    assert running.let_in == [ADDRESS, ADDRESS]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("0x1", URL.encode()),
        ("noise", URL.encode()),
        (ADDRESS, b""),
        (ADDRESS, b"\xff\xfe"),
        (ADDRESS, b"ftp://10.0.0.2"),
        (ADDRESS, URL.encode() + b"?" * 5_000),
        ("0x" + "a" * 40, URL.encode()),
    ],
    ids=["short", "no address", "empty", "no text", "another scheme", "long", "the site's own"],
)
def test_what_is_no_further_gateway_is_told_and_changes_nothing(running, name, content):
    kept = (running.folder / site_file.NAME).read_bytes()
    running.ask(name, content)
    running.turn()
    assert len(running.said) == 1 and f"{name} is no further gateway of this site: " in running.said[0]
    assert (running.folder / site_file.NAME).read_bytes() == kept
    assert running.let_in == [] and running.asking() == []


def test_on_a_full_disk_nobody_is_admitted_and_the_site_goes_on(running, monkeypatch):
    def full(folder, site):
        raise OSError(errno.ENOSPC, "No space left on device")

    running.ask(ADDRESS, URL.encode())
    with monkeypatch.context() as patch:
        patch.setattr(site_file, "write", full)
        running.turn()
    assert "No space left" in running.said[0] and running.let_in == [] and running.asking() == []
    assert site_file.read(running.folder).gateways == {} == running.admissions._site.gateways
    running.ask(ADDRESS, URL.encode())
    running.turn()
    assert running.let_in == [ADDRESS] and site_file.read(running.folder).gateways == {ADDRESS: URL}


def test_the_last_place_is_given_once_and_who_has_none_is_told(running, monkeypatch):
    monkeypatch.setattr(admissions, "MAX_GATEWAYS", 1)
    for address in (ADDRESS, OTHER):
        running.ask(address, URL.encode())
    running.turn()
    assert running.let_in == [ADDRESS] and "no place for more" in running.said[1]
    with pytest.raises(CommandError, match="no place for more") as refused:
        joining.admit(running.folder, OTHER, URL)
    assert refused.value.code == Exit.REFUSED and running.asking() == []


def test_a_broker_lets_another_account_in_while_it_runs_and_keeps_who_is_there(tmp_path):
    arrived = threading.Event()
    with contextlib.ExitStack() as ends:
        broker = Broker(tmp_path / "broker", ["oracle-1"], devices=dict)
        broker.start()
        ends.callback(broker.stop)
        before = Bus("oracle", broker.port, broker.account("oracle-1"), lambda *_: arrived.set(), lambda: 0)
        before.subscribe("tinyren/oracle/#")
        before.start()
        ends.callback(before.stop)
        assert before.wait_subscribed(WAIT_S)
        name = joining.account_of(ADDRESS)
        broker.let_in(name)
        broker.let_in(name)
        newcomer = Bus("newcomer", broker.port, broker.account(name), lambda *_: None, lambda: 0)
        newcomer.start()
        ends.callback(newcomer.stop)
        newcomer.publish("tinyren/oracle/opened", b"1", qos=1)
        assert arrived.wait(WAIT_S) and before._connections == 1
        assert (tmp_path / "broker" / "acl").read_text().count(f"user {name}\n") == 1
