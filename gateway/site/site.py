"""A site and everything in it, put together; decides nothing itself.

    boards ─ MQTT ─▶ broker ─▶ intake ─▶ evidence ─▶ settler ◀─ oracles
                                 ▲ beacons                 └─▶ chain ─▶ R1 with the deeds' owners

Six threads beside this one: the intake (devices), EDIL's receiver, Deeploy's, the settler (epochs), the stores (what
R1FS is to keep), the page. This one starts and watches the processes (processes.py), which end with this process.
"""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute

from boards.build import Firmware
from boards.signals import HostSignals, Replay
from gateway.binding import binding_http
from gateway.binding.service import open_binding
from gateway.broker.bus import Bus
from gateway.broker.device_accounts import DeviceAccounts
from gateway.chain.chain import ChainError
from gateway.configuration.settings import split_listen
from gateway.database import open_or_say
from gateway.deeploy import deeploy_http
from gateway.earnings import page as earnings_page
from gateway.earnings.site import explain_with
from gateway.edge import backup_http
from gateway.edge.service import Service
from gateway.edil import edil_http
from gateway.intake import intake
from gateway.intake.dauth import DAuth
from gateway.intake.epochs import ChainAway, Clock, Epochs
from gateway.intake.evidence import Evidence
from gateway.intake.ingest import Ingest
from gateway.intake.registry import Registry
from gateway.intake.windows import Windows
from gateway.progress import Progress
from gateway.settlement.ledger import Settled
from gateway.settlement.settlement import Claim
from gateway.site import screens as site_screens
from gateway.site import site_file
from gateway.site.aggregation import make_aggregation
from gateway.site.chain import open_chain, owners
from gateway.site.deeploy import make_deeploy
from gateway.site.hearing import Hearing
from gateway.site.lan import Lan
from gateway.site.milestones import Milestones
from gateway.site.options import Options
from gateway.site.outside import open_bridge, open_outside
from gateway.site.page import open_page
from gateway.site.processes import Processes
from gateway.site.readiness import Readiness
from gateway.site.settling import make_settler
from gateway.site.site_file import Site
from gateway.site.status import Status
from gateway.site.stores import Stores
from gateway.site.threads import Threads
from gateway.site.work import made_later, make_challenger, open_readers
from gateway.site.workers import Workers

WATCH_S = 0.1


