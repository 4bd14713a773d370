"""Gateways that write and read a CSTORE cluster without pause, and count what was acknowledged."""

import threading

from tests.cstore_site import run_threads, wait_until

WRITERS = 4


class Load:
    """Writers of a key each, by compare-and-set, and a reader of all keys; runs until `done` says so."""

    def __init__(self, place):
        self.acknowledged = [0] * WRITERS
        self.went_back = []
        self.over = threading.Event()
        self._stores = [place.store() for _ in range(WRITERS + 1)]
        self._thread = threading.Thread(target=run_threads, args=(WRITERS + 1, self._work))
        self._thread.start()

    def _work(self, number):
        store, last = self._stores[number], [0] * WRITERS
        while not self.over.is_set():
            if number < WRITERS:
                at = self.acknowledged[number]
                self.acknowledged[number] = store.cas("jobs", f"k{number}", at, b"%d" % (at + 1)).revision
                continue
            for key in range(WRITERS):
                found = store.get("jobs", f"k{key}")
                revision = found.revision if found else 0
                if revision < last[key]:
                    self.went_back.append((key, revision, last[key]))
                last[key] = revision

    def wait_for_more(self, writes):
        """Until every writer was acknowledged so many writes more."""
        before = list(self.acknowledged)
        wait_until(lambda: all(now >= then + writes for now, then in zip(self.acknowledged, before, strict=True)), 60)

    def end(self):
        self.over.set()
        self._thread.join()


def check_nothing_lost(load, stores):
    """Every acknowledged write is there, was applied once, and no reader went back."""
    assert load.went_back == []
    for store in stores:
        found = [store.get("jobs", f"k{number}") for number in range(WRITERS)]
        assert [record.revision for record in found] == load.acknowledged
        assert [int(record.value) for record in found] == load.acknowledged
