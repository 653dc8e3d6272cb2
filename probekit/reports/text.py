"""Numbers and values as people read them: `0.932`, `1,024`, `2 min 5 s`, and `–` for what is not known."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TypeGuard

import numpy as np
from jinja2 import Undefined
from markupsafe import Markup

UNKNOWN = "–"
SPACED = re.compile(r"\s+|\S+")
SEPARATED = re.compile(r"[^/_#@+:.,→·=-]{0,16}[/_#@+:.,→·=-]+|[^/_#@+:.,→·=-]{1,16}")
UNBROKEN = 14
"""Characters that a word may have without a place to break it."""
CLOSE = frozenset({"threshold", "similarity"})
FINE = 5
"""Digits of what lies close to 1, as similarities of forensic features do."""
UNITS = (("h", 3600), ("min", 60), ("s", 1))


def number(value: object, digits: int = 3) -> str:
    """A measured value with a fixed number of decimals, so that columns line up; `–` when undefined."""
    value = _item(value)
    if is_unknown(value):
        return UNKNOWN
    if isinstance(value, bool) or not isinstance(value, int | float):
        return exact(value)
    if isinstance(value, int):
        return f"{value:,}"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value and not 5 * 10.0 ** -(digits + 1) <= abs(value) < 1e5:
        return f"{value:.2e}".replace("-", "−")
    return (f"{value:,.{digits}f}" if abs(value) < 10 else f"{value:,.1f}").replace("-", "−")


def exact(value: object) -> str:
    """A setting as it was given: no rounding, lists by commas, objects as `key: value`."""
    value = _item(value)
    if is_unknown(value):
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{words(key)}: {exact(item)}" for key, item in value.items()) or UNKNOWN
    if isinstance(value, list | tuple):
        return ", ".join(exact(item) for item in value) or UNKNOWN
    return str(value)


def cell(value: object, name: str = "") -> str:
    """A table's cell: numbers as measured, intervals (`…_ci`) as `lo–hi`, counts (`n_…`) whole, the rest as it is."""
    if isinstance(value, list | tuple):
        if name.endswith("_ci") and len(value) == 2 and all(is_number(bound) for bound in value):
            low, high = (f"{bound:.3f}".replace("-", "−") for bound in value)
            return f"{low} to {high}" if "−" in low else f"{low}–{high}"
        return ", ".join(cell(item) for item in value) or UNKNOWN
    if isinstance(value, Mapping):
        return ", ".join(f"{words(key)} {cell(item, str(key))}" for key, item in value.items()) or UNKNOWN
    if name.startswith("n_") and isinstance(value, float) and value.is_integer():
        return number(int(value))
    return number(value, FINE if name in CLOSE else 3)


def is_unknown(value: object) -> bool:
    """Whether there is nothing to show: None, NaN, not a time, or a key that is missing."""
    return (
        value is None
        or isinstance(value, Undefined)
        or (isinstance(value, float) and math.isnan(value))
        or str(value) in {"NaT", "<NA>"}
    )


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a column of such values is aligned to the right."""
    value = _item(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_nested(value: object) -> bool:
    """Whether a value needs a block of its own: an object, or a list of objects."""
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


NAMES = {
    "acc": "Accuracy",
    "ap": "Average precision",
    "auc": "AUC",
    "acc_ci": "Accuracy, 95 % interval",
    "acc_hi": "Accuracy, upper bound",
    "acc_lo": "Accuracy, lower bound",
    "auc_ci": "AUC, 95 % interval",
    "auc_hi": "AUC, upper bound",
    "auc_lo": "AUC, lower bound",
    "auc_sd": "AUC, standard deviation",
    "auc_single": "AUC of the best single",
    "cross_auc": "Cross-AUC",
    "brier": "Brier score",
    "dimension": "Columns",
    "project": "Projection",
    "auroc_ci": "AUROC, 95 % interval",
    "balanced_acc_ci": "Balanced accuracy, 95 % interval",
    "drop_ci": "Drop, 95 % interval",
    "ece": "ECE",
    "gain_ci": "Gain, 95 % interval",
    "recall_ci": "Recall, 95 % interval",
    "fake_acc": "Accuracy on fakes",
    "gain_hi": "Gain, upper bound",
    "gain_lo": "Gain, lower bound",
    "llr": "LLR",
    "log_loss": "Log-loss",
    "real_acc": "Accuracy on real images",
    "tpr_at_fpr1": "TPR at FPR .01",
    "tpr_at_fpr5": "TPR at FPR .05",
    "auroc": "AUROC",
    "ccr_at_fpr05": "CCR at FPR .05",
    "dir": "DIR",
    "fnir": "FNIR",
    "fpir": "FPIR",
    "measured_fpir": "Measured FPIR",
    "tnr_at_tpr95": "TNR at TPR .95",
    "balanced_acc": "Balanced accuracy",
    "eer": "EER",
    "class_rank1": "Class rank-1",
    "images_per_second": "Images/s",
    "knn_purity": "k-NN purity",
    "macro_map": "Macro mAP",
    "k": "k",
    "knn_recall": "k-NN recall",
    "map": "mAP",
    "map_at_r": "MAP@R",
    "r_precision": "R-precision",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "rank10": "Rank-10",
    "n": "Images",
    "n_gallery": "Gallery",
    "n_queries": "Queries",
    "n_test": "Test images",
    "n_train": "Training images",
    "n_fake": "Fake images",
    "n_groups": "Groups",
    "n_mated": "Mated searches",
    "n_non_mated": "Searches without a mate",
    "n_enrolled_rows": "Registered images",
    "n_real": "Real images",
    "n_scored": "Scored queries",
    "n_seeds": "Seeds",
    "n_threshold": "Searches behind the threshold",
    "oscr": "OSCR",
    "outside": "Interval excludes 0",
    "sha256": "SHA-256",
    "weights_sha256": "SHA-256 of the weights",
}


def parted(text: object) -> Markup:
    """Escaped text in which long words may be broken after a separator or, without one, every 16 characters."""
    return Markup("").join(Markup("<wbr>").join(_pieces(word)) for word in SPACED.findall(str(text)))


def _pieces(word: str) -> list[str]:
    return SEPARATED.findall(word) if len(word) > UNBROKEN else [word]


def words(name: object) -> str:
    """A column or key as words: `n_test` → `Test images`, `some_thing` → `Some thing`."""
    name = str(name)
    if name in NAMES:
        return NAMES[name]
    measure, at, operating_point = name.partition("@")
    if at and measure in NAMES:
        return f"{NAMES[measure]}@{operating_point}"
    spaced = name.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:] if spaced.islower() else spaced


def lower_first(text: str) -> str:
    """Words in the middle of a sentence: `Test images` → `test images`; `AUC` and `FNIR` stay."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def duration(seconds: object) -> str:
    """`2 h 5 min`, `41 s`, `0.2 s`: the two largest units."""
    if not is_number(seconds):
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.1f} s"
    rest, parts = round(seconds), []
    for unit, size in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def moment(text: object) -> str:
    """An ISO time as `1 March 2026, 12:00 UTC`; any other text stays itself."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return UNKNOWN if is_unknown(text) else str(text)
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".rstrip()


def count(n: int, noun: str, nouns: str | None = None) -> str:
    """`1 image`, `2,000 images`."""
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def listing(names: list[str], most: int = 6) -> str:
    """`a, b and c`; a long list is cut and says how many were left out."""
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _item(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
