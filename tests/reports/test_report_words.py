"""What the top and the end of the page say: failures, doubts, provenance; and how tables are laid out."""

import pandas as pd
import pytest

from probekit import reports
from probekit.reports.provenance import provenance
from probekit.reports.rows import pivot, rows_of
from probekit.reports.runs import load
from probekit.reports.text import cell, parted, words

from . import run_folders
from .page_checks import check

WEIGHTS = "9f" * 32


def text_of(*folders):
    return check(reports.build(list(folders))).text


def probe(tmp_path, part=None, **facts):
    return run_folders.write_run(tmp_path, "probe", {"runs": [part or run_folders.binary()]}, **facts)


def test_the_overview_says_what_was_asked_of_what(tmp_path):
    said = text_of(*run_folders.demo(tmp_path))
    generators = "real, biharmonic, navier-stokes, shiftmap and telea"
    assert f"5 runs on demo (600 images: {generators}), with the features npr+srm#blocks." in said
    assert "2 images failed and are in no number" in said


def test_a_report_without_failures_says_so(tmp_path):
    assert "No image failed and none was left out." in text_of(probe(tmp_path))


def test_samples_left_out_of_an_answer_are_counted_at_the_top(tmp_path):
    folder = run_folders.write_run(tmp_path, "probe", {"runs": [run_folders.binary()], "excluded": 3})
    said = text_of(folder)
    assert said.index("3 samples without features are left out.") < said.index("AUC, same generator")
    assert "3 images failed and are in no number" in said


def changed(part, **changes):
    return {**part, "pairs": [{**pair, **changes} for pair in part["pairs"]]}


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"leaks": 2}, "Serious. In 16 pairs, groups were both trained on and tested on."),
        ({"auc_ci": [0.2, 0.4]}, "On 16 pairs the whole interval of the AUC lies below chance"),
        ({"auc_ci": None}, "Caution. 16 of 16 pairs without an interval"),
    ],
)
def test_what_makes_a_matrix_doubtful_stands_at_the_top(tmp_path, changes, warned):
    said = text_of(probe(tmp_path, changed(run_folders.binary(), **changes)))
    assert said.index(warned) < said.index("AUC, same generator")


def test_probes_that_did_not_converge_and_oracle_choices_stand_at_the_top(tmp_path):
    part = run_folders.binary()
    part["selection"]["probes"][0]["converged"] = False
    part["selection"]["oracle"] = True
    said = text_of(probe(tmp_path, part))
    assert "Serious. Chosen on the test samples (ORACLE)" in said
    assert "Caution. 1 of 4 probes did not converge." in said


def test_manifests_that_changed_between_runs_are_a_serious_alert(tmp_path):
    other = run_folders.MANIFEST | {"sha256": "00" * 32}
    said = text_of(probe(tmp_path), probe(tmp_path, manifest=other))
    assert "Serious. The runs had different versions of the manifest demo" in said


def test_the_sentence_of_a_matrix_names_best_worst_median_and_what_may_be_chance(tmp_path):
    part = run_folders.binary()
    part["pairs"] = [
        {"train": "a", "test": "a", "auc": 0.95, "auc_ci": [0.9, 0.99]},
        {"train": "a", "test": "b", "auc": 0.55, "auc_ci": [0.45, 0.65]},
        {"train": "a", "test": "c", "auc": 0.8, "auc_ci": [0.7, 0.9]},
        {"train": "a", "test": "d", "auc": 0.9, "auc_ci": [0.8, 0.95]},
    ]
    assert (
        "AUC 0.950 on the generator it was trained on, 0.550–0.900 on others (median 0.800; highest: a → d, 0.900; "
        "lowest: a → b, 0.550); 1 of their 3 intervals contains chance."
    ) in text_of(probe(tmp_path, part))


def test_many_answers_are_told_by_their_extremes(tmp_path):
    parts = [run_folders.binary(seed, tap=f"cls@{seed}") for seed in range(6)]
    said = text_of(run_folders.write_run(tmp_path, "probe", {"runs": parts}))
    assert "6 answers: the median AUC on other generators lies between" in said
    assert "Train/test matrices by layer" in said


def test_further_questions_are_told_in_sentences(tmp_path):
    said = text_of(*run_folders.every_question(tmp_path))
    for sentence in (
        "npr+srm#blocks under 1 perturbation: at most 0.300 of AUC lost (telea → telea, jpeg:75).",
        "AUC gained over the best single kind: late fusion 0.020 (1 of 4 intervals exclude 0).",
        "With each of 4 generators unregistered in turn, the AUROC against it goes from 0.450 (shiftmap) to 0.600",
        "The projection changes rank-1 −0.040 (−0.090 to 0.010), which may be chance.",
        "By registered examples of each generator: rank-1 0.420 with 1, 0.710 with all of them.",
        "2 images scored, 1 called fake (50%) at probability 0.500.",
        "By generator, AUC goes from 0.500 (shiftmap) to 0.900 (telea).",
        "Threshold 0.99938, set by the pool real, against 250 examples of telea.",
        "2 images: named 1 as telea; 1 unknown (threshold 0.99938, expected FPIR 0.100).",
    ):
        assert sentence in said


