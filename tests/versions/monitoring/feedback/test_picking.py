"""Images to label: half uncertain, half unlike training, no two of them alike."""

import numpy as np

from headstart.versions.monitoring.feedback.picking import choose


def test_both_reasons_have_their_half_and_families_one_image() -> None:
    random = np.random.default_rng(0)
    confidence, unlike = np.linspace(0.5, 1, 40), np.linspace(0, 10, 40)
    features = random.normal(size=(40, 6)).astype(np.float32)
    families = [0, 0, *range(2, 38), 38, 38]
    found = dict(choose(confidence, unlike, features, families, 9))
    uncertain = [place for place, why in found.items() if why == "uncertain"]
    unlike_ones = [place for place, why in found.items() if why == "unlike"]
    assert (len(uncertain), len(unlike_ones)) == (5, 4)
    assert 0 in uncertain
    assert max(uncertain) <= 15
    assert min(unlike_ones) >= 27
    assert len({families[place] for place in found}) == 9


def test_those_furthest_from_each_other_are_chosen() -> None:
    features = np.array([[0.0], [0.01], [0.02], [5.0], [5.01], [9.0]], np.float32)
    found = choose(np.full(6, 0.5), np.zeros(6), features, list(range(6)), 4)
    assert {place for place, why in found if why == "uncertain"} == {0, 5}


def test_few_images_are_all_chosen() -> None:
    features = np.zeros((3, 2), np.float32)
    assert len(choose(np.full(3, 0.5), np.zeros(3), features, [0, 1, 2], 50)) == 3
    assert len(choose(np.full(3, 0.5), np.zeros(3), features, [0, 0, 0], 50)) == 1
