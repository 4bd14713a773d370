"""A site for tests of oracles: its folder, broker, chain and the gateway's side of the agreement, all real; no boards.

Keys are seeded. Deed 1 has four slots and the first two devices, deed 2 one slot and the third.
"""

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

from coincurve import PrivateKey

from device.agent import eip712, wire
from gateway import curve
from gateway.broker.broker import Broker
from gateway.broker.bus import Bus
from gateway.chain import chain as chains
from gateway.intake import evidence
from gateway.oracle import epoch, messages
from gateway.oracle.quorum import Quorum, Settle
from gateway.oracle.rpc import ChainReader
from gateway.oracle.statements import Close, Commitment, Signature
from gateway.poai import models
from gateway.settlement import agreed, settlement
from gateway.settlement.tree import Leaves, encode_leaves
from gateway.site import site_file
from tests.chain_node import Node

ROOT = Path(__file__).parent.parent
SERVICE = [sys.executable, "-m", "gateway.oracle.service"]
WAIT_S = 30
WINDOWS, WINDOW_MS, OPENED_MS = 4, 1_000, 1_700_000_000_000
MODEL, CHAIN = b"\x01\x55\x12\x20" + b"m" * 32, b"c" * 16
DICE = random.Random(7)
OWNER, GATEWAY, *REST = (PrivateKey(DICE.randbytes(32)) for _ in range(9))
ORACLES, DEVICES = REST[:3], REST[3:6]
FOUR = [*ORACLES, REST[6]]


def address(key):
    return curve.address_of(key.secret)


def text(key):
    return "0x" + address(key).hex()


def sign(key):
    return lambda digest: key.sign_recoverable(digest, hasher=None)


def heartbeat(key, beacon, sequence):
    return wire.sign_heartbeat(address(key), sign(key), beacon, 1, sequence, MODEL, 0, CHAIN, 23)


