"""A blacklist behaves like a dictionary, whatever is registered, removed, killed, reopened and carried elsewhere."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from probekit import blacklist
from probekit.blacklist import changes
from probekit.errors import UsageError
from tests.blacklist.material import BLOCKS, Death, Reaper, brute_force, image_set, key_of

REAPER = Reaper()
NUMBERS = st.lists(st.integers(0, 30) | st.integers(100, 110), min_size=1, max_size=6)
GENERATORS = st.sampled_from(["lama", "ldm", "sd-1.5", "日本"])
DEATHS = st.none() | st.integers(0, 14)


class Machine(RuleBasedStateMachine):
    """`model`: number of the image → its generator, in the order of registration."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "watch"
        self.most_small, changes.MOST_SMALL = changes.MOST_SMALL, 3
        blacklist.create(self.path, BLOCKS)
        self.model = {}
        self.carried = 0

    def teardown(self):
        REAPER.within(self.folder, None)
        changes.MOST_SMALL = self.most_small
        shutil.rmtree(self.folder)

    def change(self, act, after, death):
        """The act is done, or it died: then the blacklist is as it was, or as it should be."""
        REAPER.within(self.folder, death)
        try:
            act()
        except Death:
            REAPER.within(self.folder, None)
            found = self.read()
            assert found in (list(self.model.items()), list(after.items())), "half a change"
            after = dict(found)
        finally:
            REAPER.within(self.folder, None)
        self.model = after

    def read(self):
        table = blacklist.Blacklist.open(self.path).examples()
        numbers = [int(path.removesuffix(".png")) for path in table["path"]]
        assert list(table["id"]) == [key_of(number) for number in numbers]
        return list(zip(numbers, table["generator"], strict=True))

    @rule(generator=GENERATORS, numbers=NUMBERS, death=DEATHS)
    def register(self, generator, numbers, death):
        if any(self.model.get(number, generator) != generator for number in numbers):
            with pytest.raises(UsageError, match="Nothing was registered"):
                blacklist.register(self.path, generator, image_set(numbers))
            return
        after = self.model | {number: generator for number in numbers if number not in self.model}
        self.change(lambda: blacklist.register(self.path, generator, image_set(numbers)), after, death)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), death=DEATHS)
    def unregister(self, data, death):
        generator = data.draw(st.sampled_from(sorted(set(self.model.values()))))
        after = {number: name for number, name in self.model.items() if name != generator}
        self.change(lambda: blacklist.unregister(self.path, generator), after, death)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), death=DEATHS)
    def unregister_one(self, data, death):
        number = data.draw(st.sampled_from(sorted(self.model)))
        after = {other: name for other, name in self.model.items() if other != number}
        self.change(lambda: blacklist.unregister(self.path, ids=[key_of(number)[:16]]), after, death)

    @precondition(lambda self: self.model)
    @rule(queries=NUMBERS, top=st.integers(1, 5), threshold=st.floats(-1, 1))
    def match(self, queries, top, threshold):
        opened = blacklist.Blacklist.open(self.path)
        asked = blacklist.MatchSettings(top=top, threshold=threshold, index="flat")
        found = blacklist.match(opened, image_set(queries), asked)
        rows = found.nearest[["example", "generator", "similarity"]].to_numpy().tolist()
        expected = [each for query in queries for each in brute_force(self.model, query, top)]
        assert [row[:2] for row in rows] == [[key_of(number), name] for number, name, _ in expected]
        np.testing.assert_allclose([row[2] for row in rows], [score for *_, score in expected], rtol=0, atol=1e-7)
        called = np.where(found.table["score"] >= threshold, found.table["nearest"], "unknown")
        assert found.table["generator"].tolist() == called.tolist()

    @rule()
    def carry_elsewhere(self):
        self.carried += 1
        file = self.folder / f"{self.carried}.zip"
        blacklist.export_file(blacklist.Blacklist.open(self.path), file)
        self.path = blacklist.import_file(file, self.folder, f"watch-{self.carried}").path

    @invariant()
    def it_holds_what_the_dictionary_holds(self):
        opened = blacklist.Blacklist.open(self.path)
        assert self.read() == list(self.model.items())
        assert len(opened) == len(self.model)
        names = list(self.model.values())
        assert dict(opened.record.generators) == {name: names.count(name) for name in names}
        assert opened.verify() == []


Machine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
test_a_blacklist_behaves_like_a_dictionary = Machine.TestCase
