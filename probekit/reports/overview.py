"""The top of the page: what was asked of what, what to distrust, and the first numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from probekit.reports.chapters import Chapter
from probekit.reports.provenance import Provenance
from probekit.reports.runs import Run
from probekit.reports.section import Alert, Headline, sections
from probekit.reports.text import count, is_number, listing

ORDER = {"serious": 0, "caution": 1}
AUDITED = frozenset({"finetune", "probe", "retrieve"})
"""Commands whose numbers mean little where the manifest gives its classes away."""


@dataclass(frozen=True)
class Link:
    """A place of the page."""

    target: str
    """Id of an element."""
    title: str
    """Words of the link."""


@dataclass(frozen=True)
class Warned:
    """An alert and every place that it leads to: the same may be the case in several runs."""

    alert: Alert
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Overview:
    """What stands before the chapters."""

    sentences: list[str]
    warnings: list[Warned]
    headlines: dict[str, Any]


def overview(chapters: Sequence[Chapter], found: Provenance) -> Overview:
    """What to read first."""
    told = [chapter for chapter in chapters if not chapter.superseded]
    alerts = [pair for chapter in told for pair in _of_chapter(chapter)] + _of_page(told, found)
    return Overview(
        sentences=[_asked(chapters, found), _failures(chapters)],
        warnings=sorted(_once(alerts), key=lambda warned: ORDER[warned.alert.severity]),
        headlines=_headlines(
            [
                (line, str(chapter.run.manifest.get("name") or ""))
                for chapter in chapters
                for line in chapter.section.headlines(chapter.run)
            ]
        ),
    )


def _once(alerts: Sequence[tuple[Alert, Link]]) -> list[Warned]:
    """Each sentence once, with the places of all runs that it was said of."""
    said: dict[tuple[str, str], list[tuple[Alert, Link]]] = {}
    for alert, link in alerts:
        said.setdefault((alert.severity, alert.sentence), []).append((alert, link))
    return [Warned(each[0][0], tuple(dict.fromkeys(link for _, link in each))) for each in said.values()]


def _asked(chapters: Sequence[Chapter], found: Provenance) -> str:
    """Runs, manifests and features: `5 runs on demo (1,135 images: real and telea), with the features srm#blocks.`."""
    manifests = [_manifest(manifest) for manifest in found.manifests]
    on = f" on {listing(list(dict.fromkeys(manifests)))}" if manifests else ""
    subjects = [
        chapter.run.subject(part) for chapter in chapters for part in chapter.run.parts if chapter.run.verb != "extract"
    ]
    names = list(dict.fromkeys(name for name in subjects if name))
    features = f", with the features {listing(names, most=4)}" if names else ""
    return f"{count(len(chapters), 'run')}{on}{features}."


def _manifest(manifest: Mapping[str, Any]) -> str:
    name = str(manifest.get("name") or manifest.get("path") or "a manifest")
    generators = manifest.get("generators")
    shown = sorted(map(str, generators), key=lambda name: (name != "real", name)) if generators else []
    made = f": {listing(shown)}" if shown else ""
    size = count(manifest["n"], "image") if is_number(manifest.get("n")) else ""
    return f"{name} ({size}{made})" if size else name


def _failures(chapters: Sequence[Chapter]) -> str:
    """How many images are in no number; every report says it."""
    failed = set[str]().union(*(chapter.run.failed for chapter in chapters))
    counted = max((_number(chapter.run.result.get("excluded")) for chapter in chapters), default=0)
    lost = max(len(failed), counted)
    if not lost:
        return "No image failed and none was left out."
    be = "is" if lost == 1 else "are"
    return f"{count(lost, 'image')} failed and {be} in no number; the chapters list them with the reasons."


def _number(value: object) -> int:
    return int(value) if is_number(value) else 0


def _of_chapter(chapter: Chapter) -> list[tuple[Alert, Link]]:
    """What its section warns of, and what can go wrong with any run."""
    run, found = chapter.run, []
    if run.status != "done":
        found.append(Alert("serious", f"{chapter.title} is recorded as {run.status}: its numbers may be incomplete."))
    if run.missing:
        found.append(
            Alert("caution", f"{chapter.title} lacks {count(len(run.missing), 'file')} that its record names.")
        )
    if lost := _number(run.result.get("excluded")):
        sentence = f"{count(lost, 'sample')} without features {'is' if lost == 1 else 'are'} left out."
        found.append(Alert("caution", sentence))
    return [
        (alert, Link(f"{chapter.id}-{alert.link}" if alert.link else chapter.id, chapter.title))
        for alert in [*found, *chapter.section.alerts(run)]
    ]


def _of_page(chapters: Sequence[Chapter], found: Provenance) -> list[tuple[Alert, Link]]:
    """What only shows when the runs are seen together."""
    alerts = [
        Alert("serious", f"The runs had different versions of the manifest {name}: do not compare their numbers.")
        for name in found.changed
    ]
    if found.differing:
        alerts.append(Alert("caution", f"The runs had different versions of {listing(found.differing)}."))
    if "audit" in sections and (names := _unaudited([chapter.run for chapter in chapters])):
        unknown = "whether format, size or leaks give the classes away is not known from this page"
        alerts.append(
            Alert("caution", f"There is no audit of {listing(names, most=len(names))} among these runs: {unknown}.")
        )
    return [(alert, Link("provenance", "Provenance")) for alert in alerts]


def _unaudited(runs: Sequence[Run]) -> list[str]:
    """Manifests that numbers are of and that no finished audit is of, by hash; equal names are told apart by it."""
    audited = {run.manifest.get("sha256") for run in runs if run.verb == "audit" and run.status == "done"}
    named = {str(run.manifest["sha256"]): _name(run.manifest) for run in runs if run.manifest.get("sha256")}
    found = []
    for run in runs:
        asked = [(run.manifest.get("sha256"), _name(run.manifest)), *_queries(run, named)] * (run.verb in AUDITED)
        for sha256, name in asked:
            if sha256 and sha256 in audited:
                continue
            alike = [each for each in named.values() if each == name]
            found.append(f"{name} (sha256 {str(sha256)[:8]}…)" if sha256 and len(alike) > 1 else name)
    return list(dict.fromkeys(found))


def _queries(run: Run, named: Mapping[str, str]) -> list[tuple[str, str]]:
    """Hash and name of the manifest that the queries came from, where it was another one; runs record its hash."""
    settings = run.record.get("settings")
    sha256 = settings.get("query_manifest") if isinstance(settings, Mapping) else None
    return [(str(sha256), named.get(str(sha256), f"the queries' manifest (sha256 {str(sha256)[:8]}…)"))] * bool(sha256)


def _name(manifest: Mapping[str, Any]) -> str:
    return str(manifest.get("name") or manifest.get("path") or "a manifest without a name")


def _headlines(found: Sequence[tuple[Headline, str]]) -> dict[str, Any]:
    """One subject: its numbers. Several: a table, because picking the best one would select on test data.

    Numbers on different manifests are different subjects; a note that is not the same for all stands at its number.

    Args:
        found: each number, and the manifest that it was found on.
    """
    several = len({on for _, on in found}) > 1
    lines = [replace(line, subject=f"{line.subject} · {on}") if several and on else line for line, on in found]
    subjects = list(dict.fromkeys(line.subject for line in lines))
    names = list(dict.fromkeys(line.name for line in lines))
    value = {(line.subject, line.name): line for line in reversed(lines)}
    notes = {name: {line.note for line in lines if line.name == name} for name in names}
    return {
        "names": names,
        "notes": {name: next(iter(own)) for name, own in notes.items() if len(own) == 1},
        "subjects": [(subject, [value.get((subject, name)) for name in names]) for subject in subjects],
    }
