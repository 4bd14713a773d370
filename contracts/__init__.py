"""The compiled contracts, ABI and bytecode, as `python -m contracts.compile` made them. Needs no compiler.

Interfaces in contracts/src/interfaces say what each contract does and refuses.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

NAMES = ("R1", "NodeDeed", "Devices", "Settlement", "Escrow", "Sale", "MasterDeed", "Votes", "Council")
COMPARED = ("Ratio1Claim",)
"""Of other systems' shapes, for gas.py alone."""


@dataclass(frozen=True)
class Artifact:
    """One contract. `abi` is the JSON ABI; `bytecode` creates the contract, constructor arguments follow it."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes


@cache
def artifact(name: str) -> Artifact:
    """The committed artifact of contract `name`, one of NAMES or COMPARED.

    Raises:
        FileNotFoundError: no such contract.
    """
    text = (resources.files("contracts") / "artifacts" / f"{name}.json").read_text()
    value = json.loads(text)
    return Artifact(name, value["abi"], bytes.fromhex(value["bytecode"]))
