"""Edges survive enlarging: the mask follows the picture's, and gains do not bleed over the mask's."""

import numpy as np

from src.inference.upsampling import resize_mask, resize_within
from src.utils.resize import resize_area


def silhouette(size):
    """A disc, 1 inside; area-averaged from four times the size."""
    axis = (np.arange(4 * size) + 0.5) / (4 * size) - 0.5
    disc = (np.hypot(axis[:, None], axis) < 0.31).astype(np.float32)
    return resize_area(disc, size, size)


def test_the_mask_follows_the_silhouette_of_the_picture():
    truth, coarse = silhouette(256), silhouette(32)
    relit = np.repeat((0.02 + 0.5 * truth)[..., None], 3, axis=2)
    guided = resize_mask(coarse, relit, 0.01)
    assert np.abs(guided - truth).mean() < 0.5 * np.abs(resize_area(coarse, 256, 256) - truth).mean()
    assert guided.min() >= 0 and guided.max() <= 1


def test_a_constant_mask_stays_constant_and_flat_pictures_guide_nothing():
    relit = np.random.default_rng(0).random((90, 70, 3)).astype(np.float32)
    for coarse, fine in ((0.1, 0.0), (0.5, 0.5), (0.65, 0.75), (0.9, 1.0)):  # steeper than it was
        guided = resize_mask(np.full((30, 24), coarse, np.float32), relit, 0.01)
        np.testing.assert_allclose(guided, fine, atol=1e-5)
    flat = resize_mask(silhouette(32), np.full((256, 256, 3), 0.4, np.float32), 0.01)
    assert np.abs(flat - resize_area(silhouette(32), 256, 256)).mean() < 0.05  # softer, in the same place


def test_where_nothing_guides_it_the_mask_ends_near_the_silhouette():
    """Else a halo of what was done to the person lies on the background."""
    guided = resize_mask(silhouette(128), np.full((256, 256, 3), 0.4, np.float32), 0.01)
    axis = (np.arange(256) + 0.5) / 256 - 0.5
    distance = np.hypot(axis[:, None], axis) - 0.31
    assert guided[distance > 0.04].max() < 0.01 and guided[distance < -0.04].min() > 0.99


def test_gains_of_the_background_do_not_reach_into_the_mask():
    mask = silhouette(32)
    gain = np.where(mask[..., None] > 0.5, 1.0, -3.0).astype(np.float32).repeat(3, axis=2)
    inside = silhouette(256) == 1
    within, plain = resize_within(gain, mask, 256, 256)[inside], resize_area(gain, 256, 256)[inside]
    assert np.abs(within - 1).mean() < 0.5 * np.abs(plain - 1).mean()


def test_mixed_pixels_get_what_holds_for_the_person_beside_them():
    """A network that is asked for the person over black says of a half-covered pixel half of it."""
    mask = silhouette(128)
    mixed = (mask > 0) & (mask < 1)
    gain = np.log(np.maximum(0.5 * mask, 1e-3))[..., None].repeat(3, axis=2).astype(np.float32)
    within = resize_within(gain, mask, 128, 128)
    errors = (np.abs(of[mixed] - np.log(0.5)) for of in (within, gain))
    assert next(errors).max() < 0.2 < next(errors).mean() / 2
    np.testing.assert_array_equal(within[mask == 1], gain[mask == 1])


def test_without_a_mask_gains_are_only_resized():
    gain = np.random.default_rng(0).random((32, 24, 3)).astype(np.float32)
    np.testing.assert_array_equal(resize_within(gain, None, 64, 64), resize_area(gain, 64, 64))
