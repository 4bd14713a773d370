"""One oracle as a process: `python -m gateway.oracle.service --site DIR --index I`. It decides nothing; it carries out.

    broker ─▶ messages ─▶ consensus.Oracle ─▶ effects: score (epoch.verdict), persist (choices), publish (bus)

Of the site it reads site.toml, its own key and broker password, the evidence, the settled leaves and the chain; it
writes only SITE/oracles/I/. It believes neither the gateway nor its peers: the evidence must have the announced digest,
every window's block must be the chain's, every signature is checked, the leaves before must hash to the root on chain.
What it cannot do now (chain away, evidence not there, leaves not there) is tried again until the epoch is settled.
It runs until SIGTERM or SIGINT; who starts it decides whether it dies with its parent.
"""

import argparse
import contextlib
import json
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gateway import broker_url, curve, keys, site_file
from gateway.bus import Bus, Token
from gateway.errors import CommandError, Exit
from gateway.oracle import choices, epoch, messages, rewards
from gateway.oracle.availability import EvidenceError, Windows
from gateway.oracle.consensus import Close, Effect, Oracle, Persist, Publish, Reject, Root, Score, Settle
from gateway.oracle.rewards import Deed, Leaves
from gateway.oracle.rpc import ChainAway, ChainReader
from gateway.ratio1 import MessageRefused

POLL_S = 0.25
CHAIN_POLL_MS = 1_000
CHAIN_WAIT_S = 60
BROKER_WAIT_S = 5
INBOX = 2_048


class Service:
    """The effects of one oracle, and the site in which they happen."""

    def __init__(self, folder: Path, index: int, stop: Callable[[], bool]) -> None:
        site = _read_site(folder)
        self.folder, self.index = folder, index
        self.key = keys.load(folder / "keys" / f"oracle-{index}.key")
        self.me = curve.address_of(self.key.secret)
        self.gateway = _address(site.gateway)
        oracles = [_address(text) for text in site.oracles]
        if self.me not in oracles:
            raise CommandError(f"oracle-{index}.key is 0x{self.me.hex()}'s, wanted one of {site.oracles}", Exit.USAGE)
        settlement = _address(site.contracts["settlement"])
        self.chain = ChainReader(site.chain_rpc, settlement, _address(site.contracts["devices"]))
        self.stop = stop
        chain_id, (settled, _, _) = _wait_for_chain(self.chain, stop)
        self.place = messages.Site(chain_id, settlement)
        self.store = folder / "oracles" / str(index)
        self.polled_ms = 0
        self.said = ""
        self.oracle = Oracle(
            self.me,
            oracles,
            site.threshold,
            sign=lambda root: epoch.sign_digest(self._digest(root), self.key),
            signer_of=lambda root, signature: epoch.signer_of(self._digest(root), signature),
            settled=settled,
            choices=choices.load(self.store, self.place),
        )
        self.inbox: queue.Queue[tuple[bytes, Token]] = queue.Queue(INBOX)
        name = f"oracle-{index}"
        self.bus = Bus(name, *broker_url.find(folder, name), self._take_in, now_ms)

    def run(self) -> None:
        """Serve until `stop` says so."""
        self.bus.subscribe(messages.CLOSE_TOPIC, messages.TABLE_TOPIC, messages.SIGNATURE_TOPIC)
        self.bus.start()
        self._say("ready" if self.bus.wait_subscribed(BROKER_WAIT_S) else "the broker is away")
        while not self.stop():
            try:
                payload, token = self.inbox.get(timeout=POLL_S)
                self._carry_out(self._receive(payload))
                self.bus.ack(token)
            except queue.Empty:
                pass
            self._pass_time()
        self.bus.stop()

    def _take_in(self, _topic: str, payload: bytes, _at_ms: int, token: Token) -> None:
        """On paho's thread: never wait. What finds no place is published again by who published it."""
        with contextlib.suppress(queue.Full):
            self.inbox.put_nowait((payload, token))

    def _receive(self, payload: bytes) -> Iterable[Effect]:
        try:
            sender, message = messages.open_sealed(payload, self.place)
        except MessageRefused as error:
            self._say(f"refused a message: {error}")
            return []
        if not isinstance(message, Close):
            return self.oracle.receive(sender, message, now_ms())
        if sender != self.gateway:
            return [Reject(sender, "not the gateway")]
        return self.oracle.close(message, now_ms())

    def _pass_time(self) -> None:
        if self.oracle.open and now_ms() >= self.polled_ms + CHAIN_POLL_MS:
            self.polled_ms = now_ms()
            try:
                settled, _, _ = self.chain.settled()
            except ChainAway as error:
                self._say(f"the chain is away: {error}")
                return
            self._carry_out(self.oracle.settle(settled, now_ms()))
        self._carry_out(self.oracle.tick(now_ms()))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Score):
                self._score(effect.close)
            elif isinstance(effect, Persist):
                choices.save(self.store, effect.choices, self.place)
            elif isinstance(effect, Publish):
                payload = messages.seal(effect.message, self.place, self.key.secret)
                self.bus.publish(messages.topic_of(effect.message), payload, qos=1)
            elif isinstance(effect, Settle):
                self._say(f"epoch {effect.root.epoch}: {len(effect.signatures)} signed {effect.root.root.hex()}")
            elif effect.reason not in EXPECTED:
                self._say(f"rejected, from 0x{effect.sender.hex()}: {effect.reason}")

    def _score(self, close: Close) -> None:
        def deeds(windows: Windows) -> Mapping[int, Deed]:
            return read_deeds(self.chain, windows, close.block)

        try:
            previous = read_leaves(self.folder, self.chain, close.epoch - 1)
            verdict = epoch.verdict(self.folder / "evidence", close.epoch, close.evidence, deeds, previous)
        except (EvidenceError, ChainAway, OSError, ValueError) as error:
            self._say(f"epoch {close.epoch} is not signed: {error}")
            return
        self._carry_out(self.oracle.scored(verdict.table(), now_ms()))

    def _digest(self, root: Root) -> bytes:
        return epoch.root_digest(root, self.place.chain_id, self.place.settlement)

    def _say(self, text: str) -> None:
        """Tell the log, unless it is what was told last."""
        if text != self.said:
            self.said = text
            print(f"oracle {self.index}: {text}", file=sys.stderr, flush=True)


