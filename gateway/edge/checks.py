"""What a check of a gateway finds: how it is, what that means, the command that mends it. It mends nothing itself."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gateway.site.site_file import Site

OK, WARN, FAIL = "ok", "warn", "fail"


class Finding(NamedTuple):
    """`level` is OK, WARN or FAIL; `mend` is what to run or do, "" where there is nothing to mend."""

    level: str
    says: str
    mend: str = ""


@dataclass(frozen=True)
class Gateway:
    """What is checked.

    Attributes:
        values: by the setting's name; chosen: names of those that somebody set. site: None before the first start.
        state: what the page says; None: it is stopped.
        running: whether a process holds the folder. now_s: by this machine's clock, since 1970.
    """

    folder: Path
    values: Mapping[str, Any]
    chosen: frozenset[str] = frozenset()
    site: Site | None = None
    running: bool = False
    state: Mapping[str, Any] | None = None
    now_s: float = field(default_factory=time.time)


Check = Callable[[Gateway], Iterator[Finding]]


def size(count: float) -> str:
    """Bytes for a person."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
