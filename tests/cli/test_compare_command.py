"""`probekit compare` and `probekit report --tables`, as a person types them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from probekit import reports


@pytest.fixture
def compare(type_, clips):
    """Asks of the clips; the run is kept in the working folder of the test."""

    def ask(options, verb="compare"):
        return type_(f"probekit {verb} --manifest {clips}/manifests/clips.csv --cache {clips}/cache {options}")

    return ask


def only_run():
    (path,) = Path("runs").glob("*-compare-*")
    return path


def test_all_measures_are_answered_recorded_and_drawn(compare):
    answer = compare("--model npr,srm --bootstrap 50 --json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["cka"]["names"] == ["npr#blocks", "srm#blocks"]
    assert len(found["cka"]["pairs"]) == 1
    assert found["cka"]["verdicts"][0].startswith("npr#blocks and srm#blocks, CKA")
    for part in found["runs"]:
        classes = part["separability"]["classes"]
        assert classes[0] == "real"
        apart = part["separability"]["pairs"]
        assert len(apart) == len(classes) * (len(classes) - 1) / 2
        assert {pair["a"] == pair["b"] for pair in part["distance"]["pairs"]} == {True, False}
        assert sorted(part["distance"]["order"]) == sorted(classes)
    run = only_run()
    tables = {path.stem for path in run.glob("tables/*.parquet")}
    assert tables == {"cka", "separability", "distances"}
    distances = pd.read_parquet(run / "tables" / "distances.parquet")
    assert set(distances["model"]) == {"npr", "srm"}
    figures = {path.name for path in run.glob("figures/*.png")}
    assert {"cka.png", "mmd-npr-blocks.png", "frechet-srm-blocks.png", "separability-npr-blocks.png"} <= figures


def test_what_is_printed_names_its_axes_and_says_it_in_words(compare):
    answer = compare("--model npr,srm --bootstrap 50")
    assert answer.code == 0, answer.err
    assert "Linear CKA, debiased" in answer.out
    assert "npr#blocks and srm#blocks, CKA" in answer.out
    assert "Separability · npr#blocks" in answer.out
    assert "hardest to tell apart:" in answer.out
    assert "Fréchet, n → ∞" in answer.out
    assert "halves of real" in answer.out
    assert "nearest:" in answer.out
    assert "tables and figures: runs/" in answer.err


def test_taps_are_curves_over_the_depth_and_one_table(compare):
    answer = compare("--model hf:vit --taps cls@all --measure cka,separability --bootstrap 0")
    assert answer.code == 0, answer.err
    assert "pair ↓  tap →" in answer.out
    assert "cls@6" in answer.out
    assert len(list(only_run().glob("figures/separability-*.png"))) == 1
    assert (only_run() / "figures" / "cka.png").exists()


def test_one_kind_of_features_has_no_cka_and_is_told_so(compare):
    answer = compare("--model npr --bootstrap 0 --parts 0")
    assert answer.code == 0, answer.err
    assert "no CKA" in answer.err
    assert "Separability" in answer.out


def test_cka_of_one_kind_of_features_is_an_error_where_it_is_asked_for(compare):
    answer = compare("--model npr --measure cka")
    assert answer.code == 2
    assert "name two models or taps" in answer.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--measure cca", "cca"),
        ("--generators nobody", "nobody"),
        ("--condition tall", "tall"),
        ("--parts 3", "at least 10"),
        ("--probe tree", "tree"),
    ],
)
def test_what_does_not_exist_is_one_line(compare, options, said):
    answer = compare(f"--model npr,srm {options}")
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_chosen_generators_are_compared_with_real_images(compare, clips):
    name = sorted(set(pd.read_csv(clips / "manifests" / "clips.csv")["generator"]) - {"real"})[0]
    answer = compare(f"--model npr,srm --generators {name} --bootstrap 0 --json")
    found = json.loads(answer.out)
    assert found["runs"][0]["separability"]["classes"] == ["real", name]
    assert found["cka"]["settings"]["generators"] == [name]


def test_cka_does_not_depend_on_what_else_is_measured(compare):
    alone = json.loads(compare("--model npr,srm --measure cka --json").out)["cka"]["pairs"][0]
    both = json.loads(compare("--model npr,srm --measure distance,cka --json").out)["cka"]["pairs"][0]
    assert_allclose(alone["cka"], both["cka"], rtol=1e-12)
    assert np.isfinite(alone["cka_biased"])


def test_the_report_shows_matrices_words_and_curves(compare, type_):
    assert compare("--model npr,srm --bootstrap 50").code == 0
    page = reports.build([only_run()])
    assert "Comparison" in page
    assert "hardest to tell apart" in page
    assert "MMD², polynomial kernel (KID)" in page
    assert "data-cells" in page


def test_tables_are_written_to_paste(compare, type_):
    assert compare("--model npr,srm --bootstrap 50").code == 0
    answer = type_("probekit report --tables paper --json")
    assert answer.code == 0, answer.err
    written = json.loads(answer.out)["tables"]
    assert "report" not in json.loads(answer.out)
    assert not Path("runs/report.html").exists()
    names = {Path(path).name for path in written}
    assert {"cka.md", "cka.tex", "separability-npr-blocks.tex", "distances-srm-blocks.md", "tables.md"} <= names
    assert r"\toprule" in Path(next(path for path in written if path.endswith("cka.tex"))).read_text(encoding="utf-8")
    both = type_("probekit report --tables paper --out page.html")
    assert both.code == 0
    assert Path("page.html").exists()
    assert "as Markdown and LaTeX: paper" in both.err


def test_tables_that_cannot_be_written_are_one_line(compare, type_):
    assert compare("--model npr,srm --measure cka").code == 0
    Path("paper").write_text("in the way")
    answer = type_("probekit report --tables paper")
    assert answer.code == 2
    assert "choose another one with --tables" in answer.err
