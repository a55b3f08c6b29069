"""The C decoder as WebAssembly: the committed file, and one built anew."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from src.export.bundle import decode_bundle
from src.export.viewer import page
from tests.export.test_bundle import STORED, STORED_2, STORED_3

FOLDER = Path(page.__file__).parent
WASM = FOLDER / "tod.wasm"
HOURS = (0.0, 5.95, 6.0, 12.3, 18.05, 23.999, 24.0, -1.5)

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")


def tool(name: str) -> str | None:
    """clang or wasm-ld as Debian calls them, with or without a version."""
    return next((found for suffix in ("", "-14", "-15", "-16", "-19") if (found := shutil.which(name + suffix))), None)


def run(decoder: Path, bundle: Path) -> subprocess.CompletedProcess:
    script = Path(__file__).with_name("wasm.mjs")
    command = ["node", str(script), str(decoder), str(FOLDER / "page" / "bundle.js"), str(bundle)]
    return subprocess.run(command, input=json.dumps(HOURS).encode(), capture_output=True, check=False)


def assert_decodes(decoder: Path, bundle: Path) -> None:
    expected = decode_bundle(bundle.read_bytes()).render(HOURS)
    done = run(decoder, bundle)
    assert done.returncode == 0, done.stderr
    frames = np.frombuffer(done.stdout, np.float32).reshape(expected.shape)
    assert np.abs(frames - expected).max() < 1e-5 * expected.max()


@needs_node
@pytest.mark.parametrize("bundle", [STORED, STORED_2, STORED_3], ids=lambda path: path.stem)
def test_every_version_decodes_as_in_python(bundle: Path) -> None:
    assert_decodes(WASM, bundle)


def test_the_decoder_is_small() -> None:
    assert WASM.stat().st_size <= 48_000


@needs_node
def test_damage_is_a_sentence(tmp_path: Path) -> None:
    content = STORED_3.read_bytes()
    (tmp_path / "day.tod").write_bytes(content[:-100])
    done = run(WASM, tmp_path / "day.tod")
    assert done.returncode == 2 and b"truncated or damaged" in done.stderr


def exports(decoder: Path) -> list[str]:
    """What a file gives to a page, in no order."""
    script = "console.log(JSON.stringify(WebAssembly.Module.exports(new WebAssembly.Module(fs.readFileSync(path)))))"
    node = ["node", "-e", f"const fs = require('fs'), path = process.argv[1]; {script}", str(decoder)]
    done = subprocess.run(node, capture_output=True, check=True, text=True)
    return sorted(f"{entry['kind']} {entry['name']}" for entry in json.loads(done.stdout))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The decoder as the documented command builds it here."""
    clang, linker = tool("clang"), tool("wasm-ld")
    if not (clang and linker):
        pytest.skip("clang or wasm-ld is not there")
    path = tmp_path_factory.mktemp("wasm") / "tod.wasm"
    environment = {**os.environ, "CLANG": clang, "WASM_LD": linker}
    subprocess.run([str(FOLDER / "wasm" / "build.sh"), str(path)], check=True, env=environment)
    return path


@needs_node
def test_the_documented_command_builds_it(built: Path) -> None:
    assert built.stat().st_size <= 48_000
    assert exports(built) == exports(WASM)
    assert_decodes(built, STORED_3)


def test_the_committed_file_is_of_these_sources(built: Path) -> None:
    """Byte for byte, where the compiler is the one that built it: clang 14 has no clock or path in what it writes."""
    version = subprocess.run([str(tool("clang")), "--version"], capture_output=True, check=True, text=True).stdout
    if "version 14." not in version:
        pytest.skip("another clang than the one that built the committed file")
    assert built.read_bytes() == WASM.read_bytes(), "run src/export/viewer/wasm/build.sh"
