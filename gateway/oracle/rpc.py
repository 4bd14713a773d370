"""What an oracle reads from the chain, over JSON-RPC with the standard library alone; it can sign and send nothing.

Three oracles run beside the boards of a site, and web3 would cost each of them 55 MB and a second; these reads do not.
What a chain answers is foreign: every value is checked for its form, and a chain that is away or talks nonsense is the
same to its reader.

Source: Ethereum's execution API; Solidity's ABI for Devices.bindings, Escrow.jobs and the getters of Settlement.
"""

import http.client
import itertools
import json
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from gateway import curve
from gateway.chain import jsonrpc
from gateway.oracle.at_close import AtClose
from gateway.oracle.availability import Windows
from gateway.oracle.rewards import Deed
from gateway.poai.jobs import MEASURED, VERIFIED, Job

TIMEOUT_S = 10
PAGE_DEEDS = 100
PAGE_JOBS = 100
MAX_SLOTS = 0xFFFF
JOB_WORDS = 11
MODEL_CID = bytes.fromhex("01551220")
WORKERS = "areWorkers(uint256,uint256[])"
MAX_ANSWER_BYTES = 16 << 20
WORD_BYTES = 32
LEAST_BLOCKS = 1_000
APPOINTED = b"OraclesAppointed(uint256,address[],uint256)"
T = TypeVar("T")


class ChainAway(Exception):
    """The chain did not answer, or not what was asked."""


class ChainRefused(ChainAway):
    """The chain is there, and refused what was asked."""


