"""What the answers of `probekit probe` say in words: ranges, extremes, doubts."""

from collections.abc import Mapping, Sequence
from typing import Any

from probekit.reports.matrices import Matrix, Pair, confusion_matrix, spread
from probekit.reports.runs import Run
from probekit.reports.section import Alert
from probekit.reports.text import count, is_number, number

Part = Mapping[str, Any]

CHANCE = 0.5
"""AUC of guessing."""


def with_pairs(run: Run) -> list[Part]:
    """Answers that have train/test pairs."""
    return [part for part in run.parts if isinstance(part.get("pairs"), list) and part["pairs"]]


def matrices(run: Run) -> list[Part]:
    """Those that ask for pairs and not, first of all, which generator it was."""
    return [part for part in with_pairs(run) if not part.get("classes")]


def with_classes(run: Run) -> list[Part]:
    """Answers of attribution."""
    return [part for part in run.parts if isinstance(part.get("classes"), list) and part["classes"]]


def subject(run: Run, part: Part) -> str:
    """Features, projection, ensemble, shots and domains of an answer; first a warning where it chose on tests."""
    stamp = "ORACLE · " if is_oracle(part) else ""
    shots = part.get("shots")
    projected = f"projected by {part['project']}" if part.get("project") else None
    words = [run.subject(part), projected, part.get("ensemble"), f"shots {shots}" if shots else None]
    words += [f"{part['train_domain']} → {part.get('test_domain')}" if part.get("train_domain") else None]
    return stamp + ", ".join(str(word) for word in words if word)


def is_oracle(part: Part) -> bool:
    """Whether anything was chosen on test samples."""
    return _selection(part).get("oracle") is True


def confusion(part: Part) -> Matrix | None:
    """True classes by answers."""
    counts = part.get("confusion")
    return confusion_matrix(part["classes"], part["classes"], counts) if counts else None


def kind(run: Run) -> str:
    """What sets a run apart from a plain matrix: ` by training images`."""
    parts = run.parts
    said = ""
    if any(part.get("shots") for part in parts):
        said = " by training images"
    elif any(part.get("robustness") for part in parts):
        said = " under perturbation"
    elif any(part.get("ensemble") for part in parts):
        said = " of ensembles"
    elif len({str(part.get("tap")) for part in parts}) > 2:
        said = " by layer"
    return f"{said}, ORACLE" if any(is_oracle(part) for part in parts) else said


def glance(run: Run, part: Part) -> dict[str, object]:
    """One row of the table that holds all answers of a run."""
    auc = spread(part["pairs"])
    return {
        "features": subject(run, part),
        "probe": part.get("probe"),
        "AUC, same generator": auc.same_median,
        "AUC, other generators": auc.across_median,
        "Lowest of others": min(auc.across, default=None),
        "Highest of others": max(auc.across, default=None),
    }


def pairs_sentence(run: Run, part: Part) -> str:
    """How far it reaches: on its own generator, on others, at best, at worst, and how much of it may be chance."""
    auc = spread(part.get("pairs") or [])
    if not auc.same and not auc.across:
        return ""
    same = f"AUC {_range(auc.same)} on the generator it was trained on" if auc.same else ""
    across = f"{'' if same else 'AUC '}{_range(auc.across)} on others" if auc.across else ""
    ends = ""
    if auc.worst and auc.best and len(auc.across) > 1:
        ends = f" (median {number(auc.across_median)}; highest: {_pair(auc.best)}; lowest: {_pair(auc.worst)})"
    told = f"{subject(run, part)}: {', '.join(text for text in (same, across) if text)}{ends}"
    return f"{told}{_by_chance(part['pairs'])}."


def extremes(run: Run, parts: Sequence[Part]) -> str:
    """Many answers in one sentence; the best of them is a fact, not a choice."""
    medians = [(spread(part["pairs"]).across_median, subject(run, part)) for part in parts]
    known = sorted((value, name) for value, name in medians if value is not None)
    if not known:
        return ""
    (low, lowest), (high, highest) = known[0], known[-1]
    return (
        f"{count(len(known), 'answer')}: the median AUC on other generators lies between {number(low)} ({lowest}) and "
        f"{number(high)} ({highest}). This was seen on test samples: it ranks them, and is no way to choose one."
    )


