"""The page of EDIL rounds: who can read what, what devices said, and gateway-trusted rounds in red."""

import re
from pathlib import Path

from gateway.web.views.rounds import WHY
from tests.web_demo import ROUND, TRUSTED, settled_snapshot, shown, words

ROOT = Path(__file__).parents[2]


def render(*rounds):
    """(HTML of the page's main part, its text)."""
    html = shown("/rounds", {**settled_snapshot(), "edil": list(rounds)})
    return html, words(html)


def test_a_round_says_who_can_read_it_and_what_devices_said():
    page, shown = render(ROUND)
    for text in ("EDIL rounds", "Round 7", "closed", "moments, and sums of each class", "32 windows a device"):
        assert text in shown
    assert "0xcdcd…cdcd" in shown and "the sum, with every share-holder; this gateway nothing" in shown
    assert "9 of at least 8" in shown and "2 joined, 1 model" in shown and "rusted" not in page


def test_each_device_of_a_round_says_in_words_how_far_it_is_and_refusals_stand_out():
    sent, other, late, strange = ("11" * 20, "33" * 20, "44" * 20, "55" * 20)
    told = {
        **ROUND,
        "devices": [sent],
        "said": {sent: "joined", other: "model", late: "<b>"},
        "refused": {strange: "late"},
    }
    page, shown = render(told)
    assert "1 joined, 1 &lt;b&gt;, 1 model, 1 refused" in shown
    for device, why in (
        (sent, "its ciphertext is stored"),
        (other, "another encoder"),
        (strange, "after the deadline"),
    ):
        item = page.split(f"/fleet/0x{device}")[1].split("</li>")[0]
        assert why in item and ("refused" in item) == (device == strange)
    assert "&lt;b&gt;" in page.split(f"/fleet/0x{late}")[1].split("</li>")[0]


def test_a_device_of_a_round_is_called_as_the_operator_calls_it():
    mine = settled_snapshot()["devices"][1]
    page, _ = render({**ROUND, "devices": [mine["id"][2:].lower()], "said": {}, "refused": {}})
    assert mine["name"] and f'href="/fleet/{mine["id"]}"><bdi>{mine["name"]}' in page


def test_every_reason_that_a_device_or_the_gateway_can_give_has_words():
    specified = (ROOT / "device/agent/EDIL.md").read_text().split("Why not, as status: ")[1].split("\n")[0]
    assert set(re.findall("`([a-z]+)`", specified)) <= WHY.keys()


def test_a_round_of_many_devices_names_some_and_says_where_the_others_are():
    page, _ = render({**ROUND, "devices": [f"{number:040x}" for number in range(70)]})
    assert page.count('class="device"') == 64 and "and 10 more" in page


def test_a_gateway_trusted_round_is_marked_loudly_among_others():
    page, shown = render(ROUND, TRUSTED)
    assert "Gateway-trusted rounds are among these." in shown and "they are not EDIL" in shown
    row = page.split('<tr class="trusted">')[1].split("</tr>")[0]
    assert "this gateway, every device" in row and "meters" in row and "12 values of each device" in row
    assert page.count('<tr class="trusted">') == 1 and page.index("meters") < page.index("Round</span> 7")


def test_what_does_not_say_that_it_is_encrypted_counts_as_read_by_the_gateway():
    for confidentiality in (None, "", "encrypted", "Encrypted-on-device"):
        assert "this gateway, every device" in render({**ROUND, "confidentiality": confidentiality})[1]


def test_inference_says_that_the_data_owner_reads_each_embedding():
    assert "each embedding; this gateway nothing" in render({**ROUND, "kind": 4})[1]


def test_the_picture_of_who_reads_what_stands_over_every_list():
    for page, text in (render(), render(ROUND)):
        assert page.count('class="blind"') == 2 and "reads the sum, and no single device" in text


def test_foreign_text_is_escaped_and_cut():
    evil = "<script>alert(1)</script>" * 50
    page, _ = render({**ROUND, "why": evil, "said": {"1": evil}}, {**TRUSTED, "name": evil})
    assert "<script" not in page and len(page) < len(render(ROUND, TRUSTED)[0]) + 2000
