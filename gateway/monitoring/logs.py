"""One event of a command as one line of JSON for a program, or as text for a person; writes no password that stands in
an address, and nothing that a terminal would obey.

A line is an object: `time` (UTC, ms), `level` ("info", "warning"), `event` (what kind it is, docs/monitoring.md),
`text` (the sentence for a person), and the event's own fields. Newlines within are escaped, so a line is one event.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)
OWN = ("time", "level", "event", "text")
_USERINFO = re.compile(r"(://)[^/\s@]+@")


def json_line(at_s: float, level: str, event: str, text: str, fields: Mapping[str, Any]) -> str:
    """The line of an event, without its newline.

    Args:
        at_s: seconds since 1970. fields: JSON values; none of them may be named as one of OWN.
    """
    time = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    own = dict(zip(OWN, (time, level, event, text), strict=True))
    return hide_passwords(json.dumps({**own, **fields, **own}, ensure_ascii=False, default=str))


def hide_passwords(text: str) -> str:
    """The text without user and password of the addresses in it."""
    return _USERINFO.sub(r"\1***@", text)
