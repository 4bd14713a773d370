"""One oracle as a process: `python -m gateway.oracle.service --site DIR --index I`. It decides nothing; it carries out.

    broker ─▶ messages ─▶ consensus.Oracle ─▶ effects: fetch, score (epoch.verdict), persist (choices), publish (bus)

Of the site it reads site.toml, its own key and broker password, the evidence, the settled leaves and the chain; it
writes only SITE/oracles/I/. It believes neither the gateway nor its peers: the evidence must have the announced digest,
every window's block must be the chain's, every signature is checked, the leaves before must hash to the root on chain.
Who the oracles are and how many must sign is the contract's word; when it appoints others this process ends, to be
started again among them.
What it cannot do now (chain away, evidence not there, leaves not there) is tried again until the epoch is settled.
It runs until SIGTERM or SIGINT; who starts it decides whether it dies with its parent.
"""

import argparse
import contextlib
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from gateway import curve, keys
from gateway.broker import broker_url
from gateway.broker.bus import Bus, Token
from gateway.errors import CommandError, Exit
from gateway.oracle import choices, epoch, messages
from gateway.oracle.availability import EvidenceError
from gateway.oracle.consensus import Oracle
from gateway.oracle.effects import Choice, Effect, Fetch, Persist, Publish, Reject, Score
from gateway.oracle.fetching import Fetching
from gateway.oracle.leaves import read_leaves
from gateway.oracle.quorum import Settle
from gateway.oracle.rpc import ChainAway, ChainReader
from gateway.oracle.statements import Close, Commitment, Opened, Root, Said, evidence_of, faults_of
from gateway.oracle.witness import Witness
from gateway.poai import models
from gateway.ratio1 import MessageRefused
from gateway.site import site_file

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
        self.gateway = site_file.address_bytes(site.gateway)
        settlement = site_file.address_bytes(site.contracts["settlement"])
        escrow = site_file.address_bytes(site.contracts["escrow"]) if site.contracts.get("escrow") else b""
        self.chain = ChainReader(site.chain_rpc, settlement, site_file.address_bytes(site.contracts["devices"]), escrow)
        self.stop = stop
        chain_id, settled, (self.number, oracles, threshold) = _wait_for_chain(self.chain, stop)
        if self.me not in oracles:
            wanted = ", ".join("0x" + oracle.hex() for oracle in oracles)
            raise CommandError(f"oracle-{index}.key is 0x{self.me.hex()}'s, wanted one of {wanted}", Exit.USAGE)
        self.place = messages.Site(chain_id, settlement)
        self.store = folder / "oracles" / str(index)
        self.witness = Witness(self.store / "commitments", self.place)
        self.witness.forget(settled)
        self.gateways = [self.gateway, *(site_file.address_bytes(address) for address in site.gateways)]
        self.is_judging = bool(site.gateways or faults_of(len(oracles)))
        self.fetching = Fetching(
            folder,
            self.store,
            self.place,
            self.chain,
            (site.windows, site.window_seconds * 1000),
            list(site.gateways.values()),
            self.witness if self.is_judging else None,
            self._say,
        )
        self.polled_ms = 0
        self.said = ""
        self.oracle = Oracle(
            self.me,
            oracles,
            threshold,
            self.gateways,
            say=lambda message: messages.seal(message, self.place, self.key.secret),
            sign=lambda root: epoch.sign_digest(self._digest(root), self.key),
            signer_of=lambda root, signature: epoch.signer_of(self._digest(root), signature),
            settled=settled,
            choice=self._choice(settled),
        )
        self.inbox: queue.Queue[tuple[bytes, Token]] = queue.Queue(INBOX)
        name = f"oracle-{index}"
        self.bus = Bus(name, *broker_url.find(folder, name), self._take_in, now_ms)

    def run(self) -> None:
        """Serve until `stop` says so."""
        self.bus.subscribe(messages.TOPICS + "#")
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
            said = messages.open_sealed(payload, self.place, holders=self.oracle.oracles)
        except MessageRefused as error:
            self._say(f"refused a message: {error}")
            return []
        if isinstance(said.message, Close):
            return [*self.oracle.close(said, now_ms()), *self._show_decision(said)]
        if isinstance(said.message, Commitment):
            self._witness(said)
            return []
        if isinstance(said.message, Opened):
            return []
        return self.oracle.receive(said, now_ms())

    def _witness(self, said: Said) -> None:
        """Note a gateway's commitment, also where nobody judges: a further gateway may come while the epoch lasts."""
        if said.sender not in self.gateways:
            return
        try:
            self.witness.note(said, self.chain.block_number())
        except (ChainAway, OSError) as error:
            self._say(f"a commitment is not noted: {error}")

    def _show_decision(self, said: Said) -> list[Effect]:
        """The site's own gateway asks again: which evidence was agreed on, it needs for claims."""
        decision = self.oracle.decision
        return [Publish(decision)] if decision and said.sender == self.gateway else []

    def _pass_time(self) -> None:
        if self.oracle.is_open and now_ms() >= self.polled_ms + CHAIN_POLL_MS:
            self.polled_ms = now_ms()
            try:
                settled, _, _ = self.chain.settled()
                if self.chain.oracles_number() != self.number:
                    raise CommandError("others were appointed as oracles; start it again", Exit.REFUSED)
            except ChainAway as error:
                self._say(f"the chain is away: {error}")
                return
            self.witness.forget(settled)
            self.fetching.forget(settled)
            self._carry_out(self.oracle.settle(settled, now_ms()))
        self._take_fetched()
        self._carry_out(self.oracle.tick(now_ms()))

    def _take_fetched(self) -> None:
        for epoch_, bundle in self.fetching.done():
            self._carry_out(self.oracle.held(epoch_, bundle, now_ms()))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Fetch):
                self.fetching.start(effect)
                self._take_fetched()
            elif isinstance(effect, Score):
                self._score(effect)
            elif isinstance(effect, Persist):
                self._persist(effect.choice)
            elif isinstance(effect, Publish):
                self.bus.publish(messages.topic_of(effect.said.message), effect.said.payload, qos=1)
            elif isinstance(effect, Settle):
                self._say(f"epoch {effect.root.epoch}: {len(effect.signatures)} signed {effect.root.root.hex()}")
            elif isinstance(effect, Reject) and effect.reason not in EXPECTED:
                self._say(f"rejected, from 0x{effect.sender.hex()}: {effect.reason}")

    def _choice(self, settled: int) -> Choice | None:
        """What was chosen among these oracles; or a root that was signed among others, for that signature holds."""
        if (choice := choices.load(self._choices(), self.place)) is not None:
            return choice
        for folder in self.store.glob("oracles-*"):
            other = choices.load(folder, self.place)
            if other is not None and other.signature is not None and other.epoch == settled + 1:
                return Choice(other.epoch, signature=other.signature)
        return None

    def _persist(self, choice: Choice) -> None:
        """What is not on the disk is not said: without a disk this process ends, and who started it tries again."""
        try:
            choices.save(self._choices(), choice)
        except OSError as error:
            what = f"{self._choices()}: {error.strerror}; free space there, or make it writable; nothing was said"
            raise CommandError(f"epoch {choice.epoch}: {what}") from error

    def _choices(self) -> Path:
        """Where what was chosen among these oracles lies; votes among others bind nobody here."""
        return self.store / f"oracles-{self.number}"

    def _score(self, score: Score) -> None:
        sources = [epoch.Source(self.fetching.folder_of(each), each.digest, each.missing) for each in score.bundles]
        attested = evidence_of(score.bundles)
        try:
            previous = read_leaves(self.folder, self.chain, score.epoch - 1)
            verdict = epoch.verdict_of(sources, score.epoch, attested, self.chain, previous, models.shipped)
        except (EvidenceError, ChainAway, CommandError, OSError, ValueError) as error:
            self._say(f"epoch {score.epoch} is not signed: {error}")
            return
        self._carry_out(self.oracle.scored(verdict.attested(), now_ms()))

    def _digest(self, root: Root) -> bytes:
        return epoch.root_digest(root, self.place.chain_id, self.place.settlement)

    def _say(self, text: str) -> None:
        """Tell the log, unless it is what was told last."""
        if text != self.said:
            self.said = text
            print(f"oracle {self.index}: {text}", file=sys.stderr, flush=True)


EXPECTED = {"known vote", "known proposal", "known signature", "old epoch", "epoch not begun", "another turn"}
EXPECTED |= {"decided before"}
"""What resent and late messages are rejected for in an orderly site; not worth a line."""


def now_ms() -> int:
    """Time that only goes forward; nothing of it is published."""
    return time.monotonic_ns() // 1_000_000


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


def _wait_for_chain(
    chain: ChainReader, stop: Callable[[], bool]
) -> tuple[int, int, tuple[int, tuple[bytes, ...], int]]:
    """The chain's number, the last settled epoch, and who the oracles are."""
    end_s = time.monotonic() + CHAIN_WAIT_S
    while True:
        try:
            return chain.chain_id(), chain.settled()[0], chain.oracles()
        except ChainAway as error:
            if stop() or time.monotonic() > end_s:
                raise CommandError(f"{chain.url}: {error}", Exit.CHAIN) from error
            time.sleep(POLL_S)


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
