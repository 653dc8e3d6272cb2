"""The options of `probekit probe` that no other command has."""

from typing import Annotated

import typer

from probekit_cli.options import FILES

TRAINED, PROBE, CHOICES, MORE = (
    "What is trained and tested",
    "The probe",
    "How choices are made",
    "Further questions",
)
"""Panels of the help page."""

FEW_ANSWERS = 6
"""Up to so many answers are printed and drawn one by one; more of them as one overview."""

Train = Annotated[
    str,
    typer.Option(
        help="Generator, comma list, or `all`: a probe each. a+b: one probe on both; all-a: on all but a; "
        "a@domain: on a's fakes of one domain.",
        rich_help_panel=TRAINED,
    ),
]
Test = Annotated[str | None, typer.Option(help="The same, for testing. Default: all.", rich_help_panel=TRAINED)]
Task = Annotated[
    str,
    typer.Option(
        help="binary: real or fake, for each pair. Which generator: attribution (one probe), one-vs-real or "
        "one-vs-rest (a probe each). Comma list.",
        rich_help_panel=TRAINED,
    ),
]
Pool = Annotated[
    bool,
    typer.Option("--pool", help="Train one probe on all generators of --train together.", rich_help_panel=TRAINED),
]
LeaveOneOut = Annotated[
    bool,
    typer.Option("--leave-one-out", help="For every generator, train on all others.", rich_help_panel=TRAINED),
]
Across = Annotated[
    str | None,
    typer.Option(
        metavar="domain",
        help="Train in each domain, test on the same generator in every domain.",
        rich_help_panel=TRAINED,
    ),
]
Classifier = Annotated[
    str,
    typer.Option(
        "--probe",
        help="logistic, ridge, svm, lda, knn, bank, prototype or mlp. Comma list.",
        rich_help_panel=PROBE,
    ),
]
Condition = Annotated[
    str,
    typer.Option(
        help="How features are conditioned: raw, l2, zscore, layernorm, whiten; best chooses.",
        rich_help_panel=PROBE,
    ),
]
Project = Annotated[
    str | None,
    typer.Option(
        metavar="KIND[:COLUMNS]",
        help="Project conditioned features first: supcon, triplet, lda or whiten, to 128 columns at most. Learned from "
        "each probe's own training images; its classes are their generators and real, for --task binary, too.",
        rich_help_panel=PROBE,
    ),
]
InverseRegularisation = Annotated[
    float | None,
    typer.Option("--C", help="Inverse regularisation strength. Default: chosen.", rich_help_panel=PROBE),
]
Neighbours = Annotated[
    int | None,
    typer.Option("--k", min=1, help="Neighbours of knn and bank. Default: chosen.", rich_help_panel=PROBE),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: the CPU.", rich_help_panel=PROBE)]
Selection = Annotated[
    str,
    typer.Option(
        help="What C, k … are chosen on: cv (training groups held out), val (the val split), or robust (training "
        "generators left out).",
        rich_help_panel=CHOICES,
    ),
]
Criterion = Annotated[
    str | None,
    typer.Option(
        help="What they are chosen by: log_loss, auc, acc, balanced_acc, squared_error, squared_hinge. "
        "Default: the probe's own.",
        rich_help_panel=CHOICES,
    ),
]
ChooseFeatures = Annotated[
    bool,
    typer.Option(
        "--choose-features",
        help="Answer once, by the tap (model, view) with the lowest selection loss.",
        rich_help_panel=CHOICES,
    ),
]
Oracle = Annotated[
    bool,
    typer.Option("--oracle", help="Choose on the test samples: no result, and labelled so.", rich_help_panel=CHOICES),
]
Threshold = Annotated[
    str,
    typer.Option(
        help="Above what an image is called fake: 0.5, val-eer, val-youden or val-fpr5.", rich_help_panel=CHOICES
    ),
]
Calibration = Annotated[
    str,
    typer.Option(
        "--calibrate",
        help="none, platt or temperature, on val or held-out training samples.",
        rich_help_panel=CHOICES,
    ),
]
Shots = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,all",
        help="Learn from so many images of each generator and domain: 1,5,10,50,all.",
        rich_help_panel=MORE,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(min=1, help="Seeds to average, with spread. Default: 1; with --shots 5.", rich_help_panel=MORE),
]
Perturbed = Annotated[
    str | None,
    typer.Option(
        metavar="all|CHAIN[,CHAIN]",
        help="Test the same probes on perturbed images that were extracted.",
        rich_help_panel=MORE,
    ),
]
Fuse = Annotated[
    bool,
    typer.Option(
        "--fuse",
        help="Of features a+b: compare each alone, side by side, and the mean of calibrated scores.",
        rich_help_panel=MORE,
    ),
]
Aggregate = Annotated[
    str | None,
    typer.Option(
        metavar="mean|max|topK", help="Score videos: mean, max or top-K mean of frames.", rich_help_panel=MORE
    ),
]
Unit = Annotated[
    str,
    typer.Option(metavar="COLUMN", help="What tells videos of a group apart, with --aggregate.", rich_help_panel=MORE),
]
Curves = Annotated[
    bool,
    typer.Option(
        "--curves",
        help="Draw ROC, DET and reliability curves of every training set.",
        rich_help_panel=FILES,
    ),
]
Save = Annotated[
    bool | None,
    typer.Option(
        help="Keep the probes for `probekit predict`. Default: unless they hold much.",
        rich_help_panel=FILES,
    ),
]
