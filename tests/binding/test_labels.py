"""Labels: what they say, bit by bit and back; whatever is not exactly a label or a manual code is refused."""

import binascii
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.labels import base38, payload
from gateway.labels.payload import Capabilities, Label, LabelError

LABEL = Label(bytes.fromhex("7e5f4552091a69125d5dfcb7b8c2659029395bdf"), payload.board_digest("qemu_virt_rv32"),
              0x0123456789, Capabilities.WIFI)  # fmt: skip
TEXT = "TR:AB7B2-PDX3YIW628P3V0T26Z2R7ST5MFK730CAU1D.820VYC93PEJE6"
MANUAL = "TVV0-4HMA-SW96"
labels = st.builds(
    Label, st.binary(min_size=20, max_size=20), st.binary(min_size=4, max_size=4), st.integers(0, (1 << 40) - 1),
    st.sampled_from([Capabilities(bits) for bits in range(8)]),
)  # fmt: skip


def packed(version=1, capabilities=1, code=5):
    """A label's text with a good check whatever its fields are."""
    head = (version << 12 | capabilities).to_bytes(2, "big")
    body = head + LABEL.board + LABEL.device + code.to_bytes(5, "big")
    return "TR:" + base38.encode(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big"))


def test_a_label_is_58_characters_of_the_alphabet_of_qr_codes():
    assert payload.encode(LABEL) == TEXT and payload.decode(TEXT) == LABEL
    assert re.fullmatch(r"TR:[0-9A-Z.-]{55}", TEXT)


def test_base38_and_the_check_are_those_of_their_sources():
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1  # the check value of CRC-16/IBM-3740
    vectors = {b"\n": "A0", b"\n\n": "OT10", b"\n\n\n": "-N.B0", b"Hello World!": "KKHF3W2S013OPM3EJX11"}
    assert {data: base38.encode(data) for data in vectors} == vectors  # those of Matter's reference implementation


@settings(derandomize=True, max_examples=200)
@given(labels)
def test_every_label_and_manual_code_is_read_back(label):
    assert payload.decode(payload.encode(label)) == label
    assert payload.read_manual_code(payload.manual_code(label)) == (payload.hint(label.device), label.code)


@settings(derandomize=True, max_examples=400)
@given(st.one_of(st.text(max_size=80), st.text(base38.ALPHABET, min_size=55, max_size=55).map("TR:".__add__)))
def test_foreign_text_is_a_label_or_refused_in_words(text):
    for read in (payload.decode, payload.read_manual_code):
        try:
            read(text)
        except LabelError as error:
            assert "wanted" in str(error) or "again" in str(error) or "compare" in str(error)


def test_every_wrong_character_of_a_label_is_noticed():
    for place, char in itertools.product(range(len(TEXT)), base38.ALPHABET):
        wrong = TEXT[:place] + char + TEXT[place + 1 :]
        if wrong != TEXT:
            with pytest.raises(LabelError):
                payload.decode(wrong)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got 0 characters, wanted 58"),
        (TEXT.lower(), "wanted 58 that start with TR:"),
        (TEXT + "0", "got 59 characters"),
        ("TR:" + "!" * 55, "character 5: got '!'"),
        ("TR:" + "." * 55, "got more than 3 octets hold"),
        (packed(version=2), "label version: got 2, wanted 1"),
        (packed(capabilities=8), "capabilities: got 0x8"),
    ],
)
def test_what_is_no_label_is_refused_by_what_is_wrong(text, message):
    with pytest.raises(LabelError, match=re.escape(message)):
        payload.decode(text)


def test_a_label_does_not_show_its_set_up_code():
    assert str(LABEL.code) not in repr(LABEL) and f"{LABEL.code:x}" not in repr(LABEL)


def test_every_single_error_and_every_transposition_of_every_manual_code_is_noticed():
    """Exhaustive: the sum of two codes is a code, so an error is noticed in all codes if it is none itself.

    A wrong symbol adds its difference at one place; two that change places add the same difference at both.
    """
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    singles = [{place} for place in range(12)]
    swaps = [set(pair) for pair in itertools.combinations(range(12), 2)]
    for places, digit in itertools.product(singles + swaps, digits[1:]):
        with pytest.raises(LabelError, match="mistyped"):
            payload.read_manual_code("".join(digit if place in places else "0" for place in range(12)))


@settings(derandomize=True, max_examples=100)
@given(labels, labels)
def test_the_sum_of_two_manual_codes_is_a_manual_code(one, other):
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    pairs = zip(*(payload.manual_code(label).replace("-", "") for label in (one, other)), strict=True)
    number = payload.read_manual_code("".join(digits[digits.index(a) ^ digits.index(b)] for a, b in pairs))
    assert number == (payload.hint(one.device) ^ payload.hint(other.device), one.code ^ other.code)


@pytest.mark.parametrize("typed", [MANUAL.lower(), MANUAL.replace("-", " "), MANUAL.replace("0", "o")])
def test_case_spaces_and_look_alikes_do_not_matter_in_a_manual_code(typed):
    assert payload.read_manual_code(typed) == (payload.hint(LABEL.device), LABEL.code)


PAGE = "HTTPS://GW.LOCAL:8443"


@settings(derandomize=True, max_examples=100)
@given(labels)
def test_a_labels_url_says_the_same_in_the_alphabet_of_qr_codes_and_is_read_back(label):
    text = payload.encode_url(label, PAGE)
    assert re.fullmatch(r"HTTPS://GW\.LOCAL:8443/B/[0-9A-Z.-]{55}", text)
    for read in (text, text.replace("HTTPS", "https"), payload.encode(label)):  # browsers write the scheme small
        assert payload.decode(read) == label


@pytest.mark.parametrize(
    ("page", "checked"),
    [
        ("https://gw.local:8443", PAGE),
        ("https://gw.local:8443/", PAGE),
        ("http://192.168.1.7:8420", "HTTP://192.168.1.7:8420"),
        ("https://" + "h" * 56, "HTTPS://" + "H" * 56),
    ],
)
def test_a_page_is_written_as_a_label_says_it(page, checked):
    assert payload.check_page(page) == checked == payload.check_page(checked)


@pytest.mark.parametrize(
    "page", ["", "gw.local", "ftp://gw.local", "https://gw.local/x", "https://[::1]:8443", "https://gw_1", "https://ü.de",
             "https://gw:port", "https://u@gw", "https://gw?", "https://" + "h" * 57, "https://gw\n"],
)  # fmt: skip
def test_a_page_that_no_label_can_say_is_refused_in_words(page):
    with pytest.raises(LabelError, match="url: got .* wanted https://HOST"):
        payload.check_page(page)


def test_only_a_labels_own_path_is_taken_for_its_url():
    for text in ("https://gw.local/C/" + TEXT[3:], "https://gw.local/" + TEXT, "x" + PAGE + "/B/" + TEXT[3:]):
        assert payload.without_page(text) == text
        with pytest.raises(LabelError):
            payload.decode(text)
