"""`tinyren label`: each drawing is read back by another library; what is refused changes neither codes nor files."""

import importlib
import io
import re
import sys

import pytest

from gateway import cli, labels
from gateway.commands.label import draw
from gateway.errors import Exit
from gateway.intake.registry import Device, Registry
from gateway.labels import codes, payload
from gateway.labels.codes import Codes
from gateway.labels.payload import Label

lay_out = pytest.importorskip(
    "gateway.labels.layout", reason="labels are drawn by the extra `labels`", exc_type=ImportError
).lay_out

DEVICES = [bytes([number]) * 20 for number in range(1, 31)]
BOARD = "qemu_virt_rv32"


def library(name):
    return importlib.import_module(name) if importlib.util.find_spec(name) else pytest.skip(f"{name} is not installed")


def found(image):
    """Texts of the QR codes in a picture; each must be of level M."""
    codes = library("zxingcpp").read_barcodes(image)
    assert {code.ec_level for code in codes} <= {"M"}
    return {code.text for code in codes}


def pictures(kind, content):
    """What a printer or a screen makes of a drawing; zpl's QR code is drawn by the printer and has none."""
    image = library("PIL.Image")
    if kind == "png":
        return [image.open(io.BytesIO(content))]
    if kind == "svg":
        shown = library("resvg_py").svg_to_bytes(svg_string=content.decode(), dpi=300)
        return [image.open(io.BytesIO(bytes(shown)))]
    if kind == "pdf":
        return [page.render(scale=4).to_pil() for page in library("pypdfium2").PdfDocument(content)]
    shown = [line for line in content.decode().splitlines() if set(line) & set("█▀▄")]
    halves = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    rows = [[halves[char][half] for char in line] for line in shown for half in (0, 1)]
    picture = image.new("1", (len(rows[0]), len(rows)))
    picture.putdata([module for row in rows for module in row])
    return [picture.resize((8 * picture.width, 8 * picture.height))]


def layouts(count, page=""):
    made = [Label(device, payload.board_digest(BOARD), number) for number, device in enumerate(DEVICES[:count])]
    texts = {payload.encode_url(label, page) if page else payload.encode(label) for label in made}
    return [lay_out(label, BOARD, page) for label in made], texts


@pytest.mark.parametrize("kind", ["svg", "png", "pdf", "text"])
def test_another_library_reads_the_label_off_each_drawing(kind):
    drawn, texts = layouts(1)
    assert len(drawn[0].modules) == 29  # version 3
    assert set().union(*map(found, pictures(kind, draw(drawn, kind, False)))) == texts


@pytest.mark.parametrize("kind", ["svg", "zpl", "text"])
def test_a_boards_name_that_a_terminal_or_a_printer_would_obey_is_drawn_as_text(kind):
    board = "a\x1b[2J^XZ\n<b>"
    made = Label(DEVICES[0], payload.board_digest(board), 1)
    drawn = draw([lay_out(made, board)], kind, False).decode()
    shown = {"svg": "a?[2J^XZ?&lt;b&gt;", "zpl": "a_3F_5B2J_5EXZ_3F_3Cb_3E", "text": "a?[2J^XZ?<b>"}
    assert shown[kind] in drawn and "\x1b" not in drawn


@pytest.mark.parametrize("kind", ["svg", "png", "pdf", "text"])
@pytest.mark.parametrize(("host", "modules"), [(24, 33), (25, 37), (56, 37)])  # versions 4 and 5
def test_a_label_with_a_url_is_read_off_each_drawing_and_no_larger_than_it_must_be(kind, host, modules):
    drawn, texts = layouts(1, payload.check_page("https://" + "h" * host))
    assert len(drawn[0].modules) == modules
    assert set().union(*map(found, pictures(kind, draw(drawn, kind, False)))) == texts


def test_sheets_hold_24_labels_and_the_next_one_begins_another():
    drawn, texts = layouts(30)
    pages = [found(page) for page in pictures("pdf", draw(drawn, "pdf", True))]
    assert [len(page) for page in pages] == [24, 6] and set().union(*pages) == texts


def test_a_label_printer_is_told_the_text_and_the_level_and_nothing_that_is_a_command():
    drawn, texts = layouts(2)
    odd = lay_out(Label(DEVICES[0], bytes(4), 1), "a^FS~b_c")
    content = draw([*drawn, odd], "zpl", False).decode()
    codes = re.findall(r"\^BQN,2,(\d+)\^FDMM,A([0-9A-Z.:-]+)\^FS", content)
    assert {text for _, text in codes} == texts | {odd.text} and {size for size, _ in codes} == {"4"}
    assert "^FDa_5EFS_7Eb_5Fc^FS" in content and content.count("^XA") == content.count("^XZ") == 3
    assert set(re.findall(r"[\^~]([A-Z][A-Z0-9]?)", content)) == {"XA", "PW", "LL", "FO", "BQ", "FD", "FS", "FT", "A0",
                                                                "FH", "XZ"}  # fmt: skip


@pytest.fixture
def site(tmp_path):
    """A site that has heard the first of DEVICES."""
    folder = tmp_path / "site"
    folder.mkdir()
    registry = Registry(folder / "state.sqlite")
    registry.enroll([Device(DEVICES[0], bytes(33), BOARD, "core", "0.1", bytes(36), "source", 1)])
    registry.close()
    return folder


def run(capsys, site, *words):
    """(exit code, stdout, stderr) of `tinyren label`."""
    try:
        code = cli.main(["label", "--site", str(site), *map(str, words)])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr()
    return code, said.out, said.err


def kept(site):
    store = Codes(site)
    try:
        return [store.find(device) for device in store.devices()]
    finally:
        store.close()


