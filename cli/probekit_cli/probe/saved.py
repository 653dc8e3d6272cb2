"""The probes themselves, kept in the run's folder for `probekit predict`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from probekit_cli import output, questions
from probekit_cli.probe.asked import Asked

if TYPE_CHECKING:
    from probekit.attribution import AttributionResult
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult
    from probekit.trials import Trial


def keep(
    session: questions.Session,
    asked: Asked,
    features: "FeatureSet",
    trials: "Mapping[str, Trial]",
    *,
    task: str,
    result: "PairResult | AttributionResult",
) -> None:
    """Write every probe of an answer beside the run's tables."""
