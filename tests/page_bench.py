"""`python -m tests.page_bench`: bytes and milliseconds of the first page on loopback, in Chromium with an empty cache.

The site is made up (tests/web_demo.py), with three devices and with 1,000; the server and Chromium share this machine.
"""

import shutil
import statistics
import time

import httpx
from playwright.sync_api import Browser, sync_playwright

from gateway.web.app import app
from gateway.web.serve import serve
from tests.web_demo import DemoSource, settled_snapshot

TIMES = 9
LOADED = """() => { const page = performance.getEntriesByType("navigation")[0];
    const all = [page, ...performance.getEntriesByType("resource").filter((one) => !one.name.includes("/events"))];
    return [page.loadEventEnd - page.fetchStart, all.reduce((sum, one) => sum + one.transferSize, 0),
        all.reduce((sum, one) => sum + one.decodedBodySize, 0)]; }"""


def snapshot(devices: int) -> dict:
    made = settled_snapshot(time.time_ns() // 1_000_000)
    rows = [made["devices"][n % 3] | {"id": f"0x{n:040x}"} for n in range(devices)]
    return made if devices <= 3 else made | {"devices": rows}


def measure(browser: Browser, devices: int, path: str) -> tuple[int, int, int, int]:
    """Medians: ms until loaded, bytes sent, bytes unpacked, ms until the HTML alone is there."""
    server = serve(app(DemoSource(snapshot(devices))))
    client = httpx.Client(base_url=server.url)
    found = []
    for _ in range(TIMES):
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url.rstrip("/") + path)
        page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
        began = time.perf_counter()
        client.get(path)
        found.append((*page.evaluate(LOADED), 1000 * (time.perf_counter() - began)))
        context.close()
    client.close()
    server.stop()
    ms, sent, unpacked, html = (round(statistics.median(column)) for column in zip(*found, strict=True))
    return ms, sent, unpacked, html


def main() -> None:
    print(
        "| page | devices | ms until loaded | bytes sent | bytes unpacked | ms, HTML alone |\n|---|---|---|---|---|---|"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for devices in (3, 1000):
            for path in ("/", "/fleet"):
                print("|", " | ".join(map(str, [path, devices, *measure(browser, devices, path)])), "|", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
