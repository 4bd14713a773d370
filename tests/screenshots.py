"""`python -m tests.screenshots`: pictures of every page of a real site with emulated boards, into docs/pages.

It starts a site of its own (tests/screenshot_site.py) in a temporary folder and ends it. `--url URL` takes one that
runs already. A picture is one screen, so that what is below the fold shows as a visitor finds it.
"""

import argparse
import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.screenshot_site import ROOT, running_site, state

OUT = ROOT / "docs" / "pages"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
PAGES = {
    "overview": "/", "fleet": "/fleet", "device": "/fleet/{device}", "earnings": "/earnings", "why": "/earnings/1/1",
    "epochs": "/epochs", "rollouts": "/rollouts", "rounds": "/rounds", "storage": "/storage", "settings": "/settings",
    "flash": "/flash", "bind": "/bind", "sign-in": "/admin",
}  # fmt: skip
COLOURS, LEAST_DOTS, VIVID = 256, 9, 60
THEMES = ("light", "dark")
MOST_BYTES = 150_000


def shots() -> Iterator[tuple[str, str, str, str]]:
    """(name, path, size, theme) of each picture."""
    for name, path in PAGES.items():
        for size in SIZES:
            for theme in THEMES:
                yield name, path, size, theme


def picture(png: bytes) -> bytes:
    """The same in a palette, a third of the size. A row of each vivid colour keeps small dots in the palette."""
    from PIL import Image

    whole = Image.open(io.BytesIO(png)).convert("RGB")
    width, height = whole.size
    vivid = [rgb for count, rgb in whole.getcolors(1 << 24) if count > LEAST_DOTS and max(rgb) - min(rgb) > VIVID]
    weighed = Image.new("RGB", (width, height + len(vivid)))
    weighed.paste(whole, (0, 0))
    for row, colour in enumerate(vivid, height):
        weighed.paste(colour, (0, row, width, row + 1))
    made = io.BytesIO()
    weighed.quantize(COLOURS, dither=Image.Dither.NONE).crop((0, 0, width, height)).save(made, "PNG", optimize=True)
    return made.getvalue()


def take(url: str, out: Path) -> None:
    """Every picture of the site at `url`. Raises SystemExit: one is not answered or too large."""
    from playwright.sync_api import sync_playwright

    device = state(url)["devices"][0]["id"]
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, path, size, theme in shots():
            width, height = SIZES[size]
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            answer = page.goto(url.rstrip("/") + path.format(device=device))
            if not answer.ok:
                print(f"{path}: the site answers {answer.status}, left out", file=sys.stderr)
                continue
            page.wait_for_timeout(700)  # its stream opens and says that it is live
            content = picture(page.screenshot())
            if len(content) > MOST_BYTES:
                sys.exit(f"{name}-{size}-{theme}: got {len(content)} bytes, wanted at most {MOST_BYTES}")
            (out / f"{name}-{size}-{theme}.png").write_bytes(content)
            page.close()
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="of a site that runs already, http://127.0.0.1:PORT/")
    parser.add_argument("--out", type=Path, default=OUT, help="where to (default: docs/pages)")
    arguments = parser.parse_args()
    if arguments.url:
        take(arguments.url, arguments.out)
        return
    with running_site() as url:
        take(url, arguments.out)


if __name__ == "__main__":
    main()
