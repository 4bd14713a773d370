"""The part of IPFS's /api/v0 that R1FS has, so that existing clients drive it; serves no more, and on loopback only.

Answers as Kubo's RPC does (docs.ipfs.tech/reference/kubo/rpc): POST, arguments as `arg`, JSON lines, errors as 500 with
{"Message", "Code", "Type"}. Everything is added with the one profile of unixfs, so CIDs are CIDv1 with raw leaves even
where a client does not ask for them; options that would mean another CID are refused.
"""

import itertools
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.storage import dag, dag_cbor, dag_json, unixfs
from gateway.storage.cid import CODECS, DAG_CBOR, MAX_BLOCK_BYTES, decode_any, encode_text, normalise
from gateway.storage.embedded import Embedded
from gateway.storage.errors import Missing, Refused, StoreError
from gateway.storage.folders import tree_of
from gateway.storage.gateway_http import started
from gateway.storage.streams import Chunks

MAX_FILES = 100_000
MAX_JSON_BYTES = 1 << 20
PIECE_BYTES = 256 * 1024
VERSION = "0.7.0"  # of the API; what ipfshttpclient.connect() takes too
_OTHER_CIDS = {"only-hash": "true", "trickle": "true", "nocopy": "true", "wrap-with-directory": "true", "pin": "false"}
_LAYOUT = {"cid-version": "1", "chunker": f"size-{unixfs.CHUNK_BYTES}", "hash": "sha2-256"}


def routes(store: Embedded) -> list[Route]:
    """Everything below /api/v0."""
    api = _Api(store)
    calls: dict[str, Callable[[Request], Response]] = {
        "block/get": api.block_get,
        "block/stat": api.block_stat,
        "cat": api.cat,
        "dag/export": api.dag_export,
        "dag/get": api.dag_get,
        "get": api.get,
        "id": lambda request: JSONResponse({"ID": "", "Addresses": [], "AgentVersion": "tinyren", "PublicKey": ""}),
        "ls": api.ls,
        "pin/add": api.pin_add,
        "pin/ls": api.pin_ls,
        "pin/rm": api.pin_rm,
        "repo/gc": api.repo_gc,
        "version": lambda request: JSONResponse({"Version": VERSION, "Commit": "", "Repo": "", "System": "tinyren"}),
    }
    uploads: dict[str, Callable[[Request, list[UploadFile]], Response]] = {
        "add": api.add,
        "block/put": api.block_put,
        "dag/import": api.dag_import,
        "dag/put": api.dag_put,
    }
    found = [Route(f"/{name}", _plain(call), methods=["POST"]) for name, call in calls.items()]
    return found + [Route(f"/{name}", _uploading(call), methods=["POST"]) for name, call in uploads.items()]


