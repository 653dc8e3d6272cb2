"""Trained networks: how they were trained, and what their heads answer, told as probes are."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.runs import Run
from probekit.reports.section import Alert, sections
from probekit.reports.sections.probe import TOPICS, ProbeSection
from probekit.reports.text import count, is_number, number
from probekit.reports.topics import Topic

TRAINING = Topic(
    "Training",
    "The loss of every step, and of the val split after each epoch; what is not on the training side was never seen.",
    ("training",),
    ("networks",),
    ("training_epochs",),
    leads=True,
)
UNLEARNED = 0.05  # of accuracy on the val split above that of one answer for all
FEWEST = 20  # val images that say anything


@sections.add("finetune")
class FinetuneSection(ProbeSection):
    """The matrix or the confusion, after the curves of the training."""

    order = 32
    topics = (TRAINING, *TOPICS)

    def title(self, run: Run) -> str:
        """By the network, and what it was asked."""
        settings = _settings(run)
        start = "from scratch" if settings.get("scratch") else "pretrained"
        return f"{settings.get('arch', 'Networks')}, {start}: {super().title(run).lower()}"

    def question(self, run: Run) -> str:
        """The question behind the baseline."""
        return "What do networks reach that are trained end to end on the same images? " + super().question(run)

    def answers(self, run: Run) -> list[str]:
        """How they were trained, then what probes are told by."""
        return [_words(run), *super().answers(run)]

    def alerts(self, run: Run) -> list[Alert]:
        """As of probes; and networks that have not learned."""
        idle = [str(row.get("learned")) for row in _networks(run) if _unlearned(row)]
        found = super().alerts(run)
        if idle:
            said = f"trained on {', '.join(idle)}" if len(idle) < 5 else f"of {count(len(idle), 'training set')}"
            found.append(
                Alert(
                    "caution", f"A network {said} is no better on the val split than one answer for all: train longer."
                )
            )
        return found


def _words(run: Run) -> str:
    settings, rows = _settings(run), _networks(run)
    told = [f"{count(len(rows), 'network')} of {settings.get('arch')}"]
    told += [f"LoRA of rank {settings['lora']}"] if settings.get("lora") else []
    told += [f"loss {settings.get('loss')}, {settings.get('optimizer')}, learning rate {number(settings.get('lr'))}"]
    told += [f"batches of {settings.get('batch_size')}", f"at most {count(int(settings.get('epochs') or 1), 'epoch')}"]
    told += [f"augmentations {', '.join(settings.get('augment') or ['none'])}"]
    told += [f"mixing {settings['mix']}"] if settings.get("mix") not in (None, "none") else []
    told += [f"input {settings['input']}"] if settings.get("input") not in (None, "rgb") else []
    return f"{'; '.join(told)}; seed {settings.get('seed')}."


def _unlearned(row: Mapping[str, Any]) -> bool:
    """Whether its val accuracy is that of always giving the commonest answer."""
    accuracy, classes = row.get("val_accuracy"), row.get("images_by_class")
    enough = is_number(row.get("val_images")) and row["val_images"] >= FEWEST
    if not (is_number(accuracy) and isinstance(classes, Mapping) and classes and enough):
        return False
    commonest = float(max(classes.values()) / sum(classes.values()))
    return float(accuracy) < commonest + UNLEARNED


def _settings(run: Run) -> Mapping[str, Any]:
    found = run.result.get("training")
    return found if isinstance(found, Mapping) else {}


def _networks(run: Run) -> list[Mapping[str, Any]]:
    found = run.result.get("networks")
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []
