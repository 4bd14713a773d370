"""`tinyren offer`: what it puts into a site is what the page offers; what is refused changes nothing there."""

import json
import shutil
from pathlib import Path

import pytest

from boards.hardware import load_hardware
from gateway import cli
from gateway.commands import offer
from gateway.errors import Exit
from gateway.flashing.offers import FOLDER, offer_all
from gateway.web.flash_http import read_folder, read_tree
from tests.web.test_flash_page import C3, FILES, IMAGES, PICO, esp_image

GATEWAYS = "gw.local:1883,10.0.0.7:8883"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


@pytest.fixture
def inputs(tmp_path):
    """The release's file of each board, by its name."""
    for board in (C3, PICO):
        (tmp_path / board.flash[0].file).write_bytes(IMAGES[board.flash[0].file])
    return {board.name: tmp_path / board.flash[0].file for board in (C3, PICO)}


@pytest.fixture
def files(tmp_path):
    for path, content in FILES.items():
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(content)
    return tmp_path / "files"


def run(capsys, site, *arguments):
    code = cli.main(["offer", "--site", str(site), *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_offers_each_board_what_was_put_there(site, inputs, files, capsys):
    code, out, _ = run(capsys, site, *inputs.values(), "--files", files, "--gateways", GATEWAYS, "--json")
    rows = json.loads(out)
    assert code == Exit.OK and [(row["board"], row["files"]) for row in rows] == [(name, 3) for name in sorted(inputs)]
    folder = site / FOLDER
    for name in inputs:
        assert read_tree(folder / name) == FILES | {"settings.json": json.dumps({"gateways": GATEWAYS}).encode()}
    found = offer_all(read_folder(folder), lambda board: read_tree(folder / board.name))
    assert sorted(offer.board.name for offer in found.offers if offer.fresh) == sorted(inputs)


def test_what_is_offered_again_replaces_what_was_there(site, inputs, files, capsys):
    run(capsys, site, inputs[C3.name], "--files", files, "--gateways", GATEWAYS)
    (files / "main.py").unlink()
    code, out, said = run(capsys, site, inputs[C3.name], "--files", files)
    assert code == Exit.OK and set(read_tree(site / FOLDER / C3.name)) == {"lib/agent/wire.mpy"}
    assert "new boards are not told where their gateway is; --gateways HOST:PORT does" in said
    assert out.split()[:2] == [C3.name, C3.flash[0].file] and said.splitlines()[-1] == "RESULT: OK boards=1 page=/flash"
    assert not [path for path in site.rglob("*.part")]


@pytest.mark.parametrize(
    ("name", "content", "options", "code", "message"),
    [
        ("notes.txt", b"x", [], Exit.REFUSED, "notes.txt: no board that is flashed from a browser has a file of this"),
        (C3.flash[0].file, esp_image(9), [], Exit.REFUSED, "got an image for esp32s3, wanted esp32c3"),
        (C3.flash[0].file, esp_image(5), ["--gateways", "gw"], Exit.USAGE, "--gateways: gateways: got 'gw', wanted 1"),
        (C3.flash[0].file, esp_image(5), ["--ca", "/etc/hostname"], Exit.USAGE, "--ca: got"),
        (C3.flash[0].file, esp_image(5), ["--files", "/nothing"], Exit.USAGE, "wanted a folder with files"),
    ],
)
def test_what_is_refused_leaves_the_site_as_it_was(
    site, inputs, files, tmp_path, capsys, name, content, options, code, message
):
    run(capsys, site, inputs[C3.name], "--files", files)
    before = tree(site)
    (tmp_path / name).write_bytes(content)
    ended, out, said = run(capsys, site, inputs[PICO.name], tmp_path / name, "--files", files, *options)
    assert (ended, out) == (code, "") and message in said and tree(site) == before


def test_a_release_that_is_named_twice_and_a_file_without_end_are_refused(site, inputs, tmp_path, capsys):
    again = tmp_path / "again" / inputs[C3.name].name
    again.parent.mkdir()
    again.write_bytes(esp_image(5))
    code, _, said = run(capsys, site, inputs[C3.name], again)
    assert code == Exit.USAGE and "got two of one name" in said and tree(site) == {}
    code, _, said = run(capsys, site, "/dev/zero")
    assert code == Exit.REFUSED and "wanted a firmware file of 64 MiB at most; name another" in said
    assert tree(site) == {}


def test_who_offers_an_older_release_is_told_that_the_page_offers_the_newer(site, inputs, files, tmp_path, capsys):
    newest = tmp_path / inputs[PICO.name].name.replace("2025", "2026")
    newest.write_bytes(IMAGES[PICO.flash[0].file])
    assert "still" not in run(capsys, site, newest, "--files", files)[2]
    code, _, said = run(capsys, site, inputs[PICO.name], inputs[C3.name], "--files", files)
    remove = f"rm {site / FOLDER / newest.name}"
    told = f"the page offers {newest.name} still, which is newer; to offer what you named: {remove}"
    assert code == Exit.OK and [line for line in said.splitlines() if "still" in line] == [told]


@pytest.mark.parametrize("cut", range(4))
def test_a_crash_while_a_boards_files_are_replaced_mixes_none(cut, tmp_path, monkeypatch):
    old, new = ({f"lib/{number}": text for number in range(3)} for text in (b"old", b"new"))
    offer._replace(tmp_path / "board", old)
    remove, left = shutil.rmtree, [cut]

    def crash(folder, ignore_errors=False):
        left[0] -= 1
        for path in sorted(folder.rglob("*"))[1:2]:
            path.unlink()
        if not left[0]:
            raise SystemExit
        remove(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", crash)
    if cut:
        with pytest.raises(SystemExit):
            offer._replace(tmp_path / "board", new)
    else:
        offer._replace(tmp_path / "board", new)
    assert read_tree(tmp_path / "board") in (old, new)
    monkeypatch.undo()
    offer._replace(tmp_path / "board", new)
    assert read_tree(tmp_path / "board") == new and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["lib/{}", "other/{}"])
def test_the_page_reads_a_boards_files_of_one_moment_while_they_are_replaced(name, tmp_path, monkeypatch):
    old, new = {f"lib/{number}": b"old" for number in range(3)}, {name.format(number): b"new" for number in range(3)}
    offer._replace(tmp_path / "board", old)
    read, waiting = Path.read_bytes, [new]

    def read_and_replace(path):
        content = read(path)
        if waiting:
            offer._replace(tmp_path / "board", waiting.pop())
        return content

    monkeypatch.setattr(Path, "read_bytes", read_and_replace)
    assert read_tree(tmp_path / "board") == new and not waiting


def test_files_that_do_not_fit_a_board_are_refused_before_anything_is_written(site, inputs, files, capsys):
    (files / "big").write_bytes(bytes(1 << 20))  # more than a Pico W's, less than an ESP32-C3's
    code, _, said = run(capsys, site, *inputs.values(), "--files", files)
    assert code == Exit.REFUSED and "wanted what fits into a file system of 868352" in said and tree(site) == {}
    assert load_hardware(C3.name).memory[-1].bytes > 1 << 20


def test_a_site_that_is_not_there_is_told(tmp_path, inputs, capsys):
    code, _, said = run(capsys, tmp_path / "nowhere", inputs[C3.name])
    assert code == Exit.USAGE and "wanted the folder of a site; `tinyren up` makes one" in said
