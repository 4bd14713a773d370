"""The page for flashing in a headless browser: a board of ours is given its Wi-Fi, one in its boot ROM is begun with.

The serial port is a stand-in in the page, whose octets go to this process and come from it: to `agent.improv` as a
board runs it, or to nobody. The rest is the browser and ESP Web Tools as they are.
"""

import struct
import time

import pytest

from device.agent.improv import WIFI, Improv
from gateway.web import flash_http
from gateway.web.app import app
from gateway.web.serve import serve
from tests.web.test_flash_page import fill
from tests.web.test_pages_browser import AXE, GRAVE, RULES, axe, browser, opened  # noqa: F401
from tests.web_demo import DemoSource, settled_snapshot

NETWORK, PASSWORD = "Würzburg 2", "not-to-be-shown"
SLIP_END = 0xC0
WAIT_S = 15
PORT = """
let out;
const port = {
  readable: null, writable: null, opened: 0,
  getInfo: () => ({ usbVendorId: 0x303a, usbProductId: 0x1001 }),
  async open() {
    this.readable = new ReadableStream({ start: (controller) => { out = controller; }, cancel: () => { out = null; } });
    this.writable = new WritableStream({ write(octets) { window.board([...octets]).then(answer); } });
    this.opened += 1;
  },
  async close() { this.readable = this.writable = null; },
  async setSignals() {}, async getSignals() { return {}; }, addEventListener() {}, removeEventListener() {},
};
const answer = (octets) => out && octets.length && out.enqueue(new Uint8Array(octets));
Object.defineProperty(navigator, "serial", {
  configurable: true,
  value: { requestPort: async () => port },
});
"""
NO_SERIAL = "delete Navigator.prototype.serial"
NOT_SECURE = "Object.defineProperty(window, 'isSecureContext', { value: false })"


@pytest.fixture
def url(tmp_path):
    fill(tmp_path)
    server = serve(app(DemoSource(settled_snapshot()), flash_http.routes(tmp_path, "0.1.0")))
    yield f"{server.url}flash"
    server.stop()


def until(page, is_so):
    """Let the page go on until it is so."""
    end_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end_s
        page.wait_for_timeout(20)


def plug_in(page, board):
    """board: function of octets that the page sent -> octets that come back."""
    page.expose_function("board", lambda octets: list(board(bytes(octets))))
    page.add_init_script(PORT)


def test_axe_finds_nothing_serious_and_nothing_comes_from_elsewhere(url, opened, axe):  # noqa: F811
    page = opened("dark", 390, 844)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.get_by_role("button", name="Set up a new board").wait_for()
    page.evaluate(axe)
    assert [one for one in page.evaluate(AXE, RULES) if one[0] in GRAVE] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert asked and all(place.startswith(url.removesuffix("flash")) for place in asked)


@pytest.mark.parametrize(
    ("script", "said"),
    [(NO_SERIAL, "This browser reaches no USB port. Use Chrome"), (NOT_SECURE, "only by TLS or on the gateway itself")],
)
def test_where_a_browser_cannot_flash_the_page_says_what_can(url, opened, script, said):  # noqa: F811
    page = opened()
    page.add_init_script(script)
    page.goto(url)
    page.get_by_text(said).wait_for()
    assert not page.get_by_role("button", name="Set up a new board").is_visible()
    assert page.get_by_role("link", name="any of them").count() == 2  # a drive needs no serial port


def test_a_board_of_ours_is_recognised_and_joins_the_wifi_that_the_browser_gives_it(url, opened):  # noqa: F811
    board, page, said = Improv("tinyren", "0.1.0", "ESP32-C3", "pump hall"), opened(), []
    page.on("console", lambda message: said.append(message.text))

    def run(octets):
        out = board.receive(octets, 0)
        asked = board.asked
        if asked and asked[0] == WIFI:
            out += board.joined("http://gateway.local/") if asked[1:] == (NETWORK, PASSWORD) else board.not_joined()
        elif asked:
            out += board.scanned([(NETWORK, -50, True), ("neighbour", -80, False)])
        return out

    plug_in(page, run)
    page.goto(url)
    page.get_by_role("button", name="Set up a new board").click()
    page.get_by_text("pump hall").wait_for()
    assert page.get_by_text("tinyren 0.1.0").count() == 1 and page.get_by_text("Install tinyren on a new board").count()
    page.get_by_text("Connect to Wi-Fi").click()
    page.get_by_label("Password").fill("wrong-password")
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_text("Unable to connect").wait_for()
    until(page, lambda: page.get_by_label("Password").input_value() == "")  # it scans again, and makes the form anew
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Connect", exact=True).click()
    done = page.locator("ewt-page-message")
    done.wait_for()
    assert done.get_attribute("label") == "Device connected to the network!"
    assert page.locator("ew-list-item[href]").get_attribute("href") == "http://gateway.local/"
    octets = ", ".join(f"0x{octet:02X}" for octet in PASSWORD.encode())
    assert said and not any(PASSWORD in line or octets in line for line in (*said, page.content()))


def test_a_new_board_is_begun_with_after_the_browser_has_said_what_is_lost(url, browser):  # noqa: F811
    page, sent = browser.new_page(), bytearray()
    plug_in(page, lambda octets: (sent.extend(octets), b"")[1])
    page.goto(url)
    page.get_by_role("button", name="Set up a new board").click()
    page.get_by_text("Install tinyren on a new board").click()
    page.get_by_text("All data on the device will be erased").wait_for()
    del sent[:]
    page.get_by_role("button", name="Install", exact=True).click()
    until(page, lambda: sent.count(SLIP_END) > 1)
    start = sent.index(SLIP_END)
    direction, command, size = struct.unpack_from("<BBH", sent, start + 1)
    assert (direction, command, size) == (0, 8, 36)  # SYNC, to which a boot ROM answers
    assert sent[start + 9 : start + 45] == b"\x07\x07\x12\x20" + b"\x55" * 32
    page.close()
