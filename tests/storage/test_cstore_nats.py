"""The cluster engine: how it is entered, what it says of itself, what others may do to its stream."""

import os
import subprocess
from uuid import uuid4

import pytest

from gateway.broker.nats_cluster import server_version
from gateway.storage.cstore_nats_options import NatsOptions, login, parse_url, tls_context
from gateway.storage.cstore_record import Conflict, CstoreError, Refused, Unavailable, sign_record
from tests import cstore_site
from tests.cstore_site import OWNER, Place, address, defined, digest_signer, nats_engine, running_cluster

cluster = cstore_site.cluster
HISTORY = 16
SECRET = "correct-horse-battery"


@pytest.fixture
def place(cluster):
    name = uuid4().hex
    made = Place(lambda: nats_engine(f"{cluster.url}/{name}"))
    yield made
    made.close()


def test_it_says_what_makes_it_a_demonstration(cluster, place):
    version = server_version()
    notes = place.engine().notes()
    assert any("is for demonstration" in note and "wanted >= 2.12" in note for note in notes) == (version < (2, 12))
    assert any("sync_interval: always" in note for note in notes)
    sworn = nats_engine(f"{cluster.url}/alone?replicas=1&sync=always")
    assert [note for note in sworn.notes() if "sync" in note] == []
    assert "1 replica: for demonstration, wanted 3" in sworn.notes()
    sworn.close()


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("nats://a:4222", NatsOptions(("nats://a:4222",))),
        ("tls://a:1,b:2/site-1", NatsOptions(("tls://a:1", "tls://b:2"), "site-1")),
        ("nats://a/x?replicas=5&sync=always", NatsOptions(("nats://a",), "x", 5, True)),
    ],
)
def test_an_address_says_where_and_how(url, wanted):
    assert parse_url(url) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nats://",
        "http://a",
        "nats://a/b/c",
        "nats://a/x.y",
        "nats://a?replicas=2",
        "nats://a?sync=no",
        "nats://a?other=1",
        f"nats://user:{SECRET}@a",
    ],
)
def test_another_form_of_address_is_refused_and_no_password_shown(url):
    with pytest.raises(Refused, match="cstore: ") as error:
        parse_url(url)
    assert SECRET not in str(error.value)


def test_credentials_and_certificates_that_are_none_are_refused_and_not_shown(tmp_path):
    path = tmp_path / "file"
    path.write_text(SECRET)
    options = NatsOptions(("tls://a",), credentials=path, ca=path)
    for call in (login, tls_context):
        with pytest.raises(Refused) as error:
            call(options)
        assert SECRET not in str(error.value)
    path.write_text("-----BEGIN NATS USER JWT-----\n")
    assert login(options).file == str(path)


def certificate(folder):
    """A self-signed certificate of 127.0.0.1."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-days", "2", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=tinyren test",
               "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_it_enters_by_password_and_tls_and_not_without(tmp_path):
    cert, key = certificate(tmp_path)
    more = f"""authorization {{ user: gateway, password: "{SECRET}" }}
tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{cert}", verify: true }}"""
    credentials, wrong = tmp_path / "credentials", tmp_path / "wrong"
    credentials.write_text(f"gateway\n{SECRET}\n")
    wrong.write_text("gateway\nguessed\n")
    entry = {"credentials": credentials, "ca": cert, "certificate": cert, "key": key}
    with running_cluster(tmp_path / "nats", more=more, nodes=1) as cluster:
        url = cluster.url.replace("nats://", "tls://") + "/x?replicas=1"
        engine = nats_engine(url, **entry)
        defined(Place(lambda: engine)).put("jobs", "k", b"value")
        engine.close()
        for change in ({"credentials": wrong}, {"ca": None}, {"certificate": None}):
            with pytest.raises(Unavailable) as error:
                nats_engine(url, **(entry | change), wait_s=1)
            assert SECRET not in str(error.value)


def test_where_no_server_answers_one_line_names_the_servers():
    with pytest.raises(Unavailable, match="nats://127.0.0.1:9"):
        nats_engine("nats://127.0.0.1:9", wait_s=1)


def planted(engine, subject, content=b"noise", **headers):
    engine._run(engine._jetstream.publish(engine._prefix + subject, content, headers=headers or None))


def test_what_strangers_put_into_the_stream_disturbs_nobody(place):
    store = defined(place)
    good = store.put("jobs", "k", b"good")
    for subject in ("jobs.!!!", "jobs.a", "jobs._w", "jobs.ax", "jobs." + "A" * 300, "buckets.eA", "jobs", "jobs.aw.b"):
        planted(store.engine, subject)
    planted(store.engine, "jobs.aw", good.frame, **{"Tinyren-Stored-Ms": "99999999999999"})
    newcomer = place.store()
    assert newcomer.get("jobs", "k").frame == good.frame
    assert [record.key for record in newcomer.ls("jobs")] == ["k"]
    told = list(zip(range(9), newcomer.watch("jobs", stop=iter([False, True]).__next__), strict=False))
    assert [record.frame for _, record in told] == [good.frame]
    assert newcomer.replica.refused == 2  # of names that a key could have
    assert newcomer.put("jobs", "k", b"next").revision == 2