EXPECTED = {"known table", "known signature", "old epoch", "epoch not closed"}
"""What resent and late messages are rejected for in an orderly site; not worth a line."""


def now_ms() -> int:
    """Time that only goes forward; nothing of it is published."""
    return time.monotonic_ns() // 1_000_000


def read_deeds(chain: ChainReader, windows: Windows, block: int) -> Mapping[int, Deed]:
    """The deeds at the close block, once every window's block is found on the chain.

    Raises:
        EvidenceError: a window's block hash is not the chain's, or the epoch closed at another block than announced.
        ChainAway: the chain does not answer, or has no such block.
    """
    if windows.block != block:
        raise EvidenceError(f"epoch {windows.epoch} closed at block {windows.block}, the gateway announced {block}")
    hashes: dict[int, bytes] = {}
    for window in windows.opened:
        if window.block not in hashes:
            hashes[window.block] = chain.block_hash(window.block)
        if window.block_hash != hashes[window.block]:
            raise EvidenceError(f"window {window.window}: its hash of block {window.block} is not the chain's")
    return chain.deeds(block)


def read_leaves(folder: Path, chain: ChainReader, settled: int) -> Leaves:
    """The leaves of the last settled epoch, from SITE/settlement, if they are those of the root on chain.

    Raises:
        EvidenceError: the chain has settled another epoch, or these are not its leaves.
        ChainAway: the chain does not answer.
        OSError, ValueError: the file is not there or cannot be read.
    """
    number, root, total = chain.settled()
    if number != settled:
        raise EvidenceError(f"the last settled epoch is {number}, wanted {settled}")
    if settled == 0:
        return ()
    fields = json.loads((folder / "settlement" / f"epoch-{settled}.json").read_text())
    try:
        leaves = tuple(sorted((int(deed), int(amount)) for deed, amount in fields["leaves"]))
    except (KeyError, TypeError) as error:
        raise EvidenceError(f"leaves of epoch {settled}: {error!r}, wanted pairs of deed and amount") from error
    if epoch.root_of(leaves) != root or rewards.total(leaves) != total:
        raise EvidenceError(f"leaves of epoch {settled} do not hash to the root on chain")
    return leaves


def _read_site(folder: Path) -> site_file.Site:
    site = site_file.read(folder)
    if site is None:
        raise CommandError(f"{folder / site_file.NAME} is missing; wanted the folder of a site", Exit.USAGE)
    missing = [name for name in ("settlement", "devices") if name not in site.contracts]
    wanted = ("chain_rpc", "broker_url" if site.broker_url else "broker_port", "oracles", "gateway")
    missing += [name for name in wanted if not getattr(site, name)]
    if missing:
        raise CommandError(f"{folder / site_file.NAME}: {', '.join(missing)}: empty, wanted for an oracle", Exit.USAGE)
    return site


def _wait_for_chain(chain: ChainReader, stop: Callable[[], bool]) -> tuple[int, tuple[int, bytes, int]]:
    end_s = time.monotonic() + CHAIN_WAIT_S
    while True:
        try:
            return chain.chain_id(), chain.settled()
        except ChainAway as error:
            if stop() or time.monotonic() > end_s:
                raise CommandError(f"{chain.url}: {error}", Exit.CHAIN) from error
            time.sleep(POLL_S)


def _address(text: str) -> bytes:
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != curve.ADDRESS_BYTES:
        raise CommandError(f"{site_file.NAME}: address {text!r}, wanted 0x and 40 hex digits", Exit.USAGE)
    return value


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.oracle.service", description="One oracle of a site.")
    parser.add_argument("--site", type=Path, required=True, help="the site's folder")
    parser.add_argument("--index", type=int, required=True, help="which of the site's oracles, from 1")
    arguments = parser.parse_args()
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: stopped.append(got))
    try:
        Service(arguments.site, arguments.index, lambda: bool(stopped)).run()
    except CommandError as error:
        print(f"oracle {arguments.index}: {error}", file=sys.stderr)
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
