"""EXR: which layer of which part is read, and which is picked."""

from __future__ import annotations

import numpy as np
import OpenEXR
import pytest

from src.utils import image_io
from src.utils.cli import InputError
from src.utils.exr_layers import exr_layer
from tests.utils.exr_files import layer, write, write_parts
from tests.utils.picture_files import random_image


@pytest.mark.parametrize("prefix", ["Combined.", "ViewLayer.Combined.", "a.b.c."])
def test_the_only_rgb_layer_is_taken(tmp_path, prefix):
    image, alpha = random_image(8, 6), np.full((8, 6), 0.5, np.float32)
    depth = {"ViewLayer.Depth.Z": image[..., 0].copy(), "ViewLayer.Normal.X": image[..., 1].copy()}
    write(tmp_path / "a.exr", {**layer(prefix, image * 0.5, alpha), **depth})
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.exr"), image, rtol=1e-6)
    assert image_io.read_alpha(tmp_path / "a.exr").mean() == 0.5


def test_letter_case_and_long_names_of_channels(tmp_path):
    image = random_image(8, 6)
    for names in ("rgb", ("red", "green", "blue")):
        planes = {f"x.{name}": np.ascontiguousarray(image[..., k]) for k, name in enumerate(names)}
        write(tmp_path / "a.exr", planes)
        np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), image)


@pytest.mark.parametrize("kind", [OpenEXR.scanlineimage, OpenEXR.tiledimage])
@pytest.mark.parametrize("prefix", ["", "ViewLayer.Combined."])
def test_multi_part_with_depth_first(tmp_path, prefix, kind):
    image = random_image(40, 70)
    write_parts(tmp_path / "a.exr", ("depth", {"Z": image[..., 0].copy()}), ("rgba", layer(prefix, image)), kind=kind)
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), image)
    assert image_io.image_size(tmp_path / "a.exr") == (40, 70)


def test_parts_of_different_sizes(tmp_path):
    image = random_image(5, 9)
    write_parts(tmp_path / "a.exr", ("depth", {"Z": np.zeros((5, 9), np.float32)}), ("rgb", layer("", image)))
    assert image_io.image_size(tmp_path / "a.exr") == (5, 9)


def test_several_layers_are_refused_by_name_and_picked(tmp_path):
    diffuse, gloss = random_image(8, 6, seed=1), random_image(8, 6, seed=2)
    shade = random_image(8, 6, seed=3)[..., 0].copy()
    layers = {**layer("Main.Diffuse.", diffuse), **layer("Main.Gloss.", gloss), "Main.AO.Y": shade}
    write(tmp_path / "a.exr", layers)
    for read in (image_io.read_linear, image_io.image_size):
        with pytest.raises(InputError, match=r"has the layers Main\.Diffuse, Main\.Gloss: pick one with --exr_layer"):
            read(tmp_path / "a.exr")
    for name, expected in (("Main.Gloss", gloss), ("gloss", gloss), ("main.diffuse", diffuse)):
        with exr_layer(name):
            np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), expected)
    with exr_layer("AO"):
        np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), np.dstack([shade] * 3))
    with exr_layer("Shadow"), pytest.raises(InputError, match=r"no picture layer 'Shadow': --exr_layer takes one of"):
        image_io.read_linear(tmp_path / "a.exr")


def test_parts_go_by_their_names(tmp_path):
    beauty, light = random_image(8, 6, seed=1), random_image(8, 6, seed=2)
    write_parts(tmp_path / "a.exr", ("beauty", layer("", beauty)), ("key_light", layer("", light)))
    with pytest.raises(InputError, match="has the layers beauty, key_light"):
        image_io.read_linear(tmp_path / "a.exr")
    with exr_layer("key_light"):
        np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), light)


def test_the_unnamed_layer_comes_first_and_the_others_are_named(tmp_path):
    main, gloss = random_image(8, 6, seed=1), random_image(8, 6, seed=2)
    write(tmp_path / "a.exr", {**layer("", main), **layer("gloss.", gloss)})
    with pytest.warns(UserWarning, match=r"a\.exr: its unnamed layer is taken; --exr_layer picks another: gloss"):
        np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), main)
    with exr_layer("gloss"):
        np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), gloss)


def test_files_of_one_layer_are_read_whatever_is_picked(tmp_path):
    image = random_image(8, 6)
    image_io.write_linear(tmp_path / "a.exr", image, bits=32)
    with exr_layer("gloss"):
        np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), image)


def test_a_choice_ends_with_its_block(tmp_path):
    write(tmp_path / "a.exr", {**layer("x.", random_image(8, 6)), **layer("y.", random_image(8, 6))})
    with exr_layer("x"):
        with exr_layer(None):
            image_io.read_linear(tmp_path / "a.exr")
        with exr_layer("y"):
            pass
        image_io.read_linear(tmp_path / "a.exr")
    with pytest.raises(InputError, match="pick one"):
        image_io.read_linear(tmp_path / "a.exr")


@pytest.mark.parametrize(
    "channels", [["depth.Z"], ["N.X", "N.Y", "N.Z"], ["R", "G"], ["a.R", "b.G", "c.B"], ["U", "V"]]
)
def test_channels_that_are_no_picture_are_named(tmp_path, channels):
    write(tmp_path / "a.exr", {name: np.ones((4, 4), np.float32) for name in channels})
    with pytest.raises(InputError, match=f"has the channels .*{channels[0]}"):
        image_io.read_linear(tmp_path / "a.exr")
