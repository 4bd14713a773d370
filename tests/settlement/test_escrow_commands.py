"""`tinyren escrow` on a chain of another process's kind: deposit, what comes of it, and what is refused in words."""

import pytest

from gateway.errors import Exit
from gateway.poai.private import sealed_model
from gateway.storage.cid import decode_any, encode_text
from tests.agent.test_private import KEY
from tests.contract_scene import OWNERS, A, B
from tests.contract_site import R1, Site

MODEL = "vibration"
SAME = "models/vibration/encoder.tflite"
OTHER = "bafkreiet3rcdqg2smcaibbpu3wm6lvbz6uvyn4utqut7v4yl24xlegx3ye"


@pytest.fixture
def site(tmp_path, capsys):
    made = Site(tmp_path, capsys)
    yield made
    made.close()


OPEN = ("escrow", "open", "--model", MODEL, "--price", "0.5", "--deposit", "10", "--epochs", "2")


def test_a_deposit_pays_for_attested_work_and_its_rest_comes_back(site):
    opened = site.json(*OPEN, key="a")
    assert (opened["job"], opened["first"], opened["last"], opened["most_units"]) == (1, 3, 4, 20)
    assert opened["is_model_shipped"] and opened["model"] == site.json(*OPEN, "--model", SAME, key="a")["model"]
    site.json("escrow", "cancel", "2", key="a")
    assert opened["state"] == "begins with epoch 3" and opened["kind"] == "verified"
    site.work({})
    site.work({(1, 2): 6})
    code, out, _ = site.run("escrow", "show", "1")
    assert code == 0 and "deed 2: 6 runs, 0 of them paid (due: tinyren escrow claim)" in out and "0 of 10 paid" in out
    paid = site.json("escrow", "claim", "1", "2", key="anyone")
    assert (paid["units"], paid["paid"], paid["burned"]) == (6, str(3 * R1 * 85 // 100), str(3 * R1 * 15 // 100))
    assert site.scene.settlement.balance(B) == 3 * R1 * 85 // 100
    code, out, _ = site.run("escrow", "claim", "1", "2", key="anyone")
    assert code == 0 and "all of it was paid before" in out
    code, out, err = site.run("escrow", "refund", "1", key="anyone")
    assert code == Exit.REFUSED and "NotOver" in err and "workers have time to claim" in err
    site.work({})
    assert "workers claim until epoch 5 is in force" in site.run("escrow", "show", "1")[1]
    site.work({})
    assert "`tinyren escrow refund` gives what was not delivered back" in site.run("escrow", "show", "1")[1]
    code, out, _ = site.run("escrow", "refund", "1", key="anyone")
    assert code == 0 and "7 R1 went back to the buyer" in out and site.scene.settlement.balance(A) == 97 * R1


def test_a_job_that_has_not_begun_is_cancelled_whole_and_only_by_its_buyer(site):
    code, out, _ = site.run(*OPEN, "--deed", "2", "--model", OTHER, "--anyway", key="a")
    assert code == 0 and "note: nobody is paid for this model yet; tinyren escrow cancel 1" in out
    code, _, err = site.run("escrow", "cancel", "1", key="b")
    assert code == Exit.REFUSED and "only who opened the job ends it" in err
    code, out, _ = site.run("escrow", "cancel", "1", key="a")
    assert code == 0 and "10 R1 went back to the buyer" in out and site.scene.settlement.balance(A) == 100 * R1
    rows = site.json("escrow", "show")["jobs"]
    assert [(row["state"], row["kind"], row["is_for_any"]) for row in rows] == [("closed", "verified", False)]


def test_a_deposit_of_which_nothing_is_delivered_comes_back_whole(site):
    site.json(*OPEN, "--model", OTHER, "--anyway", key="a")
    site.escrow.open(bytes(range(32)), R1 // 2, 10 * R1, 2, [], OWNERS[0], is_measured=True)
    assert site.scene.settlement.balance(A) == 80 * R1
    out = site.run("escrow", "show")[1]
    assert out.count("nobody attests what gateways measure, so it pays nobody") == 1
    for _ in range(5):
        site.work({})
    for job in ("1", "2"):
        assert "10 R1 went back to the buyer" in site.run("escrow", "refund", job, key="anyone")[1]
    assert site.scene.settlement.balance(A) == 100 * R1 and "pays nobody" not in site.run("escrow", "show")[1]


def test_a_job_for_one_reader_names_the_model_that_only_its_work_has(site):
    opened = site.json(*OPEN, "--reader", KEY.hex(), key="a")
    everybodys = site.json(*OPEN, key="a")
    model = decode_any(everybodys["model"])
    assert opened["model"] == encode_text(sealed_model(model, KEY)) != everybodys["model"]
    assert opened["is_model_shipped"]


@pytest.mark.parametrize(
    "words", [OPEN, ("escrow", "cancel", "1"), ("escrow", "refund", "1"), ("escrow", "claim", "1", "2")]
)
def test_a_dry_run_says_what_it_would_take_and_sends_nothing(site, words):
    if words != OPEN:
        site.json(*OPEN, key="a")
        for _ in range(2 if words[1] == "claim" else 5):
            site.work({(1, 2): 1})
    before = site.scene.chain.block_number()
    tried = site.json(*words, "--dry-run", key="a")
    assert tried["dry_run"] and tried["gas"] > 21_000 and int(tried["fee_wei"]) > 0
    code, out, _ = site.run(*words, "--dry-run", key="a")
    assert code == 0 and "nothing was sent" in out and site.scene.chain.block_number() == before


def test_what_cannot_be_is_refused_in_words_and_moves_nothing(site):
    site.json(*OPEN, key="a")
    before = (site.scene.state(), site.scene.chain.block_number())
    table = (
        ((*OPEN[:7], "999", *OPEN[8:]), "a", Exit.REFUSED, "--deposit: 0x"),
        ((*OPEN[:5], "11", *OPEN[6:]), "a", Exit.REFUSED, "wanted a deposit of at least one run's price"),
        ((*OPEN, "--model", OTHER), "a", Exit.REFUSED, "host, motion, vibration only, so nobody would be paid"),
        ((*OPEN[:9], "10001"), "a", Exit.REFUSED, "1 to 10,000 epochs"),
        ((*OPEN[:5], "0." + "0" * 18 + "1", *OPEN[6:]), "a", Exit.USAGE, "at most 18 digits behind the point"),
        ((*OPEN, "--deed", "9" * 80), "a", Exit.USAGE, "name a smaller number"),
        (OPEN, "broke", Exit.REFUSED, "has no coin of chain 1331 to pay for gas"),
        (("escrow", "claim", "1", "2"), "a", Exit.NOTHING_TO_DO, "deed 2 has no work under the root in force"),
        (("escrow", "claim", "9", "2"), "a", Exit.CHAIN, "job 9: not in escrow"),
        (("escrow", "show", "--escrow", A), "", Exit.USAGE, "no contract at"),
    )
    for words, who, code, said in table:
        got, out, err = site.run(*words, key=who)
        assert (got, out) == (code, "") and said in err and len(err.splitlines()) == 1, (words, err)
        assert (site.scene.state(), site.scene.chain.block_number()) == before, words


@pytest.mark.parametrize(
    ("option", "value"),
    [("--price", "0"), ("--price", "-1"), ("--price", "x"), ("--price", "Infinity"), ("--price", "٣"),
     ("--price", "1e40"), ("--epochs", "0"), ("--model", "nothing"), ("--deed", "0"), ("--escrow", "0x12"),
     ("--reader", "me"), ("--reader", "02" + "00" * 32)],
)  # fmt: skip
def test_arguments_that_cannot_be_are_a_usage_error(site, option, value, capsys):
    with pytest.raises(SystemExit):
        site.run(*OPEN, option, value, key="a")
    assert "wanted" in capsys.readouterr().err and site.escrow.count() == 0


def test_leaves_that_are_not_the_chains_prove_nothing(site):
    site.json(*OPEN, key="a")
    site.work({(1, 2): 1})
    path = site.folder / "settlement" / "epoch-2.json"
    text = path.read_text()
    for damaged in (text.replace("100000000000000000000", "100000000000000000001"), "{", None):
        assert damaged != text
        path.unlink() if damaged is None else path.write_text(damaged)
        code, _, err = site.run("escrow", "claim", "1", "2", "--dry-run", key="a")
        assert code == Exit.TRUST and "missing or not the chain's" in err and site.escrow.delivered(1, 2) == 0


def test_without_a_site_a_chain_and_an_address_are_enough(site, tmp_path_factory):
    elsewhere = str(tmp_path_factory.mktemp("elsewhere"))
    site.json(*OPEN, key="a")
    site.folder, folder = elsewhere, site.folder
    found = site.json("escrow", "show", "1", "--rpc", site.node.url, "--escrow", site.escrow.address)
    assert found["jobs"][0]["cap"] == str(10 * R1) and found["work"] == []
    code, _, err = site.run("escrow", "show")
    assert code == Exit.USAGE and "run `tinyren up` first" in err
    code, _, err = site.run("escrow", "show", "--rpc", site.node.url)
    assert code == Exit.USAGE and "--escrow: missing" in err
    site.folder = folder
