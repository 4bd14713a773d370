"""Gateways that fetch from each other over real HTTP, from peers that lie, die, or send what nobody asked for."""

import http.client
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.commands.r1fs_serve import listen, server
from gateway.storage.car import write_car
from gateway.storage.cid import cid_of, decode_any, encode_text
from gateway.storage.errors import Damaged, Missing, Refused, StoreError
from gateway.storage.peers import CAR_TYPE, RAW_TYPE, HttpPeer
from tests.r1fs_site import ABSENT, content, joined, packs, pieces, served, store_in

DATA = content(1_000_003)


@pytest.fixture
def origin(tmp_path):
    """A store with DATA: (the store, its CID, its URL)."""
    with store_in(tmp_path / "origin") as store:
        added = store.add(pieces(DATA))
        with served(store) as url:
            yield store, added.cid, url


class Scripted:
    """A peer in this process: `answer(cid)` gives bytes or None, `archive` a CAR's bytes or none."""

    def __init__(self, answer, archive=None):
        self._answer, self._archive, self.asked = answer, archive, []

    def __str__(self):
        return "scripted"

    def block(self, cid):
        self.asked.append(cid)
        return self._answer(cid)

    def car(self, cid):
        if self._archive is None:
            raise StoreError("scripted: no CAR")
        return self._archive


@contextmanager
def answering(status, body, headers=()):
    """The URL of a server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def ask(url, target, method="GET", **headers):
    """(status, content type, body)."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request(method, target, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), body


def test_what_is_pinned_here_is_fetched_from_there(origin, tmp_path):
    _, cid, url = origin
    with store_in(tmp_path / "here", [HttpPeer(url)]) as store:
        store.pin(cid)
        assert store.check().incomplete == []
    with store_in(tmp_path / "here") as store:
        assert joined(store.read(cid)) == DATA


def test_what_is_read_here_comes_from_there_block_by_block(origin, tmp_path):
    _, cid, url = origin
    with store_in(tmp_path / "here", [HttpPeer(url)]) as store:
        assert joined(store.read(cid)) == DATA
        assert store.pins() == [] and store.check().blocks == 5


def test_rot_is_healed_from_a_peer(origin, tmp_path):
    there, cid, url = origin
    with store_in(tmp_path / "here", [HttpPeer(url)]) as store:
        store.pin(cid)
        with packs(tmp_path / "here")[0].open("r+b") as file:
            file.seek(500_000)
            file.write(b"rotten")
        checked = store.check()
        assert (len(checked.healed), checked.damaged, checked.incomplete) == (1, [], [])
        assert store.check().healed == [] and joined(store.read(cid)) == DATA
        with packs(tmp_path / "here")[0].open("r+b") as file:
            file.truncate(100)
        assert joined(store.read(cid)) == DATA


@pytest.mark.parametrize("lie", [b"", b"another block", DATA, bytes(3 << 20)])
def test_a_lying_peer_is_named_and_nothing_of_it_is_kept(lie, tmp_path):
    with answering(200, lie) as url, store_in(tmp_path / "here", [HttpPeer(url)]) as store:
        with pytest.raises(Missing, match="gave bytes of another name"):
            store.pin(ABSENT)
        assert store.pins() == [] and store.check().blocks == 0


def test_an_honest_peer_behind_a_lying_one_is_enough(origin, tmp_path):
    there, cid, url = origin
    liar, absent = Scripted(lambda _: b"a lie"), Scripted(lambda _: None)
    with store_in(tmp_path / "here", [liar, absent, HttpPeer(url)]) as store:
        store.pin(cid)
        assert joined(store.read(cid)) == DATA


@pytest.mark.parametrize("status", [301, 404, 500])
def test_a_peer_that_refuses_has_it_not(status, tmp_path):
    with answering(status, b"", [("Location", "http://127.0.0.1:1/")]) as url:
        with store_in(tmp_path / "here", [HttpPeer(url)]) as store, pytest.raises(Missing, match="has it not"):
            store.pin(ABSENT)


def test_a_peer_that_is_away_is_said_to_be(tmp_path):
    with store_in(tmp_path / "here", [HttpPeer("http://127.0.0.1:1")]) as store:
        with pytest.raises(Missing, match="127.0.0.1:1: .*refused"):
            store.pin(ABSENT)


def test_a_peer_that_breaks_off_within_a_block_is_an_error(tmp_path):
    with answering(200, b"half", [("Content-Length", "1000")]) as url:
        with (
            store_in(tmp_path / "here", [HttpPeer(url)]) as store,
            pytest.raises(Missing, match="half|Incomplete|other"),
        ):
            store.pin(ABSENT)


