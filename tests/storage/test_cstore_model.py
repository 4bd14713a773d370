"""CSTORE against a dictionary that does the same: any order of writes, replays, conflicts and restarts."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import Access, Conflict
from gateway.storage.cstore_sqlite import SqliteEngine
from tests.cstore_site import OWNER

KEYS = st.sampled_from(["a", "a/b", "ä"])
REVISIONS = st.integers(0, 4)
VALUES = st.binary(max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, VALUES),
    st.tuples(st.just("cas"), KEYS, REVISIONS, VALUES),
    st.tuples(st.just("delete"), KEYS, st.none() | REVISIONS),
    st.tuples(st.just("replay"), st.integers(0, 30)),
    st.tuples(st.just("restart")),
)


class Model:
    """The rules in their simplest form: name -> (revision, value or None), and every frame that was kept."""

    def __init__(self, folder):
        self.path, self.keys, self.frames = folder / "cstore.sqlite", {}, []
        self.store = Cstore(SqliteEngine(self.path), OWNER)
        self.store.define("jobs", Access())

    def live(self, key):
        revision, value = self.keys.get(key, (0, None))
        return revision if value is not None else 0

    def write(self, key, value, call, expected):
        """Make a call that is to write `value` if the key is at `expected` (None: at any)."""
        try:
            record = call()
        except Conflict:
            assert expected is not None and expected != self.live(key)
            return
        if record is None:
            assert value is None and not self.live(key) and not expected
            return
        assert expected in (None, self.live(key))
        self.keys[key] = self.keys.get(key, (0, None))[0] + 1, value
        assert (record.revision, record.value) == self.keys[key]
        self.frames.append(record.frame)

    def step(self, what, *arguments):
        if what == "put":
            key, value = arguments
            self.write(key, value, lambda: self.store.put("jobs", key, value), None)
        elif what == "cas":
            key, at, value = arguments
            self.write(key, value, lambda: self.store.cas("jobs", key, at, value), at)
        elif what == "delete":
            key, at = arguments
            self.write(key, None, lambda: self.store.delete("jobs", key, at), at)
        elif what == "replay" and self.frames:
            frame = self.frames[arguments[0] % len(self.frames)]
            try:
                record = self.store.apply(frame)
            except Conflict:
                return
            assert (record.revision, record.value) == self.keys[record.key]
        elif what == "restart":
            self.store.engine.close()
            self.store = Cstore(SqliteEngine(self.path), OWNER)

    def check(self):
        shown = {record.key: (record.revision, record.value) for record in self.store.ls("jobs")}
        assert shown == {key: held for key, held in self.keys.items() if held[1] is not None}
        assert self.store.replica.refused == 0


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_order_of_steps_gives_what_the_rules_say(steps):
    with TemporaryDirectory() as folder:
        model = Model(Path(folder))
        for step in steps:
            model.step(*step)
            model.check()
        model.step("restart")
        model.check()
        model.store.engine.close()
