"""A gateway's EDIL routes over real HTTP, on a service that the test fills."""

import contextlib

from gateway.edil.edil_http import routes
from gateway.web.app import app
from gateway.web.serve import serve


class FakeService:
    """rows: what /edil/rounds tells; given: shares that came; calls: everything else that was asked for."""

    def __init__(self):
        self.rows, self.given, self.calls = [], [], []
        self.refuses = None
        self._closed = {}
        self._stop = None

    def publish(self, manifest, closed):
        """Tell of a closed round."""
        row = {"digest": manifest.digest.hex(), "state": "closed", "set": closed.closed_set.hex()[:64], "round": 7}
        self.rows = [{**row, "frame": closed.manifest.hex(), "shares": []}]
        self._closed[manifest.digest] = closed

    def rounds(self):
        return self.rows

    def status(self, manifest):
        return next(row for row in self.rows if row["digest"] == manifest.hex()) if self._closed[manifest] else {}

    def closed(self, manifest):
        closed = self._closed[manifest]
        return closed.closed_set, closed.aggregate

    def give_share(self, frame):
        self._call("give_share", frame)
        self.given.append(frame)

    def shares(self, manifest):
        return self.given

    def stop(self):
        """End the page; what asks it afterwards finds nobody."""
        self._stop()

    def _call(self, *call):
        if self.refuses:
            raise self.refuses
        self.calls.append(call)

    def __getattr__(self, name):
        answer = b"\x01" if name in ("enrol", "open_round") else None
        return lambda *arguments: self._call(name, *arguments) or answer


class Page:
    def snapshot(self):
        return {}

    def changed(self, after, timeout_s):
        return 0

    def detail(self, what, name=""):
        return None

    def rpc(self, method, params):
        raise NotImplementedError


@contextlib.contextmanager
def serve_edil(service):
    """The URL of a page with the service's routes."""
    page = serve(app(Page(), routes(service)))
    service.__dict__["_stop"] = page.stop
    try:
        yield page.url
    finally:
        page.stop()
