"""The last look at a list: nobody who must not be on it gets past, whatever led to it."""

import numpy as np
import polars as pl
import pytest

from lookalike.errors import ExpansionError
from lookalike.expansion.prospects import ProspectList, check_nobody_barred

NOBODY = np.zeros(0, np.int64)


def prospects(*ids: str) -> ProspectList:
    return ProspectList(np.arange(len(ids)), pl.DataFrame({"user_id": ids}, {"user_id": pl.String}))


def ids_of(*ids: str) -> pl.DataFrame:
    return pl.DataFrame({"user_id": ids}, {"user_id": pl.String})


@pytest.mark.parametrize("barred", ["ann", "ANN", ' "Ann"', "'ann", '="ann"'])
def test_a_list_with_somebody_barred_is_not_written(barred: str) -> None:
    with pytest.raises(ExpansionError, match="1 people who must not be listed came into the list"):
        check_nobody_barred(prospects("bob", "ann"), NOBODY, ids_of("eve", barred))


def test_a_list_without_anybody_barred_passes() -> None:
    check_nobody_barred(prospects("bob", "ann"), np.array([2, 3]), ids_of("eve", "anna", "bobby"))
    check_nobody_barred(prospects("bob", "ann"), NOBODY, ids_of())
    check_nobody_barred(prospects(), NOBODY, ids_of("eve"))


def test_a_list_with_an_excluded_row_is_not_written() -> None:
    with pytest.raises(ExpansionError, match="1 people"):
        check_nobody_barred(prospects("bob", "ann"), np.array([1]), ids_of())
