"""Requests for taps and the taps that they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import UnknownNameError, UsageError
from probekit.models import ModelCard
from probekit.models.requests import check_models, compact, expand, expand_taps
from probekit.views import View

TAPS = {"proj": (4,), "cls": (8,), "patches": (9, 8)}
for number in range(12):
    TAPS |= {f"cls@{number}": (8,), f"ln2@{number}": (8,), f"patches@{number}": (9, 8)}


def card(taps=TAPS, name="clip", default="proj"):
    return ModelCard(name, "none", "MIT", View("native"), taps, default)


@pytest.mark.parametrize(
    ("requests", "taps"),
    [
        ([], ["proj"]),
        (["final"], ["proj"]),
        (["cls@3", "ln2@11"], ["cls@3", "ln2@11"]),
        (["cls@9-11"], ["cls@9", "cls@10", "cls@11"]),
        (["cls@all"], [f"cls@{i}" for i in range(12)]),
        (["cls@2", "cls@1-3", "final", "proj"], ["cls@2", "cls@1", "cls@3", "proj"]),
        (["patches@4"], ["patches@4"]),
        (["clip#cls@0-1", "srm#final"], ["cls@0", "cls@1"]),
        (["clip#cls@0", "ln2@0"], ["cls@0", "ln2@0"]),
        (["srm#blocks"], ["proj"]),
    ],
)
def test_requests_mean_these_taps_each_once(requests, taps):
    assert list(expand_taps(card(), requests)) == taps


def test_all_means_every_tap_of_one_vector_and_leaves_large_ones_to_their_names():
    assert set(expand_taps(card(), ["all"])) == {tap for tap in TAPS if "patches" not in tap}


def test_blocks_ascend_whatever_the_order_in_which_they_are_known():
    assert expand("x", {"a@10": (1,), "a@9": (1,), "a@2": (1,)}, ["a@all"], "a@2") == ("a@2", "a@9", "a@10")


@pytest.mark.parametrize(
    "request_", ["mean@all", "cls@12", "cls@0-12", "cls@0-9999", "registers", "cls@", "@all", "cls@x"]
)
def test_a_request_that_means_nothing_lists_what_the_model_has(request_):
    with pytest.raises(
        UsageError, match=r"clip has no tap '.*' ?.*It has proj, cls, patches, cls@0-11, ln2@0-11, "
    ) as error:
        expand_taps(card(), [request_])
    assert "MODEL#TAP" in str(error.value)


def test_all_blocks_of_a_model_without_blocks_is_one_line():
    srm = card({"blocks": (135,)}, "srm", "blocks")
    with pytest.raises(
        UsageError, match=r"^srm has no tap 'cls@all'\. It has blocks\. Of one model alone: MODEL#TAP\.$"
    ):
        expand_taps(srm, ["cls@all"])


def test_a_range_that_runs_backwards_says_how_to_write_it():
    with pytest.raises(UsageError, match="cls@2-5"):
        expand_taps(card(), ["cls@5-2"])


def test_a_request_for_a_model_that_does_not_run_is_an_error():
    check_models(["clip#cls@all", "final"], ["clip", "srm"])
    with pytest.raises(UnknownNameError, match="Did you mean 'clip'"):
        check_models(["clpi#cls@all"], ["clip", "srm"])


def test_a_name_with_a_colon_and_a_slash_can_be_asked_alone():
    vit = card(name="open_clip:ViT-B-32/openai")
    assert expand_taps(vit, ["open_clip:ViT-B-32/openai#cls@1"]) == ("cls@1",)


@given(st.sets(st.tuples(st.sampled_from(["cls", "mean"]), st.integers(0, 40)), min_size=1))
def test_what_is_said_shortly_means_the_same_taps(blocks):
    taps = {f"{stem}@{number}": (8,) for stem, number in blocks}
    assert set(expand("x", taps, compact(taps), "cls@0")) == set(taps)
