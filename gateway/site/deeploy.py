"""Puts Deeploy into a running site: its key, what owners trust, its thread, its part of the page; decides nothing."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from boards.package import boards_with_agent
from gateway import curve, keys
from gateway.deeploy.compose import CPYTHON
from gateway.deeploy.desired import DesiredStore
from gateway.deeploy.receiver import Receiver
from gateway.deeploy.requests import Refused
from gateway.deeploy.service import Deeploy
from gateway.deeploy.trust import Trust
from gateway.deeploy.workload_jobs import WorkloadJobs
from gateway.errors import CommandError
from gateway.intake.dauth import DAuth
from gateway.intake.registry import Registry
from gateway.site.stores import Stores
from gateway.storage.cstore_record import CstoreError
from gateway.storage.errors import StoreError

UPDATE_KEY = "update.key"


def make_deeploy(
    folder: Path,
    stores: Stores,
    registry: Registry,
    dauth: DAuth,
    publish: Callable[[str, bytes], object],
    clock: Callable[[], int],
    say: Callable[[str], None],
) -> Receiver:
    """Deeploy of the site in `folder`, and the thread that it needs.

    Raises:
        CommandError: its stores cannot be used.
    """
    update_key = curve.address_of(keys.load_or_make(folder / "keys" / UPDATE_KEY).secret)
    try:
        store = DesiredStore(stores.cstore, stores.r1fs)
        trust = Trust(store, update_key, dauth.owner_keys, dauth.domain, dauth.owners)
    except (CstoreError, StoreError, Refused) as error:
        how = "if a block is missing, `tinyren r1fs verify --store SITE/r1fs --peer URL` heals it from another gateway"
        raise CommandError(f"jobs: {error}; {how}") from error
    deeploy = Deeploy(
        store,
        stores.r1fs,
        trust,
        dauth.domain,
        registry.devices,
        registry.progress,
        lambda: _deeds(dauth),
        [*boards_with_agent(), CPYTHON],
        WorkloadJobs(folder / "workloads", stores.r1fs, say),
        publish,
        clock,
        time.time,
        say,
    )
    return Receiver(deeploy, say)


def _deeds(dauth: DAuth) -> Mapping[bytes, int]:
    """The deed of each bound device."""
    return {device: number for number, deed in dauth.deeds.items() for device in deed.devices}
