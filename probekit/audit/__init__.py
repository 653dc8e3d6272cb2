"""The audit: can the numbers of a data set be believed?

settings.py          what is asked, and how
reading.py           every file once: properties and hashes; memory.py keeps them for the next time
properties.py        what a file says of itself; quantisation.py reads the quality factor of a JPEG
pictures.py          a perceptual hash, and whether two pictures are alike
leaks.py             groups and bytes on both sides of an evaluation
near_duplicates.py   pictures on both sides, by hash and by features
shortcuts.py         what file properties alone say of the classes; study.py asks, forest.py learns, matching.py levels
label_noise.py       candidates for wrong labels
distributions.py     class balance, sizes and qualities
verdict.py           findings in words
question.py          all of it together
"""

from probekit.audit.distributions import RAW
from probekit.audit.label_noise import LabelNoise
from probekit.audit.leaks import ALIKE, COPY, FEATURES, each_once
from probekit.audit.properties import PROPERTIES, FileProperties, properties_of
from probekit.audit.question import AuditResult, align, audit
from probekit.audit.reading import Files, read_files
from probekit.audit.settings import AuditSettings
from probekit.audit.shortcuts import Shortcuts, find_shortcuts
from probekit.audit.verdict import VERDICTS, Finding

__all__ = [
    "ALIKE",
    "COPY",
    "FEATURES",
    "PROPERTIES",
    "RAW",
    "VERDICTS",
    "AuditResult",
    "AuditSettings",
    "FileProperties",
    "Files",
    "Finding",
    "LabelNoise",
    "Shortcuts",
    "align",
    "audit",
    "each_once",
    "find_shortcuts",
    "properties_of",
    "read_files",
]
