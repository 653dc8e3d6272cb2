"""What the page says of shots, ensembles, thresholds from elsewhere, oracle choices and which-generator probes."""

import re

from probekit import reports
from probekit.reports.text import words

from . import run_folders
from .page_checks import check


def built(tmp_path, parts, **more):
    return check(reports.build([run_folders.write_run(tmp_path, "probe", {"runs": parts}, **more)], None))


def test_a_choice_on_test_samples_is_stamped_in_headlines_sentences_and_headings(tmp_path):
    chosen = run_folders.binary()
    chosen["selection"] |= {"oracle": True}
    page = built(tmp_path, [chosen, run_folders.attributed(oracle=True)])
    assert page.text.count("ORACLE · npr+srm#blocks") >= 6
    assert len(re.findall(r"npr\+srm#blocks: ", page.text)) == page.text.count("ORACLE · npr+srm#blocks: ") > 0
    assert "ORACLE" not in built(tmp_path / "fair", [run_folders.binary(), run_folders.attributed()]).text


def test_which_generator_is_no_train_test_matrix_and_its_fakes_were_seen(tmp_path):
    page = built(tmp_path, [run_folders.attributed("one-vs-real")])
    assert page.text.count("One-vs-real") > 3  # navigation, overview, heading
    assert "Train/test matrices" not in page.text
    assert "find another’s" not in page.text
    assert "on others" not in page.text
    assert "One-vs-real, balanced accuracy" in page.text
    assert "npr+srm#blocks · one-vs-real · logistic" in page.text


def test_a_pooled_probe_knows_the_generators_that_it_was_trained_on(tmp_path):
    pooled = run_folders.binary()
    pooled["pairs"] = [
        pair | {"train": "telea+shiftmap", "seen": pair["test"] in ("telea", "shiftmap")}
        for pair in pooled["pairs"]
        if pair["train"] == "telea"
    ]
    seen, unseen = ([pair["auc"] for pair in pooled["pairs"] if pair["seen"] is flag] for flag in (True, False))
    page = built(tmp_path, [pooled])
    html = reports.build([run_folders.write_run(tmp_path, "probe", {"runs": [pooled]})])
    assert html.count('class="same"') == 2
    assert f"AUC {min(seen):.3f}–{max(seen):.3f} on the generator it was trained on" in page.text
    assert f"{min(unseen):.3f}–{max(unseen):.3f} on others" in page.text


def test_shots_and_ensembles_are_named_apart(tmp_path):
    parts = [run_folders.binary() | {"shots": number} for number in ("1", "all")]
    parts += [run_folders.binary() | {"model": "npr+srm", "tap": "blocks+blocks", "ensemble": "late fusion"}]
    page = built(tmp_path, parts)
    for name in (
        "npr+srm#blocks, shots 1",
        "npr+srm#blocks, shots all",
        "npr#blocks+srm#blocks, late fusion",
    ):
        assert f"{name} · binary · logistic" in page.text


def test_pictures_that_no_matrix_shows_are_not_folded_away(tmp_path):
    names = ["auc-npr", "gain-late-fusion-npr", "shots-npr", "robustness-lama-npr", "threshold-transfer-npr"]
    pictures = {name: run_folders.picture() for name in names}
    html = reports.build([run_folders.write_run(tmp_path, "probe", {"runs": [run_folders.binary()]}, figures=pictures)])
    shown, folded = html.replace("<wbr>", "").split("1 figure as files, for papers")
    assert [name for name in names if f"figures/{name}" in shown] == names[1:]
    assert "figures/auc-npr" in folded


def test_metrics_of_the_engine_have_readable_headings():
    named = [words(name) for name in ("tpr_at_fpr1", "cross_auc", "real_acc", "log_loss", "ece", "auc_lo", "gain_hi")]
    assert named == [
        "TPR at FPR .01",
        "Cross-AUC",
        "Accuracy on real images",
        "Log-loss",
        "ECE",
        "AUC, lower bound",
        "Gain, upper bound",
    ]


def test_what_a_run_was_made_for_comes_before_its_matrices_and_the_rest_after(tmp_path):
    pictures = {name: run_folders.picture() for name in ("layers-npr", "reliability-telea-npr")}
    said = built(tmp_path, [run_folders.binary()], figures=pictures).text
    assert said.index("By layer") < said.index("Tested on") < said.index("Calibration A reliability curve")


def test_a_topic_with_many_figures_is_folded(tmp_path):
    pictures = {f"reliability-{i}-npr": run_folders.picture() for i in range(4)}
    assert "4 figures to open" in built(tmp_path, [run_folders.binary()], figures=pictures).text
