"""Options of `probekit probe` that mean nothing, or nothing together, are one clear line."""

import pytest

from tests.cli.test_commands import one_line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--pool --leave-one-out", ["--pool and --leave-one-out", "choose one"]),
        ("--leave-one-out --train lama", ["--leave-one-out", "leave --train out"]),
        ("--shots 1 --fuse", ["--shots and --fuse are two questions"]),
        ("--perturbed all --choose-features", ["--perturbed and --choose-features are two questions"]),
        ("--address auto", ["--address is about a cluster", "add --engine ray"]),
        ("--workers-per-node 2 --engine local", ["--workers-per-node is about a cluster"]),
        ("--engine ray --memory 1GiB", ["--memory", "leave --memory or --engine ray out"]),
        ("--engine dask", ["--engine", "'dask'", "ray"]),
        ("--engine ray --device cuda:1", ["--device cuda:1", "cpu or cuda, on every node"]),
        ("--engine ray --address nowhere", ["--address nowhere", "HOST:PORT"]),
        ("--shots 0", ["--shots 0", "1,5,10,50,all"]),
        ("--shots many", ["--shots many", "1,5,10,50,all"]),
        ("--shots ''", ["--shots", "1,5,10,50,all"]),
        ("--shots 9999", ["9999 shots", "lama of celeb has 10 ", "training samples", "fewer"]),
        ("--shots 2 --curves", ["--curves", "--shots"]),
        ("--shots 2 --save", ["--save", "--shots"]),
        ("--seeds 2 --curves", ["--curves", "--seeds"]),
        ("--perturbed ''", ["perturbation ''"]),
        ("--perturbed none", ["--perturbed none", "blur:sigma=1, jpeg:50"]),
        ("--perturbed jpg:50", ["unknown perturbation 'jpg'"]),
        ("--fuse", ["two kinds of features", "npr+OTHER"]),
        ("--choose-features", ["one kind of features", "--taps all"]),
        ("--C 0", ["C is 0", "positive"]),
        ("--C=-1", ["C is -1", "positive"]),
        ("--C inf", ["--C inf", "finite"]),
        ("--C 1 --probe knn", ["knn has no C, it has k"]),
        ("--k 3", ["logistic has no k, it has C"]),
        ("--probe ,", ["--probe", "a name is missing"]),
        ("--criterion aucc", ["Did you mean 'auc'"]),
        ("--selection cvv", ["unknown selection", "cv, oracle, robust, val"]),
        ("--selection robust --train lama", ["robust", "--train lama+ldm"]),
        ("--oracle --selection val", ["--oracle", "--selection val", "leave one of them out"]),
        ("--oracle --C 1", ["--oracle", "logistic has nothing left to choose"]),
        ("--oracle --probe prototype", ["--oracle", "prototype has nothing left to choose"]),
        ("--criterion auc --k 3 --probe knn", ["--criterion", "knn has nothing left to choose"]),
        ("--threshold 0.7", ["unknown threshold '0.7'", "val-eer"]),
        ("--threshold val-fpr5", ["8 real samples cannot resolve an FPR of 5 %", "val-eer"]),
        ("--calibrate plat", ["Did you mean 'platt'"]),
        ("--aggregate median", ["unknown aggregation 'median'", "topK"]),
        ("--aggregate top0", ["unknown aggregation 'top0'"]),
        ("--aggregate mean --unit film", ["no column 'film'", "clip"]),
        ("--unit clip", ["--unit clip", "--aggregate"]),
        ("--across city", ["'city'", "domain"]),
        ("--task binary,attribution --shots 2", ["--shots is for --task binary"]),
        ("--task attribution --seeds 3", ["--seeds is for --task binary"]),
        ("--task attribution --threshold val-eer", ["--threshold is for --task binary"]),
        ("--task attribution --pool", ["--pool is for --task binary"]),
        ("--task one-vs-rest --curves", ["--curves is for --task binary"]),
        ("--train lama@nowhere", ["unknown domain of lama 'nowhere'", "celeb, ff"]),
        ("--train all-lma", ["unknown generator to leave out 'lma'", "Did you mean 'lama'"]),
        ("--train ''", ["a name is missing"]),
        ("--test ''", ["a name is missing"]),
        ("--crops first", ["unknown --crops 'first'"]),
        ("--perturb jpeg:75", ["no store of npr fits", "native512 in float32"]),
    ],
)
def test_an_option_that_means_nothing_is_one_clear_line(ask, options, words):
    one_line(ask(f"--model npr --bootstrap 0 {options}"), *words)


@pytest.mark.parametrize("option", ["--seeds 0", "--seed -1", "--k 0", "--bootstrap -1", "--folds -1"])
def test_numbers_out_of_range_are_refused_before_anything_is_read(ask, option):
    answer = ask(option)
    assert answer.code == 2
    assert option.split()[0] in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("taps", ["blocks", "mean@1,blocks"])
def test_a_tap_of_another_model_is_answered_with_those_that_there_are(ask, taps):
    known = {"blocks": "Known: cls@0-6.", "mean@1,blocks": "it has cls@0-6"}[taps]
    one_line(ask(f"--model hf:vit,npr --taps {taps}"), "hf:vit", known)


def test_perturbed_images_are_asked_of_one_kind_of_features(ask):
    one_line(ask("--model npr+srm --perturbed all"), "npr#blocks+srm#blocks", "one kind of features")
