from benchmarks.viewer_page import count_events


def test_every_input_is_shown_overtaken_or_lost() -> None:
    notes = [("move", 0), ("input", 3.0), ("heard", 3.0), ("shown", 3.0), ("input", 4.0), ("heard", 4.0)]
    notes += [("input", 24.0), ("heard", 0.0), ("shown", 0.0), ("move", 0), ("input", 5.0)]
    counts = {"move": 2, "input": 4, "heard": 3, "shown": 2, "overtaken": 1, "lost": 1}
    assert count_events(notes) == counts
