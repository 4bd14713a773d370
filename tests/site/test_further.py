"""A further gateway as a process beside real oracles: its link to the site breaks for a while, and nothing is lost."""

import contextlib
import socket
import threading
import time

import pytest

from device.agent import wire
from device.agent.port import FileMemory
from device.agent.store import Store
from gateway.intake import evidence
from gateway.oracle import epoch
from gateway.oracle.statements import Close, Commitment, Held, Opened, Signature
from gateway.site import joining, site_file
from tests.oracle_site import DEVICES, FOUR, Site, address
from tests.ports import free_port
from tests.site.test_several_gateways_running import Agent, Further

COUNT, WINDOW_S = 5, 2


class Link:
    """A way to a port of this machine that can be cut, and mended again."""

    def __init__(self, port):
        self._to, self._open, self.is_cut, self._is_over = port, [], False, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        self.is_cut = True
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self):
        self.is_cut = False

    def stop(self):
        self._is_over = True
        self.cut()
        self._listener.close()

    def _accept(self):
        while not self._is_over:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            if self.is_cut:
                here.close()
                continue
            there = socket.create_connection(("127.0.0.1", self._to))
            self._open += [here, there]
            for ends in ((here, there), (there, here)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def site(tmp_path):
    """Three of four oracles, the chain, the broker; and a further gateway that reaches them over `link`."""
    with contextlib.ExitStack() as ends:
        (tmp_path / "site").mkdir()
        made = Site(tmp_path / "site", FOUR)
        ends.callback(made.stop)
        made.link = Link(made.broker.port)
        ends.callback(made.link.stop)
        made.further_folder, port = tmp_path / "further", free_port()
        kept = site_file.read(made.folder)
        kept.epoch_seconds, kept.window_seconds = COUNT * WINDOW_S, WINDOW_S
        made.further_address = joining.prepare(made.further_folder)
        kept.gateways = {made.further_address: f"http://127.0.0.1:{port}"}
        site_file.write(made.folder, kept)
        name, password = made.broker.account("oracle-4")
        invitation = {"home": f"mqtt://{name}@127.0.0.1:{made.link.port}", "password": password}
        invitation |= {"home_gateway": kept.gateway, "chain_rpc": kept.chain_rpc}
        invitation |= {name: kept.contracts[name] for name in ("settlement", "devices")}
        joining.accept(made.further_folder, invitation, port)
        made.start(1, 2, 3)
        made.ends = ends
        yield made


def open_epoch(site, number, during):
    """Be the site's own gateway for an epoch, in which nobody is heard; `during` is called in each window."""
    site.evidence.open_epoch(number, COUNT, WINDOW_S * 1000, time.time_ns() // 1_000_000)
    start_s = time.monotonic()
    for window in range(COUNT):
        block = site.chain.mine()
        block_hash, now_ms = site.chain.block_hash(block), time.time_ns() // 1_000_000
        beacon = wire.make_beacon(number, window, block_hash)
        site.evidence.open_window(evidence.Window(window, now_ms, block, block_hash, beacon))
        site.say(Opened(number, window, COUNT, WINDOW_S * 1000, block))
        threading.Event().wait(start_s + (window + 0.5) * WINDOW_S - time.monotonic())
        if window:
            site.say(Commitment(number, window - 1, *site.evidence.commitment()))
        during(window)
        threading.Event().wait(start_s + (window + 1) * WINDOW_S - time.monotonic())
    site.say(Commitment(number, COUNT - 1, *site.evidence.commitment()))
    block = site.chain.mine()
    site.evidence.close_epoch(time.time_ns() // 1_000_000, block)
    site.closed = Close(number, evidence.digest(site.evidence.folder, number), block)
    site.say(site.closed)


def test_a_gateway_that_is_cut_off_for_a_window_loses_none(site, tmp_path):
    memory = FileMemory(tmp_path / "device")
    Store(memory).open(lambda: DEVICES[2].secret)
    memory.close()
    further = Further(site.further_folder)
    site.ends.callback(further.child.kill)
    site.ends.callback(Agent(further.wait_ready(), tmp_path / "device").end)
    cuts = {1: site.link.cut, 2: site.link.mend}
    open_epoch(site, 1, lambda window: cuts.get(window, lambda: None)())
    who = bytes.fromhex(site.further_address[2:])

    def both(heard):
        sets = [said.bundles for _, said in heard if isinstance(said, Held)]
        signed = {sender for sender, said in heard if isinstance(said, Signature)}
        return len(signed) == 3 and [each for each in sets if who in {item.gateway for item in each}]

    views = both(site.wait(both))
    (bundle,) = {item for item in views[-1] if item.gateway == who}
    assert bundle.missing == () and bundle.cid
    folder = site.further_folder / "evidence"
    windows = epoch.read_windows(folder, 1)
    assert [window.window for window in windows.opened] == list(range(COUNT))
    beats = list(epoch.read_heartbeats(evidence.read(evidence.heartbeats_path(folder, 1))))
    answered = {beat.beacon for beat in beats if beat.device == address(DEVICES[2])}
    assert {windows.opened[2].beacon, windows.opened[3].beacon} <= answered  # cut off in 1 and 2
