"""A running site's Deeploy over its page (deeploy_http.py), for `tinyren job`; believes nothing but for showing it."""

import http.client
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from coincurve import PrivateKey

from gateway import curve
from gateway.deeploy import requests
from gateway.deeploy.requests import Refused, Request
from gateway.errors import CommandError, Exit
from gateway.site import site_file
from gateway.text import one_line

TIMEOUT_S = 10
VALID_S = 120
MAX_ANSWER_BYTES = 16 << 20


class SiteClient:
    """The site in `folder`, while it runs. Every method raises CommandError: it does not answer; Refused."""

    def __init__(self, folder: Path) -> None:
        site = site_file.read(folder)
        if site is None:
            raise CommandError(f"{folder}: there is no site; `tinyren up --site {folder}` makes one", Exit.USAGE)
        self._folder, self._url = folder, f"http://127.0.0.1:{site.page_port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("/jobs", wanted="jobs")["jobs"]
        return found

    def job(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call(f"/jobs/{quote(name, safe='')}")
        return found

    def logs(self, name: str, tail: int) -> list[str]:
        """The last lines of a container or WebAssembly job."""
        found = self._call(f"/jobs/{quote(name, safe='')}/logs?tail={tail}", wanted="lines")
        return [one_line(line) for line in found["lines"]]

    def about(self, key: PrivateKey) -> dict[str, Any]:
        """What the site says to the holder of a key (service.Deeploy.about)."""
        found: dict[str, Any] = self._call(f"/jobs-about?signer=0x{curve.address_of(key.secret).hex()}")
        return found

    def ask(self, key: PrivateKey, about: dict[str, Any], action: str, document: bytes) -> dict[str, Any]:
        """Sign and send a request about a document (32 bytes of its CID); what it led to."""
        contract, deadline_s = bytes.fromhex(about["contract"][2:]), int(time.time()) + VALID_S
        plain = Request(about["chain_id"], contract, document, requests.ACTIONS[action], about["nonce"], deadline_s)
        signed = requests.sign(plain, lambda digest: key.sign_recoverable(digest, hasher=None))
        body = {
            "chain_id": signed.chain_id,
            "contract": f"0x{signed.contract.hex()}",
            "job": signed.job.hex(),
            "action": signed.action,
            "nonce": signed.nonce,
            "deadline": signed.deadline_s,
            "signature": signed.signature.hex(),
        }
        found: dict[str, Any] = self._call("/jobs", body)
        return found

    def _call(self, path: str, body: Any = None, wanted: str = "") -> Any:
        """The object that the page answers; wanted: the name of a list in it."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                found = json.loads(answer.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            how = f"is it running? start it by `tinyren up --site {self._folder}`"
            raise CommandError(f"{self._folder}: its page at {self._url} does not answer ({error}); {how}") from error
        if not isinstance(found, dict) or wanted and not isinstance(found.get(wanted), list):
            raise CommandError(f"{self._url}: wanted the page of a tinyren site of this version")
        return found

    def _refused(self, error: urllib.error.HTTPError) -> Exception:
        try:
            told = json.loads(error.read(1 << 16))
            return Refused(one_line(told["error"]), one_line(told["message"]))
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
            return CommandError(f"{self._url}: HTTP {error.code}, wanted the page of a tinyren site of this version")