def classes_sentence(run: Run, part: Part) -> str:
    """Balanced accuracy of an attribution, with the class that is hardest."""
    if not is_number(part.get("balanced_acc")) and not is_number(part.get("acc")):
        return ""
    classes = part.get("classes") or []
    chance = f" over {len(classes)} classes (chance {number(1 / len(classes))})" if classes else ""
    recalls = [row for row in part.get("per_class") or [] if is_number(row.get("recall"))]
    weakest = min(recalls, key=lambda row: float(row["recall"]), default=None)
    ending = f"; hardest class {weakest.get('class')}, recall {number(weakest['recall'])}" if weakest else ""
    return f"{subject(run, part)}: balanced accuracy {number(part.get('balanced_acc'))}{chance}{ending}."


def further(run: Run) -> list[str]:
    """What ensembles gained and what perturbations cost."""
    return [sentence for part in run.parts for sentence in (_gains(part), _drops(run, part)) if sentence]


def alerts(run: Run) -> list[Alert]:
    """What a reader must know of these probes before any number of theirs."""
    parts, pairs = run.parts, [pair for part in with_pairs(run) for pair in part["pairs"]]
    found = []
    if any(is_oracle(part) for part in parts):
        found.append(Alert("serious", "Chosen on the test samples (ORACLE): its numbers are upper bounds, no results."))
    if leaking := sum(is_number(pair.get("leaks")) and pair["leaks"] > 0 for pair in pairs):
        found.append(Alert("serious", f"In {count(leaking, 'pair')}, groups were both trained on and tested on."))
    probes = [probe for part in parts for probe in _selection(part).get("probes") or [] if isinstance(probe, Mapping)]
    if stray := sum(probe.get("converged") is False for probe in probes):
        found.append(Alert("caution", f"{stray} of {count(len(probes), 'probe')} did not converge."))
    if inverted := sum(_high(pair) < CHANCE for pair in pairs):
        said = "there the probe ranks real images above fakes"
        whole = f"On {count(inverted, 'pair')} the whole interval of the AUC lies below chance"
        found.append(Alert("caution", f"{whole}: {said}."))
    scored = [pair for pair in pairs if is_number(pair.get("auc"))]
    if bare := sum(pair.get("auc_ci") is None and pair.get("auc_lo") is None for pair in scored):
        found.append(Alert("caution", f"{bare} of {count(len(scored), 'pair')} without an interval, as of few groups."))
    return found


def _by_chance(pairs: Sequence[Pair]) -> str:
    """How many of the pairs on other generators have an interval with chance in it."""
    bounded = [pair for pair in pairs if not pair.get("seen", pair.get("train") == pair.get("test")) and _known(pair)]
    around = sum(pair["auc_ci"][0] <= CHANCE <= pair["auc_ci"][1] for pair in bounded)
    if not around:
        return ""
    return f"; {around} of their {count(len(bounded), 'interval')} {'contains' if around == 1 else 'contain'} chance"


def _known(pair: Pair) -> bool:
    bounds = pair.get("auc_ci")
    return isinstance(bounds, list) and len(bounds) == 2 and all(is_number(bound) for bound in bounds)


def _high(pair: Pair) -> float:
    return float(pair["auc_ci"][1]) if _known(pair) else 1.0


def _gains(part: Part) -> str:
    gains = [row for row in part.get("gains") or [] if isinstance(row, Mapping) and is_number(row.get("gain"))]
    if not gains or "ensemble" not in gains[0]:
        return ""
    told = []
    for kind in dict.fromkeys(row["ensemble"] for row in gains):
        rows = [row for row in gains if row["ensemble"] == kind]
        beyond = sum(bool(row.get("outside")) for row in rows)
        told.append(f"{kind} {_range([row['gain'] for row in rows])} ({beyond} of {len(rows)} intervals exclude 0)")
    return f"AUC gained over the best single kind: {'; '.join(told)}."


def _drops(run: Run, part: Part) -> str:
    rows = [row for row in part.get("robustness") or [] if is_number(row.get("drop")) and row.get("perturb") != "clean"]
    worst = max(rows, key=lambda row: float(row["drop"]), default=None)
    if worst is None:
        return ""
    pair = f"{worst.get('train')} → {worst.get('test')}"
    return (
        f"{subject(run, part)} under {count(len({row['perturb'] for row in rows}), 'perturbation')}: at most "
        f"{number(worst['drop'])} of AUC lost ({pair}, {worst['perturb']})."
    )


def _selection(part: Part) -> Mapping[str, Any]:
    selection = part.get("selection")
    return selection if isinstance(selection, Mapping) else {}


def _pair(pair: Pair | None) -> str | None:
    return f"{pair.get('train')} → {pair.get('test')}, {number(pair.get('auc'))}" if pair else None


def _range(values: Sequence[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}" if min(values) < 0 else f"{low}–{high}"
