"""The page that binds a device, in a headless browser of a phone's size with an injected wallet."""

import importlib
import io
import json
import shutil
from dataclasses import replace

import pytest

from device.agent import wire
from gateway.binding import service
from gateway.binding.pending import KEPT_S, VALID_S, read_typed_data
from gateway.labels import drawing, payload
from gateway.labels.payload import Label
from gateway.oracle.epoch import sign_digest
from tests.bind_site import BOARD, DEVICE, OTHER, OWNER, SECOND, address, name
from tests.binding.test_bind_command import Page

lay_out = pytest.importorskip(
    "gateway.labels.layout", reason="labels are drawn by the extra `labels`", exc_type=ImportError
).lay_out

PHONE = {"width": 390, "height": 844}
WALLET = """window.ethereum = {request: async ({method, params}) => {
    const told = JSON.parse(await window.wallet(method, JSON.stringify(params ?? [])));
    if (told.error) throw told.error;
    return told.result;
}};"""


FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
DETECTOR = """window.BarcodeDetector = class {
    async detect(camera) {
        this.looks = (this.looks ?? 0) + 1;
        if (!camera.videoWidth || this.looks < 2) return [];
        return [{rawValue: this.looks < 3 ? "https://elsewhere.example" : %s}];
    }
};"""


class Wallet:
    """An EIP-1193 wallet of one key on one chain; `refuses` is what its user says to a signature, `before` what else
    happens while it is open.
    """

    def __init__(self, key, chain_id):
        self.key, self.chain_id, self.refuses, self.asked, self.before = key, chain_id, False, [], lambda: None

    def request(self, method, params):
        self.asked.append(method)
        if method == "eth_requestAccounts":
            return json.dumps({"result": [name(self.key).lower()]})
        if method == "eth_chainId":
            return json.dumps({"result": hex(self.chain_id)})
        if self.refuses:
            return json.dumps({"error": {"code": 4001, "message": "User rejected the request."}})
        self.before()
        account, typed = json.loads(params)
        assert method == "eth_signTypedData_v4" and account == name(self.key).lower()
        signature = sign_digest(read_typed_data(json.loads(typed)).digest(), self.key)
        return json.dumps({"result": "0x" + signature.hex()})


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if (
        importlib.util.find_spec("playwright") is None
        or importlib.util.find_spec("zxingcpp") is None
        or chromium is None
    ):
        pytest.skip("playwright, zxing-cpp or chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *FAKE_CAMERA])
        yield made
        made.close()


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "RETRY_S", 0.001)
    made = Page(tmp_path)
    yield made
    made.close()


@pytest.fixture
def phone(browser, page):
    """(the open page, its wallet): every error that the browser reports fails the test."""
    wallet, errors = Wallet(OWNER, page.place.chain.chain_id), []
    context = browser.new_context(viewport=PHONE)
    context.expose_function("wallet", wallet.request)
    context.add_init_script(WALLET)
    shown = context.new_page()
    shown.on("pageerror", lambda error: errors.append(str(error)))
    shown.goto(page.server.url + "bind")
    yield shown, wallet
    context.close()
    assert errors == []


def pass_s(place, seconds):
    place.now_s += seconds


def find(shown, text):
    shown.get_by_label("Its code").fill(text)
    shown.get_by_role("button", name="Find the device").click()


def bind(shown, deed="1"):
    shown.get_by_label("Number of the Node Deed").fill(deed)
    shown.get_by_role("button", name="Sign with the wallet").click()


def says(shown, text):
    shown.get_by_role("status").filter(has_text=text).wait_for()


def photographed(label, browser, url=""):
    """What another library reads off a picture of the label in a browser."""
    zxing, image = (importlib.import_module(name) for name in ("zxingcpp", "PIL.Image"))
    shown = browser.new_page(device_scale_factor=2)
    shown.set_content(drawing.svg(lay_out(label, BOARD, url)))
    (code,) = zxing.read_barcodes(image.open(io.BytesIO(shown.screenshot())), zxing.BarcodeFormat.QRCode)
    shown.close()
    return code.text


@pytest.mark.parametrize("text", [photographed, lambda label, _: payload.manual_code(label)], ids=["photo", "manual"])
def test_a_label_and_one_signature_of_the_wallet_bind_the_device(page, phone, browser, text):
    shown, wallet = phone
    find(shown, text(page.place.label, browser))
    shown.get_by_text(name(DEVICE)).wait_for()
    bind(shown)
    says(shown, "is bound to deed 1")
    assert wallet.asked == ["eth_requestAccounts", "eth_chainId", "eth_signTypedData_v4"]
    assert page.place.contracts.bindings()[1].devices == (address(DEVICE),)
    assert shown.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_url_of_a_label_opens_this_page_with_its_code_filled_in(page, phone, browser):
    shown, _ = phone
    url = photographed(page.place.label, browser, payload.check_page(page.server.url))
    assert url.isupper()
    shown.goto(url)
    says(shown, "The label's code is filled in")
    assert page.place.service.find(url)["device"] == name(DEVICE)  # a pasted URL is as good
    shown.get_by_role("button", name="Find the device").click()
    shown.get_by_text(name(DEVICE)).wait_for()
    bind(shown)
    says(shown, "is bound to deed 1")


