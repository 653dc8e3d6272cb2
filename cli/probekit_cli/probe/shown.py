"""What `probekit probe` prints of its answers."""

from typing import TYPE_CHECKING

from probekit_cli import tables

if TYPE_CHECKING:
    import pandas as pd

    from probekit.attribution import AttributionResult
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult
    from probekit_cli.questions import Session

FEW = 10  # images of a class below which a cell says little
CORNER = "train ↓  test →"
ROUNDING = 1e-9  # standard deviation of AUCs that are the same
MEANS = {"all": "mean", "unseen": "unseen"}


def subject(features: "FeatureSet", result: "PairResult | AttributionResult") -> str:
    """Features, ensemble, probe, projection and evaluation of an answer, as headings name them."""
    words = [features.title]
    words += [result.source["ensemble"]] if "ensemble" in result.source else []
    projected = f" on features projected by {result.settings.project}" if result.settings.project else ""
    words += [result.settings.probe + projected, str(result.selection["evaluation"])]
    if getattr(result.settings, "seeds", 1) > 1:
        words.append(f"mean over {getattr(result.settings, 'seeds', 1)} seeds")
    return ", ".join(words)


def stamped(text: str, oracle: bool) -> str:
    """The heading, after a word of warning where anything was chosen on test samples."""
    return f"ORACLE · {text}" if oracle else text


def matrix(session: "Session", auc: "pd.DataFrame", result: "PairResult", title: str) -> None:
    """The matrix with its means, and what a reader should be warned of."""
    pairs = result.pairs
    shown = auc
    if auc.shape[1] > 1:
        macro = result.macro.pivot(index="train", columns="over", values="auc").reindex(auc.index)
        shown = auc.assign(**{word: macro[over] for over, word in MEANS.items() if macro[over].notna().any()})
    session.show(
        lambda: tables.print_matrix(shown, CORNER, title=stamped(title, result.oracle), styles=tables.score_style)
    )
    smallest = int(pairs[["n_real", "n_fake"]].to_numpy().min())
    what = "videos" if "n_frames" in pairs else "images"
    sizes = " to ".join(str(size) for size in sorted({pairs["n_test"].min(), pairs["n_test"].max()}))
    session.remark(f"n per cell: {sizes} {what}, at least {smallest} of each class")
    if result.settings.seeds > 1:
        session.remark(_spread(pairs["auc_sd"].max(), result.settings.seeds))
    if smallest < FEW:
        known = "; intervals are in the tables" if pairs["auc_lo"].notna().any() else ""
        session.remark(f"note: fewer than {FEW} {what} of a class: such a cell says little{known}.")
    if (pairs["auc"] < 0.4).any():
        session.remark("note: an AUC below .5 is an inverted score: these fakes look more real than the real images.")
    notes(session, result.notes)


def _spread(largest: float, seeds: int) -> str:
    """How far the AUCs of the seeds lie apart, or why they do not."""
    if largest < ROUNDING:
        return (
            f"note: the {seeds} seeds gave the same AUCs: they decide folds, shots and random starts alone, which made "
            "no difference here. It says nothing of how sure the numbers are; intervals do (--bootstrap)."
        )
    return f"spread of the AUC over {seeds} seeds: up to {largest:.3f}"


def robustness(session: "Session", auc: "pd.DataFrame", title: str) -> None:
    """The AUC of one training set's probe by test set and perturbation."""
    session.show(lambda: tables.print_matrix(auc, "test ↓  perturbed →", title=title, styles=tables.score_style))


def confusion(session: "Session", result: "AttributionResult", title: str, subject: str) -> None:
    """Confusion, recalls, and the same collapsed to real against fake.

    Args:
        session: where it is shown.
        result: the attribution.
        title: of the confusion.
        subject: features and probe, for the heading of the rest.
    """
    heading = stamped(title, result.oracle)
    session.show(lambda: tables.print_matrix(result.confusion, "true ↓  called →", title=heading))
    recalls = result.per_class.set_index("class")
    session.show(lambda: tables.print_matrix(recalls, "class"))
    pairs = result.pairs.set_index("test")[["seen", "n_real", "n_fake", "auc", "auc_lo", "auc_hi", "balanced_acc"]]
    pairs["seen"] = pairs["seen"].map({True: "yes", False: "no"})
    session.show(
        lambda: tables.print_matrix(
            pairs, "tested on", title=stamped(f"Real against fake by {result.settings.task} · {subject}", result.oracle)
        )
    )
    notes(session, result.notes)


def notes(session: "Session", lines: tuple[str, ...], most: int = 5) -> None:
    """Remarks that belong to the numbers; all of them are recorded."""
    for line in lines[:most]:
        session.remark(f"note: {line}")
    if len(lines) > most:
        session.remark(f"note: {len(lines) - most} more notes stand in run.json.")
