"""`tinyren edil demo`: site, devices, share-holder and data owner on one machine, and what may go wrong there.

One round of kind classes with two share-holders. Devices see labelled signals that only this process knows; three of
them lose power in the middle, one sends a ciphertext with residues that are not below q. Then the sums are opened and
compared with plain sums over the survivors, a head is fitted from them and from the pooled embeddings, and every
coalition that lacks a share tries to open the aggregate.
"""

import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from boards.board import Board
from boards.build import Firmware
from device.agent import statistics
from device.agent.rounds import Manifest
from gateway.commands.up import load_boards, set_up
from gateway.edil.demo_devices import BoardDevice, Device, HostDevice, LiarDevice, count_instructions
from gateway.edil.demo_result import describe
from gateway.edil.demo_round import DemoRound
from gateway.edil.demo_site import DemoSite
from gateway.errors import CommandError, Exit
from gateway.progress import Progress

WINDOWS = 8
DROPPED = 3
LEAST_DEVICES = 6
BOUND_S = 90.0


def demo(count: int, boards: str, keep: Path | None, progress: Progress) -> dict[str, Any]:
    """Run it; the fields of `--json`. Raises CommandError: it could not run, or something did not come in time."""
    names = [name for name in boards.split(",") if name]
    dropped = DROPPED if count >= 2 * LEAST_DEVICES else 1
    if count < max(LEAST_DEVICES, len(names) + dropped + 2):
        wanted = f"at least {max(LEAST_DEVICES, len(names) + dropped + 2)}"
        raise CommandError(f"--devices: got {count} with {len(names)} boards, wanted {wanted}", Exit.USAGE)
    if names and find_spec("mpremote") is None:
        missing = "mpremote is not installed: boards are started from their REPL"
        raise CommandError(f'{missing}; pip install tinyren[dev], or --boards ""', Exit.USAGE)
    firmwares = list(zip(load_boards(names), set_up(progress, names), strict=True)) if names else []
    with ExitStack() as ends:
        folder = keep or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="tinyren-edil-")))
        folder.mkdir(parents=True, exist_ok=True)
        site = DemoSite(folder, progress, ends)
        progress.say(f"broker and gateway stand; page {site.url}")
        devices = start_devices(site, firmwares, count, ends)
        site.wait("every device's binding", lambda: len(site.bound) == count, BOUND_S)
        progress.say(f"{count} devices are bound, {len(firmwares)} of them emulated boards")
        played = DemoRound(site, devices, dropped, WINDOWS, progress)
        finished = played.run(ends)
        result = describe(site, played, finished)
    result["instructions"] = measure(firmwares, finished.manifest, progress)
    result["total_s"] = round(progress.elapsed_s(), 1)
    return result


def start_devices(site: DemoSite, firmwares: list[tuple[Board, Firmware]], count: int, ends: ExitStack) -> list[Device]:
    """Boards, a liar, and as many host agents as are left; each ends with the demo."""
    devices: list[Device] = []
    port, folder = site.broker.port, site.folder / "devices"

    def keep(device: Device) -> None:
        ends.callback(device.stop)
        devices.append(device)

    for number in range(count - len(firmwares) - 1):
        keep(HostDevice(folder / f"host-{number}", port))
    for board, firmware in firmwares:
        keep(BoardDevice(board, firmware, folder / board.name, port))
    keep(LiarDevice(folder / "liar", port))
    return devices


def measure(firmwares: list[tuple[Board, Firmware]], manifest: Manifest, progress: Progress) -> dict[str, int]:
    """Instructions of one encryption of the round's size, by board."""
    found, values = {}, statistics.count_values(manifest)
    for board, firmware in firmwares:
        with tempfile.TemporaryDirectory() as folder:
            count = count_instructions(board, firmware, Path(folder), manifest.ring, values, manifest.digits)
        found[board.name] = count
        progress.say(f"{board.name}: {count:,} instructions for one encryption")
    return found


def summary(result: dict[str, Any]) -> str:
    """The result for a person, its last line for a program."""
    lines = [
        f"  {result['survivors']} devices summed, {result['dropped']} dropped out, rejected: {result['rejected']}",
        f"  the opened sums {'equal' if result['aggregate_equal'] else 'DIFFER FROM'} the plain ones",
        f"  accuracy of the head: {result['accuracy_encrypted']:.3f}, pooled {result['accuracy_pooled']:.3f}",
        f"  a device sends {result['upload_bytes']:,} bytes; a core takes {result['updates_per_s']:,} updates a second",
    ]
    lines += [f"  {board}: {count:,} instructions" for board, count in result["instructions"].items()]
    good = result["aggregate_equal"] and result["subset_decryptions_failed"]
    return "\n".join([*lines, f"RESULT: {'OK' if good else 'FAILED'} total={result['total_s']}s"])
