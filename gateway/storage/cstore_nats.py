"""CSTORE's cluster engine: a key-value bucket of NATS JetStream; refuses to hide when the cluster is only for show.

The stream is that of a NATS KV bucket (KV_NAME, $KV.NAME.BUCKET.KEY with the key in base64url) with R replicas, in
files, with the last HISTORY entries of each subject; deleting and purging are denied. Only four requests are used, and
the stream's leader answers all of them: publish with the expected last sequence of the subject, get the last message of
a subject, get its next one, list subjects.

1. Who was first is read from the stream, whatever a publish was answered: the message behind the expected one being the
   same frame means done, another one Conflict, none (the leader died) means publish again. A message counts only if it
   follows the one that its publisher expected, which its header says, so that all readers agree. Where HISTORY writes
   came between nobody knows, and Unavailable says so. All this is needed: nats-server 2.9.10 with 3 replicas
   acknowledges several publishes that expect one sequence if they come at once.
2. The clock is the leader's: each message has the time of its acceptance, and `now_ms` is the leader's time as it was
   when this process first asked, moved on by the monotonic clock.
3. What is acknowledged survives the loss of a minority of servers. Surviving power loss needs nats-server >= 2.12 and
   `sync_interval: always`: an outside audit of 2.12 found acknowledged writes lost otherwise. `notes` says what is so.
The gateways' NATS account must be theirs alone: who has it can fill or stop the store, though not sign for anybody.
"""

import asyncio
import base64
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from gateway.storage.cstore_engine import Entry
from gateway.storage.cstore_nats_options import NatsOptions, login, tls_context
from gateway.storage.cstore_record import FRAME_MAX_BYTES, Conflict, CstoreError, Refused, StoreFull, Unavailable

T = TypeVar("T")

HISTORY = 16
REQUEST_S = 2.0
RETRY_S = 0.1
PING_S = 2  # a server that says nothing for three of these is left for another
PAGE_MAX = 256
NAMES_MAX = 100_000  # a server lists no more subjects at once
STORED_MS = "Tinyren-Stored-Ms"
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
SAFE_VERSION = (2, 12)
_WRONG_LAST_SEQUENCE = 10071
_FULL = {10023, 10047, 10077}  # insufficient resources, storage exceeded, store failed


