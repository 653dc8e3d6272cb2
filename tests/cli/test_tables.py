"""Tables on narrow terminals: no number is ever cut, words are shortened with a mark."""

import re

import numpy as np
import pandas as pd
import pytest

from probekit_cli import tables

NUMBERS = pd.DataFrame(np.arange(45).reshape(3, -1) / 1000 + 0.1, columns=[f"measure-{n} (max)" for n in range(15)])
NAMES = ["real", "stable-diffusion-xl-1.0-inpainting", "lama"]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_a_table_that_is_wider_than_the_terminal_is_folded_and_keeps_every_number(capfd, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    table = NUMBERS.assign(N=[375, 12000, 5], found=["0.954 (.219)", "unresolvable", "0.000 (.000)"])
    tables.print_table(pd.concat([pd.DataFrame({"left out": NAMES}), table], axis=1))
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= width
    for cell in [*(f"{value:.3f}" for value in NUMBERS.to_numpy().ravel()), "375", "12000", *table["found"]]:
        assert re.search(rf"(?<!\S){re.escape(cell)}(?!\S)", said), cell
    assert said.count("lama") == said.count("left out") == said.count("real")  # the names begin every part
    for word in ("measure-14", "(max)"):
        assert word in said  # headings fold at spaces only


def test_columns_that_tell_rows_apart_begin_every_part(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    names = pd.DataFrame({"who": ["lama", "lama", "ldm", "ldm"], "features": ["raw", "projected"] * 2})
    numbers = pd.DataFrame(np.full((4, 9), 0.5), columns=[f"number{n}" for n in range(9)])
    tables.print_table(pd.concat([names, numbers], axis=1))
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= 60
    for row in ("who +features", "lama +raw", "ldm +projected"):
        assert len(re.findall(row, said)) == 2, row  # parts


def test_a_row_without_a_name_is_folded_too(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    tables.print_table(NUMBERS[:1])
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= 40
    assert len(re.findall(r"0\.\d{3}", said)) == 15


def test_words_lose_their_middle_and_a_path_keeps_its_end(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    path = "faces/a-long-folder/of-a-generator/000123.png"
    tables.print_table(pd.DataFrame({"image": [path], "answer": ["stable-diffusion-xl-1.0"], "cosine": ["0.99812"]}))
    row = capfd.readouterr().out.splitlines()[1]
    assert "0.99812" in row
    assert re.search(r"f\S*…\S*123\.png ", row)
    assert re.search(r"sta\S*…\S*1\.0 ", row)
    assert tables.shortened("lama", 4) == "lama"
    assert [len(tables.shortened(path, width)) for width in (8, 20)] == [8, 20]


def test_a_number_wider_than_the_terminal_is_whole(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "8")
    tables.print_table(pd.DataFrame({"n": ["123456789012"], "m": ["0.123"]}))
    said = capfd.readouterr().out
    assert "123456789012" in said
    assert "0.123" in said


def test_columns_of_a_matrix_are_named_without_breaking_words(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    names = ["real", "biharmonic", "navier-stokes", "shiftmap", "telea"]
    tables.print_matrix(pd.DataFrame(np.eye(5, dtype=int), index=names, columns=names), "query ↓  neighbour →")
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= 50
    for word in ("biharmonic", "shiftmap", "telea", "navier-"):
        headings = [line for line in said.splitlines() if not re.search(r"\d", line)]
        assert word in "\n".join(headings)


def test_names_that_are_typed_again_stay_whole_while_other_columns_fold(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "a-study-with-a-name-of-forty-characters-"
    table = pd.DataFrame({"study": [name, "demo"], "asks": ["who is found, by what?"] * 2, "steps": [5, 6]})
    tables.print_table(table, whole=["study"])
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= 60
    assert said.count(name) == 1
    tables.print_table(table)
    assert name not in capfd.readouterr().out  # it takes more than half of the room


def test_names_of_rows_stay_whole_where_half_of_the_room_is_enough(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    tables.print_table(NUMBERS.set_axis(["real", "navier-stokes", "lama"]), corner="generator")
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= 60
    assert "…" not in said
    assert said.count("navier-stokes") > 1


@pytest.mark.parametrize("print_it", [tables.print_table, lambda frame, title: tables.print_matrix(frame, "n", title)])
def test_a_title_is_folded_between_words(capfd, monkeypatch, print_it):
    monkeypatch.setenv("COLUMNS", "40")
    title = "Retrieval of 1135 of 1135 queries in 1135 registered images by soft vote"
    print_it(NUMBERS, title=title)
    lines = capfd.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(line.strip() for line in lines[:2]) == title
