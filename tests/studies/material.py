"""Run folders as probes leave them, written through the library's own questions."""

from pathlib import Path

import numpy as np
import pandas as pd

from probekit import records
from probekit.attribution import AttributionSettings, attribute
from probekit.features import FeatureSet, Source
from probekit.pairs import PairSettings, score_pairs

GENERATORS = ("real", "lama", "ldm")


def features(model: str, strength: float, *, groups: int = 40, seed: int = 0) -> FeatureSet:
    """Two columns of noise, in which fakes are moved by `strength`: in both domains `a` and `b`."""
    rng = np.random.default_rng(seed)
    rows = []
    for domain in ("a", "b"):
        for group in range(groups):
            for generator in GENERATORS:
                split = ("train", "val", "test")[0 if group < groups // 2 else 2]
                rows.append((f"{domain}{group}{generator}", int(generator != "real"), generator, domain, split, group))
    samples = pd.DataFrame(rows, columns=["path", "label", "generator", "domain", "split", "group"])
    samples["group"] = samples["domain"] + samples["group"].astype(str)
    place = samples["generator"].map({"real": 0.0, "lama": 1.0, "ldm": 1.5}).to_numpy()
    noise = rng.normal(size=(len(samples), 2))
    matrix = (noise + strength * np.stack([place > 0, place], axis=1)).astype(np.float32)
    source = Source(model, "pool", "center224", "float32", "0" * 64)
    return FeatureSet(model, (source,), samples, (matrix,), samples.iloc[:0].assign(reason=""))


def probe_run(folder: Path, sets: list[FeatureSet], **settings: object) -> Path:
    """The run of `probekit probe` over these features."""
    with records.start("probe", settings, runs=folder) as run:
        found = [(one, score_pairs(one, PairSettings(**settings))) for one in sets]  # type: ignore[arg-type]
        for name in ("pairs", "scores"):
            run.table(name, pd.concat([getattr(result, name).assign(model=one.reference) for one, result in found]))
        run.note(result={"models": []})
    return run.path


def attribution_run(folder: Path, sets: list[FeatureSet], **settings: object) -> Path:
    """The run of `probekit probe --task attribution --across domain` over these features."""
    tables: dict[str, list[pd.DataFrame]] = {"predictions": [], "pairs": [], "scores": []}
    with records.start("probe", settings, runs=folder) as run:
        for one in sets:
            for train in ("a", "b"):
                for test in ("a", "b"):
                    asked = AttributionSettings(train_domain=train, test_domain=test, **settings)  # type: ignore[arg-type]
                    result = attribute(one, asked)
                    for name, frames in tables.items():
                        frame = getattr(result, name, None)
                        if frame is not None:
                            frames.append(frame.assign(model=one.reference, train_domain=train, test_domain=test))
        for name, frames in tables.items():
            if frames:
                run.table(name, pd.concat(frames))
    return run.path
