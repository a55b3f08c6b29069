"""The engines of the viewer's page in Chromium: what each decodes and shows, and which is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.export.bundle import decode_bundle
from src.utils.color import linear_to_srgb
from tests.export.test_bundle import STORED_3
from tests.export.test_c import CASES

SHOWN = (0.0, 5.95, 6.0, 10.5, 18.05, 22.5, 23.999)
ENGINES = {  # which opens what of test_c's bundles
    "webgpu": ("version 2", "version 3", "display values"),
    "webgl2-baked": ("version 2", "version 3"),
    "webgl2": ("version 1", "version 3", "4 bits", "many weights"),
    "wasm": ("version 1", "display values", "many weights"),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_decodes_as_python_does(viewer, day: Path, engine: str) -> None:
    page = viewer(day, f"engine={engine}")
    for case in ENGINES[engine]:
        content = CASES[case]()
        page.js("document.documentElement.dataset.engine = ''")
        page.drop(content, f"{case}.tod")
        page.page.wait_for_function(f"byId('name').textContent === '{case}' && document.documentElement.dataset.engine")
        assert page.state("engine") == engine, page.state("refused")
        for hour, frame in zip(SHOWN, decode_bundle(content).render(SHOWN), strict=True):
            assert np.abs(page.decoded(hour) - frame[::3, ::2]).max() < 1e-5 * frame.max(), (case, hour)


def test_a_network_too_large_to_unroll_takes_the_loop(viewer, day: Path) -> None:
    page = viewer(day, "engine=webgl2-baked")
    page.drop(CASES["many weights"](), "large.tod")
    page.page.wait_for_function("document.documentElement.dataset.engine === 'webgl2'")
    assert "the network is large" in page.state("refused")


@pytest.mark.parametrize("engine", ["webgpu", "webgl2", "wasm"])
def test_the_window_shows_the_colours(viewer, day: Path, engine: str) -> None:
    page = viewer(day, f"engine={engine}&hour=10.5")
    colours = decode_bundle(STORED_3.read_bytes()).render([10.5])[0]
    peak = page.js("app.shown.white")
    page.js("app.choose('exposure', -1)")
    page.settle()
    for x, y in ((5, 5), (20, 30), (40, 12)):
        expected = 255 * linear_to_srgb(colours[y, x] / peak / 2)
        assert np.abs(page.shown(x, y) - expected).max() < 2
    page.js("app.choose('filter', 'bilinear')")
    page.settle()
    expected = 255 * linear_to_srgb(colours[30, 20] / peak / 2)
    assert np.abs(page.shown(20, 30) - expected).max() < 4  # a pixel's middle is near a texel's
    page.js("app.choose('tone', 'reinhard')")
    page.settle()
    value = colours[30, 20] / peak / 2
    assert np.abs(page.shown(20, 30) - 255 * linear_to_srgb(value * (1 + value / 16) / (1 + value))).max() < 4


@pytest.mark.parametrize(
    "broken, engine, reason",
    [
        ("WebGL2RenderingContext.prototype.linkProgram = () => {}", "wasm", "webgl2: "),
        ("const get = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext = function (kind,"
         " ...rest) { return kind === '2d' ? get.call(this, kind, ...rest) : null; }", "wasm", "no WebGL2"),
        ("let times = 0; const read = WebGL2RenderingContext.prototype.getBufferSubData;"
         "WebGL2RenderingContext.prototype.getBufferSubData = function (...all) "
         "{ read.apply(this, all); if (times++ === 0) all[2].fill(0); }", "webgl2", "colours differ"),
        ("WebGL2RenderingContext.prototype.getBufferSubData = () => {}", "wasm", "webgl2: colours differ"),
    ],
    ids=["does not link", "no context", "one shader gives zeros", "all shaders give zeros"],
)  # fmt: skip
def test_what_a_browser_lacks_or_does_wrong_is_not_used(
    viewer, day: Path, broken: str, engine: str, reason: str
) -> None:
    page = viewer(day, "engine=webgl2-baked&hour=12", script=broken)
    assert page.state("engine") == engine and reason in page.state("refused")
    frame = decode_bundle(STORED_3.read_bytes()).render([12.0])[0]
    assert np.abs(page.shown(20, 30) - 255 * linear_to_srgb(frame[30, 20] / page.js("app.shown.white"))).max() < 2


def test_an_imitated_graphics_card_is_left_alone(viewer, day: Path) -> None:
    page = viewer(day)
    assert page.state("engine") == "wasm"
    assert page.state("refused").count("without a graphics card") == 3


def test_the_first_picture_waits_for_no_graphics_card(viewer, day: Path) -> None:
    """A browser that answers only once there is a picture: it would never open otherwise."""
    answer = "document.documentElement.dataset.firstPicture && done(null)"
    late = f"{{ requestAdapter: () => new Promise((done) => setInterval(() => {answer}, 20)) }}"
    page = viewer(day, "hour=12", script=f"Object.defineProperty(navigator, 'gpu', {{ value: {late} }})")
    assert "webgpu: no WebGPU" in page.state("refused") and page.state("engine") == "wasm"
    assert int(page.state("firstPicture")) <= int(page.state("opened"))
