"""One name for each generator, whatever a data set calls it; its family and architecture, where they are known.

`names.csv` is the table. A name is told apart by its letters and digits alone: `StyleGAN-XL`, `styleganxl` and
`StyleGAN_XL` are one. Other names of a generator stand in the column `aliases`; one that means it in a single data set
alone begins with it: `df40:MidJourney`. Names are spelled as in the tables that studies repeat, else as in the
generator's paper (`source`).

Families: FS swaps faces, FR reenacts, FE edits, LOCAL refills a region, EFS synthesises the whole image, of a face or
not; empty for enhancement and for translation between styles. Architectures: CNN, CG (computer graphics), GAN, VAE, VAR
(visual autoregression), diffusion, closed (not public); empty where it is none of these, or not known.
"""

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

import pandas as pd

ARCHITECTURES = ("CNN", "CG", "GAN", "VAE", "VAR", "diffusion", "closed")


class Generator(NamedTuple):
    """What is known of a generator; empty where it is not."""

    name: str
    family: str = ""
    architecture: str = ""
    source: str = ""
    """The paper that introduced it."""


def find_generator(name: str, dataset: str = "") -> Generator | None:
    """The generator that a data set calls so; None if the table does not have it."""
    known, key = _table(), _key(name)
    return known.get(f"{dataset}:{key}") or known.get(key)


def name_generators(table: pd.DataFrame, dataset: str) -> tuple[pd.DataFrame, list[str]]:
    """The table with canonical classes, `family` and `architecture`, and `named` where the data's own names differ.

    Args:
        table: with `class` and `label`; rows with label '0' are called real.
        dataset: whose aliases count.
    """
    fake = (table["label"] != "0").to_numpy()
    known = {
        name: find_generator(name, dataset) or _find_model(name, dataset)
        for name in sorted(table.loc[fake, "class"].unique())
    }
    canonical = {name: found or Generator(name) for name, found in known.items()}
    own = table["class"]
    columns = {
        column: own.map({name: getattr(found, field) for name, found in canonical.items()}).where(fake, "")
        for column, field in (("class", "name"), ("family", "family"), ("architecture", "architecture"))
    }
    columns["class"] = columns["class"].where(fake, "real")
    notes = []
    differs = {name: found.name for name, found in canonical.items() if found.name != name}
    if differs:
        columns["named"] = own.where(fake, "")
        renamed = ", ".join(f"{name} → {new}" for name, new in differs.items())
        notes.append(f"called as everywhere: {renamed} (column 'named' keeps the first)")
    strange = [name for name, found in known.items() if found is None]
    if strange:
        remedy = f"--rename {strange[0]}=NAME"
        notes.append(f"{', '.join(strange)} not in the table of names: kept, without family; {remedy}")
    return table.assign(**columns), notes


def _find_model(name: str, dataset: str) -> Generator | None:
    """What is known of `ProGAN/celeba_seed_v0`, one model of a generator."""
    generator, slash, model = name.partition("/")
    known = find_generator(generator, dataset) if slash else None
    return known._replace(name=f"{known.name}/{model}") if known else None


@cache
def _table() -> Mapping[str, Generator]:
    text = resources.files("probekit.layouts").joinpath("names.csv").read_text(encoding="utf-8")
    found: dict[str, Generator] = {}
    for row in csv.DictReader(text.splitlines()):
        generator = Generator(row["name"], row["family"], row["architecture"], row["source"])
        for alias in (row["name"], *filter(None, row["aliases"].split(";"))):
            dataset, colon, name = alias.rpartition(":")
            if found.setdefault(dataset + colon + _key(name), generator) != generator:
                raise ValueError(f"names.csv: {alias!r} means two generators: give one of them a data set.")
    return found


def _key(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
