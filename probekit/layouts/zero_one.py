"""Nested 0_real and 1_fake, at any depth: ROOT/progan/cat/0_real/1.png, ROOT/stargan/1_fake/2.png.

The generator is the first folder under ROOT (after folders of splits); the folders between it and 0_real or
1_fake are the `category`. When each generator brings its own real images, its name is also both's domain.
"""

from collections import Counter
from pathlib import Path

import pandas as pd

from probekit.layouts import layouts
from probekit.layouts.classes import SPLIT_NAMES
from probekit.layouts.files import File, IgnoredFile, list_files
from probekit.layouts.listing import ImportOptions, Listing, list_samples, table_of

_LABELS = {"0_real": "0", "1_fake": "1"}


@layouts.add("zero-one")
def zero_one(root: Path, options: ImportOptions) -> Listing:
    """Every image below a folder 0_real or 1_fake; what lies elsewhere is ignored."""
    base, title, files, ignored = list_files(root)
    rows, expected = [], Counter[tuple[str, str]]()
    for file in files:
        row = _row(file, title)
        if row is None:
            ignored.append(IgnoredFile(file.name, "lies in no folder 0_real or 1_fake"))
            continue
        samples = list_samples(file, base, options, ignored)
        expected[row["class"], row["split"]] += max(len(samples), 1)
        rows += [sample | row for sample in samples]
    columns = ["path", "class", "key", "label", "domain", "split", "category"]
    table = table_of(rows, columns)
    notes = _settle_domains(table)
    optional = [column for column in ("split", "category") if not (table[column] != "").any()]
    return Listing(base, table.drop(columns=optional), sorted(ignored), notes, expected, source=str(root))


def _row(file: File, title: str) -> dict[str, str] | None:
    folders = file.parts[:-1]
    marks = [place for place, name in enumerate(folders) if name.lower() in _LABELS]
    if not marks:
        return None
    mark = marks[-1]
    above = [name for name in folders[:mark] if name.lower() not in SPLIT_NAMES]
    splits = [name for name in folders[:mark] if name.lower() in SPLIT_NAMES]
    generator = above[0] if above else title
    return {
        "class": generator,
        "key": "/".join([*folders[:mark], *folders[mark + 1 :], file.stem]),
        "label": _LABELS[folders[mark].lower()],
        "domain": generator,
        "split": splits[0] if splits else "",
        "category": "/".join(above[1:]),
    }


def _settle_domains(table: pd.DataFrame) -> list[str]:
    """Keep the generator's name as domain only if no fakes would be left without real images."""
    real, fake = (set(table.loc[table["label"] == label, "class"]) for label in ("0", "1"))
    if fake <= real:
        return []
    table["domain"] = ""
    lacking = ", ".join(sorted(fake - real))
    return [f"{lacking} have no real images of their own: all classes share one domain, unless --domain says more"]
