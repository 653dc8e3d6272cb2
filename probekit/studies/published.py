"""Published numbers beside ours, in the layout of their source."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.arrays import Float
from probekit.errors import RunError
from probekit.studies.evidence import table_of
from probekit.studies.protocol import Protocol, Published, filled, names_in


@dataclass(frozen=True, eq=False)
class Checked:
    """One published table with our numbers, or why there are none."""

    published: Published
    ours: Float[np.ndarray, "r c"]
    """NaN where our run has no such number."""
    run: Path | None
    reason: str = ""
    """Why nothing could be compared."""
    changed: tuple[str, ...] = ()
    """Parameters that ours had otherwise than the study: `clip=timm:vit_tiny_patch16_224`."""

    @property
    def differences(self) -> Float[np.ndarray, "r c"]:
        """Ours − published."""
        found: Float[np.ndarray, "r c"] = self.ours - np.array(self.published.values)
        return found

    @property
    def mean_difference(self) -> float:
        """Mean |ours − published| over the numbers that both have; NaN without any."""
        return _mean_magnitude(self.differences)

    @property
    def mean_difference_transposed(self) -> float:
        """The same, were the published rows the columns; NaN where the source leaves no doubt."""
        if not self.published.transposable:
            return float("nan")
        return _mean_magnitude(self.ours - np.array(self.published.values).T)

    def table(self) -> pd.DataFrame:
        """One row a number: row, column, published, ours, difference."""
        rows = self.published.rows or ("",)
        return pd.DataFrame(
            [
                {
                    "title": self.published.title,
                    "metric": self.published.metric,
                    self.published.down if self.published.rows else "row": row,
                    self.published.across: column,
                    "published": self.published.values[i][j],
                    "ours": float(self.ours[i, j]),
                    "difference": float(self.differences[i, j]),
                }
                for i, row in enumerate(rows)
                for j, column in enumerate(self.published.columns)
            ]
        )


def check(
    protocol: Protocol, parameters: Mapping[str, str], runs: Mapping[str, Path], lost: Mapping[str, str]
) -> list[Checked]:
    """Every published table of a protocol beside the runs of its steps.

    Args:
        protocol: the study.
        parameters: filled in.
        runs: step → the run folder that answers it.
        lost: step → why it has none.
    """
    changed = tuple(
        f"{name}={value}"
        for name, value in parameters.items()
        if name in protocol.parameters
        and value != protocol.parameters[name]
        and not protocol.parameters[name].startswith("<")
    )
    found = []
    for one in protocol.published:
        nothing = np.full((len(one.values), len(one.columns)), np.nan)
        if one.step not in runs:
            found.append(Checked(one, nothing, None, lost.get(one.step, "it was not run")))
            continue
        try:
            ours = _ours(one, parameters, runs[one.step])
        except RunError as error:
            found.append(Checked(one, nothing, runs[one.step], str(error)))
            continue
        reason = "" if np.isfinite(ours).any() else f"{runs[one.step]} has none of these numbers"
        used = {name for name in protocol.parameters if f"{{{name}}}" in protocol.step(one.step).run}
        own = tuple(text for text in changed if text.partition("=")[0] in used)
        found.append(Checked(one, ours, runs[one.step], reason, own))
    return found


def _ours(one: Published, parameters: Mapping[str, str], run: Path) -> Float[np.ndarray, "r c"]:
    table = table_of(run, one.table)
    needed = [one.metric, one.across, *([one.down] if one.rows else []), *one.where]
    if lacking := [name for name in needed if name not in table]:
        raise RunError(f"table {one.table} of {run} has no column {lacking[0]}.")
    for column, text in one.where.items():
        table = table[table[column].astype(str).isin(names_in(filled(text, parameters, one.title)))]
    rows = one.rows or ("",)
    found = np.full((len(rows), len(one.columns)), np.nan)
    for i, row in enumerate(rows):
        own = table[table[one.down] == row] if one.rows else table
        for j, column in enumerate(one.columns):
            values = own.loc[own[one.across] == column, one.metric]
            if len(values) > 1:
                raise RunError(
                    f"table {one.table} of {run} has {len(values)} numbers for {row} {column}: name one with `where`."
                )
            found[i, j] = float(values.iloc[0]) if len(values) else np.nan
    return found


def _mean_magnitude(differences: Float[np.ndarray, "r c"]) -> float:
    defined = np.abs(differences[np.isfinite(differences)])
    return float(defined.mean()) if len(defined) else math.nan


def sentence(found: Checked) -> str:
    """What a published table and ours have to do with each other, in words."""
    one = found.published
    if found.reason:
        return f"{one.title}: not compared: {found.reason.rstrip('.')}."
    compared = int(np.isfinite(found.differences).sum())
    text = (
        f"{one.title}: {compared} of {found.ours.size} numbers compared, mean |difference| {found.mean_difference:.3f}"
    )
    if not math.isnan(found.mean_difference_transposed):
        text += f" ({found.mean_difference_transposed:.3f} with its rows and columns exchanged)"
    if found.changed:
        text += f"; ours are not of the same experiment: {', '.join(found.changed)}"
    return text + "."


def sentences(found: Sequence[Checked]) -> list[str]:
    """One sentence for each published table."""
    return [sentence(one) for one in found]