@pytest.mark.parametrize("come", [1, 3, 4])
def test_an_interrupted_fetch_goes_on_where_it_stopped(come, origin, tmp_path):
    there, cid, url = origin

    def dying(block):
        return there.get(block) if len(peer.asked) <= come else None

    peer = Scripted(dying)
    with store_in(tmp_path / "here", [peer]) as store:
        with pytest.raises(Missing):
            store.pin(cid)
        assert store.pins() == []
    second = Scripted(there.get)
    with store_in(tmp_path / "here", [second]) as store:
        store.pin(cid)
        assert len(second.asked) == 5 - come and joined(store.read(cid)) == DATA


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.99])
def test_a_car_that_is_cut_is_completed_block_by_block(share, origin, tmp_path):
    there, cid, url = origin
    whole = joined(there.export_car(cid))
    peer = Scripted(there.get, Cut(whole[: int(len(whole) * share)]))
    with store_in(tmp_path / "here", [peer]) as store:
        store.pin(cid)
        assert joined(store.read(cid)) == DATA
        assert len(peer.asked) == {0.0: 5, 0.2: 4, 0.6: 2, 0.99: 1}[share]


class Cut:
    def __init__(self, data):
        self._data = data

    def read(self, size):
        data, self._data = self._data[:size], self._data[size:]
        return data

    def close(self):
        pass


def test_blocks_that_nobody_asked_for_are_not_taken_from_a_car(origin, tmp_path):
    there, cid, url = origin
    stray = b"a block of somebody else's graph"
    blocks = {cid_of(stray): stray}
    archive = joined(write_car(blocks.get, list(blocks)))
    peer = Scripted(there.get, Cut(archive))
    with store_in(tmp_path / "here", [peer]) as store:
        store.pin(cid)
        assert not store.has(encode_text(cid_of(stray))) and store.check().blocks == 5


def test_a_fetch_ends_at_its_limit(origin, tmp_path):
    _, cid, url = origin
    with store_in(tmp_path / "here", [HttpPeer(url)], limit_bytes=600_000) as store:
        with pytest.raises(Refused, match="more than 600000 bytes"):
            store.pin(cid)
        assert store.pins() == []


NO_URLS = ["", "x", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://h/?a=b", "http://[::1", "http://[x]"]
NO_URLS += ["http://a b:1", "http://a\0", "http://a:1/\r\nX: y", f"http://{'a' * 70}", "http://a..b", "http://\u00fc"]


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url_of_a_peer_is_refused(url):
    with pytest.raises(Refused, match="peer: got"):
        HttpPeer(url)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(text=st.text(max_size=40), at=st.integers(0, 40))
def test_any_text_is_a_peer_or_refused(text, at):
    for url in (text, "http://127.0.0.1:1"[:at] + text, f"http://{text}", f"http://h:1/{text}"):
        with suppress(Refused):
            HttpPeer(url)


def test_the_gateway_gives_a_block_or_a_graph_and_nothing_else(origin):
    there, cid, url = origin
    leaf = encode_text(cid_of(DATA[:262_144]))
    immutable = (200, RAW_TYPE, DATA[:262_144])
    assert ask(url, f"/ipfs/{leaf}?format=raw") == immutable
    assert ask(url, f"/ipfs/{leaf}", Accept=RAW_TYPE) == immutable
    status, kind, body = ask(url, f"/ipfs/{cid}?format=car")
    assert (status, kind.split(";")[0], body) == (200, CAR_TYPE, joined(there.export_car(cid)))
    assert ask(url, f"/ipfs/{leaf}?format=tar")[0] == ask(url, f"/ipfs/{leaf}")[0] == 406
    assert ask(url, "/ipfs/nonsense?format=raw")[0] == 400
    assert ask(url, f"/ipfs/{ABSENT}?format=raw")[0] == ask(url, f"/ipfs/{ABSENT}?format=car")[0] == 404
    assert ask(url, f"/ipfs/{cid}/name?format=raw")[0] == ask(url, "/")[0] == 404
    assert ask(url, f"/ipfs/{leaf}?format=raw", "POST")[0] == 405


def test_a_car_of_what_is_not_whole_breaks_off(origin, tmp_path):
    there, cid, url = origin
    node = there.get(decode_any(cid))
    with store_in(tmp_path / "part") as store:
        store.put_block(node, 0x70)
        with served(store) as partial, pytest.raises(http.client.IncompleteRead):
            ask(partial, f"/ipfs/{cid}?format=car")


def test_the_api_answers_loopback_names_and_no_web_page(origin):
    url = origin[2]
    assert ask(url, "/api/v0/version", "POST")[0] == 200
    assert ask(url, "/api/v0/version")[0] == 405
    assert ask(url, "/api/v0/version", "POST", Host="evil.example")[0] == 421
    assert ask(url, "/api/v0/version", "POST", Origin="http://evil.example")[0] == 403
    assert ask(url, "/api/v0/config/show", "POST")[0] == 404


def test_there_is_no_api_where_others_can_reach_it(origin):
    store = origin[0]
    listener = listen("0.0.0.0", 0)
    running = server(store, listener)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        assert ask(url, f"/ipfs/{origin[1]}?format=raw")[0] == 200
        assert ask(url, "/api/v0/version", "POST")[0] == 404
    finally:
        running.should_exit = True
        thread.join()
        listener.close()


def test_damage_there_is_not_handed_on(origin, tmp_path):
    there, cid, url = origin
    with packs(tmp_path / "origin")[0].open("r+b") as file:
        file.seek(500_000)
        file.write(b"rotten")
    with pytest.raises(Damaged):
        joined(there.read(cid))
    with store_in(tmp_path / "here", [HttpPeer(url)]) as store, pytest.raises(Missing):
        store.pin(cid)
