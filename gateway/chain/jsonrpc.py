"""Values of Ethereum's JSON-RPC as text and back. Refuses, by RpcError, whatever is not exactly of the wanted form.

Source: Ethereum's execution API (quantities have no leading zeros, data has two digits a byte); JSON-RPC 2.0 codes.
"""

import re
from typing import Any

INVALID_PARAMS = -32602
UNKNOWN_METHOD = -32601
REFUSED = -32000
NO_ANSWER = -32099
"""Ours, for a node that did not answer at all."""
REVERTED = 3
MAX_TOLD = 1_000
"""Characters of a node's own words."""

OFFERED = frozenset(
    """web3_clientVersion net_version eth_chainId eth_syncing eth_blockNumber eth_gasPrice eth_maxPriorityFeePerGas
    eth_getBalance eth_getTransactionCount eth_getCode eth_getStorageAt eth_call eth_estimateGas eth_sendRawTransaction
    eth_getTransactionByHash eth_getTransactionReceipt eth_getBlockByNumber eth_getBlockByHash eth_getLogs""".split()
)

_QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})", re.IGNORECASE)
_DATA = re.compile(r"0x([0-9a-f]{2})*", re.IGNORECASE)
_NEWEST = {None, "latest", "pending", "safe", "finalized"}


class RpcError(Exception):
    """A JSON-RPC error object: `code`, the message, and `data`, a revert's bytes as hex or None."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def result_of(answer: Any) -> Any:
    """The result in a node's answer; RpcError: the error in it, or that it is no answer of JSON-RPC."""
    found = answer.get("error") if isinstance(answer, dict) else None
    if found is None:
        if not isinstance(answer, dict) or "result" not in answer:
            raise RpcError(REFUSED, "no answer of JSON-RPC; is this the URL of a node?")
        return answer["result"]
    found = found if isinstance(found, dict) else {"message": found}
    inner, code = found.get("data"), found.get("code")
    inner = inner.get("data") if isinstance(inner, dict) else inner
    told = str(found.get("message"))[:MAX_TOLD]
    raise RpcError(code if isinstance(code, int) else REFUSED, told, inner if is_data(inner) else None)


def quantity(value: Any) -> int:
    """0 <= a number < 2**256."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise _wrong("a quantity such as 0x1f", value)


def is_data(value: Any) -> bool:
    """Whether it is the text of bytes."""
    return isinstance(value, str) and _DATA.fullmatch(value) is not None


def data(value: Any) -> bytes:
    """Bytes of any length."""
    if is_data(value):
        return bytes.fromhex(value[2:])
    raise _wrong("bytes in hex", value)


def address(value: Any) -> bytes:
    """20 bytes, in any case of letters."""
    return _sized(value, 20)


def hash32(value: Any) -> bytes:
    """32 bytes."""
    return _sized(value, 32)


def flag(value: Any) -> bool:
    """true, false, or absent: false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _wrong("true or false", value)


def block(value: Any) -> int | None:
    """A block's number; None is the newest one, which a chain without forks also calls safe, final and pending."""
    if value is None or (isinstance(value, str) and value in _NEWEST):
        return None
    return 0 if value == "earliest" else quantity(value)


def message(value: Any) -> dict[str, Any]:
    """What a call runs: {"from", "to" (b"" creates), "data", "value", "gas" (or None)}; fees are ignored."""
    fields = _fields(value)
    body = fields.get("input", fields.get("data"))
    return {
        "from": address(fields["from"]) if fields.get("from") else bytes(20),
        "to": address(fields["to"]) if fields.get("to") else b"",
        "data": data(body) if body else b"",
        "value": quantity(fields["value"]) if fields.get("value") else 0,
        "gas": quantity(fields["gas"]) if fields.get("gas") else None,
    }


def log_filter(value: Any) -> dict[str, Any]:
    """Which logs: {"first", "last" (None: the newest), "addresses" (empty: any), "topics" (a set each, empty: any)}."""
    fields = _fields(value)
    if "blockHash" in fields:
        raise _wrong("fromBlock and toBlock", "blockHash")
    topics = fields.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4:
        raise _wrong("up to four topics", topics)
    return {
        "first": block(fields.get("fromBlock")),
        "last": block(fields.get("toBlock")),
        "addresses": {address(item) for item in _listed(fields.get("address"))},
        "topics": [{hash32(item) for item in _listed(topic)} for topic in topics],
    }


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise _wrong("an object", value)


def _sized(value: Any, size_bytes: int) -> bytes:
    raw = data(value)
    if len(raw) == size_bytes:
        return raw
    raise _wrong(f"{size_bytes} bytes", value)


def _wrong(wanted: str, got: Any) -> RpcError:
    return RpcError(INVALID_PARAMS, f"got {str(got)[:80]!r}, wanted {wanted}")
