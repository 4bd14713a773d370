"""A site and everything in it, put together; decides nothing itself.

    boards ─ MQTT ─▶ broker ─▶ intake ─▶ evidence ─▶ settler ◀─ oracles
                                 ▲ beacons                 └─▶ chain ─▶ R1 with the deeds' owners

Four threads beside this one: the intake (devices), EDIL's receiver, the settler (epochs), the page. This one starts and
watches the processes: mosquitto, the oracles, QEMU. Each of them ends with this process, also when it is killed.
"""

import fcntl
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from boards.board import load_board
from boards.build import Firmware
from boards.signals import HostSignals, Replay
from device.agent import wire
from gateway import chain as chains
from gateway import intake, keys, settlement, site_file
from gateway.aggregation import receiver
from gateway.aggregation.receiver import Receiver
from gateway.aggregation.rounds_store import RoundsStore
from gateway.aggregation.service import Aggregation
from gateway.binding import binding_http
from gateway.binding.service import open_binding
from gateway.broker import Broker
from gateway.bus import Bus, Token
from gateway.chain import ChainError
from gateway.children import Child
from gateway.dauth import DAuth
from gateway.edil import edil_http
from gateway.epochs import ChainAway, Clock, Epochs
from gateway.errors import CommandError, Exit
from gateway.evidence import Evidence
from gateway.fleet import Fleet
from gateway.ingest import Ingest
from gateway.intake import Intake
from gateway.ledger import Settled
from gateway.progress import Progress
from gateway.registry import Registry
from gateway.settlement import Claim, Settlement
from gateway.settler import Settler
from gateway.site_file import Site
from gateway.status import Status
from gateway.web.app import app
from gateway.web.serve import PortInUse, serve
from gateway.web.view import r1, short
from gateway.windows import Windows

ORACLES = 3
OWNERS = 2
WATCH_S = 0.1
BOARDS_WAIT_S = 30.0
SUBSCRIBE_S = 10
SOURCE_BYTES = 48
ORACLE_PREFIX = "tinyren/oracle/"


