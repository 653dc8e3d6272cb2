"""Shares of a question: what the queries of each find makes up what all of them find."""

import pickle
import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from probekit import projections
from probekit.features import FeatureStream
from probekit.neighbours import exact, rows
from probekit.probes import conditions
from probekit.protocols import parse_shots
from probekit.retrieval import (
    Question,
    RetrievalSettings,
    conclude,
    divide_left_out,
    divide_shots,
    leave_one_out,
    retrieve,
    score_shots,
    unite_left_out,
    unite_shots,
)
from probekit.retrieval.streamed import StreamedBank
from probekit_cli.memory import of_retrieval
from tests.retrieval.clouds import QUICK, clouds

LDA = projections.create("lda")


def labelled(fs):
    """What a process knows that reads no feature."""
    return replace(fs, blocks=tuple(block[:0] for block in fs.blocks))


def travelled(part, features):
    """What a part finds on another machine: Ray pickles questions and answers; these bytes are our own."""
    return pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(part))(features)))


@pytest.mark.parametrize("of", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "settings",
    [
        RetrievalSettings(bootstrap=100, unknown=("ldm",)),
        replace(QUICK, folds=4),
        replace(QUICK, gallery="all", query="all"),
        replace(QUICK, vote="prototype", class_rank="centroid"),
        replace(QUICK, vote="majority", class_rank="top3", k=3),
        replace(QUICK, query_generators="lama", k=1),
        replace(QUICK, condition="zscore"),
        replace(QUICK, condition="zscore", folds=4),
        replace(QUICK, index="hnsw"),
        replace(QUICK, index="ivf"),
    ],
    ids=lambda settings: f"{settings.vote} {settings.gallery} {settings.folds} {settings.condition} {settings.index}",
)
def test_the_shares_of_a_question_are_together_the_whole_answer(settings, of):
    fs = clouds(n=300, groups=60, spread=1.2)
    shares = Question(settings).divided(labelled(fs), of)
    assert len(shares) == of
    found = conclude(Question(settings), labelled(fs), [travelled(share, fs) for share in shares])
    whole = retrieve(fs, settings)
    assert found.to_json() == whole.to_json()
    for name in ("per_class", "confusion", "neighbours", "queries", "rank_curve", "scores"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(whole, name))
    assert np.array_equal(found.searched.ranked.near, whole.searched.ranked.near)


def test_each_share_searches_queries_of_its_own():
    fs = clouds(n=300)
    found = [share(fs).queries for share in Question(QUICK).divided(labelled(fs), 4)]
    assert max(map(len, found)) - min(map(len, found)) <= 1
    joined = np.concatenate(found)
    assert len(np.unique(joined)) == len(joined) == (fs.samples["split"] == "test").sum()


def test_there_are_no_more_shares_than_queries():
    fs = clouds(n=300)
    queries = int((fs.samples["split"] == "test").sum())
    assert len(Question(QUICK).divided(labelled(fs), 10_000)) == queries


def test_searches_out_of_fold_come_in_the_order_of_the_samples():
    fs = clouds(n=300, groups=60)
    found = retrieve(fs, replace(QUICK, condition="zscore", folds=4))
    assert len(found.searched.turns) == 4
    assert list(found.scores["path"]) == [path for path in fs.samples["path"] if path in set(found.scores["path"])]


def peak_of(ask, fs):
    """Bytes at most, beside the features and the libraries that are imported."""
    ask(fs)
    tracemalloc.start()
    ask(fs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.fixture
def wide(monkeypatch):
    """Features beside which all else is small, what is computed of some rows at a time too."""
    monkeypatch.setattr(conditions, "ELEMENTS_AT_ONCE", 1 << 14)
    monkeypatch.setattr(rows, "NUMBERS_AT_ONCE", 1 << 14)
    monkeypatch.setattr(exact, "SCORED_AT_ONCE", 1 << 10)
    return clouds(n=200, groups=100, d=8192)


@pytest.mark.parametrize(
    "ask", [Question.__call__, lambda question, fs: question.search_open(fs, question.turns(fs.samples))]
)
def test_searches_out_of_fold_take_the_memory_of_one_fold(ask, wide):
    few, many = (Question(replace(QUICK, condition="zscore", folds=folds)) for folds in (5, 10))
    assert len(many.turns(wide.samples)) == 10
    assert peak_of(partial(ask, many), wide) < 1.1 * peak_of(partial(ask, few), wide)


@pytest.mark.parametrize("condition", ["l2", "zscore"])
@pytest.mark.parametrize("asked", [{}, {"gallery": "all", "query": "all"}, {"folds": 10}], ids=str)
def test_searches_take_no_more_memory_than_is_reckoned_with(asked, condition, wide):
    question = Question(replace(QUICK, condition=condition, **asked))
    assert wide.matrix.nbytes + peak_of(question, wide) < of_retrieval(wide.samples, *wide.widths)


def test_a_projection_is_learned_once():
    fs, question = clouds(n=300), Question(QUICK, LDA)
    (only,) = question.divided(labelled(fs), 8)
    found = conclude(question, labelled(fs), [travelled(only, fs)])
    assert found.to_json() == retrieve(fs, question.settings, question.projection).to_json()


@pytest.mark.parametrize("folds", [0, 4])
@pytest.mark.parametrize("projection", [None, LDA], ids=["raw", "projected"])
def test_generators_left_out_one_by_one_elsewhere_are_those_left_out_here(projection, folds):
    fs, settings = clouds(n=300, groups=60), replace(QUICK, folds=folds)
    parts = divide_left_out(labelled(fs), settings, projection)
    assert [part.name for part in parts] == ["lama", "ldm", "repaint"]
    found, whole = unite_left_out([travelled(part, fs) for part in parts]), leave_one_out(fs, settings, projection)
    for name in ("lama", "ldm", "repaint"):
        expected = retrieve(fs, replace(settings, unknown=(name,)), projection).open
        kind = "projected" if projection else "raw"
        rows = found.table[(found.table["unknown"] == name) & (found.table["features"] == kind)]
        assert list(rows["auroc"]) == [pool.auroc for pool in expected]
    for name in ("table", "mean", "gains", "scores"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(whole, name))


def test_shots_drawn_elsewhere_are_those_drawn_here():
    fs = clouds(n=300, groups=60)
    shots = parse_shots("1,5,all")
    draws = divide_shots(QUICK, shots, 3)
    assert len(draws) == 7
    found, whole = unite_shots([travelled(draw, fs) for draw in draws]), score_shots(fs, QUICK, shots, 3)
    for name in ("table", "draws"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(whole, name))


@pytest.mark.parametrize("memory", [8 << 20, 16 << 20])
def test_searches_over_blocks_keep_to_their_memory(memory):
    n, d = 7_000, 256
    fs = clouds(n=n, d=1)

    def read(rows):
        return np.random.default_rng(len(rows)).normal(size=(len(rows), d)).astype(np.float32)

    stream = FeatureStream("cloud", fs.sources, fs.samples, (d,), fs.excluded, np.arange(n), read, memory)
    bank = StreamedBank.over(stream, None, replace(QUICK, index="ivf"), None)
    assert peak_of(lambda _: bank.search(np.arange(5_000), np.arange(5_000, n), 1), fs) < memory
