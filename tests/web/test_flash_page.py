"""The page for flashing: what is offered of a folder's files, as manifests and parts; what is told of other files."""

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from boards import uf2
from boards.files_image import files_region, make_image
from boards.flashing import esptool_commands
from boards.hardware import Hardware, load_hardware
from boards.images import cut_esp
from boards.uf2 import FAMILIES
from gateway.flashing.offers import offer_all
from gateway.web import app as web
from gateway.web import flash_http
from gateway.web.serve import serve
from tests.web_demo import DemoSource, settled_snapshot

VERSION = "0.1.0"
FILES = {"main.py": b"print('hi')\n", "lib/agent/wire.mpy": bytes(99)}
C3, S3, PICO = load_hardware("esp32_c3"), load_hardware("esp32_s3"), load_hardware("rpi_pico_w")
DRIVES = {"rpi_pico_w": "rp2040", "rpi_pico2_w": "rp2350-arm-s", "rpi_pico2_w_riscv": "rp2350-riscv"}


def esp_image(chip: int, size: int = 0x20000) -> bytes:
    image = bytearray(b"\xff") * size
    image[0], image[0x10000] = 0xE9, 0xE9
    struct.pack_into("<H", image, 12, chip)
    return bytes(image)


IMAGES = {C3.flash[0].file: esp_image(5), S3.flash[0].file: esp_image(9)} | {
    load_hardware(name).flash[0].file: uf2.write(name.encode() * 99, 0x10000000, FAMILIES[family])
    for name, family in DRIVES.items()
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "firmware"
    made.mkdir()
    return made


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    server = serve(web.app(DemoSource(settled_snapshot()), flash_http.routes(folder, VERSION)))
    with httpx.Client(base_url=server.url) as client:
        yield client
    server.stop()


def fill(folder: Path, images: dict[str, bytes] = IMAGES, boards: Sequence[str] = (C3.name, S3.name, *DRIVES)) -> None:
    """Firmware files, and for each of the boards the files of a new one."""
    for name, content in images.items():
        (folder / name).write_bytes(content)
    for board in boards:
        for path, content in FILES.items():
            (folder / board / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / board / path).write_bytes(content)


def written(client: httpx.Client, build: dict) -> list[tuple[int, bytes]]:
    """What a browser would write of a build, each part fetched and compared with the digest in its address."""
    found = []
    for part in build["parts"]:
        content = client.get(part["path"]).content
        assert hashlib.sha256(content).hexdigest() in part["path"]
        found.append((part["offset"], content))
    return found


@pytest.mark.parametrize("board", [C3, S3])
def test_a_browser_writes_what_esptool_would_be_given(client: httpx.Client, folder: Path, board: Hardware) -> None:
    fill(folder)
    way, image = board.flash[0], IMAGES[board.flash[0].file]
    told = client.get("/flash/firmware.json").json()
    build = next(build for build in told["builds"] if build["chipFamily"] == board.title)
    parts = written(client, build)
    ((*_, command),) = [esptool_commands(way, "port", [(at, str(at)) for at, _ in cut_esp(board, image)], False)]
    assert [f"{at:#x}" for at, _ in parts] == command[command.index("write-flash") + 1 :: 2]
    assert parts == cut_esp(board, image) and told["new_install_prompt_erase"] is True
    assert (told["name"], told["version"]) == ("MicroPython", "1.25.0")


@pytest.mark.parametrize("board", [C3, S3])
def test_a_new_board_gets_its_files_where_micropython_looks_for_them(
    client: httpx.Client, folder: Path, board: Hardware
) -> None:
    fill(folder)
    told = client.get("/flash/new.json").json()
    build = next(build for build in told["builds"] if build["chipFamily"] == board.title)
    region = files_region(board)
    *firmware, (at, content) = written(client, build)
    assert firmware == cut_esp(board, IMAGES[board.flash[0].file])
    assert (at, content) == (region.address, make_image(FILES, region))
    assert told["name"] != "tinyren" and "new_install_prompt_erase" not in told  # so the browser says what is lost


def links(client: httpx.Client) -> dict[str, str]:
    """Address by file name of each UF2 file that the page offers."""
    html = client.get("/flash").text
    found = [part.split('" download="') for part in html.split('href="')[1:]]
    return {rest.split('"')[0]: href for href, rest in (pair for pair in found if len(pair) == 2)}


def test_boards_with_a_drive_get_their_file_and_one_for_all_of_them(client: httpx.Client, folder: Path) -> None:
    fill(folder)
    offered = {name: client.get(href).content for name, href in links(client).items()}
    assert len(offered) == 2 * len(DRIVES) + 2
    for name, family in DRIVES.items():
        board = load_hardware(name)
        assert offered[f"{name}-firmware.uf2"] == IMAGES[board.flash[0].file]
        (image,) = uf2.read(offered[f"{name}-new.uf2"])
        region = files_region(board)
        assert image.content[region.address - 0x10000000 :] == make_image(FILES, region)
        assert image.family == FAMILIES[family]
    for kind in ("new", "firmware"):
        families = [image.family for image in uf2.read(offered[f"any-{kind}.uf2"])]
        assert sorted(families) == sorted(FAMILIES[name] for name in ("rp2040", "rp2350-arm-s"))  # an RP2350 takes one


def test_without_files_the_page_says_which_it_wants_and_where(client: httpx.Client, folder: Path) -> None:
    for html in (client.get("/flash").text, (fill(folder, {"notes.txt": b"x"}), client.get("/flash").text)[1]):
        assert "No firmware here yet" in html and str(folder) in html and "esp-web-install-button" not in html
        assert all(name in html for name in IMAGES)
    assert client.get("/flash/new.json").json()["builds"] == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.txt", b"x", "notes.txt: no board that is flashed from a browser has a file of this name"),
        (C3.flash[0].file, esp_image(9), "chip: got an image for esp32s3, wanted esp32c3"),
        (C3.flash[0].file, b"", "wanted e9"),
        (PICO.flash[0].file, b"x" * 512, "block 1: got"),
        (PICO.flash[0].file, uf2.write(b"x", 0, FAMILIES["esp32s3"]), "family: got esp32s3, wanted rp2040"),
        ("RPI_PICO_W-20250415-v1.25.0.bin", b"x", "no board that is flashed from a browser"),
        ("<script>-20250415-v1.25.0.bin", b"x", "&lt;script&gt;"),
    ],
)
def test_a_file_that_fits_no_board_is_told_and_the_others_are_offered(
    client: httpx.Client, folder: Path, name: str, content: bytes, said: str
) -> None:
    fill(folder, {S3.flash[0].file: IMAGES[S3.flash[0].file]})
    (folder / name).write_bytes(content)
    html = client.get("/flash").text
    assert said in html and "<script>-" not in html and html.count("<esp-web-install-button") == 2
    assert [build["chipFamily"] for build in client.get("/flash/new.json").json()["builds"]] == ["ESP32-S3"]