def test_a_record_that_was_not_published_to_follow_the_one_before_it_does_not_count(place):
    store = defined(place)
    store.put("jobs", "k", b"one")
    newest = store.put("jobs", "k", b"two")
    where = store.replica.store, "jobs", "k"
    frame = sign_record(where, 3, b"three", 0, bytes(8), address(OWNER), digest_signer(OWNER))
    planted(store.engine, "jobs.aw", frame)  # well signed and the next revision, but expecting nothing before it
    for each in (store, place.store()):
        assert each.get("jobs", "k").frame == newest.frame
        assert each.replica.refused == 1
    assert store.put("jobs", "k", b"next").revision == 3
    assert place.store().get("jobs", "k").value == b"next"


def test_a_header_of_a_stranger_cannot_make_a_key_live_longer(place):
    store = defined(place)
    frame = store.put("jobs", "k", b"", ttl_ms=1).frame
    other = place.engine()
    entry = other.write("jobs", "again", frame, 0, stored_ms=1 << 52)
    assert entry.stored_ms <= other.now_ms()
    assert place.engine().entries("jobs", "again")[0].stored_ms <= other.now_ms()


def test_the_stream_cannot_be_purged_and_no_message_deleted(place):
    engine = defined(place).engine
    for act in (
        lambda: engine._jetstream.purge_stream(engine._stream),
        lambda: engine._jetstream.delete_msg(engine._stream, 1),
    ):
        with pytest.raises(Exception, match="not permitted"):
            engine._run(act())


def test_a_key_written_more_often_than_the_history_holds_is_read_by_a_newcomer(place):
    store, reader = defined(place), place.store()
    for number in range(40):
        store.put("jobs", "k", b"%d" % number)
        if number == 0:
            assert reader.get("jobs", "k").revision == 1
    for each in (reader, place.store()):
        assert each.get("jobs", "k").revision == 40
        assert each.replica.refused == 0
    assert len(place.engine().entries("jobs", "k")) == 16


def test_a_frame_larger_than_the_stream_takes_is_told_and_not_kept(place):
    engine = defined(place).engine
    with pytest.raises(CstoreError):
        engine.write("jobs", "k", os.urandom(2 << 20), 0)
    assert engine.entries("jobs", "k") == []


@pytest.mark.parametrize("lost", ["the write", "its acknowledgement", "both and another came first"])
def test_a_write_whose_acknowledgement_is_lost_happens_once_or_is_a_conflict(place, lost):
    engine, other = place.engine(), place.engine()
    really, calls = engine._jetstream.publish, []

    async def failing(subject, frame, headers):
        calls.append(frame)
        if len(calls) > 1:
            return await really(subject, frame, headers=headers)
        if lost == "its acknowledgement":
            await really(subject, frame, headers=headers)
        elif lost != "the write":
            await other._jetstream.publish(subject, b"another", headers=headers)
        raise TimeoutError

    engine.now_ms()
    engine._jetstream.publish = failing
    if lost == "both and another came first":
        with pytest.raises(Conflict, match="another write came first"):
            engine.write("jobs", "k", b"frame", 0)
    else:
        assert engine.write("jobs", "k", b"frame", 0).frame == b"frame"
    assert set(calls) == {b"frame"} and len(calls) >= (2 if lost == "the write" else 1)
    kept = b"another" if lost == "both and another came first" else b"frame"
    assert [entry.frame for entry in other.entries("jobs", "k")] == [kept]


@pytest.mark.parametrize("later", [1, HISTORY - 1, HISTORY])
def test_an_acknowledgement_lost_before_later_writes_is_found_in_the_history_or_said_to_be_unknown(place, later):
    engine, other = place.engine(), place.engine()
    really = engine._jetstream.publish

    async def failing(subject, frame, headers):
        engine._jetstream.publish = really
        ack = await really(subject, frame, headers=headers)
        for _ in range(later):
            ack = await really(subject, b"later", headers={"Nats-Expected-Last-Subject-Sequence": str(ack.seq)})
        raise TimeoutError

    engine.now_ms()
    engine._jetstream.publish = failing
    if later < HISTORY:
        assert engine.write("jobs", "k", b"frame", 0).frame == b"frame"
    else:
        with pytest.raises(Unavailable, match="the first is not kept; the write may be there or not"):
            engine.write("jobs", "k", b"frame", 0)
    assert [entry.frame for entry in other.entries("jobs", "k")] == ([b"frame"] + later * [b"later"])[-HISTORY:]
