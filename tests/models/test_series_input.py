import numpy as np
import pandas as pd
import pytest
import torch

from helpers.tiny import TINY
from ncvqvae import NCVQVAEConfig, NCVQVAEModel


METHODS = {
    "forward": lambda model, values: model.tokenizer(values).reconstruction,
    "encode": lambda model, values: model.encode(values).codes,
    "reconstruct": lambda model, values: model.reconstruct(values),
    "embed": lambda model, values: model.embed(values),
}
SERIES = torch.randn(3, 1, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(
    "values",
    [
        SERIES.numpy(),
        SERIES[:, 0],
        SERIES[:, 0].numpy(),
        SERIES.tolist(),
        SERIES[:, 0].tolist(),
        list(SERIES[:, 0].numpy()),
        pd.DataFrame(SERIES[:, 0].numpy()),
        np.asfortranarray(SERIES.numpy()),
        SERIES.numpy().astype(">f4"),
        SERIES.numpy()[::-1][::-1],
    ],
)
def test_arrays_lists_and_series_without_channels_are_the_tensor_that_they_mean(model, method, values):
    assert torch.equal(method(model, values), method(model, SERIES))


@pytest.mark.parametrize("kind", [np.int16, np.int64, np.uint8, bool])
def test_whole_numbers_become_float32(model, kind):
    values = np.arange(120).reshape(3, 40).astype(kind)
    made = model.reconstruct(values)
    assert made.dtype == torch.float32 and torch.equal(made, model.reconstruct(values.astype(np.float32)))


def test_series_without_channels_are_of_one_channel_for_a_tokenizer_of_any_number_of_channels(base_tokenizer):
    values = torch.randn(3, 50)
    assert torch.equal(base_tokenizer.encode(values).codes, base_tokenizer.encode(values[:, None]).codes)
    assert base_tokenizer.reconstruct(values.numpy()).shape == (3, 1, 50)


def test_series_without_channels_are_refused_where_there_are_two():
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**TINY, num_channels=2))
    with pytest.raises(ValueError, match=r"\(batch, 2, 40\), found \(2, 40\)$"):
        tokenizer.encode(np.zeros((2, 40)))


def test_a_prior_learns_from_an_array_too(model):
    losses = [model(values, generator=torch.Generator().manual_seed(0)).loss for values in (SERIES, SERIES.numpy())]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(40), r"\(batch, 1, 40\), found \(40,\); of one series give values\[None\]$"),
        ([0.0] * 40, r"found \(40,\); of one series"),
        (np.zeros((2, 39)), r"found \(2, 1, 39\)$"),
        ([], r"found \(0,\)"),
        ([[0.0] * 40, [0.0] * 39], "equally many in each"),
        (np.full((2, 40), "a"), "series must be numbers, found ndarray of <U1"),
        (np.zeros((2, 40), complex), "series must be numbers, found ndarray of complex128"),
        (None, "series must be numbers, found NoneType of object"),
        (np.full((2, 40), np.nan), "NaN or infinite"),
    ],
)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_what_are_no_series_of_the_model_is_refused_in_one_line(model, method, values, message):
    with pytest.raises(ValueError, match=message) as error:
        method(model, values)
    assert "\n" not in str(error.value)
