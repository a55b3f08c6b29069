"""The text of the page, and the one that is committed."""

import base64
import gzip
import re
from dataclasses import replace
from pathlib import Path

import pytest

from src.export.viewer.page import viewer_page
from src.export.viewer.renew import embedded_blocks, embedded_bundles, main

COMMITTED = Path(__file__).parents[3] / "docs" / "viewer" / "index.html"


def sources_of(page: str) -> tuple[str, bytes]:
    """A page without its decoder's bytes, which zlib may pack otherwise elsewhere, and those bytes unpacked."""
    decoder = embedded_blocks(page)["decoder"]
    return page.replace(decoder, ""), gzip.decompress(base64.b64decode(decoder))


def test_the_committed_page_is_made_of_the_present_sources() -> None:
    """Else: python -m src.export.viewer.renew docs/viewer/index.html"""
    page = COMMITTED.read_text(encoding="utf-8")
    assert sources_of(page) == sources_of(viewer_page(embedded_bundles(page)))


def test_pages_are_small() -> None:
    assert COMMITTED.stat().st_size < 1_000_000
    (bundle,) = embedded_bundles(COMMITTED.read_text(encoding="utf-8"))
    assert len(bundle.lightmaps[0].truth) == 24
    alone = replace(bundle, lightmaps=[replace(part, truth=()) for part in bundle.lightmaps])
    assert len(viewer_page([alone]).encode()) <= 1.4 * len(bundle.content) + 150_000


def test_a_page_is_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    page = COMMITTED.read_text(encoding="utf-8")
    older = tmp_path / "day.html"
    older.write_text(re.sub("<style>.*?</style>", "<style></style>", page, flags=re.DOTALL), encoding="utf-8")
    assert main([str(older)]) == 0
    assert sources_of(older.read_text(encoding="utf-8")) == sources_of(viewer_page(embedded_bundles(page)))
    other = tmp_path / "other.html"
    other.write_text("<p>", encoding="utf-8")
    assert main([str(other)]) == 2
    assert "is not a page of the viewer" in capsys.readouterr().err
    assert other.read_text(encoding="utf-8") == "<p>"
