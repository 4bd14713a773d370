"""What only one page shows of a running site, asked for when that page is; it changes nothing and reads no secret.

device  {id, history[{at_ms, after_ms}], outputs[{count, at_ms, values[]}], spans[[boot, first, last]],
         updates[{kind, sequence, state, reason, at_ms}], signals{description, sample_ms, samples[][4]}}
job     as gateway/deeploy/service.py describes it, with its devices
storage {pins[{cid, bytes}], buckets[{name, owner, keys, is_more, readers}], failure}
settings {settings[{name, value, origin, help}], about{}}
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eth_utils.address import to_checksum_address

from gateway.deeploy.service import Deeploy
from gateway.intake.late import Account
from gateway.intake.registry import Registry
from gateway.site.history import History
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import BUCKETS, CstoreError, Refused
from gateway.storage.embedded import Embedded
from gateway.storage.errors import StoreError

SPANS_SHOWN = 12
KEYS_COUNTED = 200


class Details:
    """Called from the page's threads.

    Args:
        settings: rows of the configuration; about: words and values of this site.
        samples: what emulated sensors were told lately; it changes all the time, so it is in no snapshot.
    """

    def __init__(
        self,
        registry: Registry,
        history: History,
        deeploy: Deeploy,
        stores: tuple[Cstore, Embedded],
        settings: Sequence[Mapping[str, Any]],
        about: Mapping[str, Any],
        samples: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._registry, self._history, self._deeploy = registry, history, deeploy
        self._cstore, self._r1fs = stores
        self._settings, self._about, self._samples = settings, about, samples

    def __call__(self, what: str, name: str = "") -> Mapping[str, Any] | None:
        """One of the above; None where nothing has this name."""
        if what == "device":
            return self._device(bytes.fromhex(name[2:]))
        if what == "job":
            return self._job(name)
        if what == "storage":
            return self._storage()
        return {"settings": self._settings, "about": self._about}

    def _device(self, device: bytes) -> Mapping[str, Any] | None:
        if device not in self._registry.devices:
            return None
        account = self._registry.late.accounts.get(device, Account())
        return {
            "id": to_checksum_address(device),
            "history": self._history.points(device),
            "outputs": self._history.outputs(device),
            "spans": account.spans[::-1][:SPANS_SHOWN],
            "updates": self._deeploy.updates(device),
            "signals": self._samples(),
        }

    def _job(self, name: str) -> Mapping[str, Any] | None:
        try:
            return self._deeploy.job(name)
        except KeyError:
            return None

    def _storage(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {"pins": [], "buckets": [], "failure": None}
        try:
            found["pins"] = [{"cid": pin.cid, "bytes": pin.bytes} for pin in self._r1fs.pins()]
            found["buckets"] = [self._bucket(record.key) for record in self._cstore.ls(BUCKETS)]
        except (StoreError, CstoreError) as error:
            found["failure"] = str(error)
        return found

    def _bucket(self, name: str) -> dict[str, Any]:
        owner, access = self._cstore.access(name)
        try:
            keys = len(self._cstore.ls(name, limit=KEYS_COUNTED))
        except Refused:
            keys = 0  # its readers are others
        readers = None if access.readers is None else len(access.readers) + 1
        address = to_checksum_address(owner)
        return {"name": name, "owner": address, "keys": keys, "is_more": keys == KEYS_COUNTED, "readers": readers}
