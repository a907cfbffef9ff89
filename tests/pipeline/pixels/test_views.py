"""Fixed views of an image."""

import numpy as np

from headstart.pipeline.pixels.views import make_view, view_key

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
DIGEST = "ab" * 32


def test_a_view_is_decided_by_image_number_and_seed() -> None:
    keys = {
        view_key(image, view, seed) for image in (DIGEST, "cd" * 32) for view in (1, 2) for seed in (0, 1)
    }
    assert len(keys) == 8
    assert view_key(DIGEST, 0, 5) == DIGEST
    views = [make_view(PIXELS, key) for key in sorted(keys)]
    assert all(view.shape == PIXELS.shape and view.dtype == np.uint8 for view in views)
    assert all(
        np.array_equal(make_view(PIXELS, key), view) for key, view in zip(sorted(keys), views, strict=True)
    )
    assert len({view.tobytes() for view in views}) == 8


def test_some_views_are_mirrored_and_brightness_stays_near() -> None:
    ramp = np.repeat(np.linspace(0, 255, 48, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    views = [make_view(ramp, view_key(DIGEST, view, 0)) for view in range(1, 41)]
    rising = [view[:, -1].mean() > view[:, 0].mean() for view in views]
    assert 8 < sum(rising) < 32
    assert all(abs(view.mean() / ramp.mean() - 1) < 0.6 for view in views)