class ChainReader:
    """Reads of one chain and its contracts (20 bytes each; escrow: none if empty). Every method raises ChainAway."""

    def __init__(self, url: str, settlement: bytes, devices: bytes, escrow: bytes = b"") -> None:
        self.url = url
        self.settlement = settlement
        self.devices = devices
        self.escrow = escrow
        self._numbers = itertools.count(1)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def chain_id(self) -> int:
        """The number that signatures are bound to."""
        return _parse(jsonrpc.quantity, self._request("eth_chainId", []))

    def block_number(self) -> int:
        """The newest block's."""
        return _parse(jsonrpc.quantity, self._request("eth_blockNumber", []))

    def settled(self) -> tuple[int, bytes, int]:
        """(epoch, root, total) of the last settled epoch, all of one block; (0, zeros, 0) before the first."""
        block = self._request("eth_blockNumber", [])
        epoch, root, total = (self._call(self.settlement, name, block) for name in ("epoch()", "root()", "total()"))
        return _word(epoch, 0), root[:WORD_BYTES], _word(total, 0)

    def oracles_number(self) -> int:
        """How often oracles were appointed."""
        return _word(self._call(self.settlement, "oraclesNumber()", "latest"), 0)

    def oracles(self) -> tuple[int, tuple[bytes, ...], int]:
        """(number, addresses of 20 bytes, threshold) of the oracles that were appointed last.

        A node that refuses so many blocks is asked for the halves, the newer first, down to LEAST_BLOCKS.
        """
        number = self.oracles_number()
        logs = self._appointments(number, 0, self.block_number())
        if len(logs) != 1 or not isinstance(logs[0], dict):
            raise ChainAway(f"appointment {number} of oracles is not there")
        return number, *decode_oracles(_parse(jsonrpc.data, logs[0].get("data")))

    def _appointments(self, number: int, first: int, last: int) -> list[Any]:
        topics = ["0x" + curve.keccak(APPOINTED).hex(), "0x" + number.to_bytes(WORD_BYTES, "big").hex()]
        blocks = {"fromBlock": hex(first), "toBlock": hex(last)}
        try:
            logs = self._request("eth_getLogs", [{"address": "0x" + self.settlement.hex(), "topics": topics, **blocks}])
        except ChainRefused:
            if last - first < LEAST_BLOCKS:
                raise
            middle = (first + last) // 2
            return self._appointments(number, middle + 1, last) or self._appointments(number, first, middle)
        return logs if isinstance(logs, list) else []

    def block_hash(self, number: int) -> bytes:
        """32 bytes."""
        block = self._request("eth_getBlockByNumber", [hex(number), False])
        if not isinstance(block, dict):
            raise ChainAway(f"block {number} is not there")
        return _parse(jsonrpc.hash32, block.get("hash"))

    def deeds(self, block: int) -> dict[int, Deed]:
        """The deeds that have devices, as of a block."""
        found: dict[int, Deed] = {}
        for first in itertools.count(1, PAGE_DEEDS):
            limits = first.to_bytes(WORD_BYTES, "big") + (first + PAGE_DEEDS - 1).to_bytes(WORD_BYTES, "big")
            page = decode_deeds(self._call(self.devices, "bindings(uint256,uint256)", hex(block), limits))
            found |= {number: deed for number, deed in page.items() if deed.devices}
            if len(page) < PAGE_DEEDS:
                break
        return found

    def at_close(self, windows: Windows) -> AtClose:
        """Deeds, choices of their owners and open jobs, as of the end of the close block."""
        deeds, block = self.deeds(windows.block), hex(windows.block)
        owners = sorted({deed.owner for deed in deeds.values()})
        data = _words(2 * WORD_BYTES, windows.epoch, len(owners), *(int.from_bytes(owner) for owner in owners))
        are = self._flags(self.settlement, "arePaidToAccount(address[],uint256)", block, data, len(owners))
        to_account = frozenset(owner for owner, is_paid in zip(owners, are, strict=True) if is_paid)
        return AtClose(deeds, to_account, self._jobs(windows.epoch, sorted(deeds), block) if self.escrow else [])

    def _jobs(self, epoch: int, deeds: list[int], block: str) -> list[Job]:
        found: list[Job] = []
        for first in itertools.count(1, PAGE_JOBS):
            limits = _words(first, first + PAGE_JOBS - 1)
            page = decode_jobs(self._call(self.escrow, "jobs(uint256,uint256)", block, limits), self.escrow, first)
            for job, is_for_any in page:
                if job.first <= epoch <= job.last:
                    found += [job] if is_for_any else self._with_workers(job, deeds, block)
            if len(page) < PAGE_JOBS:
                break
        return found

    def _with_workers(self, job: Job, deeds: list[int], block: str) -> list[Job]:
        """The job with those of `deeds` that work for it; none if none does."""
        data = _words(job.number, 2 * WORD_BYTES, len(deeds), *deeds)
        are = self._flags(self.escrow, WORKERS, block, data, len(deeds))
        workers = frozenset(deed for deed, is_worker in zip(deeds, are, strict=True) if is_worker)
        return [replace(job, workers=workers)] if workers else []

    def _flags(self, contract: bytes, function: str, block: str, data: bytes, count: int) -> list[bool]:
        """The answer bool[] of so many."""
        answer = self._call(contract, function, block, data)
        start = _word(answer, 0) + WORD_BYTES
        if (got := _word(answer, start - WORD_BYTES)) != count:
            raise ChainAway(f"{function}: {got} answers, wanted {count}")
        return [_word(answer, start + index * WORD_BYTES) != 0 for index in range(count)]

    def _call(self, contract: bytes, function: str, block: Any, arguments: bytes = b"") -> bytes:
        data = curve.keccak(function.encode())[:4] + arguments
        message = {"to": "0x" + contract.hex(), "data": "0x" + data.hex()}
        answer = _parse(jsonrpc.data, self._request("eth_call", [message, block]))
        if len(answer) < WORD_BYTES:
            raise ChainAway(f"{function}: {len(answer)} bytes, wanted {WORD_BYTES} or more; is there a contract?")
        return answer

    def _request(self, method: str, params: list[Any]) -> Any:
        number = next(self._numbers)
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                fields = json.loads(answer.read(MAX_ANSWER_BYTES))
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise ChainAway(f"{method}: {error}") from error
        if not isinstance(fields, dict) or fields.get("id") != number or "result" not in fields:
            told = fields.get("error") if isinstance(fields, dict) else None
            raise (ChainRefused if told else ChainAway)(f"{method}: {str(told or fields)[:200]}")
        return fields["result"]


