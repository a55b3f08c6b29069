import numpy as np

from src.data.stage.synthetic.motion import Moment, sample_motion
from src.data.stage.synthetic.people import Framing

FRAMING = Framing(max_yaw=30)


def motions(count: int, frames: int = 48) -> list[list[Moment]]:
    return [sample_motion(np.random.default_rng(seed), FRAMING, frames) for seed in range(count)]


def test_heads_move_smoothly_and_no_further_than_is_asked():
    for motion in motions(20):
        yaw = np.array([moment.pose.yaw for moment in motion])
        assert len(motion) == 48 and np.abs(yaw).max() <= FRAMING.max_yaw + 1e-9
        assert np.abs(np.diff(yaw)).max() < 6  # degrees a frame: a fast turn is some 150 a second
        assert np.abs(np.diff([moment.sway for moment in motion], axis=0)).max() < 0.02
    turned = [np.ptp([moment.pose.yaw for moment in motion]) for motion in motions(20)]
    assert np.median(turned) > 4


def test_eyes_blink_and_look_around_and_moods_change():
    blinks = looks = changes = 0
    for motion in motions(20):
        shut = np.array([moment.strengths.get("eyeBlink_L", 0.0) for moment in motion])
        blinks += (shut == 1).any()
        assert (shut == 0).mean() > 0.6
        looks += len({moment.gaze for moment in motion}) > 2
        smiles = np.array([moment.strengths.get("mouthSmile_L", 0.0) for moment in motion])
        changes += np.ptp(smiles) > 0.1
        assert np.abs(np.diff(smiles)).max() < 0.15
        assert all(0 <= strength <= 1.6 for moment in motion for strength in moment.strengths.values())
    assert blinks >= 15 and looks >= 15 and changes >= 4


def test_a_motion_is_a_function_of_its_seed():
    assert motions(2) == motions(2)
    assert motions(1)[0] != motions(2)[1]
