"""What a gateway tells systemd: a datagram each, to the socket that is named, and nothing where none is."""

import os
import socket

import pytest

from gateway.edge.service import Service


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """(a service manager's socket, what NOTIFY_SOCKET says)."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@tinyren-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(name if name[0] == "/" else "\0" + name[1:])
        link.setblocking(False)
        yield link, name


def received(link):
    found = []
    try:
        while True:
            found.append(link.recv(4096).decode())
    except BlockingIOError:
        return found


def test_ready_and_stopping_are_told(manager):
    link, name = manager
    service = Service({"NOTIFY_SOCKET": name})
    service.ready("page on port 8420")
    service.alive()
    service.stopping()
    assert received(link) == ["READY=1\nSTATUS=page on port 8420", "STOPPING=1"]


def test_a_watchdog_gets_three_signs_of_life_in_its_time(manager):
    link, name = manager
    now_s = [100.0]
    service = Service({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"}, lambda: now_s[0])
    counts = []
    for at_s in (100, 101, 109.9, 110, 119, 120):
        now_s[0] = at_s
        service.alive()
        counts.append(len(received(link)))
    assert counts == [1, 0, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "environment", [{"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}]
)
def test_a_watchdog_that_is_not_ours_gets_none(environment, manager):
    link, name = manager
    Service({"NOTIFY_SOCKET": name, **environment}).alive()
    assert received(link) == []


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nothing/here"}])
def test_without_a_manager_nothing_happens(environment):
    service = Service({**environment, "WATCHDOG_USEC": "1"})
    service.ready("x")
    service.alive()
    service.stopping()


def test_a_manager_that_reads_nothing_holds_up_nobody(manager):
    link, name = manager
    service = Service({"NOTIFY_SOCKET": name})
    for _ in range(1000):
        service.stopping()
    assert 0 < len(received(link)) < 1000


def test_children_are_not_told_of_the_manager(manager):
    environment = {"NOTIFY_SOCKET": manager[1], "HOME": "/"}
    Service(environment)
    assert environment == {"HOME": "/"}
