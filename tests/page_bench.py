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
IS_THERE = """performance.getEntriesByType('navigation')[0].loadEventEnd > 0
    && performance.getEntriesByName("first-contentful-paint").length"""
LOADED = """() => { const page = performance.getEntriesByType("navigation")[0];
    const all = [page, ...performance.getEntriesByType("resource").filter((one) => !one.name.includes("/events"))];
    const [paint] = performance.getEntriesByName("first-contentful-paint").map((one) => one.startTime);
    const sum = (name) => all.reduce((total, one) => total + one[name], 0);
    return [paint - page.fetchStart, page.loadEventEnd - page.fetchStart, sum("transferSize"), sum("decodedBodySize")];
}"""


def snapshot(devices: int) -> dict:
    made = settled_snapshot(time.time_ns() // 1_000_000)
    rows = [made["devices"][n % 3] | {"id": f"0x{n:040x}"} for n in range(devices)]
    return made if devices <= 3 else made | {"devices": rows}


def measure(browser: Browser, devices: int, path: str) -> tuple[int, ...]:
    """Medians: ms until content is painted, until all is loaded, bytes sent, bytes unpacked, ms for the HTML alone."""
    server = serve(app(DemoSource(snapshot(devices))))
    client = httpx.Client(base_url=server.url)
    found = []
    for _ in range(TIMES):
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url.rstrip("/") + path)
        page.wait_for_function(IS_THERE)
        began = time.perf_counter()
        client.get(path)
        found.append((*page.evaluate(LOADED), 1000 * (time.perf_counter() - began)))
        context.close()
    client.close()
    server.stop()
    return tuple(round(statistics.median(column)) for column in zip(*found, strict=True))


def main() -> None:
    print("| page | devices | ms until painted | ms until loaded | bytes sent | bytes unpacked | ms, HTML alone |")
    print("|---|---|---|---|---|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for devices in (3, 1000):
            for path in ("/", "/fleet"):
                print("|", " | ".join(map(str, [path, devices, *measure(browser, devices, path)])), "|", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
