"""Boards as data, their sources, and the build: what it keeps, what it does not do twice, what it refuses."""

import dataclasses
import fcntl
import hashlib
import shutil
import subprocess
import sys
import threading
from argparse import Namespace
from pathlib import Path

import pytest

from boards import build as building
from boards import sources
from boards.board import (
    DEFAULT_BOARDS,
    BoardError,
    agent_board_names,
    board_names,
    load_board,
    parse_board,
)
from boards.build import Firmware, build
from boards.frozen import frozen_files
from boards.sources import MICROPYTHON, SECP256K1, Source, cache_folder, get_sources, locked
from gateway.commands.up import plan
from gateway.errors import CommandError

NAME = "qemu_mps2_an385"
TEXT = (load_board(NAME).folder / "board.toml").read_text()


def ignore(_stage, _fraction):
    pass


def kept():
    return sorted((cache_folder() / "firmware").glob(f"{NAME}-*"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYREN_CACHE", str(tmp_path))
    return tmp_path


def test_the_boards_are_those_of_the_issues_and_each_is_another_core():
    assert {name: load_board(name).core for name in board_names()} == {
        "qemu_microbit": "Cortex-M0",
        "qemu_mps2_an385": "Cortex-M3",
        "qemu_mps2_an386": "Cortex-M4",
        "qemu_mps2_an500": "Cortex-M7",
        "qemu_virt_rv32": "RV32IMAC",
    }


def test_a_site_that_names_no_boards_has_three():
    assert DEFAULT_BOARDS == ("qemu_mps2_an385", "qemu_mps2_an500", "qemu_virt_rv32")
    assert set(DEFAULT_BOARDS) <= set(agent_board_names())


def test_all_boards_but_the_one_with_16_kib_of_ram_run_the_agent():
    assert set(board_names()) - set(agent_board_names()) == {"qemu_microbit"}


def test_an_unknown_board_is_refused_with_the_names_of_those_there_are():
    with pytest.raises(BoardError, match="board: got 'nano', wanted one of qemu_microbit, qemu_mps2_an385, "):
        load_board("nano")
    with pytest.raises(BoardError, match="got '../boards/qemu_virt_rv32'"):
        load_board("../boards/qemu_virt_rv32")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("core =", "kore =", "core is missing, wanted str"),
        ("core =", "speed = 1\ncore =", "got unknown field speed"),
        ("heap_bytes = 131072", 'heap_bytes = "big"', "heap_bytes: got 'big', wanted int"),
        ("heap_bytes = 131072", "heap_bytes = 0", "heap_bytes: got 0, wanted more than 0"),
        ("heap_bytes = 131072", "heap_bytes = true", "heap_bytes: got True, wanted int"),
        ('store = "at24c"', 'store = "tape"', "store: got 'tape', wanted at24c or cfi"),
        ("core =", 'runs = "nothing"\ncore =', "runs: got 'nothing', wanted agent or kernels"),
        ("source =", "# source =", "source is missing, wanted str"),
        ('store = "at24c"', "", "store is missing, wanted str"),
        ("ring = [8192, 57344]", "", "regions: ring is missing, wanted list"),
        (
            "ring = [8192, 57344]",
            "ring = [8191, 57344]",
            "regions: ring: got [8191, 57344], wanted [first byte, bytes]",
        ),
        ("ring = [8192, 57344]", "ring = [8192]", "regions: ring: got [8192], wanted [first byte, bytes] from 8192 on"),
        ("make = []", "", "toolchain: make is missing, wanted list"),
        ('arch = "armv7m"', "", "natmod: arch is missing, wanted str"),
        ("sensors = true", "sensors = 1", "emulator: sensors: got 1, wanted bool"),
        ("is_ram = true", "is_ram = 1", "model: is_ram: got 1, wanted bool"),
        ("ram_bytes = 4194304", "", "bare: ram_bytes is missing, wanted int"),
        ("core =", "core", "board.toml: Expected '=' after a key"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_wanted(old, new, message):
    with pytest.raises(BoardError) as raised:
        parse_board("bench", TEXT.replace(old, new))
    assert message in str(raised.value)
    assert str(raised.value).startswith("bench/board.toml: ")


def test_a_site_refuses_a_board_that_cannot_run_the_agent_by_its_name():
    with pytest.raises(CommandError, match="qemu_microbit: got one that runs the kernels alone, wanted one of"):
        plan(None, Namespace(boards=["qemu_virt_rv32", "qemu_microbit"], devices=None), Path("site"))


def test_a_board_of_kernels_needs_neither_source_nor_store():
    board = load_board("qemu_microbit")
    assert (board.runs, board.source, board.store, board.regions) == ("kernels", None, None, None)
    assert list(frozen_files(board)) == ["host_model.py"]


def test_the_memory_images_of_a_board_have_the_size_of_its_chips_and_hold_its_regions():
    for name in board_names():
        board = load_board(name)
        images = board.emulator["images"]
        for image in images:
            assert 0 < image["erased_bytes"] <= image["bytes"]
            assert any(image["file"] in argument for argument in board.emulator["arguments"])
        ends = [sum(region) for region in (board.regions or {}).values()]
        assert max(ends, default=0) <= sum(image["erased_bytes"] for image in images)


def test_a_second_build_does_nothing():
    first = build(load_board(NAME), ignore)
    written_ns = first.elf.stat().st_mtime_ns
    said = []
    assert build(load_board(NAME), lambda *stage: said.append(stage)) == first
    assert not said
    assert first.elf.stat().st_mtime_ns == written_ns


def test_the_version_changes_with_the_inputs_and_only_with_them(monkeypatch):
    board, found = load_board(NAME), get_sources(ignore)
    files = frozen_files(board)
    key = building._key(board, found, files)
    assert building._key(board, found, dict(reversed(files.items()))) == key
    others = [
        (dataclasses.replace(board, heap_bytes=65536), found, files),
        (board, found, {**files, "main.py": files["main.py"] + b"\n"}),
        (board, {**found, MICROPYTHON: Source(found[MICROPYTHON].path, "another")}, files),
    ]
    assert len({key, *(building._key(*other) for other in others)}) == 4


@pytest.mark.parametrize(("field", "budget"), [("flash_budget_bytes", 100_000), ("ram_budget_bytes", 131_072)])
def test_a_firmware_that_outgrows_a_budget_is_not_kept(field, budget):
    before = kept()
    with pytest.raises(BoardError) as raised:
        build(dataclasses.replace(load_board(NAME), **{field: budget}), ignore)
    assert str(raised.value).startswith(f"{NAME}: {field}: got ")
    assert str(raised.value).endswith(f", wanted at most {budget}")
    assert kept() == before


def test_a_module_that_does_not_compile_is_named(monkeypatch):
    monkeypatch.setattr(building, "frozen_files", lambda board: {"main.py": b"def\n"})
    before = kept()
    with pytest.raises(BoardError, match="make in qemu failed: .*(SyntaxError|main.py).*; all of it is in .*make.log"):
        build(load_board(NAME), ignore)
    assert kept() == before


def test_a_missing_compiler_is_named_with_its_package():
    board = load_board(NAME)
    toolchain = {**board.toolchain, "compiler": "no-such-gcc"}
    with pytest.raises(BoardError) as raised:
        build(dataclasses.replace(board, toolchain=toolchain), ignore)
    assert str(raised.value) == (
        f"{NAME}: no-such-gcc is not installed: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    )


def test_objects_of_a_killed_build_and_of_another_setting_are_not_used(cache):
    board, found = load_board(NAME), {MICROPYTHON: Source(cache, "1"), SECP256K1: Source(cache, "2")}
    work = building._workplace(board, found)
    other = building._workplace(board, {**found, SECP256K1: Source(cache, "3")})
    for folder in (work, other):
        folder.mkdir(parents=True)
    assert building._workplace(board, found) == work
    assert work.is_dir() and not other.exists()
    (work / "unfinished").touch()
    assert building._workplace(board, found) == work
    assert not work.exists()


def test_a_firmware_appears_whole_and_only_the_newest_stay(cache):
    work = cache / "work"
    work.mkdir()
    (work / "firmware.elf").write_bytes(b"elf")
    for number in range(10):
        place = cache / "firmware" / f"{NAME}-{number}"
        (cache / "firmware" / f"{NAME}-{number}.new").mkdir(parents=True)  # what a killed build left
        building._keep(Firmware(NAME, "0", place / "firmware.elf", 1, 2, 3), work, place)
        assert sorted(path.name for path in place.iterdir()) == ["firmware.elf", "firmware.json"]
    assert len(kept()) == building.KEPT_FIRMWARES
    assert place in kept()


def test_a_path_with_a_space_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYREN_CACHE", str(tmp_path / "my cache"))
    with pytest.raises(BoardError, match="make cannot build in a path with a space: got .*my cache"):
        build(load_board(NAME), ignore)
    assert not (tmp_path / "my cache").exists()


def test_a_lock_is_held_by_one_at_a_time_and_freed_by_an_error(cache):
    inside, most, together = [], [], threading.Barrier(4)

    def work():
        together.wait()
        with pytest.raises(ZeroDivisionError), locked("name"):
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            raise ZeroDivisionError

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1, 1, 1, 1]


def test_a_child_that_outlives_a_killed_build_keeps_the_lock(cache):
    code = (
        "import os, subprocess\nfrom boards.sources import locked\n"
        "with locked('name'):\n    subprocess.Popen(['cat'], close_fds=False)\n    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=sources.ROOT)
    assert killed.wait() == -9
    with open(cache / "locks" / "name") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        killed.stdin.close()  # ends the child
        fcntl.flock(file, fcntl.LOCK_EX)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYREN_CACHE", str(tmp_path / "file"))
    with pytest.raises(BoardError, match="cache folder .*/file/locks: Not a directory; name another by TINYREN_CACHE"):
        get_sources(ignore)


def test_a_named_checkout_is_used_where_it_lies_and_an_edit_is_noticed(cache, monkeypatch, tmp_path):
    for package in sources.PACKAGES:
        mark = tmp_path / package.name / package.mark
        mark.parent.mkdir(parents=True)
        mark.write_text("one")
        monkeypatch.setenv(package.variable, str(tmp_path / package.name))
    first = get_sources(ignore)
    assert [source.path for source in first.values()] == [tmp_path / package.name for package in sources.PACKAGES]
    assert get_sources(ignore) == first
    (tmp_path / "libsecp256k1" / "src" / "secp256k1.c").write_text("longer")
    second = get_sources(ignore)
    assert second[MICROPYTHON] == first[MICROPYTHON]
    assert second[SECP256K1].digest != first[SECP256K1].digest


def test_a_named_checkout_of_something_else_is_refused(cache, monkeypatch):
    monkeypatch.setenv("TINYREN_MICROPYTHON", str(cache))
    with pytest.raises(BoardError, match="TINYREN_MICROPYTHON: got .*, wanted a folder that holds ports/qemu/Makefile"):
        get_sources(ignore)


def test_without_apt_the_message_names_the_way_out(cache, monkeypatch):
    monkeypatch.setenv("PATH", str(cache))
    for package in sources.PACKAGES:
        monkeypatch.delenv(package.variable, raising=False)
    with pytest.raises(BoardError, match="name checkouts by TINYREN_MICROPYTHON and TINYREN_SECP256K1"):
        get_sources(ignore)
    assert not (cache / "sources").exists()


def test_a_tarball_that_is_not_the_pinned_one_is_not_unpacked(cache):
    tarball = cache / MICROPYTHON.tarball
    for content, got in ((b"noise", hashlib.sha256(b"noise").hexdigest()), (None, "no file")):
        tarball.write_bytes(content) if content else tarball.unlink()
        with pytest.raises(BoardError) as raised:
            sources._unpack(MICROPYTHON, tarball)
        assert str(raised.value) == f"{tarball.name}: SHA-256: got {got}, wanted {MICROPYTHON.sha256}"
        assert not (cache / "sources").exists()


def test_an_unpacked_source_appears_whole(cache, tmp_path):
    content = tmp_path / "top-1.0"
    content.mkdir()
    (content / "file").write_text("text")
    tarball = shutil.make_archive(str(tmp_path / "a"), "xztar", tmp_path, "top-1.0")
    digest = hashlib.sha256(open(tarball, "rb").read()).hexdigest()
    package = dataclasses.replace(MICROPYTHON, sha256=digest)
    (sources._unpacked(package).with_suffix(".new")).mkdir(parents=True)
    (sources._unpacked(package).with_suffix(".new") / "left by a killed one").touch()
    sources._unpack(package, tmp_path / "a.tar.xz")
    assert [path.name for path in sources._unpacked(package).iterdir()] == ["file"]
