"""A small folder in FaceOLAT's published form: its JSON structure, frame numbering, camera files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prepare_olat import main
from src.data.stage.faceolat import (
    find_faceolat_captures,
    is_faceolat,
    participant,
    read_light_files,
    read_metashape_rotation,
)
from src.utils.cli import InputError
from src.utils.image_io import read_linear, write_linear
from src.utils.sphere import fibonacci_sphere, rotation_y
from tests.tiny_stage import ball_normals, ball_olats

LIGHTS = 331
CENTRE = np.array([608.5, 1554.7, 534.5])
# The stage's frame against the camera's: a camera that looks at the head from the stage's +X.
TO_CAMERA = rotation_y(-90)


def write_light_files(folder: Path) -> list[list[int]]:
    """Every 21st frame has all lights on, the others one light each, in a scrambled order; frames count from 0."""
    folder.mkdir(parents=True)
    positions = CENTRE + 1705 * fibonacci_sphere(LIGHTS)
    patterns = [{"name": "FullLight", "light_index_durations": [[k, 16.55] for k in range(LIGHTS)]}]
    patterns += [{"name": f"OLAT_{k}", "light_index_durations": [[k, 331]]} for k in range(LIGHTS)]
    (folder / "light_pattern_metadata.json").write_text(
        json.dumps({"light_positions": positions.tolist(), "light_patterns": patterns})
    )
    order = iter(np.random.default_rng(0).permutation(LIGHTS) + 1)
    pattern = [[0, 0]]
    for frame in range(1, 349):
        full = frame == 348 or (frame >= 20 and (frame - 20) % 21 == 0)
        pattern.append([frame, 0 if full else int(next(order))])
    assert len(pattern) == 349 and sum(light == 0 for _, light in pattern) == 18
    (folder / "light_pattern_per_frame.json").write_text(json.dumps(pattern))
    return pattern


def write_metashape(path: Path, cameras: dict[str, np.ndarray]) -> None:
    """``cameras``: stage-to-camera rotations (y up, looking along -Z), written as Metashape writes them."""
    chunk = rotation_y(33)  # chunk to world
    nodes = []
    for index, (label, rotation) in enumerate(cameras.items()):
        to_world = (np.diag([1, -1, -1]) @ rotation).T  # from an OpenCV camera
        matrix = np.eye(4)
        matrix[:3, :3] = chunk.T @ to_world
        matrix[:3, 3] = [0.1, 0.2, -1.7]
        text = " ".join(f"{value:.17g}" for value in matrix.ravel())
        nodes.append(f'<camera id="{index}" sensor_id="{index}" label="{label}"><transform>{text}</transform></camera>')
    rotation_text = " ".join(f"{value:.17g}" for value in chunk.ravel())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<document version="2.0.0"><chunk label="Chunk 1" enabled="true">'
        f'<cameras>{"".join(nodes)}</cameras><transform><rotation locked="false">{rotation_text}</rotation>'
        '<scale locked="false">1.35</scale></transform></chunk></document>'
    )


def write_frames(folder: Path, pattern: list[list[int]], suffix: str, offset: int, peak: float = 1.0) -> None:
    """Pictures of a ball that the camera sees, lit by the stage's lights."""
    olats = ball_olats(fibonacci_sphere(LIGHTS) @ TO_CAMERA.T, height=12, width=8)
    full = olats.sum(axis=0) * (16.55 / 331)
    folder.mkdir(parents=True)
    for frame, light in pattern:
        picture = (full if light == 0 else olats[light - 1]) * peak
        path = folder / f"{folder.name}.{frame + offset:06d}{suffix}"
        if suffix == ".exr":
            write_linear(path, picture)
        else:
            encoded = (picture.clip(0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
            Image.fromarray(encoded).save(path, quality=95, subsampling="4:4:4")


@pytest.fixture(scope="module")
def capture(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("FaceOLAT")
    pattern = write_light_files(root / "lights")
    write_frames(root / "Cam06" / "ID20003", pattern, ".exr", offset=0)
    write_frames(root / "Cam06" / "ID40003", pattern, ".avif", offset=0, peak=0.3)
    write_frames(root / "Cam07" / "ID20003", pattern, ".exr", offset=1)
    write_metashape(root / "cameras" / "003.xml", {"Cam06": TO_CAMERA, "Cam07": np.eye(3)})
    rng = np.random.default_rng(1)
    write_linear(root / "envs" / "env_001.hdr", rng.gamma(0.4, 2, (16, 32, 3)).astype(np.float32))
    write_linear(root / "envs" / "env_002.hdr", rng.gamma(0.4, 2, (16, 32, 3)).astype(np.float32))
    return root


def test_light_files_give_every_light_its_frame(capture):
    assert is_faceolat(capture / "lights")
    assert is_faceolat(capture / "lights" / "light_pattern_per_frame.json")
    frames, full, directions = read_light_files(capture / "lights")
    assert len(frames) == LIGHTS and len(full) == 18 and full[0] == 0
    assert not set(frames.values()) & set(full)
    np.testing.assert_allclose(directions, fibonacci_sphere(LIGHTS), atol=1e-6)


def test_metashape_rotation_is_read_back(capture):
    np.testing.assert_allclose(read_metashape_rotation(capture / "cameras" / "003.xml", "Cam06"), TO_CAMERA, atol=1e-9)
    with pytest.raises(InputError, match="no pose of Cam09"):
        read_metashape_rotation(capture / "cameras" / "003.xml", "Cam09")


def test_native_capture_becomes_a_training_set(capture, tmp_path):
    out = tmp_path / "set"
    status = main(
        [
            "--olat_root",
            str(capture),
            "--lights",
            str(capture / "lights"),
            "--cameras",
            "Cam06",
            "--transfer",
            "gamma22",
            "--calibration",
            str(capture / "cameras"),
            "--env_dir",
            str(capture / "envs"),
            "--out_root",
            str(out),
            "--workers",
            "1",
        ]
    )
    assert status == 0
    # Lit by E = 1, a convex Lambertian ball shows its albedo, in the camera's own frame, whatever the camera.
    flat = read_linear(out / "subjects" / "ID20003" / "flat_lit.exr")
    _, mask = ball_normals(12, 8)
    inner = mask > 0
    np.testing.assert_allclose(flat[inner], np.broadcast_to([0.7, 0.5, 0.4], flat[inner].shape), rtol=0.03)
    # The environment's light arrives from the side it is on: exact irradiance in the camera's frame.
    environment = read_linear(out / "env_maps" / "env_001.hdr")
    relit = read_linear(out / "subjects" / "ID20003" / "relit" / "env_001.exr")
    left, right = environment[:, 16:].mean(), environment[:, :16].mean()  # columns left of the centre are at x > 0
    assert (relit[:, 4:].mean() > relit[:, :4].mean()) == (right > left)
    from_avif = read_linear(out / "subjects" / "ID40003" / "relit" / "env_001.exr")
    np.testing.assert_allclose(from_avif[inner], 0.3 * relit[inner], rtol=0.12, atol=0.02)
    splits = json.loads((out / "splits.json").read_text())
    assert splits["train"]["subjects"] == ["ID20003", "ID40003"]  # one person: never on both sides
    metadata = json.loads((out / "metadata.json").read_text())
    lights = metadata["light_sets"]["Cam06 of 003"]["directions"]
    np.testing.assert_allclose(lights, fibonacci_sphere(LIGHTS) @ TO_CAMERA.T, atol=1e-5)


def test_frames_off_by_one_are_refused_with_the_offset_that_fits(capture):
    arguments = {"calibration": None, "cameras": ["Cam07"], "transfer": "srgb"}
    with pytest.raises(InputError, match=r"not the bright ones.*--frame_offset 1 fits"):
        find_faceolat_captures(capture, capture / "lights", **arguments)
    stage = find_faceolat_captures(capture, capture / "lights", frame_offset=1, **arguments)
    frames, _, _ = read_light_files(capture / "lights")
    assert stage.captures[0].images[5].stem == f"ID20003.{frames[5] + 1:06d}"
    with pytest.raises(InputError, match=r"--frame_offset 0 fits"):
        find_faceolat_captures(
            capture, capture / "lights", calibration=None, cameras=["Cam06"], transfer="srgb", frame_offset=1
        )


def test_several_cameras_have_names_and_lights_of_their_own(capture, tmp_path):
    calibration = tmp_path / "cameras.json"
    calibration.write_text(json.dumps({"Cam06": TO_CAMERA.tolist()}))
    stage = find_faceolat_captures(
        capture, capture / "lights", calibration=calibration, cameras=["Cam06"], transfer="gamma22"
    )
    assert [c.name for c in stage.captures] == ["ID20003", "ID40003"]
    np.testing.assert_allclose(stage.light_sets["Cam06"], fibonacci_sphere(LIGHTS) @ TO_CAMERA.T, atol=1e-6)
    with pytest.raises(InputError, match="no rotation of Cam07"):
        find_faceolat_captures(
            capture, capture / "lights", calibration=calibration, cameras=["Cam07"], transfer="srgb", frame_offset=1
        )
    with pytest.raises(InputError, match="no camera folder Cam11"):
        find_faceolat_captures(capture, capture / "lights", calibration=None, cameras=["Cam11"], transfer="srgb")


def test_a_missing_frame_is_named(capture, tmp_path):
    folder = tmp_path / "Cam06" / "ID20003"
    pattern = json.loads((capture / "lights" / "light_pattern_per_frame.json").read_text())
    write_frames(folder, pattern, ".exr", offset=0)
    (folder / "ID20003.000017.exr").unlink()
    with pytest.raises(InputError, match=r"no frame 000017 .*1 missing"):
        find_faceolat_captures(tmp_path, capture / "lights", calibration=None, cameras=None, transfer="srgb")


def test_light_files_that_do_not_belong_together_are_refused(capture, tmp_path):
    pattern = write_light_files(tmp_path / "lights")
    pattern[5][1] = pattern[6][1]
    (tmp_path / "lights" / "light_pattern_per_frame.json").write_text(json.dumps(pattern))
    with pytest.raises(InputError, match="exactly once"):
        read_light_files(tmp_path / "lights")


def test_participants():
    assert participant("ID20003") == participant("ID40003") == "003"
    assert participant("anna") == "anna"


def test_calibration_is_asked_for(capture, tmp_path, capsys):
    status = main(
        [
            "--olat_root",
            str(capture),
            "--lights",
            str(capture / "lights"),
            "--env_dir",
            str(capture / "envs"),
            "--out_root",
            str(tmp_path / "set"),
        ]
    )
    assert status == 2 and "--calibration" in capsys.readouterr().err and not (tmp_path / "set").exists()