@pytest.mark.parametrize("write", [payload.encode, lambda label: payload.encode_url(label, "HTTPS://GW:8443")])
def test_the_camera_passes_over_other_codes_takes_the_label_and_is_switched_off(page, phone, write):
    """The stream is Chromium's own fake, and what finds codes in it is this test's: Chromium on Linux has none."""
    shown, _ = phone
    shown.add_init_script(DETECTOR % json.dumps(write(page.place.label)))
    shown.reload()
    shown.get_by_role("button", name="Scan it with the camera").click()
    shown.get_by_text(name(DEVICE)).wait_for()
    assert shown.evaluate("document.querySelector('video').srcObject.active") is False
    bind(shown)
    says(shown, "is bound to deed 1")


def test_a_browser_that_finds_no_codes_offers_no_camera(phone):
    assert phone[0].get_by_role("button", name="Scan it with the camera").is_hidden()


def test_a_wallet_that_refuses_binds_nothing_and_may_be_asked_again(page, phone):
    shown, wallet = phone
    before, wallet.refuses = page.place.state(), True
    find(shown, payload.manual_code(page.place.label))
    bind(shown)
    says(shown, "You refused to sign")
    assert page.place.state() == before and page.place.asked == []
    wallet.refuses = False
    bind(shown)
    says(shown, "is bound to deed 1")


def test_the_found_device_blinks_when_the_phone_asks_and_only_one_that_was_heard(page, phone):
    shown, _ = phone
    find(shown, payload.manual_code(page.place.label))
    shown.get_by_role("button", name="Make it blink").click()
    says(shown, "It blinks for 10 seconds")
    assert page.place.others == [wire.topic(address(DEVICE), "identify")]
    shown.get_by_role("button", name="Make it blink").click()
    says(shown, "ask again in")
    page.place.devices.clear()
    find(shown, payload.manual_code(page.place.label))
    says(shown, "The label is good")
    assert shown.get_by_role("button", name="Make it blink").is_hidden() and len(page.place.others) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("hello", "got 5 letters and digits"), ("0000-0000-0001", "mistyped"), ("TR:", "got 3 characters")],
)
def test_a_wrong_label_is_told_in_the_gateways_words(page, phone, text, message):
    shown, wallet = phone
    before = page.place.state()
    find(shown, text)
    says(shown, message)
    assert shown.get_by_label("Number of the Node Deed").is_hidden()
    assert wallet.asked == [] and page.place.state() == before


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (lambda place, wallet: setattr(wallet, "chain_id", 1), "choose that network in the wallet"),
        (lambda place, wallet: setattr(wallet, "refuses", True), "the label is still good"),
        (lambda place, wallet: setattr(wallet, "before", lambda: pass_s(place, VALID_S)), "sign once more"),
        (lambda place, wallet: setattr(wallet, "before", lambda: pass_s(place, KEPT_S)), "read the label again"),
        (lambda place, wallet: setattr(place, "signer", SECOND), "do not use it"),
        (lambda place, wallet: place.devices.clear(), "switch it on"),
        (lambda place, wallet: place.announce(DEVICE, "other_board"), "label it anew"),
    ],
    ids=["wrong chain", "rejected", "deadline over", "binding over", "another key", "not heard", "another board"],
)
def test_what_stops_a_binding_is_told_with_what_to_do_and_changes_nothing(page, phone, happens, said):
    shown, wallet = phone
    before = page.place.state()
    find(shown, payload.manual_code(page.place.label))
    says(shown, "The label is good")
    happens(page.place, wallet)
    bind(shown)
    says(shown, said)
    assert page.place.state() == before and shown.get_by_role("button", name="Sign with the wallet").is_enabled()


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (lambda place: payload.encode(Label(address(OTHER), payload.board_digest(BOARD), 5)), "is it another site's"),
        (lambda place: payload.manual_code(Label(address(OTHER), bytes(4), 5)), "is it another site's"),
        (lambda place: payload.encode(place.label)[:-1] + "_", "read it again"),
        (lambda place: payload.encode(replace(place.label, code=place.label.code ^ 1)), "is there a newer label on it"),
    ],
    ids=["another site's", "another site's code", "read wrong", "replaced"],
)
def test_a_label_that_opens_nothing_is_told_with_what_to_do(page, phone, label, said):
    shown, wallet = phone
    before = page.place.state()
    find(shown, label(page.place))
    says(shown, said)
    assert shown.get_by_label("Number of the Node Deed").is_hidden()
    assert wallet.asked == [] and page.place.state() == before


def test_another_account_a_silent_device_and_a_used_label_are_told(page, phone):
    shown, wallet = phone
    before = page.place.state()
    find(shown, payload.manual_code(page.place.label))
    bind(shown, "2")
    says(shown, f"{name(OTHER).lower()}'s: choose that account")
    page.place.signer = None
    bind(shown)
    says(shown, "did not answer")
    assert page.place.state() == before
    page.place.signer = DEVICE
    bind(shown)
    says(shown, "is bound to deed 1")
    shown.reload()
    find(shown, payload.encode(page.place.label))
    says(shown, "was used to bind its device")
