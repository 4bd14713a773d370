"""What the pages of a site show and do beyond its status, put together; decides nothing."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute

from boards.signals import SAMPLE_MS
from device.agent.version import VERSION
from gateway.configuration.settings import BY_NAME
from gateway.deeploy.service import Deeploy
from gateway.flashing.offers import FOLDER
from gateway.intake.registry import Registry
from gateway.site.fleet import LINK_BATCH, Fleet
from gateway.site.fleet_actions import Actions
from gateway.site.names import Names
from gateway.site.site_file import Site
from gateway.site.status import Status
from gateway.site.status_detail import Details
from gateway.storage.cstore import Cstore
from gateway.storage.embedded import Embedded
from gateway.web import flash_http, fleet_http


def open_screens(
    folder: Path,
    site: Site,
    status: Status,
    registry: Registry,
    deeploy: Deeploy,
    stores: tuple[Cstore, Embedded],
    settings: Sequence[Mapping[str, Any]],
    samples: Callable[[], Mapping[str, Any]],
) -> list[BaseRoute]:
    """Tell `status` where it finds what the pages show, and the routes of what they do.

    Args:
        settings: rows of Configuration.rows(). samples: what emulated sensors were told (`told_samples`).
    """
    names = Names(stores[0])
    about = {
        "Gateway": site.gateway,
        **{f"Contract {name}": address for name, address in site.contracts.items()},
        "Epoch": f"{site.epoch_seconds} s",
        "Window": f"{site.window_seconds} s",
        "Folder": str(folder),
    }
    status.name_of, status.outputs = names.get, deeploy.outputs
    status.oracles = list(site.oracles), site.threshold
    rows = [{**row, "help": BY_NAME[row["name"]].says} for row in settings]
    status.details = Details(registry, status.history, deeploy, stores, rows, about, samples)
    return [*fleet_http.routes(Actions(folder, registry.devices, names)), *flash_http.routes(folder / FOLDER, VERSION)]


def told_samples(fleet: Fleet | None, description: str) -> dict[str, Any]:
    """What emulated sensors were told in the last half minute; nothing where there are none."""
    if fleet is None:
        return {}
    return {
        "description": description,
        "sample_ms": SAMPLE_MS * LINK_BATCH,
        "samples": [list(sample) for sample in fleet.told.copy()],
    }
