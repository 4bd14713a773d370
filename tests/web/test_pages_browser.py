"""The pages in a headless browser: axe-core finds nothing serious, and they follow the site.

axe-core is npm's, by the digest in tests/axe/package-lock.json. Every error that the browser reports, a refusal of the
content security policy among them, fails the test in which it happens.
"""

import importlib.util
import shutil
import time
from pathlib import Path

import pytest

from contracts.compile import CompileError, install
from gateway.binding import binding_http
from gateway.earnings import page as earnings_page
from gateway.web import flash_http, fleet_http, sign_in
from gateway.web.app import app
from gateway.web.serve import serve
from tests.settlement.test_earnings import beat, told
from tests.web_demo import BOARDS, DemoSource, empty_snapshot, settled_snapshot

PAGES = ["/", "/fleet", f"/fleet/{BOARDS[1][0]}", "/earnings", "/earnings/7/1", "/earnings/7/0", "/epochs", "/rollouts",
         "/rollouts/quiet", "/rounds", "/storage", "/settings", "/flash", "/bind", "/B/LABEL", "/admin",
         "/fleet/nobody"]  # fmt: skip
LOOKS = [("light", 1280, 800), ("dark", 390, 844), ("light", 320, 640)]
GRAVE = ("serious", "critical")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OVERFLOWING = """[...document.querySelectorAll(".card, .figure")].filter(
    (card) => card.scrollWidth > card.clientWidth + 1).map((card) => card.innerText.slice(0, 40))"""
AXE = """async (tags) => (await axe.run(document, {runOnly: {type: "tag", values: tags}})).violations.map(
    (found) => [found.impact, found.id, found.nodes.map((node) => node.target.join(" ")).join(", ")])"""


