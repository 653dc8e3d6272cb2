"""OSMA (Yang et al., CVPR 2023, arXiv:2303.06877) and DNA-Det (Yang et al., AAAI 2022): a text line an image.

A line is `path label`, where 0 is real and other numbers are classes; unseen sets (`…_test_out…`) may count
differently. What made an image is told from its folders: DNA-Det attributes architectures, so that is the generator;
OSMA attributes models, which differ in training data and seed, so there the folder is. Files are called
EXPERIMENT_SPLIT[_SET].txt: `split1_test_out_seed.txt` holds images of models that differ from known ones by their seed
alone.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pandas as pd

from probekit.errors import ManifestError, UsageError
from probekit.layouts import layouts
from probekit.layouts.listed import list_rows
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.names import find_generator
from probekit.layouts.trees import Tree

_NAME = re.compile(r"(?P<experiment>.+?)_(?P<split>train|val|test)(?:_(?P<set>.+))?")
_REAL_FOLDERS = frozenset({"real", "0_real"})
_MODELS = "gans"
"""The folder of everything that is not real, in lower case."""
_SHORTEST = 4
"""Letters that a part of a folder's name needs to be taken for a generator's."""
_COLUMNS = ("path", "class", "label", "split", "set", "class_number", "experiment")


@layouts.add("osma")
def osma(root: Path, options: ImportOptions) -> Listing:
    """`split1_{train,val,test}/annotations/split1_….txt`; one of several experiments by `--only experiment=split1`."""
    return _read(root, options, Tree("osma", ()), by_model=True)


@layouts.add("dnadet")
def dnadet(root: Path, options: ImportOptions) -> Listing:
    """`celeba_{train,val,test}/annotations/celeba_….txt`; one of several experiments by `--only experiment=celeba`."""
    return _read(root, options, Tree("dnadet", ()), by_model=False)


def _read(root: Path, options: ImportOptions, tree: Tree, by_model: bool) -> Listing:
    lists = _find_lists(options.listing or root, root)
    experiments = sorted({name["experiment"] for _, name in lists})
    chosen = options.only.get("experiment")
    if chosen is None and len(experiments) > 1:
        raise UsageError(
            f"{root} has the experiments {', '.join(experiments)}: choose one with --only experiment={experiments[0]}."
        )
    if chosen not in (None, *experiments):
        raise UsageError(f"{root} has no experiment {chosen}: there are {', '.join(experiments)}.")
    rows = [row for file, name in lists if chosen in (None, name["experiment"]) for row in _rows(file, name, by_model)]
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).assign(domain=tree.dataset, group="")
    return list_rows(root, table, _number_notes(table), tree, str(root))


def _rows(file: Path, name: re.Match[str], by_model: bool) -> Iterator[tuple[str, ...]]:
    """What `_COLUMNS` says of each line of a list."""
    experiment, split, of_set = name["experiment"], name["split"], name["set"] or ""
    for path, number in _lines(file):
        yield path, *_class_of(path, number, of_set, by_model), split, of_set, number, experiment


def _find_lists(place: Path, root: Path) -> list[tuple[Path, re.Match[str]]]:
    """The lists and their names; those of a named set last, so that they count before the one that holds all sets."""
    patterns = ("annotations/*.txt", "*/annotations/*.txt", "dataset/*/annotations/*.txt")
    files = [place] if place.is_file() else [file for pattern in patterns for file in sorted(place.glob(pattern))]
    found = [(file, match) for file in files if (match := _NAME.fullmatch(file.stem))]
    if not found:
        raise UsageError(f"{root} has no annotations/NAME_train.txt or the like: give the folder with --listing DIR.")
    return sorted(found, key=lambda one: (len(one[1]["set"] or ""), str(one[0])))


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            path, _, label = line.strip().replace("\t", " ").rpartition(" ")
            if not path or not label.isdecimal():
                raise ManifestError(f"{file} line {number}: {line.strip()!r} is no 'path number': correct it.")
            yield path.strip(), label


def _class_of(path: str, number: str, of_set: str, by_model: bool) -> tuple[str, str]:
    """The class and label of a listed image."""
    folder = path.replace("\\", "/").removeprefix("./").rpartition("/")[0]
    if _is_real(folder) or (number == "0" and not of_set.startswith("out")):
        return "real", "0"
    return (_model(folder) if by_model else _architecture(folder)), "1"


@cache
def _is_real(folder: str) -> bool:
    return not _REAL_FOLDERS.isdisjoint(folder.lower().split("/"))


@cache
def _model(folder: str) -> str:
    """The folders below that of all models: `ProGAN/celeba_seed_v1`."""
    parts = folder.split("/")
    names = [part.lower() for part in parts]
    return "/".join(parts[names.index(_MODELS) + 1 :] if _MODELS in names else parts[-2:])


@cache
def _architecture(folder: str) -> str:
    """The generator that a folder is called after, by a whole name before a part of one; else that of its model."""
    if "1_fake" in (parts := folder.split("/")) and "CNNDetect" in parts:
        return "ProGAN"  # the training set of ForenSynths
    for part in parts:
        if found := find_generator(part):
            return found.name
    for part in parts:
        tokens = re.split("[_-]", part)
        for size in range(len(tokens), 0, -1):
            for start in range(len(tokens) - size + 1):
                name = "".join(tokens[start : start + size])
                if len(name) >= _SHORTEST and (found := find_generator(name)):
                    return found.name
    return _model(folder).split("/")[0]


def _number_notes(table: pd.DataFrame) -> list[str]:
    """Where the numbers of the closed set and the folders do not say the same."""
    closed = table[~table["set"].str.startswith("out")]
    classes = closed.groupby("class_number")["class"].unique()
    return [
        f"class {number} of the lists has images of several folders: {', '.join(sorted(names))}"
        for number, names in classes.items()
        if len(names) > 1
    ]
