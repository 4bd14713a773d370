"""`python -m tests.page_bench`: bytes and milliseconds of pages on loopback, in Chromium with an empty cache.

The site is made up (tests/web_demo.py), with three devices and with 1,000; server and Chromium share this machine.
`make bench` measures the same of a real gateway.
"""

import time

from gateway.benchmarks import page
from gateway.web.app import app
from gateway.web.serve import serve
from tests.web_demo import DemoSource, settled_snapshot


def snapshot(devices: int) -> dict:
    made = settled_snapshot(time.time_ns() // 1_000_000)
    rows = [made["devices"][n % 3] | {"id": f"0x{n:040x}"} for n in range(devices)]
    return made if devices <= 3 else made | {"devices": rows}


def main() -> None:
    print("| page | devices | ms until painted | ms until loaded | bytes sent | bytes unpacked |")
    print("|---|---|---|---|---|---|")
    for devices in (3, 1000):
        server = serve(app(DemoSource(snapshot(devices))))
        for path in ("/", "/fleet"):
            found = page.measure(server.url.rstrip("/") + path).values()
            print("|", " | ".join(map(str, [path, devices, *found])), "|", flush=True)
        server.stop()


if __name__ == "__main__":
    main()
