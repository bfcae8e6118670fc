"""Tokenizers for series of every length: refined series, folded frequencies, normalised codes, channels one by one."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError

from helpers.tiny import ANY_LENGTH as ANY
from ncvqvae import NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel
from ncvqvae.models.modeling_ncvqvae_pretraining import magnitude_loss
from ncvqvae.models.resampling import coarsen, refine, refined_length


SHAPES = [(2, 1, 8), (1, 3, 9), (2, 2, 51), (3, 1, 100), (1, 1, 101), (2, 4, 333)]


@pytest.fixture
def tokenizer(base_tokenizer):
    return base_tokenizer


@pytest.mark.parametrize("length", range(8, 130))
def test_refining_loses_nothing_and_uses_the_working_length(length):
    values = torch.randn(2, 3, length)
    refined = refine(values, refined_length(length, 100))
    assert torch.equal(coarsen(refined, length), values)
    assert refined.shape[-1] == length if length > 50 else 50 < refined.shape[-1] <= 100


def test_refining_is_linear_interpolation():
    values = torch.randn(2, 3, 10, dtype=torch.float64)
    refined = refine(values, refined_length(10, 100))
    torch.testing.assert_close(refined, F.interpolate(values, 100, mode="linear", align_corners=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_series_of_every_shape_come_back_in_their_shape_and_units(tokenizer, shape):
    values = 100 + 3 * torch.randn(shape)
    encoded = tokenizer.encode(values)
    decoded = tokenizer.decode(encoded.codes, shape[2], encoded.moments)
    assert decoded.shape == shape and torch.equal(decoded, tokenizer.reconstruct(values))
    assert encoded.codes.shape == (shape[0], shape[1] * tokenizer.config.grid(shape[2])[1])
    torch.testing.assert_close(encoded.moments[0, ..., 0], values.mean(-1))
    assert decoded.mean().item() == pytest.approx(100, abs=10)
    assert tokenizer.embed(values).shape[0] == shape[0]


@pytest.mark.parametrize("length", [8, 51, 101, 102, 103, 333])
def test_a_series_is_a_whole_number_of_codes_whose_last_value_is_repeated(tokenizer, length):
    values = torch.randn(2, 1, length)
    working = tokenizer.to_working(values)
    refined = refined_length(length, 100)
    assert working.shape[-1] % 8 == 0 and 0 <= working.shape[-1] - refined < 8
    assert tokenizer.config.grid(length) == (1, working.shape[-1] // 8 + 1)
    assert (working[..., refined:] == values[..., -1:]).all()
    assert torch.equal(tokenizer.from_working(working, 1, length), values)


def test_a_scaled_series_has_the_codes_of_the_series(tokenizer):
    values = torch.randn(4, 2, 40)
    assert torch.equal(tokenizer.encode(values).codes, tokenizer.encode(64 * values - 16).codes)


def test_given_moments_replace_the_series_own(tokenizer):
    values = 5 + torch.randn(3, 2, 40)
    encoded = tokenizer.encode(values, mean=5.0, std=torch.ones(2))
    assert torch.equal(encoded.moments[0], torch.full((3, 2, 1), 5.0)) and (encoded.moments[1] == 1).all()
    with pytest.raises(ValueError, match="give both mean and std"):
        tokenizer.encode(values, mean=5.0)


def test_channels_are_tokenized_one_by_one(tokenizer):
    values = torch.randn(3, 2, 40)
    apart = [tokenizer.encode(values[:, channel : channel + 1]).codes for channel in (0, 1)]
    assert torch.equal(tokenizer.encode(values).codes, torch.cat(apart, 1))


def test_latents_and_codes_lie_on_the_sphere(tokenizer):
    encoded = tokenizer.encode(torch.randn(3, 1, 40))
    for vectors in (encoded.latents, encoded.quantized):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3, 1, encoded.codes.shape[1]))
    nearest = torch.einsum("bdfw,kd->bwk", encoded.latents, tokenizer.quantizer.codebook).argmax(-1)
    assert torch.equal(nearest, encoded.codes)


@pytest.mark.parametrize("shape", SHAPES)
def test_saved_and_loaded_gives_the_same_bits(tokenizer, tmp_path, shape):
    tokenizer.save_pretrained(tmp_path)
    loaded, values = NCVQVAEModel.from_pretrained(tmp_path), torch.randn(shape)
    assert loaded.config.length is None and torch.equal(loaded.reconstruct(values), tokenizer.reconstruct(values))


OPTIONS = {
    "length": [40, None],
    "fold_frequencies": [False, True],
    "channelwise": [False, True],
    "code_dim": [None, 4],
    "normalise_codes": [False, True],
    "working_length": [None, 90],
    "scale_each": [False, True],
}


@pytest.mark.parametrize("chosen", itertools.product(*OPTIONS.values()))
def test_every_combination_trains_a_step_and_reconstructs(chosen):
    sizes = dict(num_channels=2, num_halvings=1, dim=4, num_residual_blocks=1, codebook_size=6, projector_dim=8)
    config = NCVQVAEConfig(**sizes, magnitude_weight=0.5, **dict(zip(OPTIONS, chosen, strict=True)))
    model, values = NCVQVAEForPreTraining(config).train(), torch.randn(6, 2, 40)
    output = model(values, values + 0.1 * torch.randn_like(values))
    output.loss.backward()
    assert output.loss.isfinite() and all(parameter.grad is not None for parameter in model.parameters())
    tokenizer = model.tokenizer.eval()
    encoded = tokenizer.encode(values)
    decoded = tokenizer.decode(encoded.codes, 40, encoded.moments)
    assert decoded.shape == values.shape and torch.equal(decoded, tokenizer.reconstruct(values))
    if config.length is not None:
        assert encoded.codes.shape == (6, config.num_codes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.randn(2, 1, 7), r"\(batch, channels, length\), of at least 8 samples, found \(2, 1, 7\)"),
        (torch.randn(30), r"found \(30,\); of one series give values\[None\]"),
        (torch.ones(2, 1, 30), "a series is constant: give the mean and std"),
        (torch.full((2, 1, 30), torch.nan), "NaN or infinite"),
    ],
)
def test_series_that_cannot_be_tokenized_are_refused_in_one_line(tokenizer, values, message):
    for method in (tokenizer.encode, tokenizer.embed, tokenizer.reconstruct):
        with pytest.raises(ValueError, match=message):
            method(values)


def test_codes_need_the_length_of_their_series_and_must_fit_it(tokenizer):
    codes = tokenizer.encode(torch.randn(2, 1, 40)).codes
    with pytest.raises(ValueError, match="say the length"):
        tokenizer.decode(codes)
    with pytest.raises(ValueError, match="codes must have the shape"):
        tokenizer.decode(codes[:, :-1], 40)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (dict(length=None), "num_halvings"),
        (dict(fold_frequencies=True), "num_halvings"),
        (dict(working_length=7), "working_length"),
        (dict(num_halvings=0), "num_halvings"),
        (dict(code_dim=0), "code_dim"),
        (dict(magnitude_weight=-1.0), "magnitude_weight"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings, name):
    with pytest.raises(StrictDataclassError, match=name):
        NCVQVAEConfig(**settings)


def test_the_magnitude_loss_is_its_formula_and_zero_for_equal_series():
    first, second = torch.randn(3, 2, 50), torch.randn(3, 2, 50)
    assert magnitude_loss(first, first) == 0
    total = 0.0
    for size in (16, 32):  # a window of 64 is longer than the series
        window, parts = torch.hann_window(size), []
        for values in (first, second):
            padded = F.pad(values, (size // 2, size // 2), mode="reflect")
            frames = padded.unfold(-1, size, size // 4) * window
            parts.append(torch.fft.rfft(frames).abs())
        difference = (parts[0] - parts[1]).abs().mean() / size**0.5
        total = total + difference + 0.3 * ((parts[0] + 1e-2).log() - (parts[1] + 1e-2).log()).abs().mean()
    torch.testing.assert_close(magnitude_loss(first, second), total / 2)


def test_noise_moves_decoded_series_by_its_generator_alone_and_without_one_nothing_is_drawn(generator, tmp_path):
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**ANY | {"decoder_noise": True})).train()
    model(torch.randn(8, 1, 64), torch.randn(8, 1, 64))
    tokenizer = model.tokenizer.eval()
    codes, moments = (tokenizer.encode(torch.randn(3, 2, 40))[name] for name in ("codes", "moments"))
    plain = tokenizer.decode(codes, 40, moments)
    noisy = [tokenizer.decode(codes, 40, moments, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(plain, tokenizer.decode(codes, 40, moments)) and torch.equal(noisy[0], noisy[1])
    assert not torch.equal(noisy[0], plain) and not torch.equal(noisy[0], noisy[2])
    tokenizer.save_pretrained(tmp_path)
    loaded = NCVQVAEModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.decode(codes, 40, moments, torch.Generator().manual_seed(1)), noisy[2])


def test_a_decoder_without_noise_refuses_a_generator(tokenizer, generator):
    encoded = tokenizer.encode(torch.randn(1, 1, 40))
    with pytest.raises(ValueError, match="takes no noise"):
        tokenizer.decode(encoded.codes, 40, encoded.moments, generator)


def test_features_are_as_many_for_every_length_and_hold_the_shares_above_five_values(tokenizer):
    values = torch.randn(3, 1, 40)
    features = tokenizer.embed(values)
    assert {tokenizer.embed(torch.randn(3, 2, length)).shape for length in (8, 40, 500)} == {features.shape}
    working = tokenizer.to_working(tokenizer.scale(values, tokenizer.encode(values).moments))
    entered, norm = tokenizer.encoder.features(tokenizer.time_frequency(working))[0], tokenizer.encoder.norms[0]
    width = entered.shape[1]
    spread = norm.running_var.sqrt()
    for place, level in enumerate((0 * spread, *(norm.running_mean + t * spread for t in (-1, -0.5, 0.5, 1))), 3 + 8):
        shares = (entered[:, :, 0] > level[:, None]).float().mean(-1)
        torch.testing.assert_close(features[:, place * width : (place + 1) * width], shares)


@pytest.mark.parametrize("shape", [(3, 2, 40), (2, 1, 333)])
def test_it_exports_for_a_shape_and_computes_the_same(tokenizer, shape):
    values = torch.randn(shape)
    exported = torch.export.export(tokenizer, (values,)).module()
    output, expected = exported(values), tokenizer(values)
    assert torch.equal(output.codes, expected.codes)
    torch.testing.assert_close(output.reconstruction, expected.reconstruction)