class NatsEngine:
    """The stream of one store (cstore_engine.Engine says what each method does)."""

    def __init__(self, options: NatsOptions) -> None:
        """Connect, and make the stream if there is none.

        Raises:
            Unavailable: no server answered as it should within options.wait_s; the message has the last error.
        """
        self._options = options
        self._stream, self._prefix = f"KV_{options.name}", f"$KV.{options.name}."
        self._last_error = "no answer"
        self._ahead_ms: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cstore-nats", daemon=True)
        self._thread.start()
        self._client = Client()
        try:
            self._run(asyncio.wait_for(self._connect(), options.wait_s))
            self._jetstream = self._client.jetstream(timeout=REQUEST_S)
            self._info = self._run(self._retry(self._make_stream))
        except (NatsError, OSError, TimeoutError) as error:
            self.close()
            raise Unavailable(f"cstore: {', '.join(options.servers)}: {error or self._last_error}") from error
        except CstoreError:
            self.close()
            raise

    def entries(self, bucket: str, name: str, after: int = 0) -> list[Entry]:
        return self._run(self._entries(self._subject(bucket, name), after))

    def write(self, bucket: str, name: str, frame: bytes, replaces: int, stored_ms: int | None = None) -> Entry:
        try:
            return self._run(self._write(self._subject(bucket, name), frame, replaces, stored_ms))
        except Unavailable as error:
            raise Unavailable(f"{error}; the write may be there or not, repeating it is safe") from error

    def names(self, bucket: str, prefix: str, after: str, limit: int) -> list[str]:
        async def listed() -> api.StreamInfo:
            return await self._jetstream.stream_info(self._stream, f"{self._prefix}{bucket}.*")

        subjects = self._run(self._retry(listed)).state.subjects or {}
        if len(subjects) >= NAMES_MAX:
            raise CstoreError(
                f"bucket {bucket}: got {NAMES_MAX} names or more, wanted fewer: this engine lists no more"
            )
        found = sorted(filter(None, map(_name, subjects)), key=str.encode)
        first = after.encode(errors="replace")
        return [name for name in found if name.startswith(prefix) and name.encode() > first][:limit]

    def changes(self, bucket: str, since: int, wait_s: float) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        deadline = time.monotonic() + wait_s
        while len(found) < PAGE_MAX:
            message = self._run(self._get(f"{self._prefix}{bucket}.*", since + 1))
            if message is None and (found or time.monotonic() >= deadline):
                break
            if message is None:
                time.sleep(RETRY_S)
                continue
            since = message.seq or 0
            if name := _name(message.subject or ""):
                found.append((since, name))
        return found

    def now_ms(self) -> int:
        if self._ahead_ms is None:
            self._ahead_ms = self._run(self._retry(self._leaders_ms)) - _monotonic_ms()
        return self._ahead_ms + _monotonic_ms()

    def notes(self) -> list[str]:
        version, found = self._client.connected_server_version, []
        if (version.major, version.minor) < SAFE_VERSION:
            got = f"{version.major}.{version.minor}.{version.patch}"
            found.append(f"nats-server {got} is for demonstration: it can lose acknowledged writes, wanted >= 2.12")
        if not self._options.sync_always:
            found.append("whether the servers run with `sync_interval: always` is not known: for demonstration, "
                         "unless the operator says so with ?sync=always")  # fmt: skip
        if (replicas := self._info.config.num_replicas or 1) < 3:
            found.append(f"{replicas} replica: for demonstration, wanted 3")
        return found

    def close(self) -> None:
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            self._run(asyncio.wait_for(self._client.close(), REQUEST_S))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connect(self) -> None:
        async def remember(error: Exception) -> None:
            self._last_error = str(error) or type(error).__name__

        entry = login(self._options)
        await self._client.connect(
            servers=list(self._options.servers),
            error_cb=remember,
            connect_timeout=2,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            ping_interval=PING_S,
            max_outstanding_pings=2,
            user=entry.user,
            password=entry.password,
            user_credentials=entry.file,
            tls=tls_context(self._options),
        )

    async def _make_stream(self) -> api.StreamInfo:
        try:
            return await self._jetstream.stream_info(self._stream)
        except NotFoundError:
            return await self._jetstream.add_stream(
                name=self._stream,
                subjects=[f"{self._prefix}>"],
                num_replicas=self._options.replicas,
                storage=api.StorageType.FILE,
                max_msgs_per_subject=HISTORY,
                max_msg_size=FRAME_MAX_BYTES + 1024,
                discard=api.DiscardPolicy.NEW,
                deny_delete=True,
                deny_purge=True,
            )

    async def _leaders_ms(self) -> int:
        ack = await self._jetstream.publish(f"{self._prefix}clock", b"")
        return _time_ms(await self._jetstream.get_msg(self._stream, ack.seq))

    async def _get(self, subject: str, first: int | None = None) -> api.RawStreamMsg | None:
        """The last message of a subject, or its next one from sequence `first`; None where there is none."""

        async def got() -> api.RawStreamMsg | None:
            try:
                return await self._jetstream.get_msg(self._stream, first, subject, next=first is not None)
            except NotFoundError:
                return None

        return await self._retry(got)

    async def _entries(self, subject: str, after: int) -> list[Entry]:
        last, found = await self._get(subject), list[Entry]()
        newest = last.seq or 0 if last else 0
        while after < newest and (message := await self._get(subject, after + 1)):
            expected = _expected(message)
            follows = expected == after or (expected > after and not found)  # what was between is not kept any more
            found.append(_entry(message) if follows else _entry(message)._replace(frame=b""))
            after = found[-1].sequence
        return found

    async def _write(self, subject: str, frame: bytes, replaces: int, stored_ms: int | None) -> Entry:
        headers = {EXPECTED: str(replaces)}
        if stored_ms is not None:
            headers[STORED_MS] = str(stored_ms)
        deadline = time.monotonic() + self._options.wait_s
        outcome, is_unsure = _outcome(TimeoutError("what was written is not to be seen")), False
        while time.monotonic() < deadline:
            try:
                await self._jetstream.publish(subject, frame, headers=headers)
            except MaxPayloadError as error:
                raise Refused(f"value: got {len(frame)} bytes, the servers' max_payload is less") from error
            except (NatsError, OSError, TimeoutError) as error:
                outcome = _outcome(error)
            if isinstance(outcome, StoreFull) and not is_unsure:
                raise outcome
            is_unsure = True
            if behind := await self._get(subject, replaces + 1):
                if (entry := _entry(behind)).frame == frame:
                    return entry
                if _expected(behind) > replaces:
                    raise Unavailable(f"sequence: over {HISTORY} writes came behind {replaces}, the first is not kept")
                raise Conflict(f"sequence: got {replaces}, but another write came first")
            await asyncio.sleep(RETRY_S)
        raise outcome

    async def _retry(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of a request that may be repeated; Unavailable when none came in time."""
        deadline = time.monotonic() + self._options.wait_s
        while True:
            try:
                return await attempt()
            except (NatsError, OSError, TimeoutError) as error:
                if time.monotonic() >= deadline:
                    raise Unavailable(f"cstore: {error or type(error).__name__}") from error
            await asyncio.sleep(RETRY_S)

    def _run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()

    def _subject(self, bucket: str, name: str) -> str:
        return f"{self._prefix}{bucket}.{_token(name)}"


def _outcome(error: Exception) -> CstoreError:
    """What a publish that ended so means, as far as its answer tells."""
    code = error.err_code if isinstance(error, APIError) else None
    if code in _FULL:
        return StoreFull(f"cstore: {error}")
    if code == _WRONG_LAST_SEQUENCE:
        return Conflict("sequence: got another than the last")
    return Unavailable(f"cstore: {error or type(error).__name__}")


def _entry(message: api.RawStreamMsg) -> Entry:
    """A stored message. The time in a restored one can only make it older."""
    stored_ms = _header(message, STORED_MS)
    time_ms = _time_ms(message)
    return Entry(message.seq or 0, time_ms if stored_ms < 0 else min(stored_ms, time_ms), message.data or b"")


def _expected(message: api.RawStreamMsg) -> int:
    """Sequence of the message that this one was published to follow on its subject; -1 if that is not said."""
    return _header(message, EXPECTED)


def _header(message: api.RawStreamMsg, name: str) -> int:
    text = (message.headers or {}).get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


def _time_ms(message: api.RawStreamMsg) -> int:
    return int(message.time.timestamp() * 1000) if message.time else 0


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _name(subject: str) -> str:
    """The name whose subject this is; empty for a subject that no name has."""
    token = subject.rpartition(".")[2]
    try:
        name = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except ValueError:
        return ""
    return name if _token(name) == token else ""


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