def test_the_newest_release_counts_and_one_that_was_replaced_is_no_longer_served(
    client: httpx.Client, folder: Path
) -> None:
    fill(folder, {C3.flash[0].file: IMAGES[C3.flash[0].file]})
    (build,) = client.get("/flash/firmware.json").json()["builds"]
    fill(folder, {"ESP32_GENERIC_C3-20260102-v1.26.1.bin": esp_image(5, 0x30000)})
    told = client.get("/flash/firmware.json").json()
    assert told["version"] == "1.26.1" and len(written(client, told["builds"][0])[-1][1]) == 0x20000
    gone = client.get(build["parts"][-1]["path"])
    assert gone.status_code == 404 and "Reload the page" in gone.text


def test_images_are_made_anew_only_when_a_file_changed(
    client: httpx.Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder)
    made = []
    monkeypatch.setattr(flash_http, "offer_all", lambda *given: (made.append(offer_all(*given)), made[-1])[1])
    before = client.get("/flash/new.json").json()
    assert client.get("/flash/new.json").json() == before and len(made) == 1
    path = folder / C3.name / next(iter(FILES))
    path.write_bytes(bytes(len(path.read_bytes())))
    assert client.get("/flash/new.json").json() != before and len(made) == 2


def test_a_file_that_is_no_firmwares_size_or_not_readable_is_not_read(folder: Path) -> None:
    with open(folder / "big.bin", "wb") as file:
        file.truncate(flash_http.MOST_BYTES + 1)
    (folder / "sub").mkdir()
    (folder / "half.bin.part").write_bytes(b"x")
    (folder / "gone.bin").symlink_to(folder / "nothing")
    assert flash_http.read_folder(folder) == {} == flash_http.read_folder(folder / "nothing")


def test_a_board_without_files_is_offered_its_firmware_alone(folder: Path) -> None:
    fill(folder, boards=())
    server = serve(web.app(DemoSource(settled_snapshot()), flash_http.routes(folder, VERSION)))
    with httpx.Client(base_url=server.url) as client:
        html = client.get("/flash").text
        assert "Set up a new board" not in html and html.count("<esp-web-install-button") == 1
        assert json.loads(client.get("/flash/new.json").text)["builds"] == []
        assert set(links(client)) == {f"{name}-firmware.uf2" for name in DRIVES} | {"any-firmware.uf2"}
    server.stop()


def test_what_is_vendored_for_it_is_what_its_list_says() -> None:
    place = Path(web.__file__).parent / "static" / "vendor" / "esp-web-tools"
    rows = [line.split() for line in (place / "SHA256SUMS").read_text().splitlines()]
    files = [path for path in place.glob("*.js")]
    assert sorted(rows) == sorted([hashlib.sha256(path.read_bytes()).hexdigest(), path.name] for path in files)
    assert sum(path.stat().st_size for path in files) < 550_000
