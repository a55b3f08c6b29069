import hashlib
import os
import platform
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.export.bundle import decode_bundle, encode_bundle
from src.export.c.binding import BILINEAR, HEADER, NEAREST, CDecoder, build, c_compiler, load
from src.models.grid.block_latents import BlockLatents
from src.models.grid.decoder import GridDecoder
from src.models.grid.latent_grid import LatentGrid
from tests.export.test_bundle import STORED, STORED_2, STORED_3, example_decoder, reseal
from tests.lightmap_example import HOURS, example_dataset

pytestmark = pytest.mark.skipif(c_compiler() is None, reason="there is no C compiler")

ROOT = Path(__file__).parents[2]
FUZZ = Path(__file__).parent / "c" / "fuzz.c"
FUZZ_SECONDS = 30
CPU = Path("/proc/cpuinfo")
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
HAS_AVX2 = "avx2" in CPU.read_text(encoding="utf-8", errors="ignore") if CPU.is_file() else False
PATHS = {"plain": ["-DTOD_PLAIN"], "avx2": ["-mavx2", "-mfma"]}
# Baked hours, between them, around midnight, at the events and beside them, and outside of [0, 24).
SHOWN = (0.0, 5.9, 6.0, 18.0, 18.1, 21.0, 1.25, 5.95, 5.9999, 10.5, 18.05, 22.5, 23.999, 24.0, -1.5, 49.3)


