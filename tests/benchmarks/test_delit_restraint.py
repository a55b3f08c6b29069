"""The table of expected and found errors, of values whose figures are known."""

import numpy as np
import pytest

from benchmarks.delit_restraint import table


def test_each_range_has_its_own_figures():
    values = np.array([[0.12, 0.3, 1.0, 2.0], [0.14, 0.1, 2.0, 2.0], [0.25, 0.5, 3.0, 2.0], [5.0, 1.0, 0.0, 1.0]])
    rows = table(values)
    assert [row[0] for row in rows] == ["0.1 to 0.15", "0.2 to 0.3", "0.6 and more"]
    assert [row[1] for row in rows] == [0.5, 0.25, 0.25]
    assert [row[2] for row in rows] == pytest.approx([0.2, 0.5, 1.0])
    assert [row[3] for row in rows] == pytest.approx([0.75, 1.5, 0.0])
