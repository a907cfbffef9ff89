"""The gate's check of classes that the champion lacks."""

import numpy as np

from headstart.pipeline.evaluation.paired_difference import Flags
from headstart.versions.release.new_classes import new_classes


def right(count: int, images: int) -> Flags:
    return np.arange(images) < count


def test_a_class_below_the_threshold_with_its_interval_fails_and_one_that_may_reach_it_passes() -> None:
    check = new_classes({"dent": right(10, 20), "hole": right(15, 20), "ok": right(20, 20)}, 0.8, 0.9)
    assert check.verdict == "failed"
    assert check.found == "recall of dent 50 % (96.67 % interval: 25.66 % to 74.34 %; 3 compared)"
    assert check.wanted == "no class below 80 % with its whole interval"
    assert new_classes({"hole": right(15, 20)}, 0.8, 0.9).verdict == "passed"


def test_classes_at_the_threshold_pass_however_many_there_are() -> None:
    random = np.random.default_rng(1)
    failed = 0
    for _ in range(40):
        answers = random.random((100, 20)) < 0.8
        failed += (
            new_classes({str(place): own for place, own in enumerate(answers)}, 0.8, 0.9).verdict == "failed"
        )
    assert failed <= 4  # 2 expected at most


def test_a_class_whose_images_prove_nothing_is_named_and_inconclusive_alone() -> None:
    one = new_classes({"dent": right(0, 1)}, 0.8, 0.9)
    assert (one.verdict, one.note) == ("inconclusive", "too few images to judge dent (1)")
    both = new_classes({"dent": right(0, 1), "hole": right(20, 20)}, 0.8, 0.9)
    assert (both.verdict, both.note) == ("passed", "too few images to judge dent (1)")
    alike = new_classes({"dent": right(0, 9)}, 0.8, 0.9, {"dent": ["an object"] * 9})
    assert alike.verdict == "inconclusive"


def test_a_threshold_of_0_requires_nothing() -> None:
    assert new_classes({"dent": right(0, 1)}, 0.0, 0.9).verdict == "passed"