def test_a_stale_threshold_and_an_unresolvable_one_are_alerts(tmp_path):
    stale = {"blacklist": "watch", "threshold": 0.9, "expected_fpir": None, "counts": {"unknown": 2}, "stale": True}
    none = {"blacklist": "watch", "fpir": 0.001, "status": "unresolvable", "searches_needed": 2995, "calibration": None}
    said = text_of(
        run_folders.write_run(tmp_path, "blacklist-match", stale),
        run_folders.write_run(tmp_path, "blacklist-calibrate", none),
    )
    assert "Caution. The blacklist was changed after its threshold was set" in said
    assert "Caution. No threshold for FPIR 0.001 could be set" in said
    assert "needs 2,995 searches" in said


def test_provenance_has_weights_seeds_versions_and_each_command(tmp_path):
    store = run_folders.STORE | {"weights_sha256": WEIGHTS}
    folders = [
        probe(tmp_path, stores=[store], command=["probekit", "probe", "--seed", "7"]),
        run_folders.write_run(
            tmp_path, "extract", {"models": []}, stores=[{"name": store["name"], "model": "npr+srm"}]
        ),
    ]
    html = reports.build(folders)
    page = check(html)
    assert WEIGHTS in page.text
    assert "Train/test matrices: seed 0" in page.text
    assert html.count('aria-label="Copy command ') == 2
    assert "probekit probe --seed 7" in page.text
    assert len(provenance([load(folder) for folder in folders]).stores) == 1


def test_intervals_stand_beside_their_numbers_and_what_is_alike_is_said_once():
    table = pd.DataFrame(
        {"train": ["a", "b"], "auc": [0.9, 0.8], "n": 3, "auc_lo": [0.8, None], "auc_hi": [0.95, None], "w": 1, "x": 2}
        | {name: [1, 2] for name in "pqr"}
    )
    rows = rows_of(table)
    assert rows.columns == ["train", "auc", "auc_ci", "p", "q", "r"]
    assert rows.rows[0][:3] == ["a", 0.9, [0.8, 0.95]]
    assert rows.rows[1][2] is None
    assert dict(rows.same) == {"n": 3, "w": 1, "x": 2}
    assert rows.numeric == [False, True, True, True, True, True]


def test_a_pivot_has_a_column_a_value_in_the_order_of_the_run():
    table = pd.DataFrame(
        {"test": ["a", "b", "a"], "shots": ["5", "5", "all"], "auc": [0.5, None, 0.75], "auc_sd": [0.1, None, None]}
    )
    rows = pivot(table, ["test"], "shots", "auc", "auc_sd", axis="images: ")
    assert rows.columns == ["test", "images: 5", "images: all"]
    assert rows.rows == [["a", "0.500 ± 0.100", "0.750"], ["b", "–", "–"]]
    assert rows.numeric == [False, True, True]


def test_long_names_are_broken_after_separators_only_and_escaped():
    assert parted("stylegan_studio256#<cls>") == "stylegan_<wbr>studio256#<wbr>&lt;cls&gt;"
    assert parted("unbreakably") == "unbreakably"
    assert parted("a" * 40).split("<wbr>") == ["a" * 16, "a" * 16, "a" * 8]


def test_cells_know_intervals_counts_and_what_lies_close_to_one():
    assert cell([-0.0901, 0.01], "gain_ci") == "−0.090 to 0.010"
    assert cell([0.8, 0.95], "auc_ci") == "0.800–0.950"
    assert cell(860.0, "n_queries") == "860"
    assert cell(0.99938, "threshold") == "0.99938"
    assert words("dir@0.05") == "DIR@0.05"


def test_numbers_on_two_manifests_are_two_rows_each_with_its_own_chance(tmp_path):
    def mapped(name, n, purity, chance):
        part = {"model": "clip", "tap": "proj", "trustworthiness": 0.9, "purity_map": purity, "purity_chance": chance}
        manifest = {"name": name, "sha256": str(n) * 64, "n": n, "generators": ["real", "lama"]}
        return run_folders.write_run(tmp_path, "map", {"runs": [part]}, manifest=manifest)

    html = reports.build([mapped("demo", 3, 0.272, 0.199), mapped("small", 4, 0.281, 0.33)])
    table = html[html.index("Headline numbers") : html.index('<ol class="story">')]
    assert "clip#proj · demo" in table
    assert "clip#proj · small" in table
    assert "chance 0.199" in table
    assert "chance 0.330" in table


def test_a_projection_is_named_beside_its_features_and_only_where_there_is_one(tmp_path):
    part = run_folders.binary()
    projected = part | {"project": "supcon:16", "selection": part["selection"] | {"project": "supcon"}}
    said = text_of(probe(tmp_path / "a", projected))
    assert "projected by supcon:16" in said
    assert "Projection: supcon" in said
    assert "rojection" not in text_of(probe(tmp_path / "b", part | {"project": None}))
