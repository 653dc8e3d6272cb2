"""`extract --view` and `--perturb` as a person types them."""

import json

import pytest

from tests.extract.conftest import write_image


def test_perturbations_may_be_listed_and_repeated(type_, faces):
    command = "probekit extract --model srm --perturb none,jpeg:075 --perturb blur:k=9,sigma=3+jpeg:50 --json"
    answer = type_(command)
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)["models"]
    assert [(model["perturb"], model["view"], model["computed"]) for model in found] == [
        ("none", "native512", 0),
        ("jpeg:75", "jpeg75-native512", 36),
        ("blur:k=9,sigma=3+jpeg:50", "blur-k9-sigma3+jpeg50-native512", 36),
    ]
    probe = type_("probekit probe --model srm --view jpeg75-native512 --train lama --json --bootstrap 0")
    assert probe.code == 0, probe.err
    assert [run["view"] for run in json.loads(probe.out)["runs"]] == ["jpeg75-native512"]


@pytest.mark.parametrize("width", [60, 100, 160])
def test_every_row_of_the_summary_says_which_perturbation_it_is_of(type_, faces, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    views = ["native512", "jpeg75-native512", "blur-k9-sigma3+jpeg50-native512"]
    said = type_("probekit extract --model srm --perturb none,jpeg:75,blur:k=9,sigma=3+jpeg:50").out.splitlines()
    assert said[0].startswith("Features of 36 samples in cache")
    rows = [line.split()[:2] for line in said[1:] if not line.startswith("model ")]
    assert rows == [["srm", view] for view in views] * (len(rows) // 3)
    assert len(rows) == (3 if width > 60 else 6)
    assert ("store" in said[1]) == (width > 120)


def test_a_number_of_textured_crops_makes_a_view_of_its_own(type_, faces):
    answer = type_("probekit extract --model srm --view texture:3 --json")
    assert answer.code == 0, answer.err
    (found,) = json.loads(answer.out)["models"]
    assert (found["perturb"], found["view"]) == ("none", "texture512-top3")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--perturb jpg:75", ["unknown perturbation 'jpg'", "Did you mean 'jpeg'"]),
        ("--perturb jpeg:0", ["its quality is 0", "from 1 to 100"]),
        ("--perturb ''", ["incomplete"]),
        ("--perturb blur:k=8,sigma=3", ["k is 8", "odd"]),
        ("--view texture:none", ["texture:3"]),
        ("--view tencrops", ["tencrop"]),
    ],
)
def test_a_view_that_cannot_be_is_one_clear_line(type_, faces, options, words):
    answer = type_(f"probekit extract --model srm {options}")
    assert answer.code == 2
    assert answer.out == ""
    (line,) = answer.err.strip().splitlines()
    for word in words:
        assert word in line


def test_crops_that_count_as_samples_are_remarked_on(type_, tmp_path):
    for number in range(12):
        write_image(tmp_path / "pictures" / ("real", "fake")[number % 2] / f"{number}.png", number)
    assert type_("probekit manifest import pictures --name pictures --label fake=1").code == 0
    assert type_("probekit extract --model npr --view tencrop").code == 0
    assert "every crop counts as a sample" in type_("probekit map --model npr --crops all").err
    assert "every crop" not in type_("probekit map --model npr").err
