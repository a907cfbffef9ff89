"""Short vectors of features keep what distinguishes pictures, and the unusual stand out."""

import numpy as np
from held import Held

from headstart.pipeline.features.vectors import KEPT, vectors
from headstart.pipeline.inspection.neighbours import neighbours, unusualness


def of(values: np.ndarray) -> np.ndarray:
    return vectors(Held(values), len(values), 0, lambda done: None)


def test_distances_are_those_of_the_standardised_features() -> None:
    values = np.random.default_rng(0).normal(size=(300, 40)) * np.arange(1, 41) + 7
    found = of(values)
    assert found.shape == (300, 40)
    standard = (values - values.mean(0)) / values.std(0)
    wanted = np.linalg.norm(standard[:50, None] - standard[None, 50:100], axis=2)
    assert np.allclose(np.linalg.norm(found[:50, None] - found[None, 50:100], axis=2), wanted, rtol=1e-3)


def test_maps_are_averaged_and_wide_rows_projected() -> None:
    random = np.random.default_rng(1)
    maps = random.normal(size=(200, 30, 4, 4))
    assert np.allclose(np.abs(of(maps)), np.abs(of(maps.mean((2, 3)))), atol=1e-3)
    centres = np.repeat(random.normal(size=(2, 4096)), 100, axis=0)
    wide = of(centres + 0.5 * random.normal(size=(200, 4096)))
    assert wide.shape == (200, KEPT)
    apart = np.linalg.norm(wide[:100].mean(0) - wide[100:].mean(0))
    assert apart > 1.5 * np.linalg.norm(wide[:100] - wide[:100].mean(0), axis=1).mean()


def test_rows_are_read_in_parts_and_constant_numbers_do_no_harm() -> None:
    values = np.random.default_rng(2).normal(size=(1500, 8))
    values[:, 3] = 5
    assert np.isfinite(of(values)).all()


def test_the_one_that_is_unlike_all_others_is_the_most_unusual() -> None:
    values = np.random.default_rng(3).normal(size=(400, 16))
    values[17] += 12
    places, distances = neighbours(of(values))
    found = unusualness(distances)
    assert found.argmax() == 17
    assert found[17] > 4
    assert np.delete(found, 17).max() < found[17] / 2
    assert not (places == np.arange(400)[:, None]).any()
