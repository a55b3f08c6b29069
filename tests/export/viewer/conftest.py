from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.export.bundle import decode_bundle
from src.export.viewer.page import LightmapPart, ViewedBundle, write_viewer
from src.export.viewer.truth import truth_pictures
from tests.export.test_bundle import STORED_3
from tests.export.viewer.browser import Viewer
from tests.lightmap_example import HOURS, example_frames

DESKTOP = (1100, 760)


@pytest.fixture
def viewer(browser) -> Iterator[Callable[..., Viewer]]:
    """``viewer(file, hash, size, script)`` opens a page; at the end none of them has complained or asked for more."""
    opened = []

    def make(file: Path, hash_: str = "", size: tuple[int, int] = DESKTOP, script: str = "", **context) -> Viewer:
        page = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-GB", **context).new_page()
        if script:
            page.add_init_script(script)
        opened.append(Viewer(page))
        return opened[-1].open(file, hash_)

    yield make
    for one in opened:
        assert one.errors == [] and len(one.requests) == 1
        one.page.context.close()


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of one bundle with the images it stands for."""
    content = STORED_3.read_bytes()
    frames, mask = example_frames()
    truth = truth_pictures(decode_bundle(content), frames, HOURS, mask)
    bundle = ViewedBundle("courtyard", content, [LightmapPart("", 40, 48, truth)])
    return write_viewer(tmp_path_factory.mktemp("page") / "day.html", [bundle])
