"""Protocols: what a TOML file may say, and that those that probekit brings say nothing else."""

from pathlib import Path

import pandas as pd
import pytest

from probekit import studies
from probekit.errors import UnknownNameError, UsageError
from probekit.studies.derived import derived
from probekit.studies.protocol import each_of

SMALL = """
[study]
title = "A title"
about = "What it is about."

[parameters]
models = { default = "srm,npr", help = "Features." }

[[step]]
name = "matrix"
title = "Real or fake?"
run = "probe --model {models}"

[[question]]
name = "found"
asks = "Are fakes found by {model}?"
each = "model in models"
  [[question.compare]]
  claim = "{model} is above chance"
  left = { step = "matrix", where = { model = "{model}" } }
  right = { value = 0.5 }
"""


def write(folder: Path, text: str = SMALL, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", sorted(studies.known()))
def test_every_study_that_probekit_brings_is_sound(name):
    protocol = studies.find(name)
    assert protocol.title
    assert protocol.about
    assert protocol.source
    assert all(protocol.helps.values())
    for question in protocol.questions:
        assert each_of(question, protocol.parameters)


def test_the_sources_of_the_field_notes_have_a_study_each():
    expected = {"celebahq-local", "attribution-generalises", "dfg-p1", "dfg-p2", "dfg-p3", "dfg-p4", "dfg-findings"}
    assert expected | {"ufd", "robustness", "layers", "open-set", "demo"} <= set(studies.known())
    assert len(studies.find("dfg-findings").questions) == 10
    assert len(studies.find("celebahq-local").published) == 8


def test_a_protocol_of_ones_own_comes_before_one_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests" / "protocols").mkdir(parents=True)
    write(tmp_path / "manifests" / "protocols", name="demo")
    assert studies.find("demo").title == "A title"
    assert studies.find("ufd").title != "A title"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('run = "probe --model {models}"', 'run = "cache rm --all"', "unknown command of step matrix"),
        ("{models}", "{modelz}", "unknown parameter in step matrix"),
        ('title = "A title"', 'titel = "A title"', "Did you mean 'title'"),
        ('title = "Real or fake?"', "title = 3", "title is 3, expected str"),
        ("model in models", "model in modelz", "each = 'model in modelz'"),
        ('step = "matrix"', 'step = "matrx"', "Did you mean 'matrix'"),
        ('step = "matrix"', 'step = "matrx"', "unknown step in question found ("),
        ('step = "matrix", ', "", "name a step, or give a value"),
        ('step = "matrix"', 'step = "matrix", metric = "accuracyy"', "unknown metric"),
        ('step = "matrix"', 'step = "matrix", cells = "sen"', "unknown cells"),
        ('title = "Real or fake?"', 'title = "Real or fake?"\nafter = "features"', "unknown step in `after`"),
        ('about = "What it is about."', 'about = "x"\nprepare = "cache rm --all"', "prepare is"),
        ("[[step]]", "[step]", "write step as [[step]]"),
        ("[study]", "[study", "is not TOML"),
        ('"probe --model {models}"', '"probe --model {models} --cache elsewhere"', "may not have '--cache'"),
        ('"probe --model {models}"', '"probe --model {models} --runs=elsewhere"', "may not have '--runs=elsewhere'"),
        ('"probe --model {models}"', '"map --model {models} --export points.parquet"', "may not have '--export'"),
        ('"probe --model {models}"', '"finetune --model {models} --force"', "may not have '--force'"),
        ('"probe --model {models}"', '"saliency --probe run:features"', "needs after"),
        ('"probe --model {models}"', '"extract --model=srm"', "may not have '--model=srm'"),
        ('"probe --model {models}"', '"probe --model \'srm"', "cannot be split"),
        ('name = "matrix"', 'name = "../../elsewhere"', "a step's name has letters"),
        ('name = "matrix"', 'name = "study"', "a step's name has letters"),
        ('asks = "Are fakes found by {model}?"', 'asks = "Are {nix} found?"', "unknown parameter"),
        ("right = { value = 0.5 }", 'right = { value = "0.5" }', "expected a number"),
        ("right = { value = 0.5 }", 'right = { value = 0.5 }\n  margin = "0.1"', "expected a number"),
        ('where = { model = "{model}" }', "where = { model = 3 }", "must name texts only"),
        ('title = "Real or fake?"', 'title = "Real or fake?"\nafter = 3', "after must be a list of texts"),
        ("[study]", "[stduy]", "Did you mean 'study'"),
    ],
)
def test_a_protocol_that_is_wrong_is_refused_with_one_line_that_says_where(tmp_path, old, new, said):
    assert old in SMALL
    path = write(tmp_path, SMALL.replace(old, new))
    with pytest.raises(UsageError) as error:
        studies.read(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_published_numbers_need_a_row_and_a_column_each(tmp_path):
    table = '\n[[published]]\ntitle = "t"\nsource = "s"\nstep = "matrix"\nmetric = "acc"\nrows = ["a", "b"]\n'
    path = write(tmp_path, SMALL + table + 'columns = ["a", "b"]\nvalues = [[1.0, 0.5]]\n')
    with pytest.raises(UsageError, match="a row for each of rows"):
        studies.read(path)


def test_a_parameter_that_nobody_gave_a_format_stays_text(tmp_path):
    path = write(tmp_path, SMALL.replace('title = "A title"', 'title = "{models:>300000000} {models.upper} {}"'))
    assert studies.read(path).title == "{models:>300000000} {models.upper} {}"


def test_a_file_that_is_no_protocol_costs_no_other_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests" / "protocols").mkdir(parents=True)
    (tmp_path / "manifests" / "protocols" / "broken.toml").write_text("oops = [")
    found, problems = studies.sound()
    assert "ufd" in [one.name for one in found]
    assert len(problems) == 1
    assert "broken.toml is not TOML" in problems[0]


def test_an_unknown_study_is_told_its_nearest_name():
    with pytest.raises(UnknownNameError, match="celebahq-local"):
        studies.find("celebhq-local")
    with pytest.raises(UsageError, match="no such file"):
        studies.find("nowhere/mine.toml")


TABLE = pd.DataFrame(
    {
        "label": [0, 1, 1, 1, 0, 1, 1],
        "generator": ["real", "lama", "ldm", "gan", "real", "lama", "sd"],
        "domain": ["ff", "ff", "ff", "ff", "cdf", "cdf", "cdf"],
    }
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("<generators>", "gan,lama,ldm,sd"),
        ("<generators of {place}>", "gan,lama,ldm"),
        ("<generators not of {place}>", "sd"),
        ("<shared generators>", "lama"),
        ("<domains>", "cdf,ff"),
        ("plain,text", "plain,text"),
        ("<generators of nowhere>", ""),
    ],
)
def test_parameters_can_be_taken_from_the_manifest(text, names):
    assert derived({"place": "ff", "asked": text}, TABLE)["asked"] == names


def test_shared_generators_can_be_one_training_set():
    both = pd.concat([TABLE, TABLE.assign(domain="dfd")])
    assert derived({"one": "<shared generators joined>"}, both)["one"] == "gan+lama+ldm+sd"


def test_the_parts_of_the_generators_are_all_of_them_each_once():
    parts = derived({str(number): f"<part {number} of 3>" for number in (1, 2, 3)}, TABLE)
    names = [name for part in parts.values() for name in part.split(",")]
    assert sorted(names) == ["gan", "lama", "ldm", "sd"]
    assert parts == derived({str(number): f"<part {number} of 3>" for number in (1, 2, 3)}, TABLE.sample(frac=1))


@pytest.mark.parametrize("text", ["<generators off>", "<part 4 of 3>"])
def test_a_parameter_that_means_nothing_is_refused(text):
    with pytest.raises(UsageError, match=text.strip("<>").split()[0]):
        derived({"one": text}, TABLE)
