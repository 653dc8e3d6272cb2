"""What the probes say of every image, whichever the task."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int, Mask, Scores
from probekit.attribution.question import Question, class_numbers
from probekit.manifest import REAL
from probekit.probes.classifier import probabilities
from probekit.trials import BinaryScores, Trial, learned, members_of


@dataclass(frozen=True, eq=False)
class Answers:
    """What the probes say of every unit."""

    decisions: Float[np.ndarray, "u c"]
    """One column a class; the highest wins."""
    fake: Scores
    """Log-odds of fake."""
    shares: Float[np.ndarray, "u c"] | None
    """Probability of each class; of one-vs-real and one-vs-rest each probe's own, which do not sum to 1."""
    numbers: Int[np.ndarray, " u"]
    """The true class of each unit, −1 for generators that are not asked about and real ones of their domains."""

    @classmethod
    def of(cls, question: Question, trials: Mapping[str, Trial]) -> "Answers":
        """What these probes say of the units of the question."""
        units = question.units
        scores = [units.combine(trial.decisions) for trial in trials.values()]
        probabilistic = all(trial.probabilistic for trial in trials.values())
        shares = None
        if question.settings.task == "attribution":
            joint = scores[0]
            columns = joint if joint.ndim == 2 else np.stack([np.zeros_like(joint), joint], axis=1)
            fake = _log_odds_of_fake(joint, probabilistic)
            shares = probabilities(joint) if probabilistic else None
        elif question.settings.task == "one-vs-real":
            columns = np.stack([np.zeros_like(scores[0]), *scores], axis=1)
            fake = np.max(scores, axis=0)
        else:
            columns = np.stack(scores, axis=1)
            fake = -columns[:, 0]
        if shares is None and probabilistic:
            shares = np.stack([probabilities(column)[:, 1] for column in columns.T], axis=1)
        own = members_of(units, question.everything)
        return cls(columns, fake, shares, np.where(own, class_numbers(units.table, question.pools), -1))

    def binary(self, question: Question, trials: Mapping[str, Trial]) -> BinaryScores:
        """The same answers collapsed to real against fake."""
        every = list(trials.values())
        train: Mask = np.logical_or.reduce([trial.train for trial in every])
        generators, domains = learned(question.samples, train)
        return BinaryScores(
            train=question.everything.name,
            n_train=int(train.sum()),
            generators=generators,
            domains=domains,
            scores=self.fake,
            thresholds=np.zeros(len(self.fake)),
            leaked=np.logical_or.reduce([question.units.any(trial.leaked) for trial in every]),
            probabilistic=self.shares is not None and question.settings.task != "one-vs-real",
            prior=_log_prior_odds_of_fake(question, every[0]),
        )

    def table(self, question: Question) -> pd.DataFrame:
        """One row a unit of the classes asked about."""
        names = np.array(question.names, dtype=object)
        own = self.numbers >= 0
        table = question.units.table.loc[own].reset_index(drop=True)
        table["true"] = names[self.numbers[own]]
        table["predicted"] = names[self.decisions[own].argmax(axis=1)]
        table["score"] = self.fake[own]
        values, prefix = (self.decisions, "score") if self.shares is None else (self.shares, "p")
        columns = {f"{prefix}_{name}": column for name, column in zip(question.names, values[own].T, strict=True)}
        if question.settings.task == "one-vs-real":  # no probe says how real an image is
            del columns[f"{prefix}_{REAL}"]
        return table.assign(**columns)


def _log_prior_odds_of_fake(question: Question, first: Trial) -> Scores | None:
    """Of the first trial's samples, one a unit; None where the answer is not one probe's.

    The probe of attribution learns real as its first class, the first of one-vs-rest as its second.
    """
    if question.settings.task == "one-vs-real":
        return None
    sign = 1.0 if question.settings.task == "attribution" else -1.0
    odds: Scores = sign * np.array([probe.log_prior_odds for probe in first.probes])[question.units.part]
    return odds


def _log_odds_of_fake(decisions: Float[np.ndarray, " u"] | Float[np.ndarray, "u c"], probabilistic: bool) -> Scores:
    """Log-odds, log (1 − p(real)) − log p(real), with real the first class; else the lead of the best fake."""
    if decisions.ndim == 1:
        return decisions
    rest = decisions[:, 1:]
    odds: Scores = (np.logaddexp.reduce(rest, axis=1) if probabilistic else rest.max(axis=1)) - decisions[:, 0]
    return odds
