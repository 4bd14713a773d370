"""Calls, answers, events and errors of our contracts as bytes and back. Refuses names not in the artifacts (KeyError).

Values are Python's: int, bool, bytes, EIP-55 text for addresses, tuples for arrays and structs. Source: Solidity's ABI
specification; names and types from contracts/artifacts.
"""

from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_abi.codec import ABICodec
from eth_abi.decoding import StringDecoder
from eth_abi.exceptions import DecodingError, ValueOutOfBounds
from eth_abi.registry import registry
from eth_utils.address import is_address, to_checksum_address

from contracts import NAMES, artifact
from gateway.curve import keccak

_BUILT_IN: tuple[dict[str, Any], ...] = (
    {"name": "Error", "inputs": [{"name": "reason", "type": "string"}]},
    {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)

# Text that somebody else wrote may be no UTF-8: such bytes become surrogates, and one bad text hides no others.
_REGISTRY = registry.copy()  # type: ignore[no-untyped-call]
_REGISTRY.unregister_decoder("string")
_TEXT = StringDecoder(handle_string_errors="surrogateescape")  # type: ignore[no-untyped-call]
_REGISTRY.register_decoder("string", _TEXT)
_CODEC = ABICodec(_REGISTRY)


class TooLarge(ValueError):
    """A value does not fit the type of its argument."""


def encode_call(contract: str, function: str, arguments: tuple[Any, ...]) -> bytes:
    """What a transaction or a call carries to run `function`. Raises TooLarge."""
    entry = _entry(contract, "function", function)
    try:
        return _selector(entry) + encode(_types(entry["inputs"]), arguments)
    except ValueOutOfBounds as error:
        raise TooLarge(f"{contract}.{function}: {error}") from error


def decode_call(contract: str, function: str, data: bytes) -> dict[str, Any]:
    """Arguments of a call by name.

    Raises:
        ValueError: these bytes are no call of `function`.
    """
    entry = _entry(contract, "function", function)
    if data[:4] != _selector(entry):
        raise ValueError(f"selector {data[:4].hex()}, wanted {_selector(entry).hex()}")
    values = _decoded(entry["inputs"], data[4:])
    return {item["name"].rstrip("_"): value for item, value in zip(entry["inputs"], values, strict=True)}


def encode_creation(contract: str, arguments: tuple[Any, ...]) -> bytes:
    """What a transaction carries to create `contract`."""
    made = artifact(contract)
    inputs = [entry for item in made.abi if item["type"] == "constructor" for entry in item["inputs"]]
    return made.bytecode + encode(_types(inputs), arguments)


def decode_answer(contract: str, function: str, data: bytes) -> Any:
    """A function's answer: its value, or a tuple if it has several.

    Raises:
        ValueError: these bytes are no such answer (nothing at all: there is no contract at that address).
    """
    values = _decoded(_entry(contract, "function", function)["outputs"], data)
    return values[0] if len(values) == 1 else values


def event_topic(contract: str, event: str) -> bytes:
    """The 32 bytes by which logs of `event` are found."""
    return keccak(_signature(_entry(contract, "event", event)))


def decode_event(contract: str, event: str, topics: list[bytes], data: bytes) -> dict[str, Any]:
    """Arguments by name. `topics` are all of the log's, the event's own first."""
    inputs = _entry(contract, "event", event)["inputs"]
    indexed = [item for item in inputs if item["indexed"]]
    plain = [item for item in inputs if not item["indexed"]]
    values = {item["name"]: _decoded([item], topic)[0] for item, topic in zip(indexed, topics[1:], strict=True)}
    values |= {item["name"]: value for item, value in zip(plain, _decoded(plain, data), strict=True)}
    return {item["name"]: values[item["name"]] for item in inputs}


def decode_error(data: bytes) -> tuple[str, dict[str, Any]]:
    """(name, arguments) of the error in a revert's data; ("", {}) if neither our contracts nor Solidity have it."""
    entry = _errors().get(data[:4])
    if entry is None:
        return "", {}
    try:
        values = _decoded(entry["inputs"], data[4:])
    except ValueError:
        return "", {}
    return entry["name"], {item["name"]: value for item, value in zip(entry["inputs"], values, strict=True)}


def tell_error(name: str, arguments: dict[str, Any]) -> str:
    """What decode_error gave, as `name(argument value, ...)`; "" for no error."""
    told = {key: f"0x{value.hex()}" if isinstance(value, bytes) else str(value) for key, value in arguments.items()}
    return f"{name}({', '.join(f'{key} {value}' for key, value in told.items())})" if name else ""


@cache
def _errors() -> dict[bytes, dict[str, Any]]:
    ours = [item for name in NAMES for item in artifact(name).abi if item["type"] == "error"]
    return {_selector(entry): entry for entry in (*_BUILT_IN, *ours)}


@cache
def _entry(contract: str, kind: str, name: str) -> dict[str, Any]:
    for item in artifact(contract).abi:
        if item["type"] == kind and item.get("name") == name:
            return item
    raise KeyError(f"{contract} has no {kind} {name}")


def _selector(entry: dict[str, Any]) -> bytes:
    return keccak(_signature(entry))[:4]


def _signature(entry: dict[str, Any]) -> bytes:
    return f"{entry['name']}({','.join(_types(entry['inputs']))})".encode()


def _types(items: list[dict[str, Any]]) -> list[str]:
    return [_type(item) for item in items]


def _type(item: dict[str, Any]) -> str:
    """eth_abi's name of a type: a struct is the list of its fields in brackets, whatever arrays of it follow."""
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_types(item['components']))}){kind[len('tuple') :]}"


def _decoded(items: list[dict[str, Any]], data: bytes) -> tuple[Any, ...]:
    try:
        return tuple(_clean(value) for value in _CODEC.decode(_types(items), data))
    except (DecodingError, OverflowError) as error:
        raise ValueError(f"{len(data)} bytes, wanted {', '.join(_types(items))}: {error}") from error


def _clean(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_clean(item) for item in value)
    return to_checksum_address(value) if isinstance(value, str) and is_address(value) else value
