"""Studies: a named set of questions with its tables and pictures, asked of whoever's data is there.

    protocol.py     what a study consists of
    reading.py      a study from a TOML file, every name in it checked
    library.py      where such files are
    needs.py        what the data and the machine lack for it
    derived.py      parameters that are taken from the data
    plan.py         its steps as command lines
    estimates.py    what they will take: time and disk
    running.py      step after step, resumed where it stopped
    evidence.py     the samples behind a number
    statistics.py   numbers under drawings of groups
    verdicts.py     questions answered yes, no or undecided
    published.py    published numbers beside ours
    report.py       all of it as one record

A step is a command line of probekit, so that every number of a study can be had again by typing the command that is
printed beside it.
"""

from probekit.studies.estimates import Estimate, estimate
from probekit.studies.library import find, known, sound
from probekit.studies.plan import Place, Plan, PlannedStep, plan
from probekit.studies.protocol import Protocol, Published
from probekit.studies.published import Checked, check, sentence
from probekit.studies.reading import read
from probekit.studies.report import StudyResult
from probekit.studies.running import StepOutcome, run_steps
from probekit.studies.verdicts import Verdict, answer

__all__ = [
    "Checked",
    "Estimate",
    "Place",
    "Plan",
    "PlannedStep",
    "Protocol",
    "Published",
    "StepOutcome",
    "StudyResult",
    "Verdict",
    "answer",
    "check",
    "estimate",
    "find",
    "known",
    "plan",
    "read",
    "run_steps",
    "sentence",
    "sound",
]
