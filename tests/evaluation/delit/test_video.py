"""Videos whose steadiness is known."""

import numpy as np
import pytest

from src.evaluation.delit.video import find_videos, measure_videos
from src.utils.cli import InputError
from src.utils.video_io import VideoWriter
from src.utils.warp_error import VideoMeasure, backward_flow, measure_video

HEIGHT, WIDTH, FRAMES = 72, 96, 6


def texture(seed: int = 0) -> np.ndarray:
    """A smooth random picture, wider than a frame, uint8."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.random((HEIGHT // 6, WIDTH // 3, 3)).astype(np.float32)
    large = cv2.resize(coarse, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (large.clip(0, 1) * 255).astype(np.uint8)


def panning(step: int = 2) -> list[np.ndarray]:
    picture = texture()
    return [np.ascontiguousarray(picture[:, 20 + step * t : 20 + step * t + WIDTH]) for t in range(FRAMES)]


def flickering(frames) -> list[np.ndarray]:
    return [(frame * (0.8 if t % 2 else 1.0)).astype(np.uint8) for t, frame in enumerate(frames)]


def test_what_begins_a_shot_is_compared_with_nothing_before():
    first, second = panning(), [frame[::-1].copy() for frame in panning()]
    measure = VideoMeasure()
    for index, frame in enumerate(first + second):
        measure.add(frame, flickering([frame] * 2)[index % 2], begins_shot=index == FRAMES)
    halves = [measure_video(part, flickering(part)) for part in (first, second)]
    # As many pairs of frames in either half, none between them.
    assert measure.figures().e_warp == pytest.approx((halves[0].e_warp + halves[1].e_warp) / 2)
    assert measure.figures().e_warp_input < 2 * max(half.e_warp_input for half in halves)


def test_a_still_video_has_no_warping_error_and_no_ratio():
    still = panning(0)
    figures = measure_video(still, still)
    assert figures.frames == FRAMES
    assert figures.e_warp == figures.e_warp_input < 1e-9
    assert figures.e_warp_ratio is None
    assert figures.sharpness_ratio == 1


def test_motion_is_compensated_and_flicker_is_not():
    moving = panning()
    plain = np.mean([(a / 255.0 - b / 255.0) ** 2 for a, b in zip(moving[1:], moving[:-1], strict=True)])
    same = measure_video(moving, moving)
    assert same.e_warp_ratio == pytest.approx(1)
    assert same.e_warp < 0.1 * plain
    flicker = measure_video(moving, flickering(moving))
    assert flicker.e_warp_ratio > 10
    assert 0.5 < flicker.sharpness_ratio < 1


def test_blur_shows_as_lost_sharpness():
    import cv2

    moving = panning()
    blurred = [cv2.GaussianBlur(frame, (0, 0), 3) for frame in moving]
    assert measure_video(moving, blurred).sharpness_ratio < 0.3


def test_flow_leads_back_to_where_a_pixel_was_and_leaves_out_what_was_not_there():
    import cv2

    first, second = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in panning(4)[:2])
    flow, trusted = backward_flow(cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), first, second)
    middle = (slice(10, -10), slice(10, -14))
    assert np.median(flow[middle][..., 0]) == pytest.approx(4, abs=0.2)
    assert trusted[middle].mean() > 0.95
    assert not trusted[:, -3:].any()  # came into view


def test_results_of_another_length_or_size_are_refused():
    moving = panning()
    with pytest.raises(InputError, match="fewer frames"):
        measure_video(moving, moving[:-1])
    with pytest.raises(InputError, match="more frames"):
        measure_video(moving[:-1], moving)
    with pytest.raises(InputError, match="is 40 x 72, its input 96 x 72"):
        measure_video(moving, [frame[:, :40] for frame in moving])
    with pytest.raises(InputError, match="two frames"):
        measure_video(moving[:1], moving[:1])


def test_files_are_found_in_sub_folders_and_odd_sizes_fit(tmp_path):
    odd = [np.ascontiguousarray(frame[:-1, :-1]) for frame in panning()]
    for path, frames in (("in/a/clip.mp4", odd), ("out/a/clip_flat_lit.mp4", flickering(odd))):
        with VideoWriter(tmp_path / path, 25, crf=5) as writer:
            for frame in frames:
                writer.write(frame)
    assert [name for name, _, _ in find_videos(tmp_path / "out", tmp_path / "in")] == ["a/clip"]
    (figures,) = measure_videos(tmp_path / "out", tmp_path / "in").values()
    assert figures.frames == FRAMES and figures.e_warp_ratio > 5
    with pytest.raises(InputError, match=r"clip_flat_lit.mp4: its input .* is missing: give --video_inputs"):
        find_videos(tmp_path / "out", None)
    with pytest.raises(InputError, match=r"holds no NAME_flat_lit.mp4"):
        find_videos(tmp_path / "in", None)
