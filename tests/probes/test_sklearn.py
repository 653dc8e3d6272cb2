"""The scikit-learn adapters of all probes, by scikit-learn's own checks."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import probekit.sklearn as adapters
from probekit import probes


def clouds(n=60, d=5, classes=2):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    return rng.normal(size=(n, d)) + 3 * np.eye(classes, d)[labels], np.array(["real", "sd", "ldm"])[labels]


@pytest.mark.parametrize("name", probes.names())
class TestEveryAdapter:
    def test_passes_every_check_of_scikit_learn(self, name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of skipped checks
            results = check_estimator(adapters.adapter(name)(), on_fail=None, on_skip=None)
        assert len(results) > 40
        assert [(one["check_name"], one["exception"]) for one in results if one["status"] == "failed"] == []
        # Array API input is opted into by an environment variable of SciPy.
        assert {one["check_name"] for one in results if one["status"] == "skipped"} <= {"check_array_api_input"}

    @pytest.mark.parametrize("classes", [2, 3])
    def test_says_what_the_probe_says(self, name, classes):
        features, labels = clouds(classes=classes)
        adapted = adapters.adapter(name)().fit(features, labels)
        numbers = np.unique(labels, return_inverse=True)[1]
        expected = probes.get(name)().fit(features, numbers)
        assert np.array_equal(adapted.decision_function(features), expected.decision_function(features))
        assert list(adapted.classes_) == sorted(set(labels))
        assert np.mean(adapted.predict(features) == labels) > 0.8

    def test_gives_probabilities_only_where_the_probe_does(self, name):
        assert hasattr(adapters.adapter(name)(), "predict_proba") == probes.get(name).probabilistic

    def test_survives_pickling_and_cloning(self, name):
        features, labels = clouds()
        fitted = adapters.adapter(name)().fit(features, labels)
        again = pickle.loads(pickle.dumps(fitted))
        assert np.array_equal(again.decision_function(features), fitted.decision_function(features))
        assert clone(fitted).get_params() == fitted.get_params()

    def test_searches_its_parameter_in_a_pipeline(self, name):
        features, labels = clouds()
        kind = probes.get(name)
        pipeline = make_pipeline(StandardScaler(), adapters.adapter(name)())
        grid = {f"{pipeline.steps[-1][0]}__{kind.parameter}": kind.grid[-2:]} if kind.parameter else {}
        search = GridSearchCV(pipeline, grid, cv=2).fit(features, labels)
        assert search.best_score_ > 0.8


def test_adapters_are_found_by_the_name_of_the_probe():
    assert adapters.LDA is adapters.adapter("lda")
    assert {"Logistic", "LDA", "KNN", "Bank", "Prototype", "MLP"} <= set(dir(adapters))
    assert repr(adapters.LDA(shrinkage=0.5)) == "LDA(shrinkage=0.5)"
    with pytest.raises(AttributeError, match="Logistic"):
        adapters.Lda  # noqa: B018  # the attribute is what fails


def test_a_plug_in_has_an_adapter_too(monkeypatch):
    class PluggedProbe(probes.get("prototype")):
        pass

    monkeypatch.setitem(probes._probes._parts, "plugged", PluggedProbe)
    features, labels = clouds()
    assert np.mean(adapters.Plugged().fit(features, labels).predict(features) == labels) > 0.8


def test_a_setting_that_the_probe_refuses_is_a_value_error_when_it_is_fitted():
    with pytest.raises(ValueError, match="k is 0"):
        adapters.KNN(k=0).fit(*clouds())


def test_probekit_is_imported_without_the_adapters():
    code = "import sys, probekit, probekit.probes; print(sorted(set(sys.modules) & {'sklearn', 'probekit.sklearn'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