class Site:
    """A running site in an empty folder; oracles are started one by one. Of four, one may lie."""

    def __init__(self, folder, keys=ORACLES):
        self.keys, self.threshold = keys, len(keys) // 2 + 1
        self.folder = folder
        self.chain = chains.open_embedded(folder / "chain.sqlite", (chains.address_of(GATEWAY),))
        self.rpc = Node(self.chain)
        oracles = [chains.address_of(key) for key in keys]
        made = settlement.deploy(self.chain, GATEWAY, oracles, self.threshold, {}, lambda *_: None)
        self.contracts = settlement.Settlement(self.chain, made, GATEWAY)
        self.bind_devices(made)
        self.broker = Broker(folder / "broker", [f"oracle-{index}" for index, _ in enumerate(keys, 1)])
        self.broker.start()
        site = site_file.Site(boards=[], threshold=self.threshold, oracles=oracles, gateway=text(GATEWAY))
        site.broker_port, site.chain_rpc, site.contracts = self.broker.port, self.rpc.url, dataclasses.asdict(made)
        site_file.write(folder, site)
        (folder / "keys").mkdir()
        for index, key in enumerate(keys, 1):
            (folder / "keys" / f"oracle-{index}.key").write_text(key.secret.hex())
        self.place = messages.Site(self.chain.chain_id, bytes.fromhex(made.settlement[2:]))
        self.evidence = evidence.Evidence(folder / "evidence")
        self.heard, self.arrived = [], threading.Condition()
        self.bus = Bus("gateway", self.broker.port, self.broker.account(), self.receive, lambda: 0)
        self.bus.subscribe("tinyren/oracle/#")
        self.bus.start()
        assert self.bus.wait_subscribed(WAIT_S)
        self.processes = {}

    def bind_devices(self, made):
        contract = bytes.fromhex(made.devices[2:])
        for deed, slots, devices in ((1, 4, DEVICES[:2]), (2, 1, DEVICES[2:])):
            self.contracts.mint_deed(deed, chains.address_of(OWNER), slots)
            for key in devices:
                fields = (deed, address(key), address(OWNER), "board", 0, 1 << 40)
                digest = eip712.binding_digest(curve.keccak, self.chain.chain_id, contract, *fields)
                both = [epoch.sign_digest(digest, signer) for signer in (OWNER, key)]
                self.contracts.bind(deed, chains.address_of(key), "board", 1 << 40, *both)

    def receive(self, topic, payload, at_ms, token):
        self.bus.ack(token)
        if not topic.endswith(("close", "commitment")):
            said = messages.open_sealed(payload, self.place)
            with self.arrived:
                self.heard.append((said.sender, said.message))
                self.arrived.notify_all()

    def wait(self, predicate):
        """What the oracles said, once it fulfils the predicate."""
        with self.arrived:
            for _ in range(WAIT_S):
                if self.arrived.wait_for(lambda: predicate(self.heard), 1):
                    return list(self.heard)
                self.say(self.closed)  # as the gateway does, until the epoch is settled
        raise AssertionError((self.heard, self.logs()))

    def logs(self):
        return {index: self.log(index).read_text() for index in self.processes}

    def log(self, index):
        return self.folder / f"oracle-{index}.log"

    def wait_log(self, index, words):
        """Wait until an oracle's log holds the words."""
        for _ in range(100 * WAIT_S):
            if words in self.log(index).read_text():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.processes[index].wait(0.01)
        raise AssertionError(self.logs())

    def start(self, *indexes, folder=None):
        """Start oracles and wait until they listen."""
        for index in indexes:
            command = [*SERVICE, "--site", folder or self.folder, "--index", str(index)]
            with self.log(index).open("wb") as log:
                self.processes[index] = subprocess.Popen(command, cwd=ROOT, stderr=log)
        for index in indexes:
            self.wait_log(index, "ready")

    def kill(self, index):
        os.kill(self.processes[index].pid, signal.SIGKILL)
        self.processes[index].wait()

    def record(self, number, answers, commits=(), lost=()):
        """Write the evidence of an epoch; answers: which windows each device answers. Returns what the gateway says.

        commits: the windows after which it commits to its evidence. lost: those whose block a reorg took.
        """
        opened_ms = OPENED_MS + number * WINDOWS * WINDOW_MS
        self.evidence.open_epoch(number, WINDOWS, WINDOW_MS, opened_ms)
        for window in range(WINDOWS):
            block, at_ms = self.chain.mine(), opened_ms + window * WINDOW_MS
            block_hash = bytes(32) if window in lost else self.chain.block_hash(block)
            beacon = wire.make_beacon(number, window, block_hash)
            self.evidence.open_window(evidence.Window(window, at_ms, block, block_hash, beacon))
            beats = [heartbeat(key, beacon, number * WINDOWS + window) for key in answers if window in answers[key]]
            self.evidence.append([(at_ms + 10, beat) for beat in beats])
            if window in commits:
                self.say(Commitment(number, window, *self.evidence.commitment()))
        block = self.chain.mine()
        self.evidence.close_epoch(opened_ms + WINDOWS * WINDOW_MS, block)
        self.closed = Close(number, evidence.digest(self.evidence.folder, number), block)
        return self.closed

    def say(self, message, key=GATEWAY):
        self.bus.publish(messages.topic_of(message), messages.seal(message, self.place, key.secret).payload, qos=1)

    def verdict(self, close, previous=None, attested=None):
        made = self.contracts.contracts
        others = [bytes.fromhex(text[2:]) for text in (made.devices, made.escrow)]
        reader, folder = ChainReader(self.rpc.url, self.place.settlement, *others), self.evidence.folder
        attested = attested or close.evidence
        sources = agreed.sources(folder, close.epoch, attested)
        return epoch.verdict_of(sources, close.epoch, attested, reader, previous or Leaves(), models.shipped)

    def settle(self, verdict):
        """Be the gateway: wait for a quorum over this verdict, post it, keep its leaves."""

        def settled(heard):
            quorum = Quorum(map(address, self.keys), self.threshold, self.signer_of)
            signed = [(who, said) for who, said in heard if isinstance(said, Signature)]
            found = [quorum.receive(who, said) for who, said in signed if said.root.epoch == verdict.epoch]
            return next((outcome for outcome in found if isinstance(outcome, Settle)), None)

        found = settled(self.wait(settled))
        assert found.root == verdict.attested()
        signatures = {"0x" + who.hex(): signature for who, signature in found.signatures}
        self.contracts.post_root(verdict.epoch, verdict.root, verdict.total, verdict.evidence, signatures)
        (self.folder / "settlement").mkdir(exist_ok=True)
        leaves = encode_leaves(verdict.leaves)
        (self.folder / "settlement" / f"epoch-{verdict.epoch}.json").write_text(json.dumps(leaves))
        return set(dict(found.signatures))

    def signer_of(self, root, signature):
        return epoch.signer_of(epoch.root_digest(root, self.place.chain_id, self.place.settlement), signature)

    def stop(self):
        for process in self.processes.values():
            process.terminate()
            process.wait(WAIT_S)
        self.bus.stop()
        self.broker.stop()
        self.rpc.stop()
        self.chain.close()
