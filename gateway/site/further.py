"""A further gateway as a process: `python -m gateway.site.further --site DIR`. It settles nothing and pays nobody.

    devices ─▶ own broker ─▶ intake ─▶ own evidence ─▶ bundle in own R1FS ─▶ the site's oracles, which agree on a set
                   ▲ beacons, opened with the site's own gateway (following.py)

DIR is what joining.py made. It hears devices at a broker of its own, keeps what they signed, commits to it window by
window and states at the end of an epoch where its bundle can be had; so what it heard counts as what any other gateway
heard. It challenges whom it hears, so work counts too. Jobs and rounds are the site's own gateway's. Where the site's
broker or chain is away, it goes on with what it can and says what it has to say later. It runs until SIGTERM or SIGINT.
"""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from gateway import keys
from gateway.broker.broker import Broker, BrokerFailed, BrokerMissing
from gateway.broker.bus import Bus, Token
from gateway.commands import r1fs_serve
from gateway.errors import CommandError, Exit
from gateway.intake import evidence, intake
from gateway.intake.epochs import ChainAway, Clock, Epochs
from gateway.intake.evidence import Evidence
from gateway.intake.ingest import Ingest
from gateway.intake.intake import Intake
from gateway.intake.registry import Registry
from gateway.oracle import bundles, messages, rpc
from gateway.oracle import epoch as epochs
from gateway.oracle.availability import EvidenceError
from gateway.oracle.messages import TOPICS
from gateway.oracle.statements import Close, Message, Opened
from gateway.ratio1 import MessageRefused
from gateway.site import joining, site_file
from gateway.site.following import Following
from gateway.site.site_file import Site
from gateway.site.threads import Threads
from gateway.site.work import make_challenger, read_later
from gateway.storage.embedded import Embedded
from gateway.storage.errors import StoreError

REPEAT_S = 2.0
OPENED = TOPICS + "opened"


