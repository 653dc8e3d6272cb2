"""Attribution: which generator made an image, real images being a class of their own.

Three ways to ask, all judged alike:

    attribution     one probe over real and every generator
    one-vs-real     a probe for each generator against real images; real where none of them says fake
    one-vs-rest     a probe for each class, real among them, against all others

settings.py    what is told apart, and how
result.py      what comes out
question.py    the classes, and which samples are learned from and scored
answers.py     what the probes say of every image, whichever the task
scoring.py     answers become numbers
"""

from probekit.attribution.question import Question
from probekit.attribution.result import AttributionResult
from probekit.attribution.scoring import attribute
from probekit.attribution.settings import TASKS, AttributionSettings

__all__ = ["TASKS", "AttributionResult", "AttributionSettings", "Question", "attribute"]
