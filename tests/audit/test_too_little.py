"""Where too little could be asked, the verdict says so and is not good."""

import pandas as pd
import pytest

from probekit.audit import verdict
from probekit.audit.label_noise import LabelNoise


def classes(**counts):
    return pd.DataFrame({"generator": list(counts), "n": list(counts.values())})


def noise(recalls, trusted):
    table = pd.DataFrame({"class": list(recalls), "n": 50, "recall": list(recalls.values()), "candidates": 2})
    candidates = pd.DataFrame({"trusted": trusted, "other_label": [False] * len(trusted)})
    return LabelNoise("clip#proj", table, candidates)


@pytest.mark.parametrize(
    ("found", "severity", "said"),
    [
        (verdict.on_shortcuts(None), "warn", "could not be asked"),
        (verdict.on_balance(classes(real=12)), "warn", "one class, real: nothing can be told apart"),
        (verdict.on_balance(classes(real=200, lama=2)), "warn", "lama has 2 images, too few"),
        (verdict.on_balance(classes(real=200, lama=190)), "good", "190 to 200 images"),
        (verdict.on_labels([noise({"real": 0.4, "lama": 0.5}, [False] * 4)]), "warn", "cannot say whether labels are"),
        (verdict.on_labels([noise({"real": 0.4, "lama": 0.5}, [False] * 4)]), "warn", "the 4 that it would call"),
        (verdict.on_labels([noise({"real": 0.9, "lama": 0.95}, [])]), "good", "0 candidates of 100"),
    ],
)
def test_what_could_not_be_asked_is_not_good(found, severity, said):
    (finding,) = found
    assert finding.severity == severity
    assert said in finding.sentence
