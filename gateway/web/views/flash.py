"""What the page for flashing shows of what is offered: which boards, which steps, what is missing; pure."""

from typing import Any

from gateway.flashing.offers import Offer, Offers, Part


def view(offers: Offers, folder: str) -> dict[str, Any]:
    """The context of flash.html. folder: where the operator puts firmware files."""
    esp = [offer for offer in offers.offers if offer.tool == "esptool"]
    drives = [offer for offer in offers.offers if offer.tool == "uf2"]
    return {
        "folder": folder,
        "esp": [offer.board.title for offer in esp],
        "used": [offer.file for offer in offers.offers],
        "new_esp": [offer.board.title for offer in esp if offer.fresh],
        "drives": [offer.board.flash[0].drive for offer in drives],
        "new_links": _links(offers, drives, True),
        "firmware_links": _links(offers, drives, False),
        "bootloader": sorted({offer.board.bootloader for offer in drives}),
        "troubles": list(offers.troubles),
        "wanted": list(offers.wanted),
    }


def _links(offers: Offers, drives: list[Offer], is_fresh: bool) -> list[dict[str, Any]]:
    """UF2 files to download: one for all boards first, if there are several, then each board's."""
    end = "new" if is_fresh else "firmware"
    joined = offers.joined(is_fresh)
    found = [_link(joined, "any of them", f"any-{end}.uf2")] if joined else []
    parts = [(offer, offer.fresh if is_fresh else offer.parts) for offer in drives]
    return found + [_link(part[0], offer.board.title, f"{offer.board.name}-{end}.uf2") for offer, part in parts if part]


def _link(part: Part, words: str, name: str) -> dict[str, Any]:
    return {"href": f"/flash/files/{part.digest}/{name}", "words": words, "name": name, "bytes": len(part.content)}
