"""Every page by the keyboard alone, in a headless browser: what has the focus is seen, and all of it comes in turn."""

import pytest

from tests.web.test_pages_browser import PAGES, browser, live, opened, site  # noqa: F401

REACHED = """[...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].filter(
    (one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0)"""
WHERE = f"({REACHED}).indexOf(document.activeElement)"
SEEN = """() => {
    const one = document.activeElement, style = getComputedStyle(one), box = one.getClientRects()[0];
    const [x, y] = [box.x + box.width / 2, box.y + Math.min(box.height / 2, 300)];
    const there = document.elementFromPoint(x, y);
    const hasOutline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return [hasOutline, there !== null && (one.contains(there) || there.contains(one) || there.tagName === "LABEL")];
}"""
MOST = 40


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_the_tab_key_goes_through_each_page_in_its_order_and_shows_where_it_is(site, opened, size):  # noqa: F811
    _, url, _ = site
    page = opened("light", *size)
    for path in PAGES:
        page.goto(url + path)
        first = page.evaluate(WHERE) + 1  # 0, but where a field has the focus from the start
        for place in range(first, min(MOST, page.evaluate(f"({REACHED}).length"))):
            page.keyboard.press("Tab")
            what = page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
            assert page.evaluate(WHERE) == place, f"{path}: {what}"
            assert page.evaluate(SEEN) == [True, True], f"{path}: {what}"


def test_the_first_tab_skips_to_the_content_of_each_page(site, opened):  # noqa: F811
    _, url, _ = site
    page = opened()
    for path in set(PAGES) - {"/admin"}:  # where the focus is in the only field
        page.goto(url + path)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content", path
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main", path


def test_devices_are_chosen_and_named_without_a_mouse(site, opened):  # noqa: F811
    _, url, actions = site
    page = opened()
    page.goto(f"{url}/fleet")
    live(page)
    page.get_by_role("checkbox", name="Select every device").focus()
    page.keyboard.press("Space")
    page.get_by_text("3 selected").wait_for()
    page.get_by_role("textbox", name="Name").focus()
    page.keyboard.type("pump")
    page.keyboard.press("Enter")
    page.get_by_text("3 named.").wait_for()
    assert [name for _, name in actions.asked] == ["pump"]


def test_a_rounds_devices_open_by_the_keyboard_and_stay_open_when_news_come(site, opened):  # noqa: F811
    source, url, _ = site
    page = opened()
    page.goto(f"{url}/rounds")
    live(page)
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    page.get_by_text("it came after the deadline").wait_for()
    source.set(edil=[{**source.snapshot()["edil"][0], "k_min": 9}])
    page.get_by_text("of at least 9").first.wait_for()
    assert page.get_by_text("it came after the deadline").is_visible()
