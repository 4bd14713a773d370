"""Has a site call the boards of a batch what its list does; it changes no name that a board has already."""

from collections.abc import Iterable
from pathlib import Path

from gateway import keys
from gateway.configuration import configuration
from gateway.provisioning.batch import OK
from gateway.provisioning.journal import Record
from gateway.site.names import BadName, Names
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import CstoreError
from gateway.storage.cstore_sqlite import SqliteEngine


def keep_names(site: Path, records: Iterable[Record]) -> str:
    """Put the names of boards that passed into the bucket that the fleet's page reads; why not, "" if it is done."""
    named = {bytes.fromhex(one.device): one.row.name for one in records if one.result == OK and one.row.name}
    if not named:
        return ""
    if configuration.load(site).values["cstore.url"]:
        return "names are not kept: the site's keys are on a cluster; name the boards on the page, under Fleet"
    try:
        engine = SqliteEngine(site / "cstore.sqlite")
        try:
            names = Names(Cstore(engine, keys.load_or_make(site / "keys" / "gateway.key")))
            for device, name in named.items():
                if not names.get(device):
                    names.give([device], name)
        finally:
            engine.close()
    except (BadName, CstoreError) as error:
        return f"names are not kept: {error}; name the boards on the page, under Fleet"
    return ""
