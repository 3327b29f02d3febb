"""Curves of several seeds on one grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.studies.series import Series, mean_series

VALUES = st.lists(st.floats(-5, 5), min_size=1, max_size=200)


@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(2, 50))
def test_a_grid_holds_no_value_that_its_curve_has_not_around_it(
    seeds: list[list[float]], points: int
) -> None:
    curves = [Series(tuple(map(float, range(len(y)))), tuple(y)) for y in seeds]
    grid, values = mean_series(curves, points)
    assert values.shape == (len(seeds), points)
    assert grid[-1] == min(len(y) for y in seeds) - 1
    for curve, row in zip(curves, values, strict=True):
        assert row.min() >= min(curve.y) - 1e-9
        assert row.max() <= max(curve.y) + 1e-9


def test_values_around_a_point_are_averaged() -> None:
    curve = Series(tuple(map(float, range(9))), (0.0, 1.0) * 4 + (0.0,))
    grid, values = mean_series([curve], points=3)
    assert grid.tolist() == [0.0, 4.0, 8.0]
    assert values[0].tolist() == pytest.approx([1 / 3, 0.4, 1 / 3])


def test_curves_without_a_value_are_left_out() -> None:
    grid, values = mean_series([Series((), ()), Series((1.0, 3.0), (2.0, 4.0))], points=3)
    assert grid.tolist() == [1.0, 2.0, 3.0]
    assert np.array_equal(values, [[2.0, 3.0, 4.0]])
    assert mean_series([Series((), ())])[0].size == 0
