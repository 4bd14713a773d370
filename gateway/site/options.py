"""What one start of a site is asked to do, beside what is kept in site.toml; nothing of it is kept."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coincurve import PrivateKey

from gateway.broker.broker_url import Remote
from gateway.configuration.settings import SETTINGS


@dataclass
class Options:
    """
    Attributes:
        broker: one elsewhere; None: the site's own.
        stores: of the command line, for site_stores.Stores.
        workers: processes that take heartbeats off the broker; 0: this one does.
        epochs: stop after so many settled epochs; None: run until `stop`.
        payer: the key that pays on an external chain.
        page_port: the page's; another if it is taken, unless must_have_port.
        set_up_s: when the firmware was ready, seconds from the start of the command; for the timings.
        settings: every setting's value, by its name (settings.py). rows: them for a person, with their origins.
    """

    stores: Namespace
    broker: Remote | None = None
    epochs: int | None = None
    payer: PrivateKey | None = None
    workers: int = 0
    page_port: int = 0
    must_have_port: bool = False
    set_up_s: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=lambda: {one.name: one.default for one in SETTINGS})
    rows: list[dict[str, Any]] = field(default_factory=list)
