"""`tinyren setup` and `tinyren up`: from arguments to a running site and its result; the site itself is site.py."""

import signal
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from boards.board import DEFAULT_BOARDS, Board, BoardError, agent_board_names, load_board
from boards.build import Firmware, build_all
from boards.emulator import EmulatorError
from boards.signals import HostSignals, RecordingError, Replay
from gateway import keys, system
from gateway.broker import broker_url
from gateway.broker.broker import BrokerFailed, BrokerMissing
from gateway.broker.broker_url import Remote
from gateway.chain.chain import ChainError
from gateway.configuration import configuration
from gateway.configuration.settings import DEFAULT_PORT, MAX_DEVICES, MAX_WINDOW_S
from gateway.edge.listening import refuse_taken
from gateway.errors import CommandError, Exit
from gateway.intake.evidence import EvidenceDamaged
from gateway.intake.windows import MAX_WINDOWS
from gateway.oracle.availability import EvidenceError
from gateway.progress import Progress
from gateway.settlement.settler import Disagreement
from gateway.site import site_file
from gateway.site.options import Options
from gateway.site.site import RunningSite
from gateway.site.site_file import Site
from gateway.web.serve import PortInUse, listen
from gateway.web.view import r1, short

T = TypeVar("T")

EPOCHS_TOLD = 10

_CODES: dict[type[Exception], Exit] = {
    BoardError: Exit.USAGE,
    RecordingError: Exit.USAGE,
    BrokerMissing: Exit.USAGE,
    BrokerFailed: Exit.FAILED,
    EmulatorError: Exit.FAILED,
    PortInUse: Exit.PORT,
    ChainError: Exit.CHAIN,
    EvidenceDamaged: Exit.TRUST,
    EvidenceError: Exit.TRUST,
    Disagreement: Exit.TRUST,
}


def set_up(progress: Progress, names: Sequence[str] | None = None) -> list[Firmware]:
    """System packages, sources and the firmware of the named boards (default: DEFAULT_BOARDS), in their order.

    Raises:
        CommandError: something is missing that may not, or cannot, be installed here.
    """
    system.ensure_packages(progress.say)
    return _told(lambda: build_all(load_boards(names or DEFAULT_BOARDS), progress.step))