class RunningSite:
    """One site while it runs.

    Args:
        folder: SITE; site: its configuration; firmwares: one a board of the site, in its order.
        epochs: stop after so many settled epochs; None: run until `stop`.
        payer: the key that pays on an external chain.
        page_port: the page's; another if it is taken, unless must_have_port.

    Attributes:
        set_up_s: when the firmware was ready, seconds from the start of the command; for the timings.
    """

    def __init__(
        self,
        folder: Path,
        site: Site,
        firmwares: Sequence[Firmware],
        signals: HostSignals | Replay,
        progress: Progress,
        epochs: int | None = None,
        payer: PrivateKey | None = None,
        page_port: int = 0,
        must_have_port: bool = False,
    ) -> None:
        self.folder, self.site, self.progress = folder, site, progress
        self._firmwares, self._signals, self._wanted = firmwares, signals, epochs
        self._payer, self._page_port, self._must_have_port = payer, page_port, must_have_port
        self.set_up_s = 0.0
        self._stopping = threading.Event()
        self._is_ready = self._is_complete = False
        self._settled_now = 0

    def stop(self) -> None:
        """Ask `run` to return."""
        self._stopping.set()

    def run(self) -> dict[str, Any]:
        """Run the site; the result of `--json`, once it has ended and no process of it is left.

        Raises:
            CommandError: it cannot run, or cannot go on.
        """
        with locked(self.folder), ExitStack() as ends:
            for start in (
                self._start_chain,
                self._start_broker,
                self._start_intake,
                self._start_page,
                self._start_oracles,
                self._start_fleet,
            ):
                start(ends)
            self._watch()
        return self.status.result()

    def _start_chain(self, ends: ExitStack) -> None:
        folder, site = self.folder / "keys", self.site
        self._gateway_key = keys.load_or_make(folder / "gateway.key")
        oracles = [keys.load_or_make(folder / f"oracle-{number}.key") for number in range(1, ORACLES + 1)]
        payer = self._payer or keys.load_or_make(folder / "deployer.key")
        site.gateway = chains.address_of(self._gateway_key)
        site.oracles = [chains.address_of(key) for key in oracles]
        if site.chain_external:
            self.chain = chains.connect(site.chain_rpc)
        else:
            self.chain = chains.open_embedded(self.folder / "chain.sqlite", (chains.address_of(payer),))
        ends.callback(self.chain.close)

        def save(name: str, address: str) -> None:
            site.contracts[name] = address
            site_file.write(self.folder, site)

        found = settlement.deploy(self.chain, payer, site.oracles, site.threshold, dict(site.contracts), save)
        self.settlement = Settlement(self.chain, found, payer)
        self.progress.say(f"chain {self.chain.chain_id} at block {self.chain.block_number()}")

    def _start_broker(self, ends: ExitStack) -> None:
        self.broker = Broker(self.folder / "broker")
        ends.callback(self.broker.stop)
        self.broker.start()
        self.site.broker_port = self.broker.port
        self.progress.say(f"broker on 127.0.0.1:{self.broker.port}")

    def _start_intake(self, ends: ExitStack) -> None:
        clock = Clock()
        self.bus = Bus("gateway", self.broker.port, self.broker.account(), self._received, clock)
        try:
            self.registry = Registry(self.folder / "state.sqlite")
        except sqlite3.DatabaseError as error:
            what = f"{error}; if it is damaged, move it away: devices announce themselves again"
            raise CommandError(f"{self.folder / 'state.sqlite'}: {what}") from error
        ends.callback(self.registry.close)
        self._start_settler(ends)
        owners = [keys.load_or_make(self.folder / "keys" / f"owner-{number}.key") for number in range(1, OWNERS + 1)]
        self.dauth = DAuth(self.settlement, self.registry.devices, owners, self._publish, self.progress.say)
        self.dauth.mint_deeds(len(self.site.boards))
        self.epochs = Epochs(
            Evidence(self.folder / "evidence"),
            self.registry,
            Ingest(self.registry.devices, self.registry.progress),
            Windows(self.site.windows, self.site.window_seconds * 1000),
            clock,
            self._newest_block,
            lambda beacon, window_ms: intake.tell_beacon(self.bus, beacon, window_ms),
            self.settler.closed,
            self._may_open,
        )
        self.status = Status(str(self.folder), self.registry, self.epochs, self.settlement, self.dauth)
        self.status.timings.setup = self.set_up_s
        self.status.load(self.folder / "settlement", self._first_epoch)
        self._make_aggregation(ends)
        self.binding = ends.enter_context(
            open_binding(
                self.folder,
                self.settlement,
                self.registry.devices,
                self._publish,
                self.progress.say,
                self.dauth.read_deeds,
            )
        )
        self.intake = Intake(on_bound=self._bound, on_announced=self.aggregation.greet)
        self.bus.subscribe(*intake.TOPICS, *receiver.TOPICS, ORACLE_PREFIX + "#")
        self.bus.publish(intake.BEACON_TOPIC, b"", qos=1, retain=True)
        self.bus.start()
        ends.callback(self.bus.stop)
        if not self.bus.wait_subscribed(SUBSCRIBE_S):  # boards announce themselves once: somebody has to listen by then
            raise CommandError(f"the broker took no subscription within {SUBSCRIBE_S} s; see {self.folder / 'broker'}")
        self.epochs.resume()
        if cut_bytes := self.epochs.evidence.cut_bytes:
            self._notice(f"a crash had torn the end of the evidence: {cut_bytes} bytes of no whole item are cut")
        _run_thread(ends, "settler", self.settler.run, self.settler.stop)
        _run_thread(ends, "intake", lambda: self.intake.run(self.bus, self.epochs), self.intake.stop)
        _run_thread(ends, "edil", lambda: self.receiver.run(self.bus), self.receiver.stop)

    def _make_aggregation(self, ends: ExitStack) -> None:
        path, contract = self.folder / "rounds.sqlite", bytes.fromhex(self.settlement.contracts.devices[2:])
        try:
            store = RoundsStore(path)
        except sqlite3.DatabaseError as error:
            raise CommandError(f"{path}: {error}; if it is damaged, move it away: EDIL's rounds are lost") from error
        ends.callback(store.close)
        self.aggregation = Aggregation(
            store,
            self._gateway_key,
            (self.chain.chain_id, contract),
            self.registry.devices,
            self.dauth.owners,
            self._publish,
            self.epochs.clock,
            self.progress.say,
        )
        self.receiver = Receiver(self.aggregation)
        self.status.rounds = lambda: self.aggregation.rounds() + self.aggregation.trusted.rounds()

    def _bound(self, device: bytes, nonce: int, signature: bytes) -> None:
        self.dauth.answer(device, nonce, signature)
        self.binding.answer(device, nonce, signature)

    def _start_settler(self, ends: ExitStack) -> None:
        self.settler = Settler(
            self.folder,
            self.settlement,
            [bytes.fromhex(oracle[2:]) for oracle in self.site.oracles],
            self.site.threshold,
            self._gateway_key,
            self._publish,
            self._notice,
            self._on_settled,
        )
        self.settler.catch_up()
        self._first_epoch = self.settlement.epoch() + 1

    def _start_page(self, ends: ExitStack) -> None:
        site = app(self.status, [*edil_http.routes(self.aggregation), *binding_http.routes(self.binding)])
        try:
            page = serve(site, self._page_port)
        except PortInUse:
            if self._must_have_port:
                raise
            page = serve(site)
        ends.callback(page.stop)
        self.site.page_port = page.port
        if not self.site.chain_external:
            self.site.chain_rpc = page.url + "rpc"
        site_file.write(self.folder, self.site)
        self.progress.say(f"page {page.url}")

    def _start_oracles(self, ends: ExitStack) -> None:
        self.oracles = []
        for number in range(1, ORACLES + 1):
            service = ["-m", "gateway.oracle.service", "--site", str(self.folder), "--index", str(number)]
            log = self.folder / "logs" / f"oracle-{number}.log"
            child = Child(f"oracle {number}", [sys.executable, *service], log)
            ends.callback(child.stop)
            child.start()
            self.oracles.append(child)

    def _start_fleet(self, ends: ExitStack) -> None:
        boards = [load_board(name) for name in self.site.boards]
        link = ("127.0.0.1", self.broker.port)
        self.fleet = Fleet(boards, self._firmwares, self.folder / "boards", link, self._signals, self._send_samples)
        ends.callback(self.fleet.stop)
        self.status.notes.append(f"The emulated sensors are told: {self._signals.description}.")
        if not self.site.chain_external:
            self.status.notes.append("The chain is embedded (py-evm); its blocks are this gateway's own.")
        self.status.started_ms = self.epochs.clock()
        self._fleet_started_s = self.progress.elapsed_s()
        self.fleet.start()
        self.progress.say(f"{len(boards)} emulated boards start; their sensors are told:")
        self.progress.say(f"  {self._signals.description}")

    def _watch(self) -> None:
        timings = self.status.timings
        while not self._stopping.wait(WATCH_S):
            self._watch_processes()
            self._watch_threads()
            if not self._is_complete:
                self._bind_devices()
            self.status.follow()
            for said in self.status.troubles():
                self._notice(said)
            if timings.first_heartbeat is None and self.status.heard():
                timings.first_heartbeat = self.progress.elapsed_s()
                self.progress.say("the first heartbeat is verified and stored")
            if self._wanted is not None and self._settled_now >= self._wanted:
                return
        self.progress.say("ending")

    def _watch_processes(self) -> None:
        if not self.broker.is_running():
            self._notice("the broker ended and is started again")
            self.broker.start()
        for said in [*(child.watch() for child in self.oracles), *self.fleet.watch()]:
            if said:
                self._notice(said)

    def _watch_threads(self) -> None:
        for failure in (self.intake.failure, self.receiver.failure, self.settler.failure, self.fleet.failure):
            if failure is not None:
                raise failure

    def _bind_devices(self) -> None:
        """Epochs may open once every board is there and bound, or after a while without those that are not."""
        boards, (here, waiting) = len(self.site.boards), self.dauth.turn(self.fleet.ids())
        if here == boards and self.status.timings.boot is None:
            self.status.timings.boot = self.progress.elapsed_s()
            self.progress.say("every board is here")
        self._is_complete = here == boards and waiting == 0
        late = self.progress.elapsed_s() - self._fleet_started_s > BOARDS_WAIT_S
        if not self._is_ready and (self._is_complete or late):
            self._is_ready = True
            self.intake.wake()
            self.progress.say(f"{here - waiting} of {boards} devices are ready: epoch {self.epochs.windows.epoch}")
            if self._wanted is None:
                self.progress.say("Ctrl-C ends it; the same command goes on with it")

    def _may_open(self, epoch: int) -> bool:
        return self._is_ready and (self._wanted is None or epoch < self._first_epoch + self._wanted)

    def _newest_block(self) -> tuple[int, bytes]:
        try:
            self.status.block = self.chain.mine()
            return self.status.block, self.chain.block_hash(self.status.block)
        except ChainError as error:
            self.status.chain_error = str(error)
            raise ChainAway(str(error)) from error

    def _received(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        if topic.startswith(ORACLE_PREFIX):
            self.settler.receive(payload)
            self.bus.ack(token)
        elif topic.rpartition("/")[2] in receiver.NAMES:
            self.receiver.offer(topic, payload, receipt_ms, token)
        else:
            self.intake.offer(topic, payload, receipt_ms, token)

    def _publish(self, topic: str, payload: bytes) -> None:
        self.bus.publish(topic, payload, qos=1)

    def _send_samples(self, source: str, samples: bytes) -> None:
        """Give the boards without a sensor bus what the others measure; they announce it as recorded."""
        name = f"recorded over the link: {source}".encode()[:SOURCE_BYTES].decode(errors="ignore")
        frame = wire.encode_samples(name, samples)
        for emulator, device in zip(self.fleet.emulators, self.fleet.ids(), strict=True):
            if device is not None and not emulator.board.emulator["sensors"]:
                self.bus.publish(wire.topic(device, "samples"), frame)

    def _on_settled(self, settled: Settled, claims: list[Claim]) -> None:
        timings = self.status.timings
        timings.first_root = timings.first_root or self.progress.elapsed_s()
        self.status.settled.append(settled)
        self.status.claims += claims
        self._settled_now += 1
        self.progress.say(
            f"epoch {settled.epoch} is settled: {r1(settled.minted)} R1 by root 0x{settled.root.hex()[:16]}…"
        )
        for claim in claims:
            self.progress.say(f"deed {claim.deed}: {r1(claim.amount_wei)} R1 paid to {short(claim.owner)}")

    def _notice(self, text: str) -> None:
        self.status.notes.append(text)
        self.progress.say(text)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a site's folder; made if missing.

    Raises:
        CommandError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"{folder}: another `tinyren up` runs this site; end it first", Exit.REFUSED) from None
        yield


def _run_thread(ends: ExitStack, name: str, run: Callable[[], None], stop: Callable[[], None]) -> None:
    def quietly() -> None:
        with suppress(Exception):  # it is in the `failure` of what runs, which the watch raises
            run()

    thread = threading.Thread(target=quietly, name=name, daemon=True)
    thread.start()
    ends.callback(thread.join)
    ends.callback(stop)
