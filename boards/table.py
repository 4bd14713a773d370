"""The table of all boards, of silicon and emulated, as rows and as Markdown. It says only what their data says."""

from pathlib import Path
from typing import Any

from boards.board import board_names, load_board
from boards.hardware import hardware_names, load_hardware


def board_rows() -> list[dict[str, Any]]:
    """Every board, silicon first, as `tinyren boards` shows it: the same keys in each row, text and whole numbers."""
    rows = []
    for name in hardware_names():
        board = load_hardware(name)
        rows.append({
            "board": name, "kind": board.kind, "title": board.title, "soc": board.soc, "core": board.core,
            "flash_bytes": board.flash_bytes, "ram_bytes": board.ram_bytes, "native": board.native, "runs": board.runs,
            "stack_bytes": board.stack.bytes if board.stack else 0,
            "firmware": f"MicroPython {board.firmware.release}" if board.firmware else "CPython",
            "sha256": board.flash[0].sha256 if board.firmware else "",
            "flash": ", ".join(way.tool for way in board.flash), "usb": ", ".join(usb.id for usb in board.usb),
            "emulated": board.verified.emulated, "dry_run": board.verified.dry_run, "hardware": board.verified.hardware,
        })  # fmt: skip
    for name in board_names():
        emulated = load_board(name)
        rows.append({
            "board": name, "kind": "emulated", "title": name, "soc": "none, QEMU", "core": emulated.core,
            "flash_bytes": emulated.flash_budget_bytes, "ram_bytes": emulated.ram_budget_bytes,
            "native": (emulated.natmod or {}).get("arch", ""), "runs": emulated.runs, "stack_bytes": 0,
            "firmware": "ours, with MicroPython 1.25", "sha256": "", "flash": "", "usb": "",
            "emulated": "yes, by every test that boots boards", "dry_run": "no", "hardware": "none",
        })  # fmt: skip
    return rows


def board_table() -> str:
    """The rows as a Markdown table, bytes in KiB."""
    columns = ("board", "kind", "soc", "core", "flash_bytes", "ram_bytes", "stack_bytes", "native", "runs", "firmware",
               "sha256", "flash", "usb", "emulated", "dry_run", "hardware")  # fmt: skip
    heads = {"flash_bytes": "flash KiB", "ram_bytes": "RAM KiB", "stack_bytes": "stack KiB", "native": "native modules",
             "flash": "flashed by", "sha256": "digest", "usb": "USB", "dry_run": "dry run"}  # fmt: skip
    lines = [[heads.get(name, name) for name in columns], ["---"] * len(columns)]
    for row in board_rows():
        sizes = {
            name: f"{row[name] // 1024:,}" if row[name] else "" for name in ("flash_bytes", "ram_bytes", "stack_bytes")
        }
        cells = row | sizes
        lines.append([str(cells[name]) for name in columns])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_table(path: Path) -> None:
    """docs/boards.md: what the boards are, and what was tried where."""
    path.write_text(
        "# Boards\n\nWritten by `tinyren boards --write docs/boards.md` from boards/NAME/; a test compares.\n\n"
        "* No board of silicon has been tried yet: the last column says so.\n"
        "* Runs: what `tinyren flash` brings to stock MicroPython there: the agent, or nothing (`kernels`: modules "
        "of encoder and encryption can be copied by hand). There is no compiler here for xtensawin; an nRF52840's "
        "MicroPython was not looked at closely enough.\n"
        "* A stand-in is MicroPython 1.25 on an emulated core, with what the board's own firmware has and QEMU's port "
        "lacks (boards/standin.py). It has the board's stack, which C and Python share. It has no radio, no USB, "
        "and not the chip's speed.\n"
        "* A digest that is not pinned was never looked up: `tinyren flash` takes such a file by `--firmware` and "
        "prints its SHA-256.\n"
        "* Memory of an emulated board is the budget that its firmware keeps.\n\n" + board_table()
    )
