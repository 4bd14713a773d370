"""`tinyren uf2`: one file for several boards, with their files behind the firmware; what is refused writes nothing."""

import json
import os

import pytest

from boards import uf2
from boards.files_image import files_region, make_image
from boards.hardware import load_hardware
from boards.uf2 import FAMILIES
from gateway import cli
from gateway.commands.uf2 import boards_of_family
from gateway.errors import Exit

START = 0x10000000
NAMES = {"rp2040": "rpi_pico_w", "rp2350-arm-s": "rpi_pico2_w", "rp2350-riscv": "rpi_pico2_w_riscv"}
FILES = {"main.py": b"print('hi')\n", "lib/agent.mpy": bytes(700)}


@pytest.fixture
def firmware(tmp_path):
    """A UF2 file of each family, by its name."""
    made = {}
    for family in (*NAMES, "esp32s3"):
        made[family] = tmp_path / f"{family}.uf2"
        made[family].write_bytes(uf2.write(family.encode() * 300, START, FAMILIES[family]))
    return made


@pytest.fixture
def folder(tmp_path):
    for path, content in FILES.items():
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(content)
    return tmp_path / "files"


def run(capsys, *arguments):
    """(exit code, stdout, stderr)"""
    code = cli.main(["uf2", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_each_board_has_its_firmware_and_its_files_in_the_joined_file(firmware, folder, tmp_path, capsys):
    out = tmp_path / "all.uf2"
    inputs = [firmware[family] for family in NAMES]
    code, printed, said = run(capsys, "join", *inputs, "--files", folder, "--out", out, "--json")
    assert (code, said) == (Exit.OK, "") and [row["boards"] for row in json.loads(printed)] == [
        [n] for n in NAMES.values()
    ]
    for (family, name), image in zip(NAMES.items(), uf2.read(out.read_bytes()), strict=True):
        region = files_region(load_hardware(name))
        assert image.family == FAMILIES[family] and image.content.startswith(family.encode() * 300)
        assert image.content[region.address - START :] == make_image(FILES, region)
    assert not list(tmp_path.glob("*.part"))


def test_a_file_tells_for_which_boards_it_is(firmware, tmp_path, capsys):
    run(capsys, "join", *firmware.values(), "--out", tmp_path / "all.uf2")
    code, printed, said = run(capsys, "show", tmp_path / "all.uf2")
    rows = [line.split()[:2] for line in printed.splitlines()]
    assert code == Exit.OK and rows == [*map(list, NAMES.items()), ["esp32s3", "no"]]
    assert "a board with RP2350 takes rp2350-arm-s and rp2350-riscv; copied by hand, it runs the first" in said
    assert max(map(len, printed.splitlines())) <= 100


@pytest.mark.parametrize(
    ("names", "with_files", "message"),
    [
        (["rp2040", "rp2040"], False, "wanted each once, and named; name each board's file once"),
        (["rp2040", "cut"], False, "the file is cut or joined wrong; download it again"),
        (["nameless"], False, "got blocks without a family, wanted them of one board: take another file"),
        (["rp2040", "esp32s3"], True, "got no board for family 0xc47e5767, wanted one, to know where its files are"),
        (["filled"], True, "got 0x1012c000 twice, wanted each address once"),
    ],
)
def test_what_cannot_be_joined_is_refused_and_leaves_the_old_file(
    names, with_files, message, firmware, folder, tmp_path, capsys
):
    good = firmware["rp2040"].read_bytes()
    more = {
        "cut": good[:-512],
        "nameless": b"".join(
            good[at : at + 8] + bytes(4) + good[at + 12 : at + 512] for at in range(0, len(good), 512)
        ),
        "filled": uf2.add(good, FAMILIES["rp2040"], 0x1012C000, b"x"),
    }
    for name, content in more.items():
        (tmp_path / f"{name}.uf2").write_bytes(content)
    out = tmp_path / "all.uf2"
    out.write_bytes(b"before")
    before = sorted(os.listdir(tmp_path))
    inputs = [tmp_path / f"{name}.uf2" for name in names]
    code, printed, said = run(capsys, "join", *inputs, *(["--files", folder] if with_files else []), "--out", out)
    assert (code, printed) == (Exit.REFUSED, "") and message in said
    assert out.read_bytes() == b"before" and sorted(os.listdir(tmp_path)) == before


def test_files_that_do_not_fit_are_refused(firmware, folder, tmp_path, capsys):
    (folder / "big").write_bytes(bytes(1 << 20))
    code, _, said = run(capsys, "join", firmware["rp2040"], "--files", folder, "--out", tmp_path / "all.uf2")
    assert code == Exit.REFUSED and "wanted what fits into a file system of 868352" in said
    assert not (tmp_path / "all.uf2").exists()


def test_a_family_is_one_boards_so_that_its_files_have_a_place():
    assert {family: [board.name for board in boards_of_family(FAMILIES[family])] for family in NAMES} == {
        family: [name] for family, name in NAMES.items()
    }
    assert boards_of_family(None) == []
