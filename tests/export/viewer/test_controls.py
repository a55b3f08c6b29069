"""The controls of the viewer's page in Chromium: slider, keys, texels, truth, lightmaps, files, a phone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from src.export.bundle import decode_bundle, encode_bundle
from src.export.viewer.page import LightmapPart, ViewedBundle, write_viewer
from src.utils.color import linear_to_srgb
from tests.export.test_bundle import STORED, STORED_2, STORED_3, example_decoder
from tests.export.test_c import REGIONS, changed
from tests.lightmap_example import HOURS, example_frames

PHONE = (390, 844)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a bundle of two lightmaps, and one that is damaged."""
    content = encode_bundle(changed(example_decoder(5, 8, (), True), regions=REGIONS))
    parts = [LightmapPart(name, height, width) for name, _, height, width in REGIONS]
    damaged = ViewedBundle("attic", STORED_3.read_bytes()[:-50], [LightmapPart("", 40, 48)])
    return write_viewer(
        tmp_path_factory.mktemp("page") / "rooms.html", [ViewedBundle("house", content, parts), damaged]
    )


def test_dragging_the_slider_changes_the_picture(viewer, day: Path) -> None:
    page = viewer(day, "hour=3")
    before = page.shown(20, 30)
    box = page.page.locator("#hour").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.page.mouse.move(box["x"] + box["width"] * 3 / 24, middle)
    page.page.mouse.down()
    for hour in (6, 9, 12):
        page.page.mouse.move(box["x"] + box["width"] * hour / 24, middle)
    page.page.mouse.up()
    page.settle()
    assert abs(float(page.state("hour")) - 12) < 0.2
    assert page.page.locator("#clock").text_content().startswith(("11:5", "12:0"))
    assert np.abs(page.shown(20, 30).astype(int) - before).max() > 50


def test_all_moves_of_the_slider_between_two_pictures_are_one_decoding(viewer, day: Path) -> None:
    page = viewer(day, "engine=wasm&hour=3")
    move = "byId('hour').value = 8 + k / 50; byId('hour').dispatchEvent(new Event('input'));"
    calls = page.js(
        """async (move) => {
          const hours = [], decode = app.engine.decode.bind(app.engine), moved = new Function("k", move);
          app.engine.decode = (hour) => { hours.push(hour); decode(hour); };
          for (let k = 0; k <= 200; k++) moved(k);
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          return hours;
        }""",
        move,
    )
    assert calls == [12.0] and float(page.state("hour")) == 12


def test_keys_and_play(viewer, day: Path) -> None:
    page = viewer(day, "hour=6")
    press = page.page.keyboard.press
    press("ArrowRight")
    press("Shift+ArrowRight")
    page.settle()
    assert float(page.state("hour")) == 7.25
    press("Space")
    page.page.wait_for_function("Number(document.documentElement.dataset.hour) > 7.3")
    press("Space")
    assert not page.js("app.timeline.isPlaying")
    press("b")
    press("t")
    press("]")
    assert page.js("[app.bilinear, app.tone, byId('exposure').value]") == [True, "reinhard", "0.5"]
    zoom = page.js("app.view.zoom")
    press("+")
    assert page.js("app.view.zoom") > zoom
    press("0")
    assert page.js("app.view.zoom") == zoom
    press("l")
    assert (
        page.page.locator("[data-say=display]").text_content() == "显示"
        and page.js("document.documentElement.lang") == "zh"
    )


def test_a_tapped_texel_shows_its_numbers_and_its_day(viewer, day: Path) -> None:
    page = viewer(day, "hour=12")
    box = page.page.locator("#stage").bounding_box()
    zoom, left, top = page.js("[app.view.zoom, app.view.panX, app.view.panY]")
    page.page.mouse.click(box["x"] + left + 30.5 * zoom, box["y"] + top + 10.5 * zoom)
    page.settle()
    assert page.page.locator("#where").text_content() == "30, 10"
    numbers = [float(text) for text in page.page.locator("#rgb b").all_text_contents()]
    decoder = decode_bundle(STORED_3.read_bytes())
    assert np.allclose(numbers, decoder.render([12.0])[0][10, 30], rtol=6e-3)
    baked = page.js("app.day.baked.map(({rgb}) => [...rgb])")
    assert np.abs(np.array(baked) - decoder.render(list(HOURS))[:, 10, 30]).max() < 1e-4
    page.page.wait_for_function("app.day.truth.length === 10")
    truth = np.array(page.js("app.day.truth.map(({rgb}) => [...rgb])"))
    assert np.abs(truth - example_frames()[0][:, 10, 30]).max() < 0.1
    page.page.mouse.click(box["x"] + left + 0.5 * zoom, box["y"] + top + 0.5 * zoom)
    page.settle()
    assert "not valid" in page.page.locator("#hint").text_content()


