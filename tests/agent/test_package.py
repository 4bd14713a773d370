"""Agent packages made of sources: what goes in, that equal sources give equal bytes, and what is refused."""

import shutil
from pathlib import Path

import pytest

from boards import package as packaging
from boards.board import DEFAULT_BOARDS, BoardError
from boards.package import abi_of, build_package
from device.agent.package import Package

AGENT = Path(__file__).parents[2] / "device" / "agent"
PYTHON, MPY = packaging.PYTHON_ABI, "mpy6.3"
BANK_BYTES = 65024


@pytest.fixture
def folder(tmp_path):
    """A small agent: run.py, a folder of its own, and files of the core that are in no package."""
    for name in ("__init__.py", "run.py", "more/__init__.py", "more/part.py", "port.py", "boot.py", "sources/csv.py"):
        path = tmp_path / "agent" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"NAME = {name!r}\n")
        path.parent.parent.mkdir(exist_ok=True)
    return tmp_path / "agent"


def opened(content):
    view = memoryview(content)

    def read(offset, buffer):
        buffer[:] = view[offset : offset + len(buffer)]

    return Package(read, len(content))


@pytest.mark.parametrize("abi", [PYTHON, MPY])
def test_a_package_holds_the_agents_modules_and_nothing_of_the_core(folder, abi):
    end = ".py" if abi == PYTHON else ".mpy"
    files = opened(build_package(folder, abi)).files
    assert set(files) == {name + end for name in ("__init__", "run", "more/__init__", "more/part")}


@pytest.mark.parametrize("abi", [PYTHON, MPY])
def test_equal_sources_give_equal_bytes_wherever_they_lie_and_other_sources_others(folder, abi):
    first = build_package(folder, abi)
    shutil.copytree(folder, folder.parent / "copy")
    (folder.parent / "copy" / "__pycache__").mkdir()
    (folder.parent / "copy" / "__pycache__" / "run.py").write_text("other")
    assert build_package(folder.parent / "copy", abi) == first
    assert str(folder).encode() not in first
    (folder / "run.py").write_text("NAME = 'another'\n")
    assert build_package(folder, abi) != first


def test_the_agent_of_this_tree_fits_a_bank_as_bytecode_that_every_board_takes():
    assert {abi_of(board) for board in DEFAULT_BOARDS} == {MPY}
    content = build_package(AGENT, MPY)
    files = opened(content).files
    assert {"run.mpy", "agent.mpy", "install.mpy", "version.mpy"} <= set(files)
    assert not {"boot.mpy", "banks.mpy", "safe.mpy", "port.mpy", "host.mpy"} & set(files)
    assert len(content) <= BANK_BYTES
    name = next(iter(files))
    assert opened(content).read(name)[:2] == b"M\x06"


def test_python_sources_are_taken_as_they_are(folder):
    assert opened(build_package(folder, PYTHON)).read("more/part.py") == b"NAME = 'more/part.py'\n"


@pytest.mark.parametrize(
    ("change", "abi", "message"),
    [
        (lambda folder: (folder / "run.py").unlink(), MPY, "got no run.py, wanted the folder of an agent"),
        (lambda folder: (folder / "run.py").write_text("def\n"), MPY, "run.py: SyntaxError"),
        (lambda folder: (folder / "run.py").write_text("def\n"), PYTHON, "run.py: SyntaxError"),
        (lambda folder: (folder / "run.py").write_bytes(b"\0"), PYTHON, "run.py: "),
        (lambda folder: (folder / "a-b.py").write_text(""), MPY, "path: got another"),
        (lambda folder: None, "mpy5.0", "mpy-cross: got one that emits mpy6.3, wanted mpy5.0"),
        (lambda folder: None, "python2.7", f"abi: got python2.7, wanted {MPY} or {PYTHON}"),
    ],
)
def test_what_cannot_be_packed_is_refused_in_one_line(folder, change, abi, message):
    change(folder)
    with pytest.raises(BoardError) as raised:
        build_package(folder, abi)
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("board", ["qemu_microbit", "nano"])
def test_a_board_without_an_agent_has_no_abi(board):
    with pytest.raises(BoardError, match="wanted"):
        abi_of(board)
