"""What the operator calls the devices, kept in CSTORE's bucket `names`; a name is no identity and decides nothing.

So names are signed, backed up and restored with the other keys. A device's is read when it is first asked for and
written through: `tinyren provision` names a board before its site hears it. What another gateway or
`tinyren cstore put` writes later shows after a restart.
"""

from collections.abc import Iterable

from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import Access, CstoreError, Refused

BUCKET = "names"
MOST_CHARACTERS = 40


class BadName(ValueError):
    """A name that cannot be printed on one line."""


class Names:
    """Names by device id, 20 bytes. From any thread."""

    def __init__(self, store: Cstore) -> None:
        self._store = store
        self._names: dict[bytes, str] = {}

    def get(self, device: bytes) -> str:
        """Its name, or ""."""
        if device not in self._names:
            self._names[device] = self._read(device)
        return self._names[device]

    def _read(self, device: bytes) -> str:
        try:
            record = self._store.get(BUCKET, device.hex())
            return check((record.value or b"").decode()) if record else ""
        except (CstoreError, ValueError):  # no such bucket yet, not ours to read, or what is there is no name
            return ""

    def give(self, devices: Iterable[bytes], name: str) -> None:
        """Name devices, several by a number behind the name; "" takes their names away.

        Raises:
            BadName; Refused: this gateway may not write the bucket. Unavailable, StoreFull: those before were named.
        """
        those = list(devices)
        given = (
            [name] if len(those) == 1 else [f"{name} {number}" if name else "" for number in range(1, len(those) + 1)]
        )
        for text in given:
            check(text)
        self._make_bucket()
        for device, text in zip(those, given, strict=True):
            if text:
                self._store.put(BUCKET, device.hex(), text.encode())
                self._names[device] = text
            else:
                self._store.delete(BUCKET, device.hex())
                self._names[device] = ""

    def _make_bucket(self) -> None:
        try:
            self._store.access(BUCKET)
        except Refused:
            self._store.define(BUCKET, Access(readers=None))


def check(name: str) -> str:
    """The name. Raises BadName: too long, spaces around it, or not printable."""
    if len(name) > MOST_CHARACTERS:
        raise BadName(f"name: got {len(name)} characters, wanted at most {MOST_CHARACTERS}")
    if name != name.strip() or not name.isprintable():
        raise BadName("name: got one with spaces around it or signs that do not print, wanted one line of text")
    return name
