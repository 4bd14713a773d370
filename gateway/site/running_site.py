"""A site seen from another command: its page's state while it runs, or `tinyren up` run as a child. It changes nothing.

A page is believed to be a site's only if it names that site's folder: another site may have taken the port.
"""

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.errors import CommandError, Exit
from gateway.site import site_file
from gateway.site.children import end, end_with

TIMEOUT_S = 10
READY_S = 90.0
POLL_S = 0.1
MAX_STATE_BYTES = 64 << 20


def state_of(folder: Path) -> tuple[str, dict[str, Any]]:
    """(address of the page, its state) of the site in `folder`.

    Raises:
        CommandError: there is no site, it does not run, or another one answers.
    """
    site = site_file.read(folder)
    if site is None or not site.page_port:
        raise CommandError(f"{folder}: no site runs here; start one: tinyren up --site {folder}", Exit.USAGE)
    url = f"http://127.0.0.1:{site.page_port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/state.json", timeout=TIMEOUT_S) as answer:
            state = json.loads(answer.read(MAX_STATE_BYTES))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        what = f"{folder}: got no answer at {url} ({error}); start the site: tinyren up --site {folder}"
        raise CommandError(what, Exit.TIMEOUT) from error
    if not isinstance(state, dict) or Path(str(state.get("site"))).resolve() != folder.resolve():
        raise CommandError(f"{folder}: another site answers at {url}; start this one: tinyren up --site {folder}")
    return url, state


def is_running(folder: Path) -> bool:
    """Whether the site in `folder` answers."""
    try:
        return bool(state_of(folder))
    except CommandError:
        return False


class ChildSite:
    """`tinyren up` over a folder, whose own boards wait for their labels; it ends with this process.

    Attributes:
        log: what it says.
    """

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self._folder, self.log = folder, folder / "logs" / "run.log"
        self._command = [sys.executable, "-m", "gateway.cli", "up", "--site", str(folder), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when its page answers; raises CommandError: it ended, or does not answer."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        parent, environment = os.getpid(), os.environ | {"TINYREN_BINDING_BY_LABEL": "true"}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=lambda: end_with(parent),
            )
        end_s = time.monotonic() + READY_S
        while True:
            self.check()
            try:
                state_of(self._folder)
                return
            except CommandError as error:
                if time.monotonic() > end_s:
                    raise CommandError(f"{error}; see {self.log}", Exit.TIMEOUT) from error
            time.sleep(POLL_S)

    def check(self, wait_s: float = 0.0) -> None:
        """Raise CommandError if it has ended, or does within wait_s: what it said last, with its exit code."""
        try:
            code = self._process.wait(wait_s) if self._process else None
        except subprocess.TimeoutExpired:
            return
        if code is None:
            return
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        said = lines[-1].removeprefix("tinyren: ") if lines else "without a word"
        known = code if code in set(Exit) else Exit.FAILED
        raise CommandError(f"the site ended: {said}", Exit(known))

    def stop(self) -> None:
        """End it and wait until it is gone."""
        if self._process is not None:
            end(self._process)
        self._process = None
