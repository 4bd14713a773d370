"""How fast a page of a running site is on loopback, in Chromium with an empty cache; it starts no site.

Server and Chromium share this machine. A page is loaded TIMES times, each in a browser context of its own, and the
medians count. Where playwright or chromium is not installed there is no figure, and None says so.
"""

import shutil
import statistics

TIMES = 9
POLL_MS = 20
IS_LOADED = """performance.getEntriesByType('navigation')[0].loadEventEnd > 0
    && performance.getEntriesByName("first-contentful-paint").length"""
FIGURES = """() => { const page = performance.getEntriesByType("navigation")[0];
    const all = [page, ...performance.getEntriesByType("resource").filter((one) => !one.name.includes("/events"))];
    const [paint] = performance.getEntriesByName("first-contentful-paint").map((one) => one.startTime);
    const sum = (name) => all.reduce((total, one) => total + one[name], 0);
    return [paint - page.fetchStart, page.loadEventEnd - page.fetchStart, sum("transferSize"), sum("decodedBodySize")];
}"""
NAMES = ("painted_ms", "loaded_ms", "sent_bytes", "unpacked_bytes")


def measure(url: str, times: int = TIMES) -> dict[str, int | None]:
    """{"painted_ms", "loaded_ms", "sent_bytes", "unpacked_bytes"} of the page at `url`, or None for each.

    Painted is its first content, loaded is all but the stream of its news; `sent_bytes` are on the wire with headers.
    """
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        chromium = None
    if chromium is None:
        return dict.fromkeys(NAMES)
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(times):
            context = browser.new_context()
            page = context.new_page()
            page.goto(url)
            while not page.evaluate(IS_LOADED):  # a wait inside the page would want eval, which its policy refuses
                page.wait_for_timeout(POLL_MS)
            found.append(page.evaluate(FIGURES))
            context.close()
        browser.close()
    return dict(zip(NAMES, (round(statistics.median(column)) for column in zip(*found, strict=True)), strict=True))
