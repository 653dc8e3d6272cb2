"""Run folders like those that the commands leave, made through the recorder."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from probekit import records

GENERATORS = ("telea", "navier-stokes", "biharmonic", "shiftmap")
CLASSES = ("real", *GENERATORS)
MANIFEST = {
    "name": "demo",
    "path": "manifests/demo.csv",
    "sha256": "5e" * 32,
    "n": 600,
    "generators": list(CLASSES),
}
STORE = {
    "model": "npr+srm",
    "tap": "blocks",
    "view": "native",
    "precision": "float32",
    "address": "1a2b3c4d5e6f",
    "name": "npr-srm_native_float32",
}
SUBJECT = {"model": "npr+srm", "tap": "blocks", "view": "native", "precision": "float32"}


def write_run(
    runs: Path,
    verb: str,
    result: Mapping[str, Any] | None = None,
    *,
    tables: Mapping[str, pd.DataFrame] | None = None,
    figures: Mapping[str, bytes] | None = None,
    **facts: object,
) -> Path:
    settings = {"C": 0.1, "folds": 5, "seed": 0, "condition": "zscore"}
    with records.start(verb, settings, runs=runs) as run:
        for name, table in (tables or {}).items():
            run.table(name, table)
        for name, picture in (figures or {}).items():
            run.figure(name, picture, f"The {name} of the demo.")
        run.note(
            **{
                "command": ["probekit", verb, "--model", "npr+srm", "--manifest", "demo"],
                "manifest": MANIFEST,
                "stores": [STORE],
                "result": result,
                **facts,
            }
        )
    return run.path


def pairs(seed: int = 0) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    found = []
    for train in GENERATORS:
        for test in GENERATORS:
            alike = "shiftmap" not in (train, test)
            auc = float(np.clip(random.normal(0.95 if alike else 0.5, 0.04 if alike else 0.07), 0.3, 0.999))
            if train == test == "shiftmap":
                auc = 0.617
            found.append(
                {
                    "train": train,
                    "test": test,
                    "n_train": 192,
                    "n_test": 48,
                    "acc": auc - 0.05,
                    "balanced_acc": auc - 0.06,
                    "auc": auc,
                    "ap": auc - 0.02,
                    "eer": 1 - auc + 0.03,
                    "auc_ci": [auc - 0.03, min(1.0, auc + 0.02)],
                }
            )
    return found


def binary(seed: int = 0, **subject: str) -> dict[str, Any]:
    selection = {
        "by": "log-loss over 5 folds by group inside the training samples",
        "grid": [10.0**k for k in range(-6, 6)],
        "C": {name: [0.1, 0.1] for name in GENERATORS},
        "threshold": {"name": "half", "by": "fixed in advance"},
        "probes": [{"train": name, "part": 0, "converged": True} for name in GENERATORS],
    }
    return {
        "task": "binary",
        "probe": "logistic",
        **SUBJECT,
        **subject,
        "selection": selection,
        "pairs": pairs(seed),
    }


def attribution(nasty: str = "") -> dict[str, Any]:
    names = [name.replace("telea", f"telea{nasty}") for name in CLASSES]
    confusion = [[40, 2, 1, 3, 14], [3, 50, 5, 1, 1], [2, 6, 51, 1, 0], [1, 3, 2, 53, 1], [22, 2, 1, 1, 34]]
    recalls = [row[i] / sum(row) for i, row in enumerate(confusion)]
    return {
        "task": "attribution",
        "probe": "logistic",
        **SUBJECT,
        "selection": {"C": 1.0, "split": "train"},
        "classes": names,
        "acc": float(np.mean(recalls)),
        "balanced_acc": float(np.mean(recalls)),
        "per_class": [{"class": c, "n": 60, "recall": r} for c, r in zip(names, recalls, strict=True)],
        "confusion": confusion,
    }


def retrieval() -> dict[str, Any]:
    return {
        **SUBJECT,
        "closed_set": {
            "rank": {"1": 0.71, "5": 0.88, "10": 0.93},
            "rank1_ci": [0.66, 0.75],
            "map": 0.46,
            "map_ci": None,
            "macro_map": 0.44,
            "n_queries": 240,
            "n_gallery": 360,
        },
        "per_class": [{"class": c, "n": 60, "rank1": 0.7, "ap": None} for c in CLASSES],
        "open_set": [pool("unregistered", 60, 0.58), pool("real", 120, 0.66)],
        "notes": ["No validation rows: thresholds come from the queries."],
    }


def pool(name: str, searches: int, auroc: float) -> dict[str, Any]:
    resolved = {"status": "resolved", "threshold": 0.93, "measured_fpir": 0.05, "dir": 0.21, "fnir": 0.79}
    unresolvable = {
        "status": "unresolvable",
        "threshold": None,
        "measured_fpir": None,
        "dir": None,
        "fnir": None,
    }
    return {
        "pool": name,
        "enrolled": ["telea", "shiftmap", "ldm"],
        "n_enrolled_rows": 288,
        "n_mated": 180,
        "n_non_mated": searches,
        "auroc": auroc,
        "auroc_ci": [auroc - 0.06, auroc + 0.05],
        "oscr": auroc - 0.1,
        "ccr_at_fpr05": 0.18,
        "tnr_at_tpr95": None,
        "points": [{"fpir": 0.003, **unresolvable}, {"fpir": 0.05, **resolved}],
    }


def points(n: int = 300, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    code = random.integers(0, len(CLASSES), n)
    angle = 2 * np.pi * code / len(CLASSES)
    return pd.DataFrame(
        {
            "path": [f"images/{CLASSES[c]}/photo-{i:05d}.png" for i, c in enumerate(code)],
            "label": (code > 0).astype(int),
            "generator": [CLASSES[c] for c in code],
            "split": random.choice(["train", "val", "test"], n),
            "x": 10 * np.cos(angle) + random.normal(0, 3, n),
            "y": 10 * np.sin(angle) + random.normal(0, 3, n),
        }
    )


def picture(
    kind: str = "PNG", size: tuple[int, int] = (48, 32), colour: tuple[int, int, int] = (200, 120, 40)
) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def demo(runs: Path, *, nasty: str = "") -> list[Path]:
    """The runs of the main job; `nasty` goes into texts that a person or a file name could have brought."""
    failed = pd.DataFrame(
        {
            "path": [f"images/{nasty}broken.jpg", "images/empty.png"],
            "reason": [f"truncated {nasty}", "0 bytes"],
        }
    )
    extracted = {
        "model": f"npr+srm{nasty}",
        "taps": ["blocks"],
        "rows": 600,
        "done": 598,
        "failed": 2,
        "seconds": 13.4,
        "images_per_second": 44.6,
    }
    first = binary(model=f"npr+srm{nasty}")
    for pair in first["pairs"]:
        for side in ("train", "test"):
            pair[side] = pair[side].replace("telea", f"telea{nasty}")
    mapped = points()
    mapped.loc[0, ["path", "generator"]] = [f"images/{nasty}.png", f"telea{nasty}"]
    return [
        write_run(runs, "extract", {"models": [extracted]}, tables={"failed": failed}),
        write_run(
            runs,
            "probe",
            {"runs": [first]},
            tables={"pairs": pd.DataFrame(pairs())},
            figures={f"auc{nasty}": picture()},
        ),
        write_run(runs, "probe", {"runs": [attribution(nasty)]}),
        write_run(runs, "retrieve", {"runs": [{**retrieval(), "notes": [f"No validation rows. {nasty}"]}]}),
        write_run(
            runs,
            "map",
            {"runs": [{**SUBJECT, "trustworthiness": 0.962, "knn_purity": 0.61}]},
            tables={"map": mapped},
            figures={"map": picture()},
        ),
    ]


def attributed(task: str = "one-vs-real", *, oracle: bool = False) -> dict[str, Any]:
    """An attribution with its fakes against the real images, as it is recorded."""
    real_or_fake = [
        {"train": "+".join(GENERATORS), "test": name, "seen": True, "auc": 0.9, "auc_lo": 0.8, "auc_hi": 0.95}
        for name in GENERATORS
    ]
    record = {"by": "cv", "oracle": oracle}
    return attribution() | {"task": task, "pairs": real_or_fake, "binary": {"auc": 0.91}, "selection": record}


def projected(nasty: str = "") -> dict[str, Any]:
    """Retrieval with a projection and every generator left out in turn."""
    gain = {"raw": 0.5, "projected": 0.46, "gain": -0.04, "outside": False, "gain_ci": [-0.09, 0.01]}
    left_out = {"n_enrolled_rows": 288, "n_mated": 180, "n_non_mated": 60, "auroc_ci": [0.5, 0.7], "dir@0.05": 0.2}
    rows = [
        {"unknown": f"{name}{nasty}", "features": "raw", "pool": "unregistered", "auroc": 0.6 - i / 20, **left_out}
        for i, name in enumerate(GENERATORS)
    ]
    found = {
        "rows": rows,
        "mean": [{"features": "raw", "pool": "unregistered", "auroc": 0.525}],
        "gains": [{"unknown": f"telea{nasty}", "measure": "AUROC against real", **gain}],
    }
    return retrieval() | {"gains": [{"measure": f"Rank-1{nasty}", **gain}], "leave_one_out": found}


def few_examples(nasty: str = "") -> dict[str, Any]:
    """Retrieval by registered examples."""
    rows = [
        {"shots": shots, "measure": "Rank-1", "value": value, "spread": spread, "n_seeds": 5}
        for shots, value, spread in (("1", 0.42, 0.06), ("5", 0.5, 0.02), ("all", 0.71, None))
    ]
    return retrieval() | {"shots": rows, "notes": [f"note {nasty}"]}


def perturbed(nasty: str = "") -> dict[str, Any]:
    """Probes on perturbed images."""
    rows = [
        {"perturb": f"{name}{nasty}", "train": "telea", "test": test, "auc": 0.9 - drop, "drop": drop, "n_test": 48}
        for name, drop in (("clean", 0.0), ("jpeg:75", 0.3))
        for test in GENERATORS
    ]
    return binary() | {"robustness": rows}


def ensemble(nasty: str = "") -> dict[str, Any]:
    """Late fusion and what it gained."""
    gains = [
        {"train": "telea", "test": test, "ensemble": f"late fusion{nasty}", "gain": 0.02, "outside": i == 0}
        for i, test in enumerate(GENERATORS)
    ]
    return binary(tap="blocks+blocks") | {"ensemble": f"late fusion{nasty}", "gains": gains}


def every_question(runs: Path, nasty: str = "") -> list[Path]:
    """A run of every kind that has a section of its own; `nasty` stands wherever outsiders' text can."""
    few = few_examples(nasty)
    shots = pd.DataFrame(few["shots"]).assign(model="npr+srm", tap="blocks")
    by_images = pd.DataFrame(
        {"train": f"telea{nasty}", "test": "telea", "shots": ["1", "all"], "auc": [0.4, 0.9], "auc_sd": [0.1, None]}
    )
    scored = pd.DataFrame(
        {"path": [f"new/{nasty}.png", "new/b.png"], "score": [2.5, -1.0], "probability": [0.92, 0.27], "label": [1, 0]}
    )
    by_generator = pd.DataFrame({"generator": [f"telea{nasty}", "shiftmap"], "n_fake": 48, "auc": [0.9, 0.5]})
    nearest = pd.DataFrame({"path": [f"new/{nasty}.png"], "generator": [f"telea{nasty}"], "similarity": [0.99946]})
    calibration = {"threshold": 0.99938, "pool": f"real{nasty}", "examples": 250, "generators": [f"telea{nasty}"]}
    pools = [{"pool": f"real{nasty}", "n": 48, "status": "resolved", "threshold": 0.99938}]
    lost = pd.DataFrame({"path": [f"new/{nasty}lost.png"], "reason": [f"truncated {nasty}"]})
    watch = {"blacklist": f"watch{nasty}"}
    return [
        *demo(runs, nasty=nasty),
        write_run(runs, "probe", {"runs": [perturbed(nasty)]}),
        write_run(runs, "probe", {"runs": [ensemble(nasty)]}, figures={f"gain-late{nasty}": picture()}),
        write_run(
            runs, "probe", {"runs": [binary() | {"shots": n} for n in ("1", "all")]}, tables={"shots": by_images}
        ),
        write_run(runs, "retrieve", {"runs": [projected(nasty)]}),
        write_run(runs, "retrieve", {"runs": [few]}, tables={"shots": shots}),
        write_run(
            runs,
            "predict",
            {"probe": {"title": f"logistic{nasty}"}, "threshold": 0.5, "scored": 2, "called_fake": 1, "excluded": 1},
            tables={"predictions": scored, "pairs": by_generator, "failed": lost},
        ),
        write_run(runs, "blacklist-register", {**watch, "generator": f"telea{nasty}", "added": 125, "examples": 125}),
        write_run(
            runs, "blacklist-calibrate", {**watch, "fpir": 0.1, "pools": pools, "calibration": calibration, "notes": []}
        ),
        write_run(
            runs,
            "blacklist-match",
            {**watch, "threshold": 0.99938, "expected_fpir": 0.1, "counts": {f"telea{nasty}": 1, "unknown": 1}},
            tables={"nearest": nearest},
        ),
    ]