class Noted:
    """The fleet's actions, which note what they were asked."""

    def __init__(self):
        self.asked = []

    def rename(self, devices, name):
        self.asked.append((devices, name))

    def labels(self, devices, may_replace):
        self.asked.append((devices, may_replace))
        return b"%PDF-"


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if importlib.util.find_spec("playwright") is None or chromium is None:
        pytest.skip("playwright or chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def axe():
    try:
        return (install(Path(__file__).parents[1] / "axe") / "axe-core" / "axe.min.js").read_text()
    except CompileError as error:
        pytest.skip(f"axe-core cannot be fetched: {error}")


@pytest.fixture
def site(tmp_path):
    """(source, address, actions) of a made-up site that has just been heard."""
    source, actions = DemoSource(settled_snapshot(time.time_ns() // 1_000_000)), Noted()
    routes = [*fleet_http.routes(actions), *binding_http.routes(None), *sign_in.routes(None)]
    why = earnings_page.routes(lambda deed, epoch: told([beat(0, 1), beat(1, 2), beat(2, 3, signature=b"")]))
    flash = flash_http.routes(tmp_path, "0.1.0")
    server = serve(app(source, [*routes, *why, *flash]))
    yield source, server.url.rstrip("/"), actions
    server.stop()


@pytest.fixture
def opened(browser):
    """Opens pages of a colour scheme and size; what they report as errors fails the test."""
    contexts, errors = [], []

    def open_page(scheme="light", width=1280, height=800, **options):
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: said.type == "error" and "404" not in said.text and errors.append(said.text))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def live(page):
    page.get_by_role("status").filter(has_text="live").wait_for()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_serious_on_any_page(site, opened, axe, look):
    source, url, _ = site
    page, found = opened(*look), {}
    for path in PAGES:
        page.goto(url + path)
        page.evaluate(axe)
        found[path] = [one for one in page.evaluate(AXE, RULES) if one[0] in GRAVE]
        assert page.evaluate("document.documentElement.scrollWidth") <= look[1], f"{path} is wider than the screen"
        assert page.evaluate(OVERFLOWING) == [], f"{path}: a card is narrower than what it holds"
    assert {path: rows for path, rows in found.items() if rows} == {}


def test_axe_finds_nothing_serious_where_nothing_is_yet(site, opened, axe):
    source, url, _ = site
    source.set(**empty_snapshot())
    page = opened()
    for path in ("/", "/fleet", "/earnings", "/rollouts", "/rounds"):
        page.goto(url + path)
        page.evaluate(axe)
        assert [one for one in page.evaluate(AXE, RULES) if one[0] in GRAVE] == []


def test_the_first_heartbeat_turns_the_three_steps_into_figures_by_itself(site, opened):
    source, url, _ = site
    known = source.snapshot()
    source.set(**empty_snapshot())
    page = opened()
    page.goto(url)
    page.get_by_text("Waiting for the first heartbeat").first.wait_for()
    live(page)
    source.set(**known)
    page.get_by_role("heading", name="Earned in all").wait_for()
    assert page.get_by_text("Waiting for the first heartbeat").count() == 0


def test_news_change_what_they_concern_and_leave_what_the_reader_does(site, opened):
    source, url, _ = site
    page = opened()
    page.goto(f"{url}/fleet")
    live(page)
    page.evaluate(
        """() => { window.moved = 0; new PerformanceObserver((list) => list.getEntries().forEach(
        (entry) => { window.moved += entry.value; })).observe({type: "layout-shift"}); }"""
    )
    page.get_by_role("checkbox", name="Select pump hall, left").check()
    page.get_by_label("Find").fill("q")
    page.get_by_label("Find").fill("")
    page.get_by_role("textbox", name="Name").fill("half a na")
    changed = [{**device, "earned_wei": "7000000000000000000"} for device in source.snapshot()["devices"]]
    source.set(devices=changed)
    page.get_by_text("7.0000").first.wait_for()
    assert page.get_by_role("checkbox", name="Select pump hall, left").is_checked()
    field = page.get_by_role("textbox", name="Name")
    assert field.input_value() == "half a na" and field.is_visible()
    assert page.evaluate("document.activeElement.name") == "name"
    assert page.evaluate("window.moved") < 0.01


def test_filters_go_into_the_address_and_come_back_from_it(site, opened):
    _, url, _ = site
    page = opened()
    page.goto(f"{url}/fleet")
    page.get_by_label("Find").press_sequentially("pump")
    page.get_by_text("1 of 3 devices").wait_for()
    page.wait_for_url("**/fleet?q=pump*")
    page.get_by_label("State").select_option("silent")
    page.get_by_text("No device fits").wait_for()
    page.reload()
    assert page.get_by_label("Find").input_value() == "pump" and page.get_by_label("State").input_value() == "silent"
    page.get_by_role("link", name="Show all").click()
    page.get_by_text("3 of 3 devices").wait_for()


def test_ticked_devices_are_named_and_get_their_labels(site, opened):
    _, url, actions = site
    page = opened(accept_downloads=True)
    page.goto(f"{url}/fleet")
    page.get_by_role("checkbox", name="Select every device").check()
    assert page.get_by_text("3 selected").is_visible()
    page.get_by_role("textbox", name="Name").fill("pump")
    page.get_by_role("button", name="Rename").click()
    page.get_by_text("3 named.").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Label sheet").click()
    assert Path(download.value.path()).read_bytes() == b"%PDF-"
    ids = {bytes.fromhex(board[0][2:]) for board in BOARDS}
    assert [(set(devices), what) for devices, what in actions.asked] == [(ids, "pump"), (ids, False)]


def test_the_theme_that_is_chosen_stays_and_goes_over_the_systems(site, opened):
    _, url, _ = site
    page = opened("dark")
    page.goto(url)
    back = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(back)
    page.get_by_role("button", name="Colours: auto").click()
    light = page.evaluate(back)
    page.goto(f"{url}/settings")
    assert page.get_by_role("button", name="Colours: light").is_visible()
    assert page.evaluate(back) == light != dark


@pytest.mark.parametrize(
    ("asked", "comes_to"),
    [("?to=/B/A.B-9", "/B/A.B-9"), ("", "/"), ("?to=//evil.example", "/"), ("?to=https://evil.example", "/"),
     ("?to=/\\evil.example", "/"), ("?to=javascript:alert(1)", "/")],
)  # fmt: skip
def test_who_signs_in_comes_to_the_page_that_was_asked_for_and_never_elsewhere(site, opened, asked, comes_to):
    _, url, _ = site
    page = opened()
    page.route(
        "**/admin", lambda route: route.fulfill(status=204) if route.request.method == "POST" else route.fallback()
    )
    led = {"status": 303, "headers": {"Location": "/admin"}}
    page.route("**", lambda route: route.fulfill(**led) if route.request.method == "HEAD" else route.fallback())
    page.goto(f"{url}/admin{asked}")
    page.get_by_label("Admin code").fill("XXXX-XXXX-XXXX")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(url + comes_to)


def test_without_javascript_every_page_shows_its_figures_and_the_filters_work(site, opened):
    _, url, _ = site
    page = opened(java_script_enabled=False)
    page.goto(f"{url}/fleet")
    page.get_by_label("Find").fill("pump")
    page.get_by_role("button", name="Apply").click()
    assert page.get_by_text("1 of 3 devices").is_visible() and "q=pump" in page.url


def test_a_device_that_is_gone_is_told_on_its_page(site, browser):
    source, url, _ = site
    page = browser.new_page()
    page.goto(f"{url}/fleet/{BOARDS[2][0]}")
    live(page)
    source.set(devices=source.snapshot()["devices"][:2])
    page.get_by_text("what this page showed is gone").wait_for()
    page.close()


def test_a_gateway_that_ends_is_told_on_the_page(browser, opened):
    source = DemoSource(settled_snapshot())
    server = serve(app(source))
    page = browser.new_page()
    page.goto(server.url)
    live(page)
    server.stop()
    page.get_by_text("gateway not reached").wait_for()
    page.close()
