"""A phone reads a label, and the page is behind a reverse proxy: from the camera's address to a bound device."""

import importlib.util
import shutil
from types import SimpleNamespace

import pytest

from gateway.binding import binding_http
from gateway.edge.admin import Admin
from gateway.labels import payload
from gateway.web import sign_in
from gateway.web.app import app
from gateway.web.serve import serve
from tests.bind_site import DEVICE, OWNER, Place, address, name
from tests.binding.test_bind_page import PHONE, WALLET, Wallet, bind, photographed, says
from tests.ports import free_port
from tests.proxies import NAME, certificate, python_proxy

NEEDS = [word for word in ("playwright", "zxingcpp") if importlib.util.find_spec(word) is None]
pytestmark = pytest.mark.skipif(bool(NEEDS) or not shutil.which("chromium"), reason=f"chromium or {NEEDS} missing")
URL = f"https://{NAME}"


@pytest.fixture
def site(tmp_path):
    """A gateway's page of which a phone knows only what the proxy shows; its admin code, place and browser."""
    from playwright.sync_api import sync_playwright

    place, admin, behind = Place(tmp_path), Admin(tmp_path), free_port()
    empty = SimpleNamespace(snapshot=dict, changed=lambda after, timeout_s: after, rpc=None)
    routes = [*binding_http.routes(place.service), *sign_in.routes(admin)]
    page = serve(app(empty, routes, (), admin.is_signed_in, URL), proxy=("127.0.0.1", behind))
    with python_proxy(certificate(tmp_path)[2], behind) as port, sync_playwright() as playwright:
        leads = [f"--host-resolver-rules=MAP {NAME} 127.0.0.1:{port}", "--ignore-certificate-errors", "--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=leads)
        yield SimpleNamespace(place=place, admin=admin, browser=browser)
        browser.close()
    page.stop()
    admin.close()
    place.close()


def opened(site):
    """A phone's browser with a wallet; an error in a page fails the test."""
    wallet, errors = Wallet(OWNER, site.place.chain.chain_id), []
    phone = site.browser.new_context(viewport=PHONE)
    phone.expose_function("wallet", wallet.request)
    phone.add_init_script(WALLET)
    phone.on("weberror", lambda error: errors.append(str(error.error)))
    return phone, errors


def test_a_labels_address_leads_by_the_admin_code_to_a_bound_device(site):
    phone, errors = opened(site)
    shown = phone.new_page()
    url = photographed(site.place.label, site.browser, payload.check_page(URL))
    assert url.startswith(f"HTTPS://{NAME.upper()}/B/")
    shown.goto(url)
    assert "/admin?to=/B/" in shown.url
    shown.get_by_label("Admin code").fill(site.admin.new_code())
    shown.get_by_role("button", name="Sign in").click()
    says(shown, "The label's code is filled in")
    shown.get_by_role("button", name="Find the device").click()
    shown.get_by_text(name(DEVICE)).wait_for()
    bind(shown)
    says(shown, "is bound to deed 1")
    assert site.place.contracts.bindings()[1].devices == (address(DEVICE),)
    (cookie,) = phone.cookies()
    assert cookie["secure"] and cookie["httpOnly"] and cookie["domain"] == NAME

    shown.goto(f'data:text/html,<a href="{URL}/B/AGAIN">a message with the link</a>')
    shown.get_by_role("link").click()  # without the cookie, as from any other site
    says(shown, "The label's code is filled in")
    assert shown.url == f"{URL}/B/AGAIN" and errors == []
    phone.close()
