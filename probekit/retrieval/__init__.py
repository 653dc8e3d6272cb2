"""Retrieval: which registered example is nearest to an image, and is it from a registered generator at all?

Two questions are asked of the same cosine similarities.

*Closed set.* Classes are generators, `real` among them. Every query ranks all admissible gallery rows:
never itself, never a row of its group. A query whose class has no admissible row is counted apart and
enters no average.

*Open set.* As on a kept blacklist, what is enrolled are generators only: real images are nobody's work, so
`real` and the `unknown` generators have no row in this gallery. The score of a search is the similarity of
the nearest enrolled row (never a vote), its answer that row's generator.

    mated searches          queries of an enrolled generator with an admissible row of their own class
    non-mated, two pools    `unregistered`: queries of the unknown generators    `real`: queries of real
    images

AUROC, OSCR, CCR@FPR and TNR@TPR describe the scores over all thresholds. DIR and FNIR need one threshold
for each FPIR, and it comes from validation rows: for the pool `real`, from real ones; for the pool
`unregistered`, from rows of each enrolled generator searched in a gallery without that generator, because
the unknown generators themselves must not take part. Where the split leaves no such rows (folds; validation
rows used as queries or gallery; one enrolled generator), the threshold is the one at which the non-mated
queries themselves have that FPIR, as NIST reports it; every operating point says which of the two it is. A
pool of fewer than 1/FPIR searches cannot resolve that FPIR, be it the pool that sets the threshold or the
one it is measured on: `unresolvable`, and no number.

Generators are left out one after another by `leave_one_out`; `compare` asks the same with a projection that learns
from the registered training rows, `score_shots` with few registered examples.

    settings.py       what is searched for what
    rows.py           which rows that are
    bank.py           the rows as vectors that search one another
    ranks.py          what every query finds among all rows
    near_ranks.py     the same among the rows that an index finds
    closed_set.py     Rank-k, mAP and the vote
    searches.py       mated and non-mated searches of what is enrolled
    thresholds.py     thresholds for a wanted FPIR
    open_set.py       the rates of one non-mated pool
    asking.py         what the queries find, all of them or a share
    question.py       both answers for one gallery
    notes.py          what a reader of them must know
    leave_one_out.py  every generator in turn unregistered
    comparison.py     with a projection and without
    shots.py          by the number of registered examples
    sheets.py         queries and neighbours to look at
"""

from probekit.retrieval.asking import Found, Question
from probekit.retrieval.closed_set import ClosedSet
from probekit.retrieval.comparison import Comparison, compare, contrast
from probekit.retrieval.leave_one_out import LeaveOneOut, divide_left_out, leave_one_out, unite_left_out
from probekit.retrieval.open_set import OpenSet
from probekit.retrieval.question import RetrievalResult, conclude, retrieve
from probekit.retrieval.rows import beside
from probekit.retrieval.settings import VOTES, RetrievalSettings
from probekit.retrieval.sheets import Sheet, SheetRow, contact_rows
from probekit.retrieval.shots import ShotCurve, divide_shots, score_shots, unite_shots
from probekit.retrieval.streamed import memory_needed
from probekit.retrieval.thresholds import OperatingPoint

__all__ = [
    "VOTES",
    "ClosedSet",
    "Comparison",
    "Found",
    "LeaveOneOut",
    "OpenSet",
    "OperatingPoint",
    "Question",
    "RetrievalResult",
    "RetrievalSettings",
    "Sheet",
    "SheetRow",
    "ShotCurve",
    "beside",
    "compare",
    "conclude",
    "contact_rows",
    "contrast",
    "divide_left_out",
    "divide_shots",
    "leave_one_out",
    "memory_needed",
    "retrieve",
    "score_shots",
    "unite_left_out",
    "unite_shots",
]
