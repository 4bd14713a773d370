"""What an oracle reads from the chain, over JSON-RPC with the standard library alone; it can sign and send nothing.

Three oracles run beside the boards of a site, and web3 would cost each of them 55 MB and a second; these reads do not.
What a chain answers is foreign: every value is checked for its form, and a chain that is away or talks nonsense is the
same to its reader.

Source: Ethereum's execution API; Solidity's ABI for Devices.bindings and the getters of Settlement.
"""

import itertools
import json
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

from gateway import curve, jsonrpc
from gateway.oracle.rewards import Deed

TIMEOUT_S = 10
PAGE_DEEDS = 100
MAX_ANSWER_BYTES = 16 << 20
WORD_BYTES = 32
APPOINTED = b"OraclesAppointed(uint256,address[],uint256)"
T = TypeVar("T")


class ChainAway(Exception):
    """The chain did not answer, or not what was asked."""


class ChainReader:
    """Reads of one chain and its two contracts (20 bytes each). Every method raises ChainAway."""

    def __init__(self, url: str, settlement: bytes, devices: bytes) -> None:
        self.url = url
        self.settlement = settlement
        self.devices = devices
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
        """(number, addresses of 20 bytes, threshold) of the oracles that were appointed last."""
        number = self.oracles_number()
        topics = ["0x" + curve.keccak(APPOINTED).hex(), "0x" + number.to_bytes(WORD_BYTES, "big").hex()]
        wanted = {"address": "0x" + self.settlement.hex(), "topics": topics, "fromBlock": "0x0", "toBlock": "latest"}
        logs = self._request("eth_getLogs", [wanted])
        if not isinstance(logs, list) or len(logs) != 1 or not isinstance(logs[0], dict):
            raise ChainAway(f"appointment {number} of oracles is not there")
        return number, *decode_oracles(_parse(jsonrpc.data, logs[0].get("data")))

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
        except (OSError, ValueError, RecursionError) as error:
            raise ChainAway(f"{method}: {error}") from error
        if not isinstance(fields, dict) or fields.get("id") != number or "result" not in fields:
            told = fields.get("error") if isinstance(fields, dict) else fields
            raise ChainAway(f"{method}: {str(told)[:200]}")
        return fields["result"]


def decode_deeds(answer: bytes) -> dict[int, Deed]:
    """ABI Deed(uint256 deed, address owner, uint16 slots, address[] devices)[] -> deeds by number.

    Raises:
        ChainAway: the offsets lead outside the answer.
    """
    start = _word(answer, 0) + WORD_BYTES
    count = _word(answer, start - WORD_BYTES)
    deeds = {}
    for index in range(count):
        at = start + _word(answer, start + index * WORD_BYTES)
        number, owner, slots, offset = (_word(answer, at + field * WORD_BYTES) for field in range(4))
        length = _word(answer, at + offset)
        places = range(at + offset + WORD_BYTES, at + offset + (length + 1) * WORD_BYTES, WORD_BYTES)
        deeds[number] = Deed(_address(owner), slots, tuple(_address(_word(answer, place)) for place in places))
    return deeds


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


def _address(word: int) -> bytes:
    if word >> 160:
        raise ChainAway("address: more than 20 bytes")
    return word.to_bytes(20, "big")


def _parse(parse: Callable[[Any], T], value: Any) -> T:
    try:
        return parse(value)
    except jsonrpc.RpcError as error:
        raise ChainAway(str(error)) from error
