"""`probekit finetune`: networks are trained, their features extracted, and their heads judged as probes are.

flags.py      the options
asked.py      what they ask
networks.py   training, and the features of what was trained
answering.py  the question that the heads are judged by
shown.py      the training in tables, figures and on the screen
"""

from probekit_cli import options
from probekit_cli.finetune import flags


def finetune(
    model: flags.Model,
    train: flags.Train = "all",
    test: flags.Test = "all",
    task: flags.Task = "binary",
    scratch: flags.Scratch = False,
    weights: flags.Weights = None,
    name: flags.Name = None,
    force: flags.Force = False,
    input_: flags.Input = "rgb",
    size: flags.Size = None,
    view: flags.View = None,
    lora: flags.Lora = None,
    balanced: flags.Balanced = False,
    epochs: flags.Epochs = 1,
    batch_size: flags.BatchSize = 32,
    lr: flags.Lr = None,
    optimizer: flags.Optimizer = "adam",
    weight_decay: flags.WeightDecay = 0.0,
    loss: flags.Loss = "ce",
    augment: flags.Augment = "flip,crop",
    mix: flags.Mix = "none",
    patience: flags.Patience = 3,
    amp: flags.Amp = None,
    threshold: flags.Threshold = "0.5",
    manifest: options.Manifest = None,
    seed: options.Seed = 0,
    bootstrap: options.Bootstrap = 1000,
    device: flags.Device = None,
    workers: flags.Workers = None,
    curves: flags.Curves = False,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Train networks end to end, as baselines beside frozen features, and judge them as probes are judged.

    Each is a model afterwards, tuned:NAME, for every command that takes one. A training that was interrupted goes on
    from where it was when the same command is typed again.

    Example: probekit finetune --model test_resnet --scratch --train telea --test all --manifest demo
    """
    from probekit.errors import UsageError
    from probekit.models.tuned import INPUTS
    from probekit.registry import one_of
    from probekit.training import TrainSettings, parse_augmentations
    from probekit.training.settings import LOSSES, MIXES, OPTIMIZERS
    from probekit_cli.finetune.answering import answer
    from probekit_cli.finetune.asked import TASKS, Asked
    from probekit_cli.where import Where, selector

    arch = model.removeprefix("timm:")
    if ":" in arch:
        raise UsageError(f"--model {model}: only networks of timm are trained; start from others with --weights.")
    settings = TrainSettings(
        arch=arch,
        scratch=scratch,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        optimizer=one_of("--optimizer", optimizer, OPTIMIZERS),
        weight_decay=weight_decay,
        loss=one_of("--loss", loss, LOSSES),
        augment=parse_augmentations(augment),
        mix=one_of("--mix", mix, MIXES),
        lora=lora,
        input=one_of("--input", input_, INPUTS),
        size=size,
        view=view,
        patience=patience,
        balanced=balanced,
        seed=seed,
    )
    asked = Asked(
        where=Where(manifest, None, None, selector(None, None, None, None, "mean"), False, cache, runs),
        settings=settings,
        train=train,
        test=test,
        task=one_of("--task", task, TASKS),
        name=name,
        start=flags.weights_file(weights, arch),
        force=force,
        threshold=threshold,
        bootstrap=bootstrap,
        curves=curves,
        workers=workers,
    )
    answer(asked.placed(device, amp)).finish(as_json)
