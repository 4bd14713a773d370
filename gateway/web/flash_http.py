"""Routes by which a browser flashes boards; decides nothing, and fetches nothing from any other host.

    GET  /flash                                  the page
    GET  /flash/new.json, /flash/firmware.json   manifests for ESP Web Tools: a new board, or firmware alone
    GET  /flash/files/DIGEST/NAME                a part that a manifest names, or a UF2 file, by its SHA-256

The operator's files are those of a folder, read anew when one of them changed, so one that is put there is offered at
once.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.flashing.offers import Offers, offer_all
from gateway.web import render
from gateway.web.views import flash

MOST_BYTES = 16 << 20
State = tuple[tuple[str, int, int, int], ...]


def routes(folder: Path, version: str) -> list[Route]:
    """The routes over a folder of firmware files, in which a folder of a board's name holds what a new one gets.

    Args:
        version: tinyren's.
    """
    environment = render.templates()
    lock, kept = threading.Lock(), dict[State, Offers]()

    def offers() -> Offers:
        state = read_state(folder)
        with lock:
            if state not in kept:
                kept.clear()
                kept[state] = offer_all(read_folder(folder), lambda board: read_tree(folder / board.name))
            return kept[state]

    def page(request: Request) -> Response:
        return render.page(request, environment, "flash.html", **flash.view(offers(), str(folder.absolute())))

    def file(request: Request) -> Response:
        content = offers().find(request.path_params["digest"])
        if content is None:
            return PlainTextResponse("There is no such file now. Reload the page and begin again.\n", 404)
        return Response(content, media_type="application/octet-stream")

    return [
        _route("/flash", page),
        _route("/flash/new.json", lambda _: JSONResponse(offers().manifest(version, True))),
        _route("/flash/firmware.json", lambda _: JSONResponse(offers().manifest(version, False))),
        _route("/flash/files/{digest}/{name}", file),
    ]


def read_state(folder: Path) -> State:
    """What is below a folder, by which it is seen whether anything changed."""
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue  # removed just now
        found.append((str(path), facts.st_ino, facts.st_mtime_ns, facts.st_size))
    return tuple(found)


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a folder, content by name, without those larger than any firmware, half written, or not readable."""
    found = {}
    for path in sorted(folder.glob("*")):
        try:
            if path.is_file() and path.suffix != ".part" and path.stat().st_size <= MOST_BYTES:
                found[path.name] = path.read_bytes()
        except OSError:
            continue  # removed just now, or another user's
    return found


def read_tree(folder: Path) -> dict[str, bytes]:
    """The files below a folder, content by path with "/", all of one moment: `tinyren offer` replaces the folder."""
    while True:
        moment = _inode(folder)
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        try:
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        except FileNotFoundError:
            continue  # it was replaced just now
        if _inode(folder) == moment:
            return files


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return 0


def _route(path: str, build: Callable[[Request], Response]) -> Route:
    async def endpoint(request: Request) -> Response:
        return await to_thread.run_sync(build, request)

    return Route(path, endpoint, methods=["GET"])
