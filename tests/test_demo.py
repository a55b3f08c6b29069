"""The page in a browser: upload, slider, lights, languages, phone width, errors, and nothing from elsewhere."""

import sys
import threading
import zipfile

import numpy as np
import pytest

import demo
from src.utils.cli import InputError
from src.utils.image_io import write_display, write_linear
from tests.inference.models import write_checkpoint
from tests.inference.relit_models import write_relit_checkpoint
from tests.tiny_runs import one_error_line

DAY = "tests/export/day_v3.tod"
WAIT_MS = 60_000


def write_photo(path, seed=0):
    rng = np.random.default_rng(seed)
    write_display(path, rng.uniform(0.1, 0.9, (18, 15, 3)).repeat(4, 0).repeat(4, 1).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    pytest.importorskip("gradio", reason="pip install -r requirements-demo.txt")
    folder = tmp_path_factory.mktemp("models")
    checkpoint = write_checkpoint(folder / "delit.pth", flat_confidence=True)
    page = demo.build(checkpoint, write_relit_checkpoint(folder / "relit.pth"), None, "cpu")
    where = demo.listening("127.0.0.1", 0)
    threading.Thread(target=demo.serve, args=(page, where), daemon=True).start()
    host, port = where.getsockname()
    return f"http://{host}:{port}"


class Visit:
    """One visitor's page, and all that it complains about or asks others for."""

    def __init__(self, browser, address, **context):
        self.page = browser.new_context(**context).new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.errors, self.asked_elsewhere = [], []
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url, address))
        self.page.goto(address)
        self.page.wait_for_selector("#photo input[type=file]", state="attached")

    def _note(self, url, address):
        if not url.startswith((address, address.replace("http", "ws"), "data:", "blob:")):
            self.asked_elsewhere.append(url)

    def source(self, name):
        """Which picture is shown, once there is one."""
        return self.page.wait_for_selector(f"#{name} img").get_attribute("src")

    def change_of(self, name, before):
        self.page.wait_for_function(
            "([name, before]) => { const shown = document.querySelector(`#${name} img`);"
            " return shown && shown.src !== before && shown.getAttribute('src') !== before }",
            arg=[name, before],
        )
        return self.source(name)

    def set_slider(self, name, value):
        self.page.fill(f"#{name} input[type=number]", str(value))
        self.page.press(f"#{name} input[type=number]", "Enter")

    def said(self, words):
        self.page.get_by_text(words).first.wait_for()


def test_a_photo_is_delighted_and_the_light_turned(browser, address, tmp_path):
    visit = Visit(browser, address, locale="en-US")
    visit.page.set_input_files("#photo input[type=file]", write_photo(tmp_path / "photo.png"))
    first = visit.source("relit")
    for name in ("flat_lit", "environment", "confidence", "env_confidence", "chosen"):
        visit.source(name)
    lights = visit.source("chosen")
    visit.set_slider("turn", 120)
    turned = visit.change_of("relit", first)
    lights = visit.change_of("chosen", lights)

    write_linear(tmp_path / "own.hdr", np.random.default_rng(0).random((16, 32, 3), np.float32))
    visit.page.set_input_files("#hdr input[type=file], input[accept*='.hdr']", tmp_path / "own.hdr")
    visit.change_of("relit", turned)
    visit.change_of("chosen", lights)

    visit.page.click("#pack")
    with visit.page.expect_download() as download:
        visit.page.locator("#files a[download]").first.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert {"flat_lit.png", "env.hdr", "relit.exr"} <= set(archive.namelist())
    assert visit.errors == [] and visit.asked_elsewhere == []


def test_a_day_is_opened_and_moved_through_in_chinese_on_a_phone(browser, address):
    visit = Visit(browser, address, locale="zh-CN", viewport={"width": 390, "height": 844})
    visit.said("拖入一张单人照片")
    visit.page.get_by_role("tab", name="光照贴图").click()
    visit.page.set_input_files("#bundle input[type=file]", DAY)
    noon = visit.source("frame")
    visit.set_slider("hour", 20.5)
    visit.change_of("frame", noon)
    visit.said("48 x 40 纹素")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.page.get_by_text("English").click()
    visit.said("Hour of the day")
    assert visit.errors == [] and visit.asked_elsewhere == []


def test_what_goes_wrong_is_a_sentence(browser, address, tmp_path):
    visit = Visit(browser, address, locale="en-US")
    visit.page.click("#pack")
    visit.said("Drop a photo first.")
    (tmp_path / "broken.hdr").write_bytes(b"#?RADIANCE\nbroken")
    visit.page.set_input_files("#hdr input[type=file], input[accept*='.hdr']", tmp_path / "broken.hdr")
    visit.said("This HDR environment cannot be read")
    write_linear(tmp_path / "square.exr", np.ones((16, 16, 3), np.float32))
    visit.page.set_input_files("#hdr input[type=file], input[accept*='.hdr']", tmp_path / "square.exr")
    visit.said(
        "This HDR environment cannot be read: is 16 x 16: an equirectangular environment is twice as wide as high"
    )
    (tmp_path / "photo.heic").write_bytes(b"no photo")
    visit.page.set_input_files("#photo input[type=file]", tmp_path / "photo.heic")
    visit.said("This photo cannot be read")
    visit.page.get_by_role("tab", name="Lightmap").click()
    (tmp_path / "broken.tod").write_bytes(b"nothing")
    visit.page.set_input_files("#bundle input[type=file]", tmp_path / "broken.tod")
    visit.said("This bundle cannot be opened")


def test_without_gradio_it_is_said_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert demo.main(["--checkpoint", "any.pth"]) == 2
    assert "requirements-demo.txt" in one_error_line(capsys.readouterr().err)


def test_wrong_arguments_are_one_line(tmp_path, capsys):
    pytest.importorskip("gradio", reason="pip install -r requirements-demo.txt")
    assert demo.main(["--checkpoint", str(tmp_path / "none.pth")]) == 2
    assert "none.pth" in one_error_line(capsys.readouterr().err)
    with demo.listening("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        checkpoint = str(write_checkpoint(tmp_path / "delit.pth"))
        assert demo.main(["--checkpoint", checkpoint, "--port", port, "--device", "cpu"]) == 2
    assert port in one_error_line(capsys.readouterr().err)


def test_a_number_that_no_port_has_is_refused():
    with pytest.raises(InputError, match=r"--host, --port: 127\.0\.0\.1:70000 cannot be used .*: choose another"):
        demo.listening("127.0.0.1", 70000)
