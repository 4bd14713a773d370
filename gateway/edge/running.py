"""What can be known of a gateway from outside: if it runs, what its page and its files say. Changes nothing."""

import fcntl
import http.client
import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from gateway.intake import evidence
from gateway.site.site_file import Site

TIMEOUT_S = 5
MAX_ANSWER_BYTES = 16 << 20


def is_running(folder: Path) -> bool:
    """Whether a process holds the site's lock."""
    try:
        with (folder / "lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def ask(port: int, path: str, body: Any = None) -> Any:
    """JSON from the page of this machine; POST if there is a body. OSError: it does not answer, or not with JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            raw = answer.read(MAX_ANSWER_BYTES)
        return json.loads(raw) if raw else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise OSError(f"the page on port {port} does not answer: {error}") from error


def state(site: Site) -> dict[str, Any]:
    """What the running gateway's page says (gateway/web/app.py lists it). OSError: it does not answer."""
    found = ask(site.page_port, "/state.json")
    if not isinstance(found, dict):
        raise OSError(f"the page on port {site.page_port} answers something else")
    return found


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A database to read only. sqlite3.Error: it is missing, damaged or another's alone."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2)) as database:
        yield database


def counts(folder: Path) -> dict[str, Any]:
    """What the files of a gateway say: devices and heartbeats it knows, newest epoch, epochs settled, rejected."""
    found: dict[str, Any] = {"devices": 0, "heartbeats": 0, "epoch": 0, "settled": 0, "rejected": {}}
    if (folder / "state.sqlite").exists():
        with reading(folder / "state.sqlite") as database:
            (found["devices"],) = database.execute("SELECT count(*) FROM device").fetchone()
            (found["heartbeats"],) = database.execute("SELECT coalesce(sum(heartbeats), 0) FROM progress").fetchone()
            found["rejected"] = dict(database.execute("SELECT * FROM rejected"))
    if (folder / "evidence").is_dir():
        found["epoch"] = evidence.last_epoch(folder / "evidence")
    numbers = (path.stem.removeprefix("epoch-") for path in (folder / "settlement").glob("epoch-*.json"))
    found["settled"] = max((int(number) for number in numbers if number.isdigit()), default=0)
    return found
