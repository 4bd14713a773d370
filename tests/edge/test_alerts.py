"""When a device's offline budget is low, what an operator is told of it, and what the address of alerts gets."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.monitoring import webhook
from gateway.monitoring.alerts import HOUR_MS, Heard, Low, judge, news, sentence
from gateway.monitoring.webhook import Webhook

NOW_MS = 1_000 * HOUR_MS


def look(*looks, wanted=6):
    """States after each look at one device; a look is (budget, hours of silence, dropped)."""
    state, found = {}, []
    for budget, silent, dropped in looks:
        state = judge(state, {"d": Heard(budget, NOW_MS - int(silent * HOUR_MS), dropped)}, NOW_MS, wanted)
        found.append(state["d"])
    return found


@pytest.mark.parametrize(
    "looks, is_low",
    [
        ([(23, 0, 0)], False),
        ([(23, 16, 0)], False),  # 7 h are left
        ([(23, 17.5, 0)], True),  # 5.5 h are left
        ([(23, 100, 0)], True),
        ([(23, 0, 0), (5, 0, 0)], True),  # heard, but its memory is nearly full
        ([(23, 0, 0), (6, 0, 0)], False),
        ([(2, 0, 0)], False),  # a small one is held to half of what it ever had
        ([(2, 0.9, 0)], False),
        ([(2, 1.1, 0)], True),
        ([(2, 0, 0), (0, 0, 0)], True),
        ([(0, 50, 0)], False),  # one that keeps nothing has nothing to lose
        ([(1, 50, 0)], False),
        ([(23, 0, 7)], False),  # what it dropped before we came is no news
        ([(23, 0, 7), (23, 0, 8)], True),
        ([(0, 0, 7), (0, 0, 8)], True),
    ],
)
def test_a_device_is_low_when_it_loses_work_before_somebody_can_come(looks, is_low):
    assert bool(look(*looks)[-1].why) == is_low


def test_a_device_that_dropped_records_is_low_until_it_has_room_again():
    states = look((23, 0, 0), (0, 0, 5), (0, 0, 5), (4, 0, 5), (6, 0, 5))
    assert [bool(state.why) for state in states] == [False, True, True, True, False]
    states = look((1, 0, 0), (0, 0, 5), (0, 0, 5), (1, 0, 5))  # so small that the first rule never holds
    assert [bool(state.why) for state in states] == [False, True, True, False]


def test_an_episode_is_told_once_at_its_begin_and_once_at_its_end():
    before, told = {}, []
    for state in look((23, 0, 0), (23, 18, 0), (23, 19, 0), (23, 30, 0), (23, 0, 0), (23, 0, 0)):
        told += [(name, bool(low.why)) for name, low in news(before, {"d": state})]
        before = {"d": state}
    assert told == [("d", True), ("d", False)]


def test_a_device_that_is_low_when_we_begin_is_news_and_one_that_is_gone_is_none():
    assert [name for name, _ in news({}, {"d": Low(1, 0, "why"), "e": Low(1, 0)})] == ["d"]
    assert not list(news({"d": Low(1, 0, "why")}, {}))


def test_nobody_is_low_where_nobody_wants_to_know():
    assert not look((23, 0, 0), (0, 400, 9), wanted=0)[-1].why


def test_a_person_is_told_how_long_it_lasts_and_what_to_do():
    low = look((23, 20.0, 0))[-1]
    said = sentence("0xD", low)
    assert said == "0xD: not heard for 20.0 h, it loses work in 3.0 h; see that it has power and a link to this gateway"
    assert sentence("0xD", look((23, 0, 0))[-1]) == "0xD has room for its work again"
    assert "loses work now" in sentence("0xD", look((23, 40, 0))[-1])


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 23), st.floats(-5, 1e4), st.integers(0, 9)), max_size=6), st.integers(0, 23))
def test_whatever_comes_a_device_that_says_its_most_and_dropped_nothing_more_is_not_low(looks, wanted):
    state = look((23, 0, 9), *looks, (23, 0, 0), wanted=wanted)[-1]
    assert not state.why and state.most_hours == 23


class Server:
    """An address that answers each POST with the next status, and keeps what came."""

    def __init__(self, *statuses):
        self.got, self._statuses, self._news = [], list(statuses), threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer._statuses.pop(0) if outer._statuses else 200
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                with outer._news:
                    outer.got.append((self.path, json.loads(body)))
                    outer._news.notify_all()

            def log_message(self, *_):
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook?token=secret"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def wait(self, count):
        with self._news:
            assert self._news.wait_for(lambda: len(self.got) >= count, 10), self.got
            return self.got

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def running():
    """Runs webhooks, and ends them."""
    hooks = []

    def start(url):
        hook = Webhook(url, first_pause_s=0.01)
        thread = threading.Thread(target=hook.run)
        thread.start()
        hooks.append((hook, thread))
        return hook

    yield start
    for hook, thread in hooks:
        hook.stop()
        thread.join(10)
        assert not thread.is_alive() and hook.failure is None


def test_an_alert_is_posted_and_tried_again_until_it_is_taken_in_order(running):
    server = Server(500, 302, 404)
    hook = running(server.url)
    hook.post({"event": "a"})
    hook.post({"event": "b"})
    assert server.wait(5) == [("/hook?token=secret", {"event": name}) for name in "aaaab"]
    server.stop()
    assert hook.counts["failed"] == 3 and hook.counts["lost"] == 0


def test_an_alert_that_nobody_takes_is_given_up_and_counted(running, monkeypatch):
    monkeypatch.setattr(webhook, "TRIES", 3)
    server = Server(500, 500, 500)
    hook = running(server.url)
    hook.post({"event": "a"})
    hook.post({"event": "b"})
    assert server.wait(4)[-1][1] == {"event": "b"}
    server.stop()
    assert hook.counts["lost"] == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://[::1", "http://no host/", "https://127.0.0.1:9/"])
def test_an_address_where_nobody_is_holds_nobody_up_and_the_end_comes_at_once(running, url):
    hook = running(url)
    for number in range(webhook.MAX_WAITING + 9):
        hook.post({"number": number})
    assert hook.counts["lost"] >= 8  # the ninth is being sent