@pytest.fixture(scope="module", params=PATHS)
def lib(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    if request.param == "avx2" and not HAS_AVX2:
        pytest.skip("the processor has no AVX2")
    path = tmp_path_factory.mktemp("c") / "libtod.so"
    return load(build(c_compiler(), path, ["-std=c99", "-O2", *STRICT, *PATHS[request.param]]))


def large_network() -> GridDecoder:
    data = example_dataset()
    torch.manual_seed(0)
    config = replace(example_decoder().config, latent_dim=7, coarse=(), blocks=True, hidden_f2=93, layers_f2=3)
    grid = LatentGrid(config, data.mask)
    grid.start_from(data.texels)
    torch.nn.init.normal_(grid.f2_weights.hour_weight[config.z_dim :].detach(), std=0.02)
    return grid.decoder()


def changed(decoder: GridDecoder, **values: object) -> GridDecoder:
    return GridDecoder(replace(decoder.config, **values), decoder.latents, decoder.f2, decoder.frame_scale)


REGIONS = (("böden 日", 0, 16, 48), ("walls", 16, 24, 37))
CASES = {
    "version 1": STORED.read_bytes,
    "version 2": STORED_2.read_bytes,
    "version 3": STORED_3.read_bytes,
    "4 bits": lambda: encode_bundle(example_decoder(5, 4, (), True)),
    "6 bits": lambda: encode_bundle(example_decoder(9, 6, (), True)),
    "8 bits": lambda: encode_bundle(example_decoder(1, 8, (), True)),
    "8 bits in rows": lambda: encode_bundle(example_decoder(5, 8, ((3, 2), (7, 1)))),
    "display values": lambda: encode_bundle(changed(example_decoder(5, 8, (), True), is_radiance=False)),
    "many weights": lambda: encode_bundle(large_network()),
}


@pytest.mark.parametrize("case", CASES)
def test_colours_are_those_of_the_python_decoder(lib: object, case: str) -> None:
    content = CASES[case]()
    expected, decoder = decode_bundle(content), CDecoder(lib, content)
    true = expected.render(SHOWN)
    limit = 1e-5 * true.max()
    assert true.max() > 0.5 and true.min() == 0
    rng = np.random.default_rng(0)
    column, row = rng.integers(expected.width, size=203), rng.integers(expected.height, size=203)
    centres = np.stack(((column + 0.5) / expected.width, (row + 0.5) / expected.height), 1).astype(np.float32)
    for hour, frame in zip(SHOWN, true, strict=True):
        assert np.abs(decoder.frame(hour) - frame).max() < limit
        assert np.abs(decoder.sample(centres, hour) - frame[row, column]).max() < limit
        assert np.abs(decoder.sample_one(*centres[0], hour) - frame[row[0], column[0]]).max() < limit
        part = frame[5:32, 3:30]
        assert np.abs(decoder.rect(3, 5, 27, 27, hour, gap=5) - part).max() < limit
    if case == "display values":
        assert decoder.frame(12.0).max() == 1.0
    valid = np.array([[decoder.is_valid(0, x, y) for x in range(-1, 49)] for y in range(-1, 41)])
    assert np.array_equal(valid, np.pad(example_dataset().mask.numpy(), 1))


def test_latents_in_memory_are_packed_as_the_format_says(lib: object) -> None:
    content = STORED_3.read_bytes()
    latents = decode_bundle(content).latents
    assert isinstance(latents, BlockLatents)
    index, words = CDecoder(lib, content).packed()
    assert np.array_equal(index.view(np.int32), latents.index.numpy())
    assert np.array_equal(words.view(np.int32), latents.words.numpy())


def test_lightmaps_of_one_map_by_name(lib: object) -> None:
    content = encode_bundle(changed(example_decoder(5, 8, (), True), regions=REGIONS))
    expected, decoder = decode_bundle(content), CDecoder(lib, content)
    assert decoder.lightmap("ceiling") == -1
    for k, (name, _, height, width) in enumerate(REGIONS):
        assert decoder.lightmap(name) == k
        part = expected.lightmap(name).render([17.5])[0]
        assert part.shape == (height, width, 3)
        assert np.abs(decoder.frame(17.5, k) - part).max() < 1e-5 * part.max()
        uv = np.array([[0.999, 0.999], [1.5, 9.0], [np.nan, 0.51]])  # what is not a number is taken for 0
        texels = part[[height - 1, height - 1, height // 2], [width - 1, width - 1, 0]]
        assert np.abs(decoder.sample(uv, 17.5, lightmap=k) - texels).max() < 1e-5 * part.max()


@pytest.mark.parametrize("number, name", [(NEAREST, "nearest"), (BILINEAR, "bilinear")])
def test_between_texels_colours_are_those_of_the_reference(lib: object, number: int, name: str) -> None:
    content = STORED_3.read_bytes()
    expected, decoder = decode_bundle(content), CDecoder(lib, content)
    uv = np.random.default_rng(1).uniform(-0.02, 1.02, (900, 2)).astype(np.float32)
    centres = (np.indices((5, 7)).reshape(2, -1).T[:, ::-1] + 0.5).astype(np.float32) / (48, 40)
    edges = centres + np.float32([0.5 / 48, 0])  # as far from two texels
    uv = np.concatenate((uv, centres, edges)).astype(np.float32)
    colours = expected.sample(torch.from_numpy(uv), 12.3, name).numpy()
    assert ((colours == 0).all(1)).any() and len(np.unique(colours[:, 0])) > 400
    assert np.abs(decoder.sample(uv, 12.3, number) - colours).max() < 1e-5 * colours.max()
    alone = np.stack([decoder.sample_one(*point, 12.3, number) for point in uv[:50]])
    assert np.abs(alone - colours[:50]).max() < 1e-5 * colours.max()


def test_more_points_than_are_sorted_together(lib: object) -> None:
    decoder = CDecoder(lib, STORED_3.read_bytes())
    frame = decoder.frame(12.0)
    row, column = np.random.default_rng(2).integers((40, 48), size=(140_000, 2)).T
    centres = np.stack(((column + 0.5) / 48, (row + 0.5) / 40), 1).astype(np.float32)
    assert np.abs(decoder.sample(centres, 12.0) - frame[row, column]).max() < 1e-6 * frame.max()


def test_the_example_writes_an_hour_as_a_picture(tmp_path: Path) -> None:
    program, picture = tmp_path / "own_engine", tmp_path / "noon.pfm"
    build(c_compiler(), program, ["-std=c99", "-O1", *STRICT], ROOT / "examples" / "own_engine.c")
    subprocess.run([str(program), str(STORED_3), "12", str(picture)], check=True)
    head, size, scale, data = picture.read_bytes().split(b"\n", 3)
    assert (head, size, scale) == (b"PF", b"48 40", b"-1.0")
    expected = decode_bundle(STORED_3.read_bytes()).render([12.0])[0]
    decoded = np.frombuffer(data, "<f4").reshape(40, 48, 3)[::-1]
    assert np.abs(decoded - expected).max() < 1e-5 * expected.max()
    refused = subprocess.run([str(program), __file__, "12", str(picture)], check=False, capture_output=True, text=True)
    assert refused.returncode == 2 and "this is not a bundle" in refused.stderr


def test_arguments_out_of_range_are_refused(lib: object) -> None:
    decoder = CDecoder(lib, STORED_3.read_bytes())
    for bad in (
        lambda: decoder.frame(float("nan")),
        lambda: decoder.sample(np.zeros((1, 2)), float("inf")),
        lambda: decoder.sample(np.zeros((1, 2)), 3.0, filter_=7),
        lambda: decoder.sample(np.zeros((1, 2)), 3.0, lightmap=1),
        lambda: decoder.rect(0, 0, 49, 1, 3.0),
        lambda: decoder.rect(-1, 0, 4, 1, 3.0),
        lambda: decoder.rect(0, 39, 4, 2, 3.0),
    ):
        with pytest.raises(ValueError, match="out of range"):
            bad()


def test_an_event_switches_where_the_python_decoder_switches(lib: object) -> None:
    events = (0.0, 5.9, 7.5, 23.5)
    content = encode_bundle(changed(example_decoder(3, 8, (), True), events=events))
    expected, decoder = decode_bundle(content), CDecoder(lib, content)
    hours = [hour + shift for hour in (*events, *HOURS) for shift in (-1e-3, -1e-7, 0.0, 1e-7, 1e-3)]
    for hour, frame in zip(hours, expected.render(hours), strict=True):
        assert np.abs(decoder.frame(hour) - frame).max() < 1e-5 * 3.5, hour


def test_damage_is_refused_with_a_sentence(lib: object) -> None:
    content = STORED_2.read_bytes()
    for damaged, sentence in (
        (b"", "not a bundle"),
        (b"\x89PNG" + content[4:], "not a bundle"),
        (content[:8] + struct.pack("<I", 4) + content[12:], "newer version"),
        (content[:-1], "truncated or damaged"),
        (content[:99] + b"?" + content[100:], "truncated or damaged"),
        (reseal(content, {"height": 41}), "mask"),
        (reseal(content, {"height": 1 << 40}), "header"),
        (reseal(content, {"hours": [[[[[[[[[[[]]]]]]]]]]]}), "header"),
        (reseal(content, {"events": ["noon"]}), "header"),
        (reseal(content, {"regions": [["a", 0, 99, 5]]}), "header"),
        (reseal(content, {"coarse": [[4, 3], [2, 2]]}), "header"),
        (reseal(content, {"coarse": [[0, 3]]}), "header"),
        (reseal(content, {"latent_dim": 2}), "network"),
        (reseal(content, f2=b"\xff" * 5148), "network"),
        (reseal(content, planes=bytes(40)), "latents"),
        (reseal(content, mask=b"?"), "mask"),
        (reseal(content, {"sections": None}), "sections"),
    ):
        with pytest.raises(ValueError, match=sentence):
            CDecoder(lib, damaged)
    older = content[:8] + struct.pack("<I", 3) + content[12:-32]
    with pytest.raises(ValueError, match="header"):
        CDecoder(lib, older + hashlib.sha256(older).digest())


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("flags", PATHS.values(), ids=PATHS)
def test_it_is_cpp_too(tmp_path: Path, flags: list[str]) -> None:
    if platform.machine() != "x86_64" and "-mavx2" in flags:
        pytest.skip("not an x86")
    flags = ["-x", "c++", "-c", "-O1", "-DTOD_IMPLEMENTATION", *STRICT, *flags]
    build("g++", tmp_path / "decoder.o", flags, HEADER)


def test_nothing_damaged_is_read_or_written_out_of_bounds(tmp_path: Path) -> None:
    program = tmp_path / "damage"
    flags = ["-std=c99", "-O1", "-g", "-DTOD_DAMAGE", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    try:
        build(c_compiler(), program, [*flags, *STRICT, *(PATHS["avx2"] if HAS_AVX2 else [])], FUZZ)
    except subprocess.CalledProcessError as error:
        if "cannot find" in error.stderr:
            pytest.skip("the compiler has no sanitizers")
        raise
    paths = [str(path) for path in (STORED, STORED_2, STORED_3)]
    done = subprocess.run([str(program), *paths], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 100  # such as changed weights, which no checksum but the file's own guards


def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    """As docs/engines.md does it."""
    clang = next(filter(None, map(shutil.which, ("clang", "clang-14", "clang-16", "clang-19"))), None)
    if clang is None:
        pytest.skip("there is no clang")
    program, corpus = tmp_path / "fuzz", tmp_path / "corpus"
    try:
        build(clang, program, ["-g", "-O1", "-fsanitize=fuzzer,address,undefined"], FUZZ)
    except subprocess.CalledProcessError as error:
        if "libclang_rt" in error.stderr:
            pytest.skip("clang has no fuzzer")
        raise
    corpus.mkdir()
    for path in (STORED, STORED_2, STORED_3):
        (corpus / path.name).write_bytes(path.read_bytes()[:-32])
    limits = [f"-max_total_time={FUZZ_SECONDS}", "-max_len=16384", "-seed=1"]
    environment = {**os.environ, "UBSAN_OPTIONS": "halt_on_error=1"}
    done = subprocess.run(
        [str(program), *limits, str(corpus)], check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(list(corpus.iterdir())) > 3, "new paths were found"
