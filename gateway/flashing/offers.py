"""What a browser may bring to boards: firmware files that the operator has, cut and checked as `tinyren flash` does it.

Pure: contents in, contents out. A file is a board's if its name begins as the release names it (`BUILD-DATE`) and its
content is for that board; the newest counts. What is left of the flash map is the board's, unless it is set up anew:
then its files come from here, and what it held is gone, its key and settings too.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from boards import uf2
from boards.board import BoardError
from boards.drive import WrongImage, choose_image
from boards.files_image import files_region, make_image
from boards.hardware import NOT_PINNED, Hardware, hardware_names, load_hardware
from boards.images import ImageError, check_image, cut_esp

Package = Callable[[Hardware], Mapping[str, bytes]]
"""The files that a board is to have, content by path; none where there are none for it."""

FOLDER = "firmware"  # below SITE: firmware files, and for each board a folder of its name: a new board's files
TOOLS = ("esptool", "uf2")
CHIPS = {"esp32s3": "ESP32-S3", "esp32c3": "ESP32-C3"}  # as a manifest of ESP Web Tools names them
RELEASE = re.compile(r"-v(\d+(?:\.\d+){1,2}(?:-[a-z0-9.]+)?)")
BOTH = ("rp2350-arm-s", "rp2350-riscv")  # one board takes either: the first that it is given


@dataclass(frozen=True)
class Part:
    """What is written at an address, 0 for a UF2 file, whose blocks say it themselves."""

    address: int
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Offer:
    """A board's firmware.

    file: the operator's; parts: what is written, and the rest stays; fresh: the same with the board's files, () if
    there are none for it.
    """

    board: Hardware
    file: str
    parts: tuple[Part, ...]
    fresh: tuple[Part, ...]

    @property
    def tool(self) -> str:
        return self.board.flash[0].tool

    @property
    def version(self) -> str:
        found = RELEASE.search(self.file)
        return found[1] if found else "unknown"


@dataclass(frozen=True)
class Offers:
    """All of them, and in words what is wrong with files that are for none."""

    offers: tuple[Offer, ...] = ()
    troubles: tuple[str, ...] = ()
    wanted: tuple[tuple[str, str], ...] = ()  # (board's title, the release's file)

    def manifest(self, version: str, is_fresh: bool) -> dict[str, object]:
        """What ESP Web Tools is told: a build for each chip, its parts by the addresses of `files`.

        Firmware alone is named as it is, and the browser asks whether to erase. A fresh board's is never named as what
        runs on one already, so that the browser says that all is lost before it begins.
        """
        esp = [offer for offer in self.offers if offer.tool == "esptool" and (offer.fresh or not is_fresh)]
        builds = [
            {
                "chipFamily": CHIPS[offer.board.flash[0].chip],
                "parts": [
                    {"path": f"/flash/files/{part.digest}/{offer.board.name}.bin", "offset": part.address}
                    for part in (offer.fresh if is_fresh else offer.parts)
                ],
            }
            for offer in esp
        ]
        if is_fresh:
            return {"name": "tinyren on a new board", "version": version, "builds": builds}
        name = {"name": "MicroPython", "version": max((offer.version for offer in esp), default="")}
        return {**name, "new_install_prompt_erase": True, "builds": builds}

    def joined(self, is_fresh: bool) -> Part | None:
        """One UF2 file for all boards that show themselves as a drive, if there are several; an RP2350's for Arm."""
        chosen = [offer for offer in self.offers if offer.tool == "uf2" and (offer.fresh or not is_fresh)]
        has_arm = any(offer.board.flash[0].family == BOTH[0] for offer in chosen)
        kept = [offer for offer in chosen if not (has_arm and offer.board.flash[0].family == BOTH[1])]
        files = [(offer.fresh if is_fresh else offer.parts)[0].content for offer in kept]
        return Part(0, uf2.join(*files)) if len(files) > 1 else None

    def find(self, digest: str) -> bytes | None:
        """The content with that SHA-256, None if nothing that is offered has it."""
        parts = [part for offer in self.offers for part in (*offer.parts, *offer.fresh)]
        parts += [part for part in map(self.joined, (False, True)) if part]
        return next((part.content for part in parts if part.digest == digest), None)


def offer_all(files: Mapping[str, bytes], package: Package) -> Offers:
    """What the operator's files, content by name, are to which boards."""
    boards = [board for board in map(load_hardware, hardware_names()) if board.flash[0].tool in TOOLS]
    offers, troubles, used = [], [], set()
    for board in boards:
        names = sorted(name for name in files if _is_of(board, name))
        used |= set(names)
        if not names:
            continue
        try:
            offers.append(_offer(board, names[-1], files[names[-1]], package(board)))
        except (ImageError, WrongImage, BoardError, uf2.Uf2Error) as error:
            troubles.append(f"{names[-1]}: {error}")
    unknown = "no board that is flashed from a browser has a file of this name"
    troubles += [f"{name}: {unknown}" for name in files if name not in used]
    wanted = tuple((board.title, board.flash[0].file) for board in boards)
    return Offers(tuple(offers), tuple(troubles), wanted)


def _is_of(board: Hardware, name: str) -> bool:
    """Whether a name is that of a release for this board: build, date, and what its own file ends in."""
    end = re.escape(board.flash[0].file.rpartition(".")[2])
    build = re.escape(board.firmware.build) if board.firmware else ""
    return re.fullmatch(rf"{build}-\d{{8}}[\w.-]*\.{end}", name) is not None


def _offer(board: Hardware, name: str, file: bytes, files: Mapping[str, bytes]) -> Offer:
    way = board.flash[0]
    digest = hashlib.sha256(file).hexdigest()
    if way.sha256 not in (NOT_PINNED, digest):
        raise ImageError(f"file: got SHA-256 {digest}, wanted {way.sha256}; download {way.file} again")
    if way.tool == "uf2":
        family = uf2.FAMILIES[way.family]
        choose_image(file, family)
        own = uf2.select(file, family)
        parts: Sequence[Part] = [Part(0, own)]
        fresh: Sequence[Part] = []
        if files:
            region = files_region(board)
            fresh = [Part(0, uf2.add(own, family, region.address, make_image(dict(files), region)))]
    else:
        check_image(board, way, file)
        parts = [Part(way.address + address, content) for address, content in cut_esp(board, file)]
        region = files_region(board)
        fresh = [*parts, Part(region.address, make_image(dict(files), region))] if files else []
    return Offer(board, name, tuple(parts), tuple(fresh))