def up(arguments: Namespace, progress: Progress) -> dict[str, Any]:
    """Run a site until it has settled what was asked for, or until Ctrl-C; the result of `--json`.

    Raises:
        CommandError: with an exit code of gateway/errors.py.
    """
    folder = Path(arguments.site)
    arguments, configured = configuration.configured(arguments)
    progress.style = configured.values["log.format"]
    signals = _told(lambda: Replay(arguments.replay) if arguments.replay else HostSignals())
    site = plan(site_file.read(folder), arguments, folder)
    payer = keys.load(arguments.key) if arguments.key else None
    broker = _broker(arguments)
    if arguments.port:
        address = configured.values["page.listen"]
        for listener in _told(lambda: listen(arguments.port, address)):  # another may still be faster
            listener.close()
    refuse_taken(configured.values)
    names = list(dict.fromkeys(site.boards))
    by_board = dict(zip(names, set_up(progress, names), strict=True)) if names else {}
    set_up_s = progress.elapsed_s()
    if names:
        progress.say(f"firmware of {len(names)} boards is ready")
    firmwares = [by_board[name] for name in site.boards]
    port = arguments.port or site.page_port or DEFAULT_PORT
    options = Options(
        arguments,
        broker,
        arguments.epochs,
        payer,
        arguments.workers or 0,
        port,
        bool(arguments.port),
        set_up_s,
        configured.values,
        configured.rows(),
    )
    running = RunningSite(folder, site, firmwares, signals, progress, options)
    before = {number: signal.signal(number, lambda *_: running.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _told(running.run)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _broker(arguments: Namespace) -> Remote | None:
    """The broker of --mqtt, which answers and takes this site; None: the site is to have its own."""
    for name in ("mqtt_password", "mqtt_ca"):
        if getattr(arguments, name) and not arguments.mqtt:
            raise CommandError(f"--{name.replace('_', '-')}: got one without --mqtt", Exit.USAGE)
    if not arguments.mqtt:
        return None
    remote = broker_url.parse_url(arguments.mqtt, arguments.mqtt_ca, arguments.mqtt_password)
    broker_url.check(remote)
    return remote


def plan(kept: Site | None, arguments: Namespace, folder: Path) -> Site:
    """What the site is made with: the arguments on a new one; a kept one stays as it is.

    Raises:
        CommandError: arguments that do not fit one another or the kept site.
    """
    boards = _chosen_boards(arguments)
    if kept is None:
        site = Site(
            boards=list(DEFAULT_BOARDS) if boards is None else boards,
            epoch_seconds=arguments.epoch_seconds or 60,
            window_seconds=arguments.window_seconds or 5,
            chain_rpc=arguments.rpc or "",
            chain_external=bool(arguments.rpc),
        )
    else:
        _refuse_changes(kept, arguments, boards, folder)
        site = replace(kept, chain_rpc=arguments.rpc or kept.chain_rpc)
    _refuse_kernel_boards(site.boards)
    lengths = f"epoch-seconds {site.epoch_seconds}, window-seconds {site.window_seconds}"
    if not 1 <= site.window_seconds <= MAX_WINDOW_S or site.epoch_seconds % site.window_seconds:
        wanted = f"an epoch of whole windows, each of 1 to {MAX_WINDOW_S} s"
        raise CommandError(f"got {lengths}; wanted {wanted}", Exit.USAGE)
    if not 1 <= site.windows <= MAX_WINDOWS:
        raise CommandError(f"got {lengths}; wanted 1 to {MAX_WINDOWS} windows an epoch", Exit.USAGE)
    if site.chain_external and not arguments.key:
        what = "on a chain of --rpc somebody has to pay for gas; name the key, or set chain.key_file"
        raise CommandError(f"--key is missing: {what}", Exit.USAGE)
    if arguments.key and not site.chain_external:
        raise CommandError("--key: got one, but this site settles on its embedded chain, without --rpc", Exit.USAGE)
    return site


def _refuse_changes(kept: Site, arguments: Namespace, boards: list[str] | None, folder: Path) -> None:
    wanted = {
        "boards": boards,
        "epoch_seconds": arguments.epoch_seconds,
        "window_seconds": arguments.window_seconds,
    }
    for name, value in wanted.items():
        if value is not None and value != getattr(kept, name):
            got = f"{name}: got {value}, but this site was made with {getattr(kept, name)}"
            place = arguments.places[f"site.{name}"]
            raise CommandError(f"{folder}: {got}; take it out of {place}, or name another --site", Exit.REFUSED)
    if arguments.rpc and not kept.chain_external:
        got = "--rpc: this site settles on its embedded chain"
        raise CommandError(f"{folder}: {got}; name another --site", Exit.REFUSED)


def summary(result: dict[str, Any]) -> str:
    """The result for a person, its last line for a program."""
    lines = []
    for row in result["devices"]:
        place = f"deed {row['deed']} slot {row['slot']}" if row["deed"] else "no deed"
        lines.append(f"  {short(row['id'])}  {row['board']:<16} {place}, {row['heartbeats']} heartbeats")
    for epoch in result["epochs"][-EPOCHS_TOLD:]:
        shares = " ".join(str(value) for value in epoch["availability"].values())
        lines.append(f"  epoch {epoch['epoch']}: availability {shares}, {r1(epoch['minted_wei'])} R1")
    if result["rejected"]:
        lines.append("  rejected: " + ", ".join(f"{count} {reason}" for reason, count in result["rejected"].items()))
    minted = sum(int(epoch["minted_wei"]) for epoch in result["epochs"])
    total = f"devices={len(result['devices'])} epochs={len(result['epochs'])} minted_wei={minted}"
    return "\n".join([*lines, f"RESULT: OK site={result['site']} {total} total={result['timings_s']['total']}s"])


def _chosen_boards(arguments: Namespace) -> list[str] | None:
    if arguments.boards is None and arguments.devices is None:
        return None
    names = DEFAULT_BOARDS if arguments.boards is None else arguments.boards
    _refuse_kernel_boards(names)
    count = arguments.devices or len(names)
    if count > MAX_DEVICES:
        raise CommandError(f"--devices: got {count}, wanted at most {MAX_DEVICES} emulated ones", Exit.USAGE)
    return [names[index % len(names)] for index in range(count)] if names else []


def load_boards(names: Sequence[str]) -> list[Board]:
    """The boards of these names.

    Raises:
        CommandError: there is no such board, or its description is wrong.
    """
    return _told(lambda: [load_board(name) for name in names])


def _refuse_kernel_boards(names: Sequence[str]) -> None:
    for board in load_boards(names):
        if board.runs != "agent":
            got = f"board {board.name}: got one that runs the {board.runs} alone"
            raise CommandError(f"{got}, wanted one of {', '.join(agent_board_names())}", Exit.USAGE)


def _told(call: Callable[[], T]) -> T:
    """The value of a call; what it raises for a known reason becomes a CommandError with the reason's exit code."""
    try:
        return call()
    except tuple(_CODES) as error:
        raise CommandError(
            str(error), next(code for kind, code in _CODES.items() if isinstance(error, kind))
        ) from error
