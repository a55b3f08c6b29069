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


@needs_node
@pytest.mark.skipif(not (tool("clang") and tool("wasm-ld")), reason="clang or wasm-ld is not there")
def test_the_documented_command_builds_it(tmp_path: Path) -> None:
    built = tmp_path / "tod.wasm"
    environment = {**os.environ, "CLANG": str(tool("clang")), "WASM_LD": str(tool("wasm-ld"))}
    subprocess.run([str(FOLDER / "wasm" / "build.sh"), str(built)], check=True, env=environment)
    assert built.stat().st_size <= 48_000
    assert_decodes(built, STORED_3)
