"""Arrays and tensors of every kind of number, and numbers that float32 cannot hold."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch

from ncvqvae import describe, load_series
from ncvqvae.data.series import to_tensors


VALUES = np.random.default_rng(0).integers(-8, 8, (3, 20)).astype(np.float64)


def of_arrays(*arrays):
    """An array of objects, which are arrays."""
    found = np.empty(len(arrays), object)
    found[:] = arrays
    return found


@pytest.mark.parametrize(
    "values",
    [
        VALUES.astype(">f8"),
        VALUES.astype(np.float16),
        VALUES.astype(np.longdouble),
        VALUES.astype(np.int8),
        np.asfortranarray(VALUES),
        np.vectorize(Decimal)(VALUES),
        np.ma.array(VALUES),
        of_arrays(*VALUES),
        list(map(pd.Series, VALUES)),
        torch.tensor(VALUES, requires_grad=True),
        torch.tensor(VALUES).to_sparse(),
        torch.tensor(VALUES).bfloat16(),
        torch.tensor(VALUES).to(torch.float8_e4m3fn),
    ],
    ids=lambda values: f"{type(values).__name__} {getattr(values, 'dtype', '')}",
)
def test_every_kind_of_real_number_is_read(values):
    assert to_tensors(load_series(values))[0][:, 0].tolist() == VALUES.tolist()


def test_missing_values_of_every_kind_are_gaps():
    for values in ([[1, None, 3.0] * 4], [[1, pd.NA, 3] * 4]):
        found = load_series(np.array(values, object))
        assert to_tensors(found)[0][0, 0].tolist() == [1, 2, 3] * 4 and "4 missing values interpolated" in describe(
            found
        )
    masked = load_series(np.ma.array([[1, 9, 3] * 4], mask=[[0, 1, 0] * 4]))
    assert to_tensors(masked)[0][0, 0].tolist() == [1, 2, 3] * 4


def test_an_array_of_arrays_may_have_unequal_lengths():
    found = load_series(of_arrays(np.arange(10.0), np.linspace(0, 9, 19)))
    assert to_tensors(found)[0][0].tolist() == to_tensors(found)[0][1].tolist()
    assert "1 series stretched to the longest, read from a list of arrays" in describe(found)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.arange(40).reshape(2, 20) + 2**60,
            "the number 1152921504606847015 is too large for its digits to be kept",
        ),
        ([np.arange(20) + 2**60], "is too large for its digits to be kept: subtract an offset, or scale"),
        (np.full((2, 20), 1e160), "series 0 holds 1e.160, which is too large to compute with: scale the series"),
        (
            np.where(np.arange(40).reshape(2, 20) == 7, 1e9, np.arange(40).reshape(2, 20) % 2),
            "series 0 holds 1e.09, while",
        ),
        (np.where(np.arange(60).reshape(3, 20) > 57, 1e12, 0.0) + np.eye(3, 20), "series 2 holds 1e.12, while most"),
        (
            np.where(np.arange(60).reshape(3, 20) % 3, VALUES, 1e36),
            "series 2 holds 1e.36, while most values lie between -",
        ),
        (torch.empty(2, 20, device="meta"), "cannot read numbers from a tensor of torch.float32"),
        (
            [(torch.arange(20.0), 1), (torch.arange(20.0), 2)],
            "no array of numbers: pass the labels, if there are, apart",
        ),
        (np.zeros((2, 20), [("x", "f8")]), "series must be real numbers"),
        (np.zeros((2, 20), "datetime64[s]"), "series must be real numbers"),
        (np.full((2, 20), "1.5"), "series must be real numbers"),
    ],
    ids=["int64", "list", "huge", "outlier", "mostly 0", "many", "meta", "pairs", "records", "dates", "text"],
)
def test_what_loses_digits_or_is_no_number_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        load_series(values)


def test_small_and_large_numbers_keep_their_digits():
    for scale in (1e39, 1e-42):
        assert np.array_equal(to_tensors(load_series(VALUES * scale))[0][:, 0].numpy(), VALUES * scale)
