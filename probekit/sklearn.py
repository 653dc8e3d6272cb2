"""Every probe as a scikit-learn classifier: `probekit.sklearn.Logistic(C=0.1).fit(X, y)`.

The classes are made from the registry when they are asked for, plug-ins included: that of a probe `LDAProbe` is
named `LDA` and has its fields as parameters.
"""

import functools
import inspect
from dataclasses import field, make_dataclass
from typing import ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from probekit import probes
from probekit.arrays import Features, Float, Shaped
from probekit.errors import ProbeError

Self = TypeVar("Self", bound="ProbeEstimator")


class ProbeEstimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the adapters of all probes share. Features are taken as they are: conditions come before, in a pipeline."""

    probe: ClassVar[type[probes.Probe]]

    def fit(self: Self, X: Features, y: Shaped[np.ndarray, " n"]) -> Self:
        """This estimator, trained; `classifier_` is the probe's own classifier.

        Raises:
            ValueError: data or parameters that scikit-learn or the probe refuses.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        try:
            self.classifier_ = self.probe(**self.get_params()).fit(X, numbers)
        except ProbeError as error:
            raise ValueError(str(error)) from error
        return self

    def decision_function(self, X: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """For two classes (n,), positive for the second of `classes_`; else one column a class (n, k)."""
        features = self._checked(X)
        return self.classifier_.decision_function(features)

    def predict(self, X: Features) -> Shaped[np.ndarray, " n"]:
        """One of `classes_` for every row."""
        features = self._checked(X)
        predicted: Shaped[np.ndarray, " n"] = self.classes_[self.classifier_.predict(features)]
        return predicted

    @available_if(lambda self: self.probe.probabilistic)  # type: ignore[untyped-decorator]  # no types there
    def predict_proba(self, X: Features) -> Float[np.ndarray, "n c"]:
        """Probability of every class, in the order of `classes_`; only for probes that give probabilities."""
        features = self._checked(X)
        return self.classifier_.predict_proba(features)

    def _checked(self, X: Features) -> Features:
        check_is_fitted(self)
        checked: Features = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return checked


@functools.cache
def adapter(name: str) -> type[ProbeEstimator]:
    """The scikit-learn class of a registered probe.

    Raises:
        UnknownNameError: there is no such probe.
    """
    probe = probes.get(name)
    settings = inspect.signature(probe).parameters.values()
    parameters = [(one.name, one.annotation, field(default=one.default)) for one in settings]
    namespace = {"probe": probe, "__doc__": inspect.getdoc(probe), "__module__": __name__}
    return make_dataclass(_name(probe), parameters, bases=(ProbeEstimator,), namespace=namespace, eq=False, repr=False)


def __getattr__(name: str) -> type[ProbeEstimator]:
    for registered in probes.names():
        if _name(probes.get(registered)) == name:
            return adapter(registered)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}: it has {', '.join(__dir__())}")


def __dir__() -> list[str]:
    return [_name(probes.get(name)) for name in probes.names()]


def _name(probe: type[probes.Probe]) -> str:
    return probe.__name__.removesuffix("Probe")
