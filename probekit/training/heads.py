"""The classifier of a trained network as a probe of its `pool` features, to be judged and saved as any probe is."""

import numpy as np

from probekit import probes
from probekit.errors import WeightsError
from probekit.models import weights
from probekit.models.tuned import Network
from probekit.probes.calibration import Calibration
from probekit.probes.classifier import LinearClassifier, contrasts
from probekit.probes.conditions import Condition
from probekit.probes.selection import Selection
from probekit.probes.trained import TrainedProbe


def head_of(network: Network) -> TrainedProbe:
    """Raw `pool` features in, the network's log-odds (logits) out.

    Raises:
        WeightsError: it has no classifier, or its weights cannot be read.
    """
    if network.head is None:
        raise WeightsError(f"{network.model} has no classifier: train a probe on its features.")
    state = weights.read(network.tensors)
    weight, bias = (state[name].double().numpy() for name in network.head)
    classifier = LinearClassifier(
        classes=np.arange(len(network.classes)),
        probabilistic=True,
        converged=True,  # the number of epochs is a setting
        weights=contrasts(weight.T),
        bias=contrasts(bias),
    )
    width = weight.shape[1]
    training = network.training
    selection = Selection(
        parameter=None,
        value=None,
        condition="raw",
        by=f"trained end to end, {training['stopped']}",
        metric=None,
        grid=(),
        loss=None,
        fits=1,
        unconverged=0,
    )
    counts = tuple(int(training["n_train_by_class"][name]) for name in network.classes)
    condition = Condition("raw", (width,), np.zeros(width), np.ones(width))
    return TrainedProbe(probes.GIVEN, condition, classifier, selection, Calibration("none"), counts)
