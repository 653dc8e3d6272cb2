"""What probes said of each sample, to colour a map by, and how often they were right, for its caption.

The probes are trained elsewhere; only what they say of samples that they did not learn from comes in here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Groups, Labels, Scores
from probekit.fingerprint import JSONValue, plain_object

RIGHT, WRONG, MISSED, FALSE_ALARM, UNTESTED = "right", "wrong", "missed", "false alarm", "not tested"
MOST_CLASSES = 12
"""Classes that a caption names; of more it names the worst."""


@dataclass(frozen=True)
class Accuracy:
    """How often the attribution probe names the right class, class by class."""

    balanced: float
    """Mean over the classes."""
    n: int
    """Images tested."""
    evaluation: str
    """What they were to the probe: `test split`, `out of fold by group`."""
    classes: Mapping[str, tuple[int, float]]
    """Class → images tested, share of them that was named right (NaN where there are none)."""

    @property
    def caption(self) -> str:
        """The figures in one line: `attribution .83 …: real .91 (n 120), telea .80 (n 120)`."""
        ranked = [(name, n, share) for name, (n, share) in self.classes.items() if n]
        few = len(ranked) <= MOST_CLASSES
        shown = ranked if few else sorted(ranked, key=lambda each: each[2])[:5]
        named = ", ".join(f"{name} {share:.2f} (n {n})" for name, n, share in shown)
        lead = f"attribution probe {self.balanced:.2f}, {self.evaluation}, n {self.n:,}"
        return f"{lead}: {named}" if few else f"{lead}; worst of {len(ranked)}: {named}"

    def to_json(self) -> dict[str, JSONValue]:
        """The same as an object; undefined is null."""
        found = plain_object({"balanced_acc": self.balanced, "n": self.n, "evaluation": self.evaluation})
        classes = [{"class": name, "n": n, "recall": share if n else None} for name, (n, share) in self.classes.items()]
        return found | {"per_class": classes}


def binary_outcomes(labels: Labels, scores: Scores) -> Groups:
    """`right`, `missed` (a fake called real), `false alarm` (a real image called fake) or `not tested`, a sample.

    Args:
        labels: 0 real, 1 fake.
        scores: log-odds of fake; NaN where the probe was not asked.
    """
    fake, called = labels == 1, scores > 0
    found = np.where(fake == called, RIGHT, np.where(fake, MISSED, FALSE_ALARM)).astype(object)
    found[np.isnan(scores)] = UNTESTED
    return found


def attribution_outcomes(
    generators: Groups, classes: Sequence[str], decisions: Float[np.ndarray, " n"] | Float[np.ndarray, "n c"]
) -> Groups:
    """`right`, `wrong` or `not tested`, a sample.

    Args:
        generators: the true class of each sample.
        classes: the names of the probe's classes.
        decisions: one column a class, the highest wins; of two classes the score of the second; NaN where not asked.
    """
    columns = decisions if decisions.ndim == 2 else np.stack([np.zeros_like(decisions), decisions], axis=1)
    tested = ~np.isnan(columns).any(axis=1)
    named = np.asarray(classes, dtype=object)[np.nan_to_num(columns).argmax(axis=1)]
    found = np.where(named == generators, RIGHT, WRONG).astype(object)
    found[~tested] = UNTESTED
    return found