class RunningSite:
    """One site while it runs.

    Args:
        folder: SITE; site: its configuration; firmwares: one a board of the site, in its order.
    """

    def __init__(
        self,
        folder: Path,
        site: Site,
        firmwares: Sequence[Firmware],
        signals: HostSignals | Replay,
        progress: Progress,
        options: Options,
    ) -> None:
        self.folder, self.site, self.progress = folder, site, progress
        self._firmwares, self._signals = firmwares, signals
        self._options = options
        self._stopping, self._service = threading.Event(), Service()

    def stop(self) -> None:
        """Ask `run` to return."""
        self._stopping.set()

    def run(self) -> dict[str, Any]:
        """Run the site; the result of `--json`, once it has ended and no process of it is left.

        Raises:
            CommandError: it cannot run, or cannot go on.
        """
        with site_file.locked(self.folder), ExitStack() as ends:
            self.threads = Threads(ends)
            for start in (
                self._start_chain,
                self._start_stores,
                self._start_registry,
                self._start_broker,
                self._start_intake,
                self._start_page,
                self._start_workers,
                lambda _: self.processes.start_oracles(),
                self._start_fleet,
            ):
                start(ends)
            self._watch()
        return self.status.result()

    def _start_chain(self, ends: ExitStack) -> None:
        self._gateway_key, self.chain, self.settlement = open_chain(self.folder, self.site, self._options.payer, ends)
        self.progress.say(f"chain {self.chain.chain_id} at block {self.chain.block_number()}")

    def _start_stores(self, ends: ExitStack) -> None:
        lending = self.site.gateways.values()
        self.stores = Stores(self.folder, self._gateway_key, self._options.stores, self._notice, lending)
        ends.callback(self.stores.close)

    def _start_registry(self, ends: ExitStack) -> None:
        self.registry = open_or_say(Registry, self.folder / "state.sqlite", "devices announce themselves again")
        ends.callback(self.registry.close)
        people = owners(self.folder)
        self.dauth = DAuth(self.settlement, self.registry.devices, people, self._publish, self.progress.say)

    def _start_broker(self, ends: ExitStack) -> None:
        self.clock = Clock()
        self.processes = Processes(self.folder, self.site, lambda topic, frame: self.bus.publish(topic, frame), ends)
        listen = self._options.settings["broker.listen"]
        self.accounts = DeviceAccounts(
            self._gateway_key, self.registry.devices, self.dauth.read_bound, self._publish_state
        )
        self._lan = Lan(self.folder, self._options.settings, self.processes.reload_broker)
        place, account = self.processes.start_broker(
            self._options.broker, split_listen(listen) if listen else None, self.accounts.at_start, self._lan.tls
        )
        self.bus = Bus("gateway", place, account, lambda *message: self.hearing.received(*message), self.clock)
        self.progress.say(f"broker on {self.processes.broker}")

    def _start_intake(self, ends: ExitStack) -> None:
        chain, tellers = (self.settlement, self._gateway_key, self.stores), (self._publish, self._notice)
        r1_wei = self._options.settings["chain.r1_wei"]
        self.settler = make_settler(self.folder, self.site, *chain, *tellers, self._on_settled, r1_wei)
        first_epoch = self.settlement.epoch() + 1
        devices = self.registry.devices
        self.dauth.mint_deeds(len(self.site.boards))
        binds = not self._options.settings["binding.by_label"]
        accounts = self.accounts if self._options.broker is None else None
        readiness = Readiness(self.dauth, self.progress, len(self.site.boards), accounts, binds)
        self.workers = Workers(self._options.workers, self.bus, self.folder, self.clock.at, devices)
        ingest = Ingest(devices, self.registry.progress, self.workers.is_checked)
        self.challenger = make_challenger(self.folder, made_later(self.chain), self._publish, ingest, self.progress.say)
        self.epochs = Epochs(
            Evidence(self.folder / "evidence"),
            self.registry,
            ingest,
            Windows(self.site.windows, self.site.window_seconds * 1000),
            self.clock,
            self._newest_block,
            self._tell_beacon,
            self._on_closed,
            lambda epoch: self.milestones.may_open(epoch),
            self.settler.state,
        )
        self.status = Status(str(self.folder), self.registry, self.epochs, self.settlement, self.dauth)
        self.status.timings.setup = self._options.set_up_s
        self.status.stores = self.stores.told
        self.status.load(self.folder / "settlement", first_epoch)
        self.milestones = Milestones(
            self.status, self.epochs, readiness, self.progress, first_epoch, self._options.epochs, self._notice
        )
        known, publish, clock = (self.registry, self.dauth), self._publish, self.clock
        edil = make_aggregation(self.folder, self._gateway_key, *known, publish, clock, self.progress.say, ends)
        self.aggregation, _ = edil
        self.status.rounds = lambda: self.aggregation.rounds() + self.aggregation.trusted.rounds()
        self.jobs = make_deeploy(self.folder, self.stores, *known, publish, clock, self._notice)
        self.status.jobs = self.jobs.deeploy.jobs
        self.binding = ends.enter_context(
            open_binding(self.folder, self.settlement, devices, publish, self.progress.say, self.dauth.read_deeds)
        )
        self.hearing = Hearing(self.bus, self.settler, self.accounts, edil, self.jobs, self.dauth, self.binding)
        self.hearing.listen(self.workers, self.processes.broker, self._options.broker is None, ends)
        self.epochs.resume()
        if cut_bytes := self.epochs.evidence.cut_bytes:
            self._notice(f"a crash had torn the end of the evidence: {cut_bytes} bytes of no whole item are cut")
        for note in self.stores.notes:
            self._notice(note)
        self.threads.start("stores", self.stores)
        self.stores.settled(self.settlement.epoch())
        self.threads.start("settler", self.settler)
        self.hearing.start(self.threads, self.workers, self.epochs)
        self.threads.start("challenger", self.challenger)

    def _start_page(self, ends: ExitStack) -> None:
        self._bridge = open_bridge(self._options, lambda: self.processes.link, self.threads)
        known, publish = (self.status, self.accounts, self.jobs.deeploy, self.bus), self._publish_state
        self.outside = open_outside(self.folder, self._options, *known, publish, self._notice, self.clock, self.threads)
        more = [
            *edil_http.routes(self.aggregation),
            *open_readers(self.folder, self.hearing.intake, self.clock),
            *deeploy_http.routes(self.jobs.deeploy),
            *binding_http.routes(self.binding),
            *self.stores.routes(),
            *backup_http.routes(self.folder, self.chain),
            *self._open_screens(),
            *earnings_page.routes(lambda deed, epoch: explain_with(self.folder, self.settlement, deed, epoch)),
            *self.outside.routes(),
        ]
        page = open_page(self.folder, self._options, self.status, more, ends, self.progress.say, self._lan.page_tls)
        self.site.page_port = page.port
        self._lan.announce(self.site.gateway, page, ends)
        if not self.site.chain_external:
            self.site.chain_rpc = page.url + "rpc"
        self._workers_before, self.site.workers = self.site.workers, self._options.workers
        site_file.write(self.folder, self.site)

    def _open_screens(self) -> list[BaseRoute]:
        description = self._signals.description
        return site_screens.open_screens(
            self.folder,
            self.site,
            self.status,
            self.registry,
            self.jobs.deeploy,
            (self.stores.cstore, self.stores.r1fs),
            self._options.rows,
            lambda: site_screens.told_samples(self.processes.fleet, description),
        )

    def _start_workers(self, ends: ExitStack) -> None:
        ends.callback(self.workers.stop)
        self.workers.start(self.hearing.intake.offer, self._workers_before)

    def _start_fleet(self, ends: ExitStack) -> None:
        if self.site.boards:
            self.status.notes.append(f"The emulated sensors are told: {self._signals.description}.")
        if not self.site.chain_external:
            self.status.notes.append("The chain is embedded (py-evm); its blocks are this gateway's own.")
        self.status.started_ms = self.epochs.clock()
        if self.site.boards:
            self.processes.start_fleet(self._firmwares, self._signals)
            self.progress.say(f"{len(self.site.boards)} emulated boards start; their sensors are told:")
            self.progress.say(f"  {self._signals.description}")

    def _watch(self) -> None:
        self._service.ready(f"page on port {self.site.page_port}, broker on {self.processes.broker}")
        while not self._stopping.wait(WATCH_S):
            self._service.alive()
            news = self.processes.watch(self.bus) + self.workers.watch() + self._lan.turn() + self._bridge.notices()
            for said in news:
                self._notice(said)
            self.outside.turn()
            self.threads.watch()
            refused = self.accounts.turn() if self._options.broker is None else []
            self.status.follow()
            for said in refused + self.status.troubles():
                self._notice(said)
            if self.milestones.turn(self.processes.ids()):
                self.hearing.intake.wake()
                self.milestones.tell_ready()
            if self.milestones.is_over():
                return
        self._service.stopping()
        self.progress.say("ending")

    def _newest_block(self) -> tuple[int, bytes]:
        try:
            self.status.block = self.chain.mine()
            return self.status.block, self.chain.block_hash(self.status.block)
        except ChainError as error:
            self.status.chain_error = str(error)
            raise ChainAway(str(error)) from error

    def _tell_beacon(self, beacon: bytes, window_ms: int) -> None:
        intake.tell_beacon(self.bus, beacon, window_ms)
        if self.site.gateways:
            self.settler.state(self.epochs.opened())
        self.challenger.wake()

    def _publish_state(self, topic: str, payload: bytes, is_retained: bool) -> None:
        self.bus.publish(topic, payload, qos=1, retain=is_retained)

    def _publish(self, topic: str, payload: bytes) -> None:
        self.bus.publish(topic, payload, qos=1)

    def _on_closed(self, epoch: int) -> None:
        self.settler.closed(epoch)
        self.stores.closed(epoch)

    def _on_settled(self, settled: Settled, claims: list[Claim]) -> None:
        self.stores.settled(settled.epoch)
        self.milestones.settled(settled, claims)

    def _notice(self, text: str, event: str = "notice", **fields: Any) -> None:
        self.status.notes.append(text)
        self.progress.say(text, "warning", event, **fields)
