"""What the fleet's page does to devices: it names them and draws their labels; it moves no deed and no money.

Labels are drawn as `tinyren label` draws them: a code that is shown once, of which a hash is kept. One that has a label
already is refused unless its label may be voided, and then nothing is drawn for any of them.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from device.agent.eip712 import board_word
from device.agent.errors import LocalError
from gateway.commands.label import draw, label_for, layouts_of, page_of
from gateway.errors import CommandError
from gateway.intake.registry import Device
from gateway.labels.codes import Codes, CodesFull
from gateway.site.names import BadName, Names
from gateway.storage.cstore_record import CstoreError


class Refused(Exception):
    """What was asked cannot be; nothing changed. The message says what to do."""


class Actions:
    """From any thread. `devices`: those that the site knows, by id."""

    def __init__(self, folder: Path, devices: Mapping[bytes, Device], names: Names) -> None:
        self._folder, self._devices, self._names = folder, devices, names
        self._lock = threading.Lock()

    def rename(self, devices: Sequence[bytes], name: str) -> None:
        """Name them, several by a number behind the name; "" takes their names away. Raises Refused."""
        self._check(devices)
        with self._lock:
            try:
                self._names.give(devices, name)
            except BadName as error:
                raise Refused(str(error)) from error
            except CstoreError as error:
                raise Refused(f"the names could not be kept: {error}") from error

    def labels(self, devices: Sequence[bytes], may_replace: bool) -> bytes:
        """A PDF of A4 sheets with a new label for each. Raises Refused."""
        boards = [device.board for device in self._check(devices)]
        for board in boards:
            try:
                board_word(board)
            except LocalError as error:
                raise Refused(f"{error}; a device that calls itself so cannot be bound") from error
        with self._lock:
            codes = Codes(self._folder)
            try:
                have = [device for device in devices if codes.find(device)]
                if have and not may_replace:
                    raise Refused(
                        f"{len(have)} of them have a label already, the first is 0x{have[0].hex()}; its code is kept "
                        "as a hash and cannot be drawn again. A new label voids the old one."
                    )
                labels = [label_for(device, board) for device, board in zip(devices, boards, strict=True)]
                drawn = draw(layouts_of(labels, boards, page_of(self._folder)), "pdf", True)
                codes.keep_all([(label.device, board, label.code)
                                for label, board in zip(labels, boards, strict=True)])  # fmt: skip
                return drawn
            except (CommandError, CodesFull) as error:
                raise Refused(str(error)) from error
            finally:
                codes.close()

    def _check(self, devices: Sequence[bytes]) -> list[Device]:
        if not devices or len(set(devices)) < len(devices):
            raise Refused(f"devices: got {len(devices)}, wanted at least one and each once")
        for device in devices:
            if device not in self._devices:
                raise Refused(f"devices: got 0x{device.hex()}, wanted those that this site has heard")
        return [self._devices[device] for device in devices]