def decode_deeds(answer: bytes) -> dict[int, Deed]:
    """ABI Deed(uint256 deed, address owner, uint16 slots, address[] devices)[] -> deeds by number.

    Raises:
        ChainAway: the offsets lead outside the answer, or there are more deeds, slots or devices than a page may have:
            an array that is named again and again would be read again and again.
    """
    start = _word(answer, 0) + WORD_BYTES
    count = _word(answer, start - WORD_BYTES)
    if count > PAGE_DEEDS:
        raise ChainAway(f"{count} deeds, wanted at most {PAGE_DEEDS}")
    deeds = {}
    for index in range(count):
        at = start + _word(answer, start + index * WORD_BYTES)
        number, owner, slots, offset = (_word(answer, at + field * WORD_BYTES) for field in range(4))
        length = _word(answer, at + offset)
        if not length <= slots <= MAX_SLOTS:
            raise ChainAway(f"deed {number}: {length} devices in {slots} slots, wanted at most {MAX_SLOTS}")
        places = range(at + offset + WORD_BYTES, at + offset + (length + 1) * WORD_BYTES, WORD_BYTES)
        deeds[number] = Deed(_address(owner), slots, tuple(_address(_word(answer, place)) for place in places))
    return deeds


def decode_jobs(answer: bytes, escrow: bytes, first: int) -> list[tuple[Job, bool]]:
    """ABI IEscrow.Job[], the first of them number `first` -> those that are open, without workers; whether for any.

    A closed job is none of any epoch, so that a page keeps its length.

    Raises:
        ChainAway: the offsets lead outside the answer, or a price is 0.
    """
    start = _word(answer, 0) + WORD_BYTES
    found = []
    for index in range(_word(answer, start - WORD_BYTES)):
        at = start + index * JOB_WORDS * WORD_BYTES
        _, _, is_closed, is_for_any, is_measured, begins, ends, price, cap, _, model = (
            _word(answer, at + field * WORD_BYTES) for field in range(JOB_WORDS)
        )
        if not price:
            raise ChainAway(f"job {first + index}: price 0")
        kind = MEASURED if is_measured else VERIFIED
        cid = MODEL_CID + model.to_bytes(WORD_BYTES, "big")
        ends = -1 if is_closed else ends
        job = Job(escrow, first + index, kind, cid, frozenset(), begins, ends, cap // price, price)
        found.append((job, bool(is_for_any)))
    return found


def decode_oracles(data: bytes) -> tuple[tuple[bytes, ...], int]:
    """ABI (address[] oracles, uint256 threshold) -> addresses and threshold.

    Raises:
        ChainAway: it is none.
    """
    start, threshold = _word(data, 0) + WORD_BYTES, _word(data, WORD_BYTES)
    count = _word(data, start - WORD_BYTES)
    places = range(start, start + count * WORD_BYTES, WORD_BYTES)
    return tuple(_address(_word(data, place)) for place in places), threshold


def _word(data: bytes, at: int) -> int:
    if at + WORD_BYTES > len(data):
        raise ChainAway(f"answer of {len(data)} bytes, wanted a word at {at}")
    return int.from_bytes(data[at : at + WORD_BYTES], "big")


def _words(*values: int) -> bytes:
    return b"".join(value.to_bytes(WORD_BYTES, "big") for value in values)


def _address(word: int) -> bytes:
    if word >> 160:
        raise ChainAway("address: more than 20 bytes")
    return word.to_bytes(20, "big")


def _parse(parse: Callable[[Any], T], value: Any) -> T:
    try:
        return parse(value)
    except jsonrpc.RpcError as error:
        raise ChainAway(str(error)) from error
