"""Checks of the page for others: who may sign in, and what a stranger is told at its public URL; signs in nowhere."""

import http.client
import json
import sqlite3
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from gateway.configuration.settings import LOOPBACK
from gateway.edge import admin, running
from gateway.edge.checks import FAIL, OK, WARN, Finding, Gateway
from gateway.lan import tls

ASK_S = 5
ANSWER_BYTES = 1 << 20
SEE = "docs/proxy.md has a configuration that works"


class Answer(NamedTuple):
    """What an HTTP server said: its status, and JSON or None."""

    status: int
    said: object


def sign_in(gateway: Gateway) -> Iterator[Finding]:
    """Who may use a page that others can reach."""
    values = gateway.values
    if values["page.listen"] == LOOPBACK and not values["page.tls_listen"] and not values["page.public_url"]:
        yield Finding(OK, "the page is for this computer alone")
        return
    is_new = True
    with suppress(sqlite3.Error), running.reading(gateway.folder / admin.NAME) as database:
        now_s = int(time.time())
        sessions = database.execute("SELECT 1 FROM session WHERE until_s > ?", (now_s,)).fetchone()
        is_new = not (sessions or database.execute("SELECT 1 FROM code").fetchone())
    if is_new:
        yield Finding(WARN, "nobody can sign in to the page", "tinyren gateway admin-code")
    else:
        yield Finding(OK, "there is an admin code, or somebody is signed in")


def public_url(gateway: Gateway) -> Iterator[Finding]:
    """What answers where labels and others look for the page: this gateway, and only to who signed in."""
    url = str(gateway.values["page.public_url"]).rstrip("/")
    if not url:
        yield Finding(OK, "the page has no public URL")
    elif not gateway.running:
        yield Finding(OK, f"{url} is looked at when the gateway runs")
    else:
        try:
            yield judge(url, gateway.values["page.proxy_listen"], ask(f"{url}/state.json", gateway))
        except ssl.SSLError as error:
            what = f"{url}: its certificate is not good: {error.reason or error}; a phone will not open it"
            yield Finding(WARN, what, "have the proxy serve the whole chain for that name")
        except OSError as error:
            what = f"{url} does not answer from here: {error}; labels lead there"
            yield Finding(WARN, what, "look at DNS, the router and the proxy; another name: page.public_url")


def judge(url: str, listen: str, answer: Answer) -> Finding:
    """What an answer to a stranger who asked for the site's state means. listen: page.proxy_listen, "" if not set."""
    place = f"http://{listen}" if listen else "a place of its own (page.proxy_listen)"
    said = answer.said if isinstance(answer.said, dict) else {}
    if answer.status == 401 and said.get("error") == "session":
        return Finding(OK, f"{url} leads to a gateway, and asks for the admin code")
    if answer.status == 200 and "devices" in said:
        what = f"{url} lets everybody in without the admin code: its proxy asks as a program of this computer does"
        return Finding(FAIL, what, f"have it ask at {place}, not at page.port; {SEE}")
    if answer.status == 421:
        what = f"{url}: its proxy asks at another place, or for another name, than it should"
        return Finding(FAIL, what, f"have it ask at {place} and pass Host on; {SEE}")
    if answer.status in (502, 503, 504):
        what = f"{url}: its proxy does not reach the gateway (HTTP {answer.status})"
        return Finding(FAIL, what, f"have it ask at {place}; {SEE}")
    return Finding(WARN, f"{url}: another server answers there (HTTP {answer.status})", f"have it lead here; {SEE}")


def ask(url: str, gateway: Gateway) -> Answer:
    """What a stranger is told at a URL. OSError: no answer, or none of HTTP."""
    context = ssl.create_default_context()
    own = gateway.folder / tls.FOLDER / tls.CA
    if own.exists():
        context.load_verify_locations(own)
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=ASK_S) as answer:
            return Answer(answer.status, _json(answer.read(ANSWER_BYTES)))
    except urllib.error.HTTPError as error:
        return Answer(error.code, _json(error.read(ANSWER_BYTES)))
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else OSError(error.reason) from error
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP ({error!r:.80})") from error


def _json(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