def test_truth_and_error_stand_beside_the_day(viewer, day: Path) -> None:
    page = viewer(day, "hour=11&compare")
    page.page.wait_for_function("app.truthScale")
    page.settle()
    assert page.state("hour") == "12.0000"  # the nearest baked one
    labels = page.page.locator("#labels span").all_text_contents()
    assert labels[:2] == ["Decoded", "Truth"] and re.fullmatch(r"Error\d+\.\d dBfull scale 10 %", labels[2])
    truth = example_frames()[0][HOURS.index(12.0)]
    white = page.js("app.shown.white")
    for x, y in ((20, 30), (40, 12)):
        assert np.abs(page.shown(x, y, panel=1) - 255 * linear_to_srgb(truth[y, x] / white)).max() < 8


def test_other_lightmaps_and_a_damaged_one(viewer, rooms: Path) -> None:
    page = viewer(rooms)
    assert page.page.locator("#name").text_content() == REGIONS[0][0]
    page.page.keyboard.press("PageDown")
    page.page.wait_for_function(f"byId('name').textContent === '{REGIONS[1][0]}'")
    expected = decode_bundle(encode_bundle(changed(example_decoder(5, 8, (), True), regions=REGIONS)))
    frame = expected.lightmap(REGIONS[1][0]).render([12.0])[0]
    assert np.abs(page.decoded(12.0) - frame[::3, ::2]).max() < 1e-5 * frame.max()
    page.page.click("#gallery-open")
    page.page.wait_for_function("byId('cards').textContent.includes('attic: cannot be opened')")
    assert page.page.locator("#cards button").count() == 3
    shown = "[...byId('cards').children].indexOf(document.activeElement)"
    assert page.js(shown) == 1 == page.js("[...byId('cards').children].findIndex((card) => card.ariaCurrent)")
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")  # there is none after the last
    assert page.js(shown) == 2
    picture = page.js(
        """[...byId("cards").children].slice(0, 2).map(({ firstChild: { width, height } }) => [width, height])"""
    )
    assert picture == [[width, height] for _, _, height, width in REGIONS]
    page.page.locator("#cards button").nth(2).click()
    page.page.wait_for_selector("#toast.on")
    assert "attic: cannot be opened: the bundle is truncated or damaged" in page.page.locator("#toast").text_content()
    page.page.locator("#gallery-open").click()
    page.page.locator("#cards button").nth(0).click()
    page.page.wait_for_function(f"byId('name').textContent === '{REGIONS[0][0]}'")


@pytest.mark.parametrize("language, words", [("en", "is truncated or damaged"), ("zh", "被截断或已损坏")])
def test_a_page_of_a_damaged_file_is_a_sentence(viewer, tmp_path: Path, language: str, words: str) -> None:
    damaged = ViewedBundle("attic", STORED_3.read_bytes()[:-50], [LightmapPart("", 40, 48)])
    page = viewer(write_viewer(tmp_path / "a.html", [damaged]), f"lang={language}")
    assert page.page.locator("#message").is_visible() and words in page.page.locator("#message").text_content()
    page.drop(STORED_2.read_bytes(), "other.tod")
    page.page.wait_for_function("byId('name').textContent === 'other'")
    assert not page.page.locator("#message").is_visible()


def test_dropped_files(viewer, day: Path) -> None:
    page = viewer(day)
    page.drop(STORED.read_bytes(), "first.tod")
    page.page.wait_for_function("byId('name').textContent === 'first'")
    assert page.js("app.shown.bundle.version") == 1 and page.page.locator("#compare-row").is_hidden()
    page.drop(b"%PDF-1.7" + bytes(200), "letter.tod")
    page.page.wait_for_selector("#toast.on")
    assert page.page.locator("#toast").text_content() == (
        "letter.tod: cannot be opened: this is not a bundle: it does not start as one"
    )
    assert page.page.locator("#name").text_content() == "first"


def test_a_phone(viewer, day: Path) -> None:
    page = viewer(day, "hour=12", size=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    assert page.js("document.scrollingElement.scrollWidth") <= PHONE[0]
    for name in ("#stage canvas", "#play", "#hour", ".thumb.now"):
        box = page.page.locator(name).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0] and box["y"] + box["height"] <= PHONE[1], name
    box = page.page.locator("#stage").bounding_box()
    page.page.touchscreen.tap(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    page.settle()
    assert page.page.locator("#where").text_content() == "28, 20"
    page.js("(button) => document.querySelector('.thumb').click()")
    page.settle()
    assert page.state("hour") == "0.0000"
