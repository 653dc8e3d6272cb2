"""Tables to paste: what they hold, that nothing in them breaks Markdown or LaTeX, and which tables a run has."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probekit.reports.matrices import pair_matrix
from probekit.reports.runs import load
from probekit.reports.tables import Cell, Table, latex, markdown, of_frame, of_matrix, of_records, tables_of, write
from probekit.reports.tables.table import estimate, table, with_best
from tests.reports import run_folders

AWKWARD = r"a_b & 50% #1 $x$ {y} ~z^2 \end{table} |c| `d` <e> [f](g) *h*" + "\n\\\\ [2cm]"


def made(**changes):
    fields = {"name": "t", "caption": "What it is.", "columns": ("who", "a", "b"), "right": (False, True, True)}
    rows = ((Cell("x"), Cell("0.100"), Cell("0.200", bold=True)), (Cell("y"), Cell("–"), Cell("0.150")))
    return Table(**{**fields, "rows": rows, **changes})


def rows_of_latex(text):
    """The rows between the rules, split at every `&` that is not escaped."""
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    lines = [line.strip() for line in body.splitlines()]
    rows = [line for line in lines if line and not line.startswith((r"\midrule", r"\cmidrule"))]
    assert all(row.endswith(r"\\") for row in rows)
    return [re.split(r"(?<!\\)&", row.removesuffix(r"\\")) for row in rows]


def assert_balanced(text):
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    closed = re.findall(r"\\end\{(\w+)\}", text)
    assert opened == closed[::-1] == ["table", "tabular"]
    depth = 0
    for character in re.sub(r"\\[{}\\]", "", text):
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0


def test_latex_is_a_booktabs_table_with_as_many_cells_as_columns():
    text = latex(made())
    assert_balanced(text)
    assert r"\begin{tabular}{lrr}" in text
    assert r"\caption{What it is.}" in text
    assert r"\label{tab:t}" in text
    assert [len(row) for row in rows_of_latex(text)] == [3, 3, 3]
    assert r"\textbf{0.200}" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_a_matrix_names_both_axes():
    matrix = made(columns=("trained on", "lama", "ldm"), axis="tested on")
    assert r"& \multicolumn{2}{c}{tested on} \\" in latex(matrix)
    assert r"\cmidrule(lr){2-3}" in latex(matrix)
    assert "| trained on ↓ tested on → | lama | ldm |" in markdown(matrix)


@pytest.mark.parametrize("where", ["caption", "columns", "rows"])
def test_awkward_texts_break_no_latex(where):
    value = {"caption": AWKWARD, "columns": (AWKWARD, "a", "b"), "rows": ((Cell(AWKWARD, bold=True),) * 3,)}[where]
    text = latex(made(**{where: value}))
    assert_balanced(text)
    assert all(len(row) == 3 for row in rows_of_latex(text))
    body = text.split(r"\usepackage{booktabs}")[1]
    assert not re.search(r"(?<!\\)[%#]", body)
    assert not re.search(r"(?<!\\)_", body)
    assert r"\textbackslash{}end\{table\}" in body


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"), ("50 %", r"50 \%"), ("#1 & 2", r"\#1 \& 2"), ("$x^2$", r"\$x\textasciicircum{}2\$"),
        ("{~}", r"\{\textasciitilde{}\}"), ("\\", r"\textbackslash{}"), ("−1", "$-$1"),
        ("n → ∞", r"n $\rightarrow$ $\infty$"),
        ("a\nb\x1b", "a b"), ("Bińkowski", "Bińkowski"),
    ],
)  # fmt: skip
def test_latex_spells_every_character_with_a_meaning(text, expected):
    assert expected in latex(made(caption=text))


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_row_above():
    text = latex(made(rows=((Cell("[2cm]"), Cell("1"), Cell("2")), (Cell("*"), Cell("1"), Cell("2")))))
    assert "{[}2cm]" in text
    assert "{*} &" in text


@pytest.mark.parametrize("where", ["caption", "columns", "rows"])
def test_awkward_texts_break_no_markdown(where):
    value = {"caption": AWKWARD, "columns": (AWKWARD, "a", "b"), "rows": ((Cell(AWKWARD, bold=True),) * 3,)}[where]
    text = markdown(made(**{where: value}))
    lines = text.splitlines()
    assert len(lines) == 4 + (1 if where == "rows" else 2)
    assert all(len(re.split(r"(?<!\\)\|", line)) == 5 for line in lines[2:])
    assert not re.search(r"(?<!\\)`", text)
    assert "<e>" not in text
    assert not re.search(r"(?<!\\)\]\(", text)


def test_markdown_is_a_table_that_github_reads():
    assert markdown(made()) == (
        "**What it is.**\n\n| who | a | b |\n| :--- | ---: | ---: |\n| x | 0.100 | **0.200** |\n| y | – | 0.150 |\n"
    )


def test_intervals_stay_as_they_are_read():
    found = markdown(made(rows=((Cell("x"), Cell("0.9 [0.8, 1.0]"), Cell("")),)))
    assert "| x | 0.9 [0.8, 1.0] |  |" in found


def test_a_frame_has_its_intervals_beside_its_values_and_what_is_the_same_in_the_caption():
    frame = pd.DataFrame(
        {
            "who": ["a", "b"],
            "auc": [0.9, np.nan],
            "auc_lo": [0.8, np.nan],
            "auc_hi": [0.95, np.nan],
            "n": [3, 4],
            "model": "npr",
        }
    )
    found = of_frame("scores", frame)
    assert found.columns == ("Who", "AUC", "Images")
    assert [cell.text for cell in found.rows[0]] == ["a", "0.900 [0.800, 0.950]", "3"]
    assert [cell.text for cell in found.rows[1]] == ["b", "–", "4"]
    assert found.right == (False, True, True)
    assert found.caption == "Scores. Model: npr. 2 rows."


def test_records_may_lack_keys_and_have_intervals_as_lists():
    found = of_records("x", [{"a": 1, "map": 0.5, "map_ci": [0.4, 0.6]}, {"b": "text"}])
    assert found.columns == ("A", "mAP", "B")
    assert [cell.text for cell in found.rows[0]] == ["1", "0.500 [0.400, 0.600]", "–"]


def test_no_rows_are_still_a_table():
    empty = of_frame("nothing", pd.DataFrame({"a": []}))
    assert_balanced(latex(empty))
    assert markdown(empty).count("\n") == 4


def test_an_undefined_interval_is_left_out():
    assert estimate(0.5, [None, None]) == estimate(0.5, None) == "0.500"
    assert estimate(None, None) == "–"


def test_the_best_of_each_column_is_bold_and_ties_as_printed_are_all():
    values = [["a", 0.9001, 0.2, None], ["b", 0.9002, 0.1, 3], ["c", 0.1, 0.3, 3]]
    found = with_best(table("t", "", ["who", "up", "down", "same"], values), values, falling=frozenset({2}))
    bold = [[cell.bold for cell in row] for row in found.rows]
    assert bold == [[False, True, False, False], [False, True, True, False], [False, False, False, False]]


def test_rows_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="differ in number"):
        made(rows=((Cell("x"),),))


def test_a_matrix_of_the_report_becomes_a_table_for_each_metric():
    found = of_matrix("pairs", pair_matrix(run_folders.pairs()), "Of npr")
    assert [one.name for one in found][:2] == ["auc-pairs", "acc-pairs"]
    assert found[0].columns[0] == "Trained on"
    assert found[0].axis == "Tested on"
    assert len(found[0].rows) == 4


# Runs


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def tables_by_name(path):
    return {one.name: one for one in tables_of(load(path))}


def test_pairs_are_a_matrix_for_each_metric_with_intervals_n_and_selection_in_the_caption(runs):
    found = tables_by_name(run_folders.write_run(runs, "probe", {"runs": [run_folders.binary()]}))
    auc = found["auc-npr+srm#blocks, logistic"]
    pair = run_folders.pairs()[0]
    assert auc.columns == ("trained on", *run_folders.GENERATORS)
    assert auc.rows[0][1].text == f"{pair['auc']:.3f} [{pair['auc_ci'][0]:.3f}, {pair['auc_ci'][1]:.3f}]"
    assert "Test images of a cell: 48." in auc.caption
    assert "log-loss over 5 folds" in auc.caption
    assert "[" not in found["eer-npr+srm#blocks, logistic"].rows[0][1].text


def test_several_features_have_an_overview_with_the_best_bold(runs):
    answers = [run_folders.binary(), run_folders.binary(seed=1, model="clip", tap="proj")]
    overview = tables_by_name(run_folders.write_run(runs, "probe", {"runs": answers}))["overview"]
    assert len(overview.rows) == 2
    assert all(sum(row[column].bold for row in overview.rows) >= 1 for column in range(1, len(overview.columns)))
    eer = [float(row[5].text) for row in overview.rows]
    assert overview.rows[int(np.argmin(eer))][5].bold


def test_an_oracle_says_so_in_its_captions(runs):
    answer = run_folders.binary()
    answer["selection"] = {**answer["selection"], "oracle": True}
    found = tables_of(load(run_folders.write_run(runs, "probe", {"runs": [answer]})))
    assert all("ORACLE" in one.caption for one in found)


def test_attribution_is_recall_and_confusion(runs):
    found = tables_by_name(run_folders.write_run(runs, "probe", {"runs": [run_folders.attribution()]}))
    recall = found["recall"]
    assert recall.columns[1:6] == tuple(run_folders.CLASSES)
    assert recall.rows[0][1].text == f"{40 / 60:.3f}"
    confusion = found["confusion-npr+srm#blocks, logistic"]
    assert [cell.text for cell in confusion.rows[0]] == ["real", "40", "2", "1", "3", "14", "60"]
    assert confusion.axis == "answer"


def test_retrieval_is_a_row_for_each_model_and_a_table_for_each_pool(runs):
    found = tables_by_name(run_folders.write_run(runs, "retrieve", {"runs": [run_folders.retrieval()]}))
    assert found["retrieval"].rows[0][1].text == "0.710 [0.660, 0.750]"
    assert found["retrieval"].caption.startswith("Retrieval of 240 queries among 360 registered images")
    assert {"open-set-unregistered", "open-set-real", "classes-npr+srm#blocks"} <= set(found)


def test_maps_are_their_quality(runs):
    part = {**run_folders.SUBJECT, "trustworthiness": 0.96, "purity_map": 0.8, "purity_chance": 0.2, "n": 600}
    other = {**part, "model": "clip", "trustworthiness": 0.9}
    found = tables_by_name(run_folders.write_run(runs, "map", {"runs": [part, other]}))["map-quality"]
    assert [row[1].bold for row in found.rows] == [True, False]
    assert not any(cell.bold for row in found.rows for cell in row[3:])


def test_what_is_not_known_is_in_its_general_form_and_long_tables_are_left_out(runs):
    tables = {"things": pd.DataFrame({"a": [1], "b": ["x_y"]}), "scores": pd.DataFrame({"a": range(101)})}
    found = tables_by_name(run_folders.write_run(runs, "saliency", {}, tables=tables))
    assert list(found) == ["things"]


def test_files_hold_what_the_functions_say_and_one_page_holds_all(runs, tmp_path):
    first = run_folders.write_run(runs, "probe", {"runs": [run_folders.binary()]})
    second = run_folders.write_run(runs, "probe", {"runs": [run_folders.binary(), run_folders.binary(model="a b/c")]})
    written = write([first, second], tmp_path / "paper")
    assert all(path.exists() for path in written)
    pasted = (tmp_path / "paper" / "tables.md").read_text(encoding="utf-8")
    assert pasted.count("tested on columns") == 5 * 3
    labels = [
        re.findall(r"\\label\{(.*)\}", path.read_text(encoding="utf-8")) for path in written if path.suffix == ".tex"
    ]
    assert len({label[0] for label in labels if label}) == len([label for label in labels if label])
    inputs = re.findall(r"\\input\{(.*)\}", (tmp_path / "paper" / "tables.tex").read_text(encoding="utf-8"))
    assert all((tmp_path / "paper" / f"{name}.tex").exists() for name in inputs)
    assert len(inputs) == len(set(inputs)) == sum(path.suffix == ".md" for path in written) - 1


def inputs_of(folder):
    return re.findall(r"\\input\{(.*)\}", (folder / "tables.tex").read_text(encoding="utf-8"))


def probed(runs, name):
    """A run of one small table in a folder of this name."""
    made = run_folders.write_run(runs, "saliency", {}, tables={"things": pd.DataFrame({"who": [str(runs.name)]})})
    return made.rename(runs / name)


def test_a_folder_name_that_is_latex_or_markdown_is_nothing_but_a_name(runs, tmp_path):
    nasty = r"x}\immediate\write18{id}%$^^5c ~#&.."
    write([probed(runs, nasty)], tmp_path / "paper")
    every = (tmp_path / "paper" / "tables.tex").read_text(encoding="utf-8").splitlines()
    assert every[1:] == [r"\input{x-immediate-write18-id-5c/things}"]
    assert (tmp_path / "paper" / "x-immediate-write18-id-5c" / "things.tex").is_file()
    assert "write18{" not in (tmp_path / "paper" / "tables.md").read_text(encoding="utf-8")


def test_a_table_name_that_is_latex_is_nothing_but_a_name(runs, tmp_path):
    answers = [run_folders.binary(model="a}b.c@d=e+f")]
    write([run_folders.write_run(runs, "probe", {"runs": answers})], tmp_path / "paper")
    assert inputs_of(tmp_path / "paper")
    assert all(re.fullmatch(r"[\w-]+/[\w-]+", path, re.ASCII) for path in inputs_of(tmp_path / "paper"))


def test_the_folder_that_one_stands_in_has_a_name_too(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(probed(runs, "mine"))
    write([Path()], tmp_path / "paper")
    assert inputs_of(tmp_path / "paper") == ["mine/things"]
    assert (tmp_path / "paper" / "mine" / "things.tex").is_file()
    assert sorted(path.name for path in (tmp_path / "paper").iterdir()) == ["mine", "tables.md", "tables.tex"]


def test_runs_of_one_folder_name_are_told_apart_by_a_number(tmp_path):
    folders = [probed(tmp_path / place, name) for place, name in (("a", "same"), ("b", "Same"), ("c", "same-2"))]
    written = write(folders, tmp_path / "paper")
    assert len(set(written)) == len(written) == 3 * 2 + 2
    assert inputs_of(tmp_path / "paper") == ["same/things", "Same-2/things", "same-2-2/things"]
    texts = [(tmp_path / "paper" / f"{path}.tex").read_text(encoding="utf-8") for path in inputs_of(tmp_path / "paper")]
    assert [re.findall(r"    ([abc]) \\", text) for text in texts] == [["a"], ["b"], ["c"]]


def test_labels_are_told_apart_where_folder_names_end_alike(runs, tmp_path):
    write([probed(runs, "first-evaluation"), probed(runs, "other-evaluation")], tmp_path / "paper")
    texts = [(tmp_path / "paper" / f"{path}.tex").read_text(encoding="utf-8") for path in inputs_of(tmp_path / "paper")]
    labels = [re.findall(r"\\label\{(.*)\}", text) for text in texts]
    assert labels == [["tab:saliency-aluation-things"], ["tab:saliency-aluation-things-2"]]
