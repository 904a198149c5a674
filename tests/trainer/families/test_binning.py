import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.families.binning import STEPS_MAX, fit_steps

values = st.lists(
    st.floats(-50, 50, width=32, allow_subnormal=False), min_size=2, max_size=300
).map(lambda rows: np.array(rows, dtype=np.float32).reshape(-1, 1))


@given(values)
def test_a_threshold_between_two_steps_parts_the_rows_as_its_edge_does(column: np.ndarray) -> None:
    steps = fit_steps(column)
    encoded = steps.encode(column)[:, 0]
    for step in range(len(steps.edges[0])):
        edge = steps.find_edge(0, step + 0.5)
        assert np.array_equal(encoded <= step + 0.5, column[:, 0] <= edge)


@given(values)
def test_there_are_never_more_steps_than_the_regressor_keeps(column: np.ndarray) -> None:
    assert fit_steps(column).encode(column).max() < STEPS_MAX


def test_few_distinct_values_keep_a_step_each() -> None:
    column = np.array([[3.0], [1.0], [2.0], [1.0]], dtype=np.float32)
    assert fit_steps(column).encode(column)[:, 0].tolist() == [2.0, 0.0, 1.0, 0.0]