class Further:
    """One further gateway while it runs.

    Args:
        folder: DIR; stop: when to end.
    """

    def __init__(self, folder: Path, stop: threading.Event) -> None:
        self.folder, self._stop, self._said = folder, stop, ""
        self.site = _read_site(folder)
        self._key = keys.load(folder / "keys" / "gateway.key")
        settlement, devices = (site_file.address_bytes(self.site.contracts[name]) for name in ("settlement", "devices"))
        self._home_gateway = site_file.address_bytes(self.site.home_gateway)
        self._chain = rpc.ChainReader(self.site.chain_rpc, settlement, devices)
        self._place = messages.Site(self._wait_for_chain(), settlement)
        self._following, self._clock = Following(), Clock()
        self._closes: dict[int, Close] = {}
        self._closed = 0

    def run(self) -> None:
        """Serve until it is to stop."""
        with contextlib.ExitStack() as ends:
            self._store = ends.enter_context(contextlib.closing(Embedded(self.folder / "r1fs")))
            ends.enter_context(_lending(self._store, self.site.page_port))
            self._broker = Broker(self.folder / "broker", ())
            ends.callback(self._broker.stop)
            self._start_broker()
            self.site.broker_port = self._broker.port
            site_file.write(self.folder, self.site)
            self._start(ends)
            self._say(f"ready: devices reach it on 127.0.0.1:{self._broker.port}")
            while not self._stop.wait(REPEAT_S):
                self._start_broker()
                self._tell_closes()
                try:
                    self._threads.watch()
                except Exception as error:
                    raise CommandError(f"it cannot go on: {error!r}") from error

    def _start_broker(self) -> None:
        """Start it, or start it again where it died."""
        try:
            self._broker.start()
        except (BrokerMissing, BrokerFailed) as error:
            raise CommandError(str(error), Exit.USAGE) from error

    def _start(self, ends: contextlib.ExitStack) -> None:
        registry = Registry(self.folder / "state.sqlite")
        ends.callback(registry.close)
        self._bus = Bus("gateway", self._broker.port, self._broker.account(), self._received, self._clock)
        home = joining.home_of(self.folder, self.site)
        self._home = Bus(home.user or "gateway", home, home.account, self._stated, self._clock)
        ingest = Ingest(registry.devices, registry.progress)
        self._challenger = make_challenger(self.folder, read_later(self._chain), self._publish, ingest, self._say)
        self.epochs = Epochs(
            Evidence(self.folder / "evidence"),
            registry,
            ingest,
            self._following,
            self._clock,
            self._newest_block,
            self._tell_beacon,
            self._note_closed,
            tell_commitment=self._state,
        )
        self.epochs.resume()
        self._closed = evidence.last_closed(self.folder / "evidence")
        self._intake = Intake()
        self._bus.start()
        ends.callback(self._bus.stop)
        self._threads = Threads(ends)
        self._threads.start("intake", self._intake, self._bus, self.epochs)
        self._threads.start("challenger", self._challenger)
        self._home.subscribe(OPENED)
        self._home.start()
        ends.callback(self._home.stop)

    def _tell_beacon(self, beacon: bytes, window_ms: int) -> None:
        intake.tell_beacon(self._bus, beacon, window_ms)
        self._challenger.wake()

    def _publish(self, topic: str, payload: bytes) -> None:
        self._bus.publish(topic, payload, qos=1)

    def _received(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        self._intake.offer(topic, payload, receipt_ms, token)

    def _stated(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        """What the site's own gateway opened; anybody else may say what he likes."""
        self._home.ack(token)
        try:
            said = messages.open_sealed(payload, self._place, may_hold=False)
        except MessageRefused as error:
            self._say(f"refused a message: {error}")
            return
        if said.sender == self._home_gateway and isinstance(said.message, Opened):
            self._following.heard(said.message, receipt_ms)
            self._intake.wake()

    def _note_closed(self, epoch: int) -> None:
        self._closed = epoch

    def _newest_block(self) -> tuple[int, bytes]:
        last = self.epochs.newest
        stated = self._following.block(self._clock())
        try:
            number = self._chain.block_number() if stated is None or (last and stated < last.block) else stated
            return number, self._chain.block_hash(number)
        except rpc.ChainAway as error:
            self._say(f"the chain is away: {error}")
            raise ChainAway(str(error)) from error

    def _state(self, message: Message) -> None:
        said = messages.seal(message, self._place, self._key.secret)
        self._home.publish(messages.topic_of(message), said.payload, qos=1)

    def _tell_closes(self) -> None:
        """State where the bundles of closed epochs can be had, until those are settled."""
        try:
            settled = self._chain.settled()[0]
        except rpc.ChainAway as error:
            self._say(f"the chain is away: {error}")
            return
        folder = self.folder / "evidence"
        self._closes = {number: close for number, close in self._closes.items() if number > settled}
        for number in range(settled + 1, self._closed + 1):
            if evidence.windows_path(folder, number).exists():
                try:
                    self._closes[number] = self._closes.get(number) or self._pack(folder, number)
                except (StoreError, EvidenceError, evidence.EvidenceDamaged, OSError) as error:
                    self._say(f"epoch {number} cannot be lent: {error}; trying again")
                    continue
                self._state(self._closes[number])

    def _pack(self, folder: Path, number: int) -> Close:
        close = Close(number, evidence.digest(folder, number), epochs.read_windows(folder, number).block)
        word = messages.seal(close, self._place, self._key.secret)
        cid = self._store.add(bundles.pack(folder, number, word)).cid
        self._say(f"epoch {number}: evidence 0x{close.evidence.hex()[:16]}… lies in {cid}")
        return Close(number, close.evidence, close.block, cid)

    def _wait_for_chain(self) -> int:
        while True:
            try:
                return self._chain.chain_id()
            except rpc.ChainAway as error:
                self._say(f"waiting for the chain at {self._chain.url}: {error}")
                if self._stop.wait(REPEAT_S):
                    raise CommandError(f"{self._chain.url}: {error}", Exit.CHAIN) from error

    def _say(self, text: str) -> None:
        """Tell the log, unless it is what was told last."""
        if text != self._said:
            self._said = text
            print(f"gateway: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _lending(store: Embedded, port: int) -> Iterator[uvicorn.Server]:
    """The store behind HTTP, to whoever reaches this machine."""
    listener = r1fs_serve.listen("0.0.0.0", port)
    server = r1fs_serve.server(store, listener)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="lending")
    thread.start()
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _read_site(folder: Path) -> Site:
    site = site_file.read(folder)
    if site is None or not site.home:
        raise CommandError(f"{folder}: wanted the folder of a further gateway; see docs/gateways.md", Exit.USAGE)
    return site


def serve(folder: Path) -> None:
    """Run the further gateway in `folder` until SIGTERM or SIGINT.

    Raises:
        CommandError: it is none, it runs already, or it cannot go on.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: stop.set())
    _read_site(folder)
    with site_file.locked(folder):
        Further(folder, stop).run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.site.further", description="A further gateway of a site.")
    parser.add_argument("--site", type=Path, required=True, help="its own folder")
    arguments = parser.parse_args()
    try:
        serve(arguments.site)
    except CommandError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
