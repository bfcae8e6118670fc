"""Casts to every dtype, in every way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.testing import assert_close
from transformers import AutoModel

from .outputs import Load, expected_of, inputs, is_ours, is_prior, loss_of, random_series, seed


DTYPES = {torch.float16: "half", torch.bfloat16: "bfloat16", torch.float32: "float", torch.float64: "double"}


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def in_every_way(folder: Path, load: Load, dtype: torch.dtype) -> Iterator[nn.Module]:
    """A model that is cast, and what happens next happens under the same default."""
    yield load(folder, dtype=dtype)
    if dtype == torch.float32:  # which all else has
        return
    plain = load(folder)
    state = {name: one.clone() for name, one in plain.state_dict().items()}
    yield getattr(plain, DTYPES[dtype])()
    known = {name: value for name, value in load.keywords.items() if name == "trust_remote_code"}
    made = AutoModel.from_config(plain.config, dtype=dtype, **known).eval()
    made.load_state_dict(state)
    yield made
    with default(dtype):
        made = type(made)(plain.config).eval()
        made.load_state_dict(state)
        yield made


def a_cast_to_any_dtype_computes_the_same_up_to_rounding_and_trains(folder: Path, load: Load, work: Path):
    reference = load(folder)
    expected = expected_of(reference)
    for dtype in DTYPES:
        for number, model in enumerate(in_every_way(folder, load, dtype)):
            way = f"{dtype}, way {number}"
            assert model.dtype == dtype, f"{way} is {model.dtype}"
            found = expected_of(model)
            for name in expected.keys() - {"drawn"}:
                error = (found[name].double() - expected[name].double()).norm() / expected[name].double().norm()
                assert error < 0.1 * (dtype.itemsize == 2) + 1e-4, f"{way}: {name} are off by {error:.1%}"
            if is_ours(model):
                check_codes_and_series(model, reference, way)
            check_a_step(model, way)


@torch.no_grad()
def check_codes_and_series(model, reference, way: str):
    """Codes are the nearest ones of float32, series are in the units of the data, whatever the encoder computes in."""
    stage1, kept = getattr(model, "tokenizer", model), getattr(reference, "tokenizer", reference)
    for part in ("scale", "time_frequency", "quantizer"):
        buffers = dict(getattr(kept, part).named_buffers())
        for name, found in getattr(stage1, part).named_buffers():
            assert found.dtype == torch.float32 and torch.equal(found, buffers[name]), f"{way}: {part}.{name}"
    values = random_series(model, 16)
    encoded, codes = model.encode(values), reference.encode(values).codes
    assert torch.equal(encoded.codes, kept.quantizer(encoded.latents.float()).codes.view(codes.shape)), way
    assert (encoded.codes != codes).double().mean() <= 0.05 * (model.dtype.itemsize == 2), way
    std = values.std()
    rounding = 0.1 * (model.dtype.itemsize == 2) + 1e-3
    assert_close(model.reconstruct(values), reference.decode(encoded.codes), atol=rounding * std, rtol=0, msg=way)
    if is_prior(model) and torch.get_default_dtype() == model.dtype:
        gaps = values[:2].clone()
        gaps[..., 10:20] = torch.nan
        # What is asked of float32 weights alone, and chosen where hardware multiplies bfloat16.
        drawn = model.generate(4, precision="bf16", generator=seed())
        for one in (drawn, model.impute(gaps, num_draws=2, generator=seed()).values):
            assert one.dtype == torch.float32 and (one - values.mean()).abs().max() < 30 * std, way
        assert model.score(values[:2]).scores.isfinite().all(), way


def check_a_step(model, way: str):
    before = [one.clone() for one in model.parameters()]
    loss = model(**inputs(model)).loss if is_prior(model) else loss_of(model)
    loss.backward()
    torch.optim.SGD([one for one in model.parameters() if one.requires_grad], 0.3).step()
    moved = [not torch.equal(one, old) for one, old in zip(model.parameters(), before, strict=True)]
    assert sum(moved) > 5, f"{way}: {sum(moved)} weights moved"
    assert all(one.isfinite().all() for one in model.parameters()), way
