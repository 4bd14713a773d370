"""What a node's results mean; decides nothing. What is of another form raises as Python does, and chain.py names it."""

from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from gateway.chain import abi


@dataclass(frozen=True)
class Receipt:
    """A mined transaction that succeeded. `created` is the new contract's address, or ""."""

    tx: str
    block: int
    gas: int
    created: str


@dataclass(frozen=True)
class Event:
    """A log entry; `position` orders those of a block."""

    arguments: dict[str, Any]
    block: int
    position: int
    tx: str


def number(text: str) -> int:
    """A quantity; of some nodes with zeros before it."""
    return int(text, 16)


def raw(text: str) -> bytes:
    """Bytes of 0x and hex digits."""
    return bytes.fromhex(text[2:])


def receipt(tx: str, fields: dict[str, Any]) -> tuple[Receipt, str]:
    """A transaction's receipt, and its status: "0x1" if it did what it should."""
    made = fields.get("contractAddress")  # in whatever case of letters the node writes it
    created = to_checksum_address(made) if made else ""
    return Receipt(tx, number(fields["blockNumber"]), number(fields["gasUsed"]), created), fields["status"]


def event(contract: str, name: str, log: dict[str, Any]) -> Event:
    """A log entry of event `name`."""
    arguments = abi.decode_event(contract, name, [raw(topic) for topic in log["topics"]], raw(log["data"]))
    return Event(arguments, number(log["blockNumber"]), number(log["logIndex"]), log["transactionHash"])