class _Api:
    """A method a call."""

    def __init__(self, store: Embedded) -> None:
        self._store = store

    def add(self, request: Request, files: list[UploadFile]) -> Response:
        _check_layout(request)
        names = [unquote(file.filename or "").strip("/") for file in files]
        if len(files) == 1 and files[0].content_type != "application/x-directory":
            added = self._store.add(_pieces(files[0].file))
            return _lines([_row(names[0] or added.cid, added)])
        above = names[0].partition("/")[0]
        if any(name.partition("/")[0] != above for name in names):
            raise Refused("add: got several files or folders, wanted one")
        tree = [(name[len(above) + 1 :], file) for name, file in zip(names, files, strict=True) if "/" in name]
        rows = self._store.add_tree((name, _content(file)) for name, file in tree)
        return _lines(_row(f"{above}/{path}" if path else above, added) for path, added in rows)

    def block_get(self, request: Request) -> Response:
        return Response(self._store.get(self._cid(request)), media_type="application/octet-stream")

    def block_put(self, request: Request, files: list[UploadFile]) -> Response:
        name = request.query_params.get("cid-codec") or request.query_params.get("format") or "raw"
        codec = CODECS.get({"protobuf": "dag-pb", "cbor": "dag-cbor"}.get(name, name))
        if codec is None:
            raise Refused(f"cid-codec: got {name!r}, wanted one of {', '.join(CODECS)}")
        data = files[0].file.read(MAX_BLOCK_BYTES + 1)
        cid = self._store.put_block(data, codec)
        return JSONResponse({"Key": cid, "Size": len(data)})

    def block_stat(self, request: Request) -> Response:
        cid = self._cid(request)
        return JSONResponse({"Key": encode_text(cid), "Size": len(self._store.get(cid))})

    def cat(self, request: Request) -> Response:
        chunks = Chunks(self._store.read(encode_text(self._cid(request))))
        left = _number(request, "offset")
        while left and (skipped := chunks.read(min(left, PIECE_BYTES))):
            left -= len(skipped)
        length = _number(request, "length") if "length" in request.query_params else None
        return _stream(_limited(chunks, length))

    def dag_export(self, request: Request) -> Response:
        chunks = self._store.export_car(encode_text(self._cid(request)))
        return _stream(started(chunks, 2))  # the header, and the root's section

    def dag_get(self, request: Request) -> Response:
        cid = self._cid(request)
        if cid[1] != DAG_CBOR:
            raise Refused(f"dag/get {encode_text(cid)}: wanted dag-cbor")
        return JSONResponse(dag_json.to_json(dag_cbor.decode_node(self._store.get(cid))))

    def dag_import(self, request: Request, files: list[UploadFile]) -> Response:
        roots = self._store.import_car(files[0].file)
        return _lines({"Root": {"Cid": {"/": root}, "PinErrorMsg": ""}} for root in roots)

    def dag_put(self, request: Request, files: list[UploadFile]) -> Response:
        data = files[0].file.read(MAX_JSON_BYTES + 1)
        coding = request.query_params.get("input-codec") or request.query_params.get("input-enc") or "dag-json"
        if len(data) > MAX_JSON_BYTES or coding not in ("json", "dag-json", "dag-cbor", "cbor", "raw"):
            raise Refused(
                f"dag/put: got {len(data)} bytes of {coding}, wanted at most {MAX_JSON_BYTES} of JSON or CBOR"
            )
        value = dag_json.from_json(json.loads(data)) if "json" in coding else dag_cbor.decode_node(data)
        return JSONResponse({"Cid": {"/": self._store.put_block(dag_cbor.encode_node(value), DAG_CBOR)}})

    def get(self, request: Request) -> Response:
        return _stream(self._tar(self._cid(request)), "application/x-tar")

    def ls(self, request: Request) -> Response:
        cid = encode_text(self._cid(request))
        links = [
            {
                "Name": entry.name,
                "Hash": entry.cid,
                "Size": entry.tree_bytes,
                "Type": self._type(entry.cid),
                "Target": "",
            }
            for entry in self._store.entries(cid) or []
        ]
        return JSONResponse({"Objects": [{"Hash": cid, "Links": links}]})

    def pin_add(self, request: Request) -> Response:
        cid = encode_text(self._cid(request))
        self._store.pin(cid)
        return JSONResponse({"Pins": [cid]})

    def pin_ls(self, request: Request) -> Response:
        keys = {pin.cid: {"Type": "recursive"} for pin in self._store.pins()}
        wanted = [normalise(text) for text in request.query_params.getlist("arg")]
        for cid in wanted:
            if cid not in keys:
                raise Missing(f"path '{cid}' is not pinned")
        return JSONResponse({"Keys": {cid: keys[cid] for cid in wanted or keys}})

    def pin_rm(self, request: Request) -> Response:
        cid = encode_text(self._cid(request))
        if not self._store.unpin(cid):
            raise Refused(f"{cid}: not pinned or pinned indirectly")
        return JSONResponse({"Pins": [cid]})

    def repo_gc(self, request: Request) -> Response:
        return _lines({"Key": {"/": cid}} for cid in self._store.collect().cids)

    def _cid(self, request: Request) -> bytes:
        return dag.resolve(self._store.get, request.query_params.get("arg", ""))

    def _type(self, cid: str) -> int:
        return 2 if self._store.entries(cid) is None else 1

    def _tar(self, cid: bytes) -> Iterator[bytes]:
        """A file or folder as Kubo's `get` sends it: a tar whose top is named by the CID."""
        name = encode_text(cid)
        for number, (path, found) in enumerate(itertools.chain([("", name)], tree_of(self._store, name))):
            if number > MAX_FILES:
                raise Refused(f"get {name}: more than {MAX_FILES} entries")
            info, below = tarfile.TarInfo(f"{name}/{path}".rstrip("/")), decode_any(found)
            is_folder = self._store.entries(found) is not None
            info.type, info.mode = (tarfile.DIRTYPE, 0o755) if is_folder else (tarfile.REGTYPE, 0o644)
            info.size = 0 if is_folder else unixfs.size_of(below, self._store.get(below))
            yield info.tobuf(tarfile.PAX_FORMAT)
            if not is_folder:
                yield from dag.read_file(self._store.get, below)
                yield bytes(-info.size % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)


def _plain(call: Callable[[Request], Response]) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        try:
            return call(request)
        except (StoreError, ValueError, RecursionError) as error:
            return _failed(error)

    return endpoint


def _uploading(call: Callable[[Request, list[UploadFile]], Response]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            async with request.form(max_files=MAX_FILES) as form:
                files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
                if not files:
                    raise Refused("body: got no file, wanted multipart/form-data with one")
                return await run_in_threadpool(call, request, files)
        except HTTPException as error:
            return _failed(Refused(error.detail))
        except (StoreError, ValueError, RecursionError) as error:
            return _failed(error)

    return endpoint


def _failed(error: Exception) -> Response:
    return JSONResponse({"Message": str(error), "Code": 0, "Type": "error"}, 500)


def _lines(rows: Iterable[dict[str, Any]]) -> Response:
    return Response("".join(json.dumps(row) + "\n" for row in rows), media_type="application/json")


def _stream(chunks: Iterator[bytes], kind: str = "application/octet-stream") -> Response:
    return StreamingResponse(started(chunks), media_type=kind)


def _row(name: str, added: dag.Added) -> dict[str, str]:
    return {"Name": name, "Hash": added.cid, "Size": str(added.bytes)}


def _check_layout(request: Request) -> None:
    for name, value in request.query_params.items():
        if _OTHER_CIDS.get(name) == value.lower() or value != _LAYOUT.get(name, value):
            raise Refused(f"add: got {name}={value}, wanted {_LAYOUT.get(name, 'the opposite')}")


def _content(file: UploadFile) -> Iterator[bytes] | None:
    return None if file.content_type == "application/x-directory" else _pieces(file.file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece


def _limited(chunks: Chunks, length: int | None) -> Iterator[bytes]:
    while piece := chunks.read(PIECE_BYTES if length is None else min(length, PIECE_BYTES)):
        yield piece
        length = None if length is None else length - len(piece)


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused(f"{name}: got {text[:20]!r}, wanted a whole number")
    return int(text)
