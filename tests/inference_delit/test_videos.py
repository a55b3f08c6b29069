"""Videos and folders of frames."""

from fractions import Fraction

import av
import numpy as np
import pytest

from src.inference.crops import portrait_crop
from src.inference.delit.delighter import Delighter
from src.inference.faces import FaceTracker
from src.utils.image_io import read_display, read_linear, write_display
from src.utils.video_io import VideoReader
from tests.inference_delit.command import files, picture, run, write_video
from tests.shared_data import SHARED

CLIP = SHARED / "data" / "portraits" / "clip_headpose_male_480x270.mp4"
needs_clip = pytest.mark.skipif(not CLIP.is_file(), reason="real portraits are not here")


@pytest.mark.parametrize("temporal", ["none", "ema"])
def test_a_video(checkpoint, tmp_path, temporal):
    source = write_video(tmp_path / "clip.mp4", frames=9, fps=4)
    assert run(checkpoint, source, tmp_path / "out", "--temporal", temporal, "--batch_size", "4") == 0
    frames = [f"clip_env_frame_{index:05d}.png" for index in (0, 4, 8)]
    assert files(tmp_path / "out") == sorted([*frames, "clip_env_avg.hdr", "clip_flat_lit.mp4"])
    video = VideoReader(tmp_path / "out" / "clip_flat_lit.mp4")
    assert video.fps == 4 and video.frame_count == 9 and video.size == (72, 60)
    assert np.isfinite(read_linear(tmp_path / "out" / "clip_env_avg.hdr")).all()


def test_a_videos_frames_are_those_of_stills_and_its_environment_their_mean(checkpoint, tmp_path, monkeypatch):
    """A folder of frames, without averages: what each frame gives alone, seen once as a video's frames are."""
    predict_views = Delighter.predict_views
    once = lambda self, views: predict_views(self, [view._replace(nearer=None) for view in views])  # noqa: E731
    monkeypatch.setattr(Delighter, "predict_views", once)
    for index in range(5):
        grey = picture(index).mean(axis=2)  # yuv420p halves the resolution of colour
        write_display(tmp_path / "in" / "take" / f"frame_{index}.png", grey)
    assert run(checkpoint, tmp_path / "in", tmp_path / "stills", "--no_crop") == 0
    flags = ("--frames", "--fps", "23.976", "--temporal", "none", "--batch_size", "3", "--no_crop")
    assert run(checkpoint, tmp_path / "in", tmp_path / "video", *flags) == 0
    video = VideoReader(tmp_path / "video" / "take_flat_lit.mp4")
    assert video.fps == Fraction(24000, 1001)
    for index, frame in enumerate(video):
        still = read_display(tmp_path / "stills" / "take" / f"frame_{index}_flat_lit.png")
        assert np.abs(frame / 255 - still).mean() < 0.02  # x264
    environments = [read_linear(tmp_path / "stills" / "take" / f"frame_{index}_env.hdr") for index in range(5)]
    mean = read_linear(tmp_path / "video" / "take_env_avg.hdr")
    np.testing.assert_allclose(mean, np.mean(environments, axis=0), rtol=0.02, atol=0.01)


def test_sound_is_kept(checkpoint, tmp_path):
    silent = write_video(tmp_path / "silent.mp4", frames=8, fps=4)
    source = tmp_path / "in" / "clip.mp4"
    source.parent.mkdir()
    with av.open(str(silent)) as video, av.open(str(source), "w") as output:
        picture_track = output.add_stream_from_template(video.streams.video[0])
        sound = output.add_stream("aac", rate=44100)
        for packet in video.demux(video.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture_track
                output.mux(packet)
        wave = np.sin(np.arange(44100 * 2) * 0.05).astype(np.float32)[None]
        tone = av.AudioFrame.from_ndarray(np.repeat(wave, 2, 0), format="fltp", layout="stereo")
        tone.sample_rate = 44100
        output.mux([*sound.encode(tone), *sound.encode(None)])
    assert run(checkpoint, source, tmp_path / "out") == 0
    with av.open(str(tmp_path / "out" / "clip_flat_lit.mp4")) as result:
        assert len(result.streams.audio) == 1
        assert float(result.streams.audio[0].duration * result.streams.audio[0].time_base) > 1.5


@needs_clip
def test_a_real_clip_keeps_its_face_and_what_is_around_it(checkpoint, tmp_path):
    assert run(checkpoint, CLIP, tmp_path, "--exposure", "predicted") == 0
    source, result = list(VideoReader(CLIP)), list(VideoReader(tmp_path / f"{CLIP.stem}_flat_lit.mp4"))
    assert len(result) == len(source) == 62
    face = FaceTracker().track(source[:1], [True])[0]
    crop = portrait_crop(face)
    inside = np.s_[crop.top + 60 : crop.top + 140, crop.left + 60 : crop.left + 140]
    outside = np.s_[:, : crop.left - 20]
    for index in (0, 31, 61):
        before, after = source[index].astype(int), result[index].astype(int)
        assert np.abs(before[outside] - after[outside]).mean() < 1
        assert np.abs(before[inside] - after[inside]).mean() > 4
