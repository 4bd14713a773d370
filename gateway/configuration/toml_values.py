"""A value as TOML has it, for the files written here; refuses what is no text, number, truth, list or table."""

import json
from typing import Any


def encode(value: Any) -> str:
    """Text, whole number, truth, list or inline table (its names are plain words)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(encode, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {encode(item)}" for name, item in value.items()) + "}"
    raise TypeError(type(value).__name__)
