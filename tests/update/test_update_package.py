"""Agent packages, how CPython imports one from memory, and the banks, watchdog and reset of a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards.board import BoardError
from boards.package import abi_of, boards_with_agent
from device.agent import host, loader, package
from device.agent.banks import Banks
from device.agent.errors import WireError
from device.agent.package import Package, build

ROOT = Path(__file__).parents[2]
FILES = {"run.py": b"from . import other\nVALUE = other.VALUE\n", "other.py": b"VALUE = 7\n", "__init__.py": b"",
         "deep/er.mpy": bytes(300)}  # fmt: skip


def opened(content):
    """A package of these bytes, and the ranges that were read."""
    ranges = []

    def read(offset, buffer):
        assert offset + len(buffer) <= len(content)
        ranges.append((offset, len(buffer)))
        buffer[:] = content[offset : offset + len(buffer)]

    return Package(read, len(content)), ranges


def test_each_file_is_found_without_reading_another():
    built, ranges = opened(build(FILES))
    ranges.clear()

    assert built.read("other.py") == FILES["other.py"]
    assert ranges == [(built.files["other.py"][0], len(FILES["other.py"]))]
    assert {path: built.read(path) for path in built.files} == FILES


def test_the_same_files_in_any_order_are_the_same_package():
    assert build(FILES) == build(dict(reversed(FILES.items()))) and build({}) == b"tnp\x01\x00\x01\xa0"


@pytest.mark.parametrize(
    "path", ["", "run", "run.pyc", "/run.py", "../run.py", "a//b.py", "a b.py", "é.py", "a" * 46 + ".py"]
)
def test_a_path_that_climbs_or_is_none_is_refused(path):
    with pytest.raises(WireError, match="path: got another, wanted"):
        build({path: b""})


@pytest.mark.parametrize("change", [
    lambda content: b"",
    lambda content: content[:5],
    lambda content: b"tnp\x02" + content[4:],
    lambda content: content[:-1],
    lambda content: content + b"\x00",
    lambda content: content[:4] + b"\xff\xff" + content[6:],
])  # fmt: skip
def test_what_is_no_whole_package_is_refused(change):
    with pytest.raises(WireError, match="got .* wanted"):
        opened(change(build(FILES)))


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_foreign_bytes_are_refused_or_a_package_in_one_encoding(data, at, byte, is_changed):
    content = bytearray(build(FILES) if is_changed else b"tnp\x01\x00" + bytes([len(data)]) + data)
    content[at % len(content)] = byte
    try:
        built, _ = opened(bytes(content))
    except WireError:
        return
    assert build({path: built.read(path) for path in built.files}) == content


def test_the_abi_is_this_interpreters():
    assert package.abi() == f"python{sys.version_info[0]}.{sys.version_info[1]}"


def test_a_package_is_imported_beside_the_checkouts_agent_and_by_relative_names(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    content = build(FILES)

    def read(offset, buffer):
        buffer[:] = content[offset : offset + len(buffer)]

    bank = type("Bank", (), {"read": staticmethod(read)})
    try:
        run = loader.load(bank, len(content))
        assert run.VALUE == 7 and run.__name__ == "tinyren_agent.run"
        with pytest.raises(ModuleNotFoundError):
            __import__("tinyren_agent.nowhere")
    finally:
        for name in [name for name in sys.modules if name.startswith("tinyren_agent")]:
            del sys.modules[name]


# A process's banks, watchdog and reset


def test_a_file_of_banks_is_made_when_it_is_first_written_and_holds_what_was(tmp_path):
    path = tmp_path / "store.banks"
    banks = Banks(*host.open_banks(path))
    assert not banks.is_used and banks.bank(1, 1).frame() is None and not path.exists()

    banks.bank(2, 2).begin(b"frame", False)
    banks.bank(2, 2).write(0, b"abc")
    banks.number, banks.key = 3, b"\x01" * 20
    banks.keep()

    again = Banks(*host.open_banks(path))
    content = bytearray(3)
    again.bank(2, 2).read(0, content)
    assert (again.number, again.key, again.bank(2, 2).frame(), content) == (3, b"\x01" * 20, b"frame", b"abc")
    assert path.stat().st_mode & 0o777 == 0o600 and path.stat().st_blocks * 512 < 100_000


def test_a_full_disk_keeps_what_was_kept(tmp_path, monkeypatch):
    banks = Banks(*host.open_banks(tmp_path / "banks"))
    banks.number = 1
    banks.keep()
    banks.number = 2
    monkeypatch.setattr(os, "pwrite", lambda *_: 7)

    with pytest.raises(OSError, match="less written"):
        banks.keep()

    assert banks.number == 1
    monkeypatch.undo()
    assert Banks(*host.open_banks(tmp_path / "banks")).number == 1


def test_a_process_that_hangs_begins_anew_and_knows_why():
    program = (
        "from device.agent import host\n"
        "reason = host.take_reset()\n"
        "print(reason, flush=True)\n"
        "feed = host.watch(0.2)\n"
        "feed()\n"
        "while reason == 'power':\n"
        "    pass\n"
        "host.restart('asked') if reason == 'watchdog' else None\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)

    assert (done.stdout.split(), done.returncode, done.stderr) == (["power", "watchdog", "asked"], 0, "")


def test_packages_are_made_for_every_board_that_has_room_for_an_agent_over_the_air_and_for_no_other():
    assert abi_of("rpi_pico2_w") == abi_of("rpi_pico2_w_riscv") == abi_of("qemu_mps2_an385") == "mpy6.3"
    assert abi_of("linux_x64") == package.abi() and "microbit_v1" not in boards_with_agent()
    small = "without the memory for agents over the air; bring it: tinyren flash"
    assert {"rpi_pico_w", "esp32_c3"} < set(boards_with_agent())
    for board, reason in (
        ("esp32_s3", "runs the kernels alone"),
        ("nowhere", "got 'nowhere'"),
        ("rpi_pico_w", small),
        ("esp32_c3", small),
    ):
        with pytest.raises(BoardError, match=reason):
            abi_of(board)
