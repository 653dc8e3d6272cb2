"""The benchmarks: each has its case and targets, the table says what was measured, and the clocks tell the truth."""

import json
import sys

import pytest

from probekit import images
from probekit.extract import ExtractSettings, extract
from probekit.manifest import Manifest
from tests.benchmarks import timing
from tests.benchmarks.__main__ import main
from tests.benchmarks.benchmark import Benchmark, Figure, NotMeasured, Target, benchmarks
from tests.benchmarks.cases.memory import finish
from tests.benchmarks.material import manifest_of, photographs, tiny_pngs

PROMISED = {
    "auc-bootstrap",
    "blacklist-match",
    "blacklist-register",
    "cka-taps",
    "exact-search",
    "extract-overhead",
    "extract-vitl14",
    "forward-efficiency",
    "gallery-cost",
    "gpu-dinov2",
    "gpu-sam",
    "gpu-sweep",
    "gpu-vitl14",
    "group-exclusion",
    "layer-sweep",
    "load-features",
    "logistic-sweep",
    "map",
    "memory-flat",
    "multinomial-sweep",
    "ray-overhead",
    "rerun-million",
    "taps-all-blocks",
    "three-models",
}


def answer(name, measure, targets=None):
    return Benchmark(name, "a test", targets or {"ratio": Target(at_least=2.0)}, measure)


@pytest.fixture
def only(monkeypatch):
    """Puts benchmarks of the test's own in place of the real ones."""

    def put(*found):
        monkeypatch.setattr(benchmarks, "_scanned", True)
        monkeypatch.setattr(benchmarks, "_parts", {benchmark.name: benchmark for benchmark in found})

    return put


def test_every_promised_benchmark_is_registered_with_a_case_and_targets():
    assert set(benchmarks.names()) >= PROMISED
    for name in benchmarks.names():
        benchmark = benchmarks.get(name)
        assert benchmark.stands_for
        assert any(target.bounded for target in benchmark.targets.values())


def test_the_list_names_every_benchmark_and_its_target(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in PROMISED)
    assert "≥ 3.00 ×" in printed
    assert "≤ 1.50 GiB" in printed


def test_a_quick_benchmark_prints_a_table_and_writes_the_same_as_json(capsys, tmp_path):
    assert main(["load-features", "--quick", "--json", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "out.json").read_text())
    found = written["results"][0]["figures"]["rows in order"]
    assert found["verdict"] in printed
    assert f"{100 * found['value']:.1f} %" in printed
    assert found["at_least"] == 0.40
    assert "Quick sizes" in printed
    assert written["quick"]
    machine = written["machine"]
    assert machine.keys() >= {"processor", "cores", "AMX", "AVX512-BF16", "load at start", "versions"}
    assert machine["versions"].keys() >= {"torch", "torchvision", "zarr"}


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (Target(at_least=3.0), 3.0, "met"),
        (Target(at_least=3.0), 2.999, "not met"),
        (Target(at_most=1.1), 1.1, "met"),
        (Target(at_most=1.1), 1.101, "not met"),
        (Target(at_least=0.9, at_most=1.1), 0.89, "not met"),
        (Target(unit="%"), 0.1, "no target here"),
        (Target(at_least=3.0), float("nan"), "not met"),
    ],
)
def test_a_verdict_follows_from_the_bounds(target, value, verdict):
    assert Figure(value, "").verdict(target) == verdict


def test_a_figure_that_is_exempt_neither_meets_nor_misses_its_target():
    assert Figure(1.0, "", exempt="no AMX").verdict(Target(at_least=3.0)) == "no target here"


def test_what_cannot_be_measured_says_why_and_does_not_stop_the_others(only, capsys):
    def refuse(setting):
        raise NotMeasured("no GPU | none")

    only(answer("a", refuse), answer("b", lambda setting: {"ratio": Figure(2.5, "5 s of 2 s")}))
    assert main(["--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| a | a test | ratio |  | ≥ 2.00 × | not measured | no GPU ∣ none |" in printed
    assert "| b | a test | ratio | 2.50 × | ≥ 2.00 × | met | 5 s of 2 s |" in printed


def test_a_benchmark_that_fails_is_told_from_one_that_cannot_run_here(only, capsys):
    def fail(setting):
        raise OSError(28, "No space left on device")

    only(answer("a", fail), answer("b", lambda setting: {"ratio": Figure(2.5, "")}))
    assert main([]) == 1
    printed = capsys.readouterr().out
    assert "No space left" in printed
    assert "2.50 ×" in printed


def test_an_unknown_benchmark_ends_in_one_line(capsys):
    assert main(["extract-vitl15"]) == 2
    assert "Did you mean 'extract-vitl14'" in capsys.readouterr().err


def test_things_are_timed_in_turn_and_then_the_other_way_round():
    calls = []
    things = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = timing.in_turn(things, repetitions=3)
    assert "".join(calls) == "abc" + "abc" + "cba" + "abc"
    assert all(len(found.seconds) == 3 for found in times.values())


def test_a_thing_that_takes_its_own_time_is_believed():
    own = iter([9.0, 3.0, 2.0])
    assert timing.in_turn({"a": lambda: next(own)}, repetitions=2)["a"].best == 2.0


def test_the_peak_memory_of_a_child_is_its_own_and_not_its_parent_s(tmp_path):
    held = bytearray(300 << 20)
    small = timing.run_child([sys.executable, "-c", "pass"], tmp_path)
    large = timing.run_child([sys.executable, "-c", "bytes = bytearray(200 << 20)"], tmp_path)
    assert len(held) > small.peak
    assert 200 << 20 < large.peak < 300 << 20
    assert 0 < small.seconds < 60


def test_a_child_that_fails_says_what_it_said(tmp_path):
    with pytest.raises(RuntimeError, match=r"code 3: .*the reason"):
        timing.run_child([sys.executable, "-c", "import sys; sys.stderr.write('the reason'); sys.exit(3)"], tmp_path)


def test_what_a_rerun_is_measured_on_is_finished(tmp_path):
    finish(tmp_path, 40)
    manifest = Manifest.read(folder=tmp_path / "manifests")
    result = extract(manifest, ExtractSettings(models=("npr",)), cache=tmp_path / "cache", device="cpu")
    (found,) = result.models
    assert (found.rows, found.done, found.computed) == (40, 40, 0)


def test_photographs_and_tiny_images_are_readable_and_all_of_other_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.benchmarks.material.PICTURES", 2)
    names = [*photographs(tmp_path, 3), *(name for name, _ in tiny_pngs(tmp_path, 5))]
    manifest = manifest_of(tmp_path, names)
    assert len({path.read_bytes() for path in manifest.absolute_paths()}) == 8
    sizes = [tuple(images.load(path).shape) for path in manifest.absolute_paths()]
    assert sizes == [(3, 512, 512)] * 3 + [(3, 8, 8)] * 5
