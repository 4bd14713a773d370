"""The device's record of key, owner and its counts, safe from a power cut at any byte; refuses to lose a key silently.

Rules (WIRE.md, "Store"):
  1. The newest record of a ring (records.py) is the state. Only a store with no valid record at all gets a new key.
  2. No two boots have the same number. It is stored before it is used, and a slot with a damaged record, which may once
     have been the newest, moves it on by one more.
  3. EDIL's round only rises under one number of an enrolment; a higher number is stored in one record with round 0. A
     round is stored twice before it is used, so that no one damaged record brings it back.
  4. A record of version 1, which had neither number nor round, is read as one with both 0.
"""

from .cbor import const
from .errors import StoreError
from .records import Records

SLOT_BYTES = const(128)
RECORD_BYTES = const(76)

_BODY_BYTES = const(72)
_OLD_BODY_BYTES = const(64)  # of version 1, which ended with the owner
_FREE, _OWNED = b"tr\x02\x00", b"tr\x02\x01"
_OLD_FREE, _OLD_OWNED = b"tr\x01\x00", b"tr\x01\x01"
_BODIES = {_FREE: _BODY_BYTES, _OWNED: _BODY_BYTES, _OLD_FREE: _OLD_BODY_BYTES, _OLD_OWNED: _OLD_BODY_BYTES}
_SERIAL = const(4)
_BOOT = const(8)
_SECRET = const(12)
_OWNER = const(44)
_NUMBER = const(64)
_ROUND = const(68)


class Store:
    """After open: boot (u32), owner (20 bytes, or None), number of the last enrolment and round (u32, 0 for none), and
    damaged (slots that hold something else than a record).
    """

    def __init__(self, memory):
        """memory: as of records.Records. StoreError: it is too small."""
        try:
            self._records = Records(memory, RECORD_BYTES, SLOT_BYTES, _BODIES)
        except ValueError as error:
            raise StoreError(str(error)) from error
        self._record = self._records.record
        self.boot = 0
        self.owner = None
        self.number = 0
        self.round = 0
        self.damaged = 0

    def open(self, new_secret):
        """Find the state, count this boot in it and return the secret key (32 bytes).

        Args:
            new_secret: function -> 32 bytes, called only if no slot holds a valid record.
        Raises:
            StoreError: the boot could not be stored.
        """
        if not self._records.find():
            self._record[:4] = _FREE
            self._record[_SECRET:_OWNER] = new_secret()
        elif self._record[3]:
            self.owner = bytes(self._record[_OWNER:_NUMBER])
        self._record[2] = _FREE[2]
        self.damaged = self._records.damaged
        self.number, self.round = self._number(_NUMBER), self._number(_ROUND)
        boot = self._number(_BOOT) + 1 + self.damaged
        self._put_number(_BOOT, boot)
        try:
            self._records.append()
        except OSError as error:
            raise StoreError(f"boot: not stored: {error}") from error
        self.boot = boot
        return bytes(self._record[_SECRET:_OWNER])

    def bind(self, owner):
        """Store the owner (20 bytes); when this returns, no power cut loses it.

        Raises:
            StoreError: it could not be stored; the owner is what it was.
        """
        self._put_owner(1, owner)
        self.owner = bytes(owner)

    def release(self):
        """Forget the owner; raises as bind does."""
        self._put_owner(0, bytes(20))
        self.owner = None

    def enrol(self, number: int):
        """Store the number of an enrolment (u32, above the stored one), and round 0 with it; raises as bind does."""
        before = bytes(self._record)
        self._put_number(_NUMBER, number)
        self._put_number(_ROUND, 0)
        self._keep("number", before)
        self.number, self.round = number, 0

    def take_part(self, round_: int):
        """Store a round (u32, above the stored one); when this returns, it counts as used. Raises as bind does."""
        before = bytes(self._record)
        self._put_number(_ROUND, round_)
        self._keep("round", before)
        self._keep("round", before)
        self.round = round_

    def _put_owner(self, is_owned, owner):
        before = bytes(self._record)
        self._record[3] = is_owned
        self._record[_OWNER:_NUMBER] = owner
        self._keep("owner", before)

    def _keep(self, name, before):
        """Write _record; if it cannot be, what it holds is `before` again."""
        try:
            self._records.append()
        except OSError as error:
            # The serial stays moved on: the memory may hold the refused record after all, and the next must beat it.
            serial = self._number(_SERIAL)
            self._record[:] = before
            self._put_number(_SERIAL, serial)
            raise StoreError(f"{name}: not stored: {error}") from error

    def _number(self, at):
        return int.from_bytes(bytes(self._record[at : at + 4]), "big")

    def _put_number(self, at, value):
        self._record[at : at + 4] = value.to_bytes(4, "big")
