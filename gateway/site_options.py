"""What one start of a site is asked to do, beside what is kept in site.toml; nothing of it is kept."""

from argparse import Namespace
from dataclasses import dataclass

from coincurve import PrivateKey

from gateway.broker_url import Remote


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
    """

    stores: Namespace
    broker: Remote | None = None
    epochs: int | None = None
    payer: PrivateKey | None = None
    workers: int = 0
    page_port: int = 0
    must_have_port: bool = False
    set_up_s: float = 0.0