def test_the_command_prints_a_label_whose_code_is_kept_as_a_hash_alone(capsys, site):
    code, out, _ = run(capsys, site, "0x" + DEVICES[0].hex())
    (labelled,) = kept(site)
    _, number = payload.read_manual_code(out.splitlines()[-1])
    assert code == Exit.OK and BOARD in out and labelled.board == BOARD
    assert codes.is_code(labelled, number) and not codes.is_code(labelled, number ^ 1)
    files = b"".join(path.read_bytes() for path in site.iterdir())
    assert number.to_bytes(5, "big") not in files


def test_a_file_holds_the_labels_for_its_user_alone(capsys, site, tmp_path):
    path = tmp_path / "labels.zpl"
    words = [device.hex() for device in DEVICES[:3]]
    code, out, err = run(capsys, site, *words, "--format", "zpl", "--out", path, "--board", BOARD)
    assert (code, out) == (Exit.OK, "") and str(path) in err and path.stat().st_mode & 0o777 == 0o600
    texts = re.findall(r"MM,A(.+?)\^FS", path.read_text())
    read = [payload.decode(text) for text in texts]
    assert [label.device for label in read] == DEVICES[:3]
    assert all(map(codes.is_code, kept(site), [label.code for label in read]))
    assert not list(tmp_path.glob("*.part"))


def test_a_url_that_is_given_or_configured_is_in_the_label(capsys, site, tmp_path):
    def printed(*words):
        path = tmp_path / "label.zpl"
        options = ["--replace", "--format", "zpl", "--out", path, *words]
        code, _, err = run(capsys, site, DEVICES[0].hex(), *options)
        is_told = "these labels lead to HTTP" in err and "page.public_url, which is HTTPS://GW.LOCAL:8443" in err
        assert code == Exit.OK and is_told == bool(words and words[-1])
        return re.search(r"MM,A(.+?)\^FS", path.read_text())[1]

    assert printed().startswith("TR:")
    (site / "config.toml").write_text('[page]\npublic_url = "https://gw.local:8443"\n')
    assert printed().startswith("HTTPS://GW.LOCAL:8443/B/")
    text = printed("--url", "http://10.0.0.1:8420/")
    assert text.startswith("HTTP://10.0.0.1:8420/B/") and payload.decode(text).device == DEVICES[0]
    assert printed("--url", "").startswith("TR:")
    same = ["--replace", "--url", "https://GW.local:8443/"]
    assert "lead to" not in run(capsys, site, DEVICES[0].hex(), *same)[2]


def test_a_second_label_is_refused_until_it_is_to_replace_the_first(capsys, site):
    run(capsys, site, DEVICES[0].hex())
    before = kept(site)
    code, out, err = run(capsys, site, DEVICES[0].hex())
    assert (code, out) == (Exit.REFUSED, "") and "--replace" in err and kept(site) == before
    assert run(capsys, site, DEVICES[0].hex(), "--replace")[0] == Exit.OK and kept(site) != before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0x12"], "DEVICE: got '0x12', wanted a device id"),
        ([DEVICES[0].hex(), "0x" + DEVICES[0].hex()], "one device twice"),
        ([DEVICES[0].hex(), DEVICES[1].hex(), "--format", "svg"], "got 2 devices, wanted one for svg"),
        ([DEVICES[1].hex()], "never announced itself here"),
        ([DEVICES[0].hex(), "--board", "other"], "announced 'qemu_virt_rv32'"),
        ([DEVICES[1].hex(), "--board", "ä"], "board: got 2 bytes"),
        ([DEVICES[0].hex(), "--sheet"], "wanted --format pdf"),
        ([DEVICES[0].hex(), "--format", "zpl", "--out", "nowhere/label"], "nowhere"),
        ([DEVICES[0].hex(), "--format", "zpl", "--out", "site"], "--out: got the folder site, wanted the name of a"),
        ([DEVICES[0].hex(), "--url", "https://gw/path"], "--url: got 'https://gw/path', wanted https://HOST"),
        ([DEVICES[0].hex(), "--format", "gif"], "invalid choice: 'gif'"),
    ],
)
def test_what_cannot_be_labelled_is_told_and_no_code_is_made(words, message, capsys, site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, site, *words)
    assert code in (Exit.FAILED, Exit.USAGE, Exit.REFUSED) and out == "" and message in err
    assert kept(site) == [] and [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize(("kind", "package"), [("text", "segno"), ("pdf", "fpdf"), ("png", "PIL")])
def test_a_package_that_is_missing_is_named_and_no_code_is_made(kind, package, capsys, site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("layout", "printing"):
        monkeypatch.delitem(sys.modules, f"gateway.labels.{name}", raising=False)
        monkeypatch.delattr(labels, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = run(capsys, site, DEVICES[0].hex(), "--format", kind)
    assert (code, out) == (Exit.USAGE, "") and "pip install 'tinyren[labels]'" in err and kept(site) == []


def test_a_full_disk_keeps_the_labels_before_of_all(site):
    store = Codes(site)
    store.keep_all([(device, BOARD, 1) for device in DEVICES])
    before = kept(site)
    store._database.execute(f"PRAGMA max_page_count = {store._database.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(codes.CodesFull):
        store.keep_all([(device, BOARD * 40, 2) for device in [*DEVICES, bytes(20)]])
    store.close()
    assert kept(site) == before


def test_a_burned_code_opens_nothing_and_stays_burned(site):
    store = Codes(site)
    store.keep(DEVICES[0], BOARD, 7)
    store.burn(DEVICES[0])
    store.burn(DEVICES[0])
    store.burn(DEVICES[1])
    assert store.devices() == [DEVICES[0]] and not any(codes.is_code(store.find(DEVICES[0]), code) for code in (0, 7))
    store.close()
