import numpy as np

from src.utils.contact_sheet import LABEL_HEIGHT, MARGIN, comparison_sheet, contact_sheet


def test_pictures_stand_whole_and_clipped_in_a_white_grid():
    rng = np.random.default_rng(0)
    rows = [[rng.uniform(-0.5, 1.5, (6, 9, 3)).astype(np.float32) for _ in range(3)] for _ in range(2)]
    sheet = contact_sheet(rows)
    assert sheet.dtype == np.float32 and sheet.min() >= 0 and sheet.max() <= 1
    assert sheet.shape == (2 * (6 + MARGIN) + MARGIN, 3 * (9 + MARGIN) + MARGIN, 3)
    rest = np.ones(sheet.shape[:2], bool)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            y, x = MARGIN + r * (6 + MARGIN), MARGIN + c * (9 + MARGIN)
            np.testing.assert_array_equal(sheet[y : y + 6, x : x + 9], picture.clip(0, 1))
            rest[y : y + 6, x : x + 9] = False
    assert (sheet[rest] == 1).all()


def test_labels_are_written_in_strips_of_their_own():
    black = np.zeros((40, 90, 3), np.float32)
    plain = contact_sheet([[black], [black]])
    labelled = contact_sheet([[black], [black]], ["0 h", "12 h"], ["truth"])
    assert labelled.shape[0] > plain.shape[0]
    assert labelled.shape[1] == plain.shape[1]
    assert (labelled[:LABEL_HEIGHT] < 0.5).any(), "the column's label"
    dark_rows = (labelled[:, MARGIN : MARGIN + 90] == 0).all(axis=(1, 2)).sum()
    assert dark_rows == 80, "no label covers a picture"


def test_a_comparison_shows_truth_reconstruction_and_amplified_error():
    truth = np.full((30, 40, 3), 0.5, np.float32)
    predicted = truth + np.float32(0.05)
    sheet = comparison_sheet([(truth, predicted)], ["6 h"], error_gain=8)
    y = LABEL_HEIGHT + LABEL_HEIGHT + 15
    values = [sheet[y, MARGIN + c * (40 + MARGIN) + 20, 0] for c in range(3)]
    np.testing.assert_allclose(values, [0.5, 0.55, 0.4], atol=1 / 255)
