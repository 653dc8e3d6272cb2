"""`extract-overhead` and `three-models`: what an extraction takes beyond decoding and the networks.

    ratio = T(extract) / (T(decode) / cores + Σ T(forward of a model))

- T(extract): `probekit.extract.extract` in this process, from files to committed and folded rows. Reading the
  weights and starting up are taken off by the difference of two extractions, of a few images and of n more.
- T(decode): the same n files read and decoded once, and cropped for every different view, by one thread with
  probekit's own functions, divided by the cores: what perfect decoding on all of them takes.
- T(forward): the network alone on its own crops, in ready batches of the same size; features without weights on the
  thread that asks for them.

Decoding is added to the forward time, not hidden behind it, because on a CPU both need the same cores. All are
measured in turn, and the fastest of each counts. Files are in the page cache.
"""

from collections.abc import Mapping, Sequence

from tests.benchmarks import engine, material
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.engine import Extraction, Subject
from tests.benchmarks.timing import in_turn


@add(
    "extract-overhead",
    stands_for="1,000 JPEGs of 512²: a network as cheap as decoding (ViT-Ti/16), and ViT-L/14",
    targets={"ViT-Ti/16": Target(at_most=1.10), "ViT-L/14": Target(at_most=1.10)},
)
def measure_one_model(setting: Setting) -> Mapping[str, Figure]:
    """Extraction time over the time of its two unavoidable parts."""
    n, few, of_large, batch_size = (setting.size(*sizes) for sizes in ((1000, 24), (64, 8), (96, 8), (32, 4)))
    setting.say(f"making {n + few} images")
    names = material.photographs(setting.shared / "images", n + few)
    tiny = _timm(setting, "vit_tiny_patch16_224", batch_size)
    large = Subject("clip", material.clip_checkpoint(setting.shared), batch_size=batch_size)
    return {
        "ViT-Ti/16": _overhead(setting, [tiny], names, few, repetitions=setting.size(3, 1)),
        "ViT-L/14": _overhead(
            setting, [large], names[: of_large + batch_size], batch_size, repetitions=setting.size(2, 1)
        ),
    }


@add(
    "three-models",
    stands_for="several models over a data set in one pass: ViT-B/16, ViT-S/16 and NPR",
    targets={"extract": Target(at_most=1.05)},
)
def measure_three_models(setting: Setting) -> Mapping[str, Figure]:
    """Extraction time with three models over one decoding and three forward passes."""
    n, few, batch_size = setting.size(256, 8), setting.size(32, 4), setting.size(32, 4)
    setting.say(f"making {n + few} images")
    names = material.photographs(setting.shared / "images", n + few)
    base, small = (_timm(setting, arch, batch_size) for arch in ("vit_base_patch16_224", "vit_small_patch16_224"))
    subjects = [base, small, Subject("npr", batch_size=batch_size)]
    return {"extract": _overhead(setting, subjects, names, few, repetitions=setting.size(3, 1))}


def _timm(setting: Setting, arch: str, batch_size: int) -> Subject:
    return Subject(f"timm:{arch}", material.timm_checkpoint(setting.shared, arch), batch_size=batch_size)


def _overhead(
    setting: Setting, subjects: Sequence[Subject], names: Sequence[str], few: int, repetitions: int
) -> Figure:
    root, n = setting.shared / "images", len(names) - few
    extraction = Extraction(material.manifest_of(root, names), subjects, setting.folder, few)
    later = material.manifest_of(root, names[few:])
    views = list(dict.fromkeys(subject.view for subject in subjects))
    setting.say(f"{n} images through {', '.join(subject.name for subject in subjects)}, {repetitions} times")
    batches = {subject: subject.batches(engine.crops_of(later, subject.view)) for subject in subjects}
    for subject in subjects:
        subject.forward(batches[subject][:1])  # reads the weights
    times = in_turn(
        {
            **extraction.things(),
            "decode": lambda: engine.decode_seconds(later, views),
            **{subject.name: lambda subject=subject: subject.forward(batches[subject]) for subject in subjects},
        },
        repetitions,
        warm_up=False,
    )
    extracted, decode = extraction.seconds(times), times["decode"].best
    forward = {subject.name: times[subject.name].best for subject in subjects}
    parts = " + ".join(f"{seconds:.2f}" for seconds in forward.values())
    return Figure(
        extracted / (decode + sum(forward.values())),
        f"{n} images: extract {extracted:.2f} s, decode / cores {decode:.2f} s, forward {parts} s",
        raw={
            "images": n,
            "precision": {subject.name: subject.precision for subject in subjects},
            "seconds": {name: found.seconds for name, found in times.items()},
        },
    )
