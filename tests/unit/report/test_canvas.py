"""Panels of a figure."""

import math

import pytest

from whitebox_transformers.report.canvas import MOST_IN_A_ROW, even_columns


@pytest.mark.parametrize("count", range(1, 40))
def test_panels_take_the_fewest_rows_and_no_row_lacks_more_than_it_must(count):
    columns = even_columns(count)
    rows = math.ceil(count / columns)
    assert columns <= MOST_IN_A_ROW
    assert rows == math.ceil(count / MOST_IN_A_ROW)
    assert rows * (columns - 1) < count
