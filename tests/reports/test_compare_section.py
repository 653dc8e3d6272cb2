"""The comparison in the report: its words, its matrices, and names that are no HTML."""

import json

import pytest

from probekit import reports
from probekit.comparison import (
    CkaSettings,
    DistanceSettings,
    SeparabilitySettings,
    compare_features,
    measure_distances,
    separate,
)
from probekit.reports.runs import load
from probekit.reports.section import section_for
from probekit.reports.tables import tables_of
from probekit.trials import TrialSettings
from tests.reports.run_folders import write_run
from tests.trials.studies import study, with_blocks, with_samples

QUICK = SeparabilitySettings(TrialSettings(probe="ridge", C=0.1, folds=5, bootstrap=0))


def answer(features, tap="cls@3", **measures):
    return {"model": "clip", "tap": tap, "view": "resize224", "precision": "float32", "n": 1, **measures}


@pytest.fixture(scope="module")
def features():
    return study(photos=15, strength=1.0)


@pytest.fixture(scope="module")
def result(features):
    other = with_blocks(features, features.matrix[:, ::-1] ** 2)
    cka = compare_features([lambda: features, lambda: other], CkaSettings())
    apart, lying = separate(features, QUICK), measure_distances(features, DistanceSettings())
    return {
        "cka": cka.to_json(),
        "runs": [answer(features, separability=apart.to_json(), distance=lying.to_json())],
    }


def section_of(runs, result):
    run = load(write_run(runs, "compare", result))
    return section_for("compare"), run


def test_the_words_are_those_of_the_command(tmp_path, result):
    section, run = section_of(tmp_path, result)
    said = section.answers(run)
    assert said[0] == f"Linear CKA, {result['cka']['verdicts'][0]}"
    assert said[1].startswith("clip#cls@3, separability: hardest to tell apart:")
    assert "halves of" in said[2]


def test_the_headline_is_the_lowest_auc(tmp_path, result):
    section, run = section_of(tmp_path, result)
    (line,) = section.headlines(run)
    assert line.value == min(pair["auc"] for pair in result["runs"][0]["separability"]["pairs"])


def test_matrices_have_every_measure_and_details_with_intervals(tmp_path, result):
    section, run = section_of(tmp_path, result)
    matrices = dict(section.context(run)["matrices"])
    cka, apart, lying = matrices.values()
    assert [layer.name for layer in cka.layers] == ["cka", "cka_biased"]
    assert cka.layers[0].text[0][0] == "1.000"
    assert apart.rows == apart.columns == ["real", "lama", "ldm"]
    assert apart.layers[0].tint[0][0] is None
    assert [layer.name for layer in lying.layers] == ["mmd", "kid", "fd", "fd_inf"]
    shown = dict(lying.details[0][1])
    assert "(" in shown["MMD², Gaussian kernel"]
    assert all(0 <= tint <= 1 for layer in lying.layers for row in layer.tint for tint in row if tint is not None)


def test_several_taps_are_one_matrix_and_one_table(tmp_path, features, result):
    apart = result["runs"][0]["separability"]
    every = {"runs": [answer(features, f"cls@{tap}", separability=apart) for tap in (0, 1, 2)]}
    section, run = section_of(tmp_path, every)
    ((_, matrix),) = section.context(run)["matrices"]
    assert matrix.columns == ["cls@0", "cls@1", "cls@2"]
    assert matrix.rows[0] == "real – lama"
    (said,) = section.answers(run)
    assert said.startswith("clip · resize224 · float32, over 3 taps: hardest pair of generators, AUC")
    (line,) = section.headlines(run)
    assert line.note == "lowest of all pairs and taps"
    (table,) = tables_of(run)
    assert table.columns == ("generators", "cls@0", "cls@1", "cls@2")


def test_tables_have_intervals_above_the_diagonal_and_halves_of_each(tmp_path, result):
    tables = {table.name: table for table in tables_of(section_of(tmp_path, result)[1])}
    cka = tables["cka"]
    assert "[" in cka.rows[0][2].text
    assert "[" not in cka.rows[1][1].text
    distances = tables["distances-clip#cls@3"]
    assert [row[0].text for row in distances.rows][-3:] == ["halves of real", "halves of lama", "halves of ldm"]
    assert "*" in distances.rows[-1][2].text  # 7 and 8 images of 12 columns
    assert "no more groups than columns" in distances.caption


def test_measures_that_were_not_asked_for_are_not_missed(tmp_path, result):
    for one in ({"cka": result["cka"], "runs": []}, {"runs": [answer(None, distance=result["runs"][0]["distance"])]}):
        path = write_run(tmp_path, "compare", one)
        assert "Comparison" in reports.build([path])
        assert tables_of(load(path))


def test_a_generator_called_script_stays_text(tmp_path, features):
    name = "<script>alert(1)</script>"
    odd = with_samples(features, generator=features.samples["generator"].replace("lama", name))
    found = {"runs": [answer(odd, separability=separate(odd, QUICK).to_json())]}
    page = reports.build([write_run(tmp_path, "compare", json.loads(json.dumps(found)))])
    assert name not in page
    assert "&lt;script&gt;alert(1)" in page
