"""What `probekit saliency` draws and writes: a sheet of each pair, large overlays, and maps as arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probekit_cli import filenames, output
from probekit_cli.saliency.flags import MANY_PAIRS

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.figures import Overlay
    from probekit.saliency import SaliencyResult
    from probekit_cli.questions import Session

SMALL, LARGE = 300, 900  # pixels of a picture in a sheet (1.5 inches at 200 dots), and alone


@dataclass(frozen=True)
class Wanted:
    """Which pictures and files are wanted."""

    sheets: bool | None
    overlays: int
    maps: Path | None


def draw(session: "Session", features: "FeatureSet", result: "SaliencyResult", wanted: Wanted) -> None:
    """A sheet of each method and pair, and large overlays where they are wanted."""
    pairs = [(method, train, test) for method, train in result.maps for test in result.tests]
    if wanted.sheets is None and len(pairs) > MANY_PAIRS:
        output.remark(f"note: {len(pairs)} pairs get no contact sheets; --sheets draws them.")
    for method, train, test in pairs:
        if wanted.sheets or (wanted.sheets is None and len(pairs) <= MANY_PAIRS):
            _sheet(session, features, result, (method, train, test.name))
        _overlays(session, features, result, (method, train, test.name), wanted.overlays)


def write_maps(result: "SaliencyResult", features: "FeatureSet", wanted: Wanted) -> list[str]:
    """The file of each map, in the order of `result.images`; empty names where none is wanted."""
    import numpy as np

    if wanted.maps is None:
        return [""] * len(result.images)
    files = []
    for (method, train), maps in result.maps.items():
        folder = wanted.maps / filenames.spell(f"{features.name}-{method}-{train}")
        folder.mkdir(parents=True, exist_ok=True)
        for kept in maps:
            path = Path(str(result.samples["path"].iloc[kept.row]))
            file = folder / f"{kept.row:06d}-{filenames.spell(path.stem)}.npy"
            np.save(file, kept.to_image(), allow_pickle=False)
            files.append(str(file))
    return files


def _sheet(session: "Session", features: "FeatureSet", result: "SaliencyResult", pair: tuple[str, str, str]) -> None:
    from probekit import figures
    from probekit.saliency.sheets import FAKES, REALS

    shown = _pictures(session, result, pair, FAKES, REALS, SMALL)
    title = f"{_title(pair)} · {features.title}"
    remark = f"{_about(result, pair[0])} White outline: the mask."
    drawn = figures.overlay_sheet(shown, title=title, remark=remark, oracle=result.oracle)
    session.figure(f"sheet-{_name(pair)}", drawn, f"{title}. {remark}", features)


def _overlays(
    session: "Session", features: "FeatureSet", result: "SaliencyResult", pair: tuple[str, str, str], count: int
) -> None:
    from probekit import figures

    for number, shown in enumerate(_pictures(session, result, pair, count, 0, LARGE) if count else (), start=1):
        title = f"{_title(pair)} · {features.title}"
        remark = _about(result, pair[0])
        drawn = figures.overlay(shown, title=title, remark=remark)
        session.figure(f"overlay-{_name(pair)}-{number}", drawn, f"{title}: {shown.name}.", features)


def _pictures(
    session: "Session", result: "SaliencyResult", pair: tuple[str, str, str], fakes: int, reals: int, side: int
) -> "list[Overlay]":
    from probekit.errors import ImageError
    from probekit.figures import Overlay
    from probekit.saliency.sheets import picture, sheet_rows

    method, train, name = pair
    test = next(pool for pool in result.tests if pool.name == name)
    found = []
    for number in sheet_rows(result, method, train, test, fakes, reals).tolist():
        try:
            one = picture(result, session.where.manifest, method, train, number, side)
        except ImageError:
            continue  # it stands among the failed already: it was read a moment ago, or its mask could not be
        ap = f" · AP {one.ap:.2f}, centre {one.ap_centre:.2f}" if one.ap == one.ap else ""
        score = f"{one.explained} {one.score:+.2f}, called {one.called}{ap}"
        title = f"{one.generator} · {Path(one.path).name}"
        found.append(Overlay(one.pixels, one.saliency, one.mask, title, score))
    return found


def _name(pair: tuple[str, str, str]) -> str:
    method, train, test = pair
    return filenames.spell(f"{method}-{train}-{test}")


def _title(pair: tuple[str, str, str]) -> str:
    from probekit.saliency import methods

    method, train, test = pair
    return f"{methods.get(method).title} · {train} → {test}"


def _about(result: "SaliencyResult", method: str) -> str:
    return str(result.facts[method]["about"])
