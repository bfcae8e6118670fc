import numpy as np
import pytest
import torch

from helpers.tiny import ANY_LENGTH, TINY, TINY_PRIOR
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel


FAR, SPREAD = 1.7e9, 35.0  # float32 steps by 128 there
WAVES = 50 * torch.sin(torch.arange(40, dtype=torch.float64) * torch.tensor([[0.3], [0.5], [0.9]]))[:, None]


def tokenizer(mean=FAR, std=SPREAD):
    """One that differs from others in the moments alone; its codebook has seen a batch."""
    torch.manual_seed(0)
    trained = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY))
    trained(torch.randn(8, 1, 40), torch.randn(8, 1, 40))
    model = NCVQVAEModel(NCVQVAEConfig(**TINY, mean=[mean], std=[std]))
    model.load_state_dict(trained.tokenizer.state_dict())
    return model.eval()


def prior(mean, std):
    return MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer(mean, std), **TINY_PRIOR).eval()


def test_float64_series_far_from_zero_are_scaled_with_all_their_digits():
    scaled = tokenizer().scale(FAR + WAVES)
    assert scaled.dtype == torch.float32
    torch.testing.assert_close(scaled.double(), WAVES / SPREAD, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [torch.tensor, np.asarray])
@pytest.mark.parametrize("mean", [FAR, 3.0])
def test_reconstructions_of_float64_series_are_those_of_scaled_series_in_float64(mean, kind):
    model, plain, waves = tokenizer(mean), tokenizer(0.0, 1.0), WAVES / SPREAD
    values = kind((mean + WAVES).numpy())
    made, encoded = model.reconstruct(values), model.encode(values)
    assert made.dtype == encoded.moments.dtype == torch.float64 and made.unique().numel() > 100
    assert encoded.moments.shape == (2, 3, 1, 1) and encoded.latents.dtype == torch.float32
    torch.testing.assert_close((made - mean) / SPREAD, plain.reconstruct(waves), atol=1e-4, rtol=0)
    torch.testing.assert_close(encoded.latents, plain.encode(waves).latents, atol=1e-4, rtol=1e-4)
    assert torch.equal(model.decode(encoded.codes, moments=encoded.moments), made)


def test_float64_series_that_are_scaled_by_themselves_keep_their_digits():
    torch.manual_seed(0)
    model = NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH)).eval()
    made, encoded = model.reconstruct(FAR + WAVES), model.encode(FAR + WAVES)
    assert made.dtype == encoded.moments.dtype == torch.float64
    torch.testing.assert_close(encoded.moments[0], FAR + WAVES.mean(-1, keepdim=True), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded.moments[1], WAVES.std(-1, keepdim=True, correction=0), atol=1e-5, rtol=0)
    torch.testing.assert_close(made - FAR, model.reconstruct(WAVES), atol=1e-3, rtol=0)
    given = model.reconstruct(FAR + WAVES, mean=FAR, std=SPREAD)
    torch.testing.assert_close(given - FAR, model.reconstruct(WAVES, mean=0.0, std=SPREAD), atol=1e-3, rtol=0)


@pytest.mark.parametrize("mean", [FAR, 3.0])
def test_float32_series_stay_float32_and_are_scaled_by_the_buffer(mean):
    model, values = tokenizer(mean), (mean + WAVES).float()
    encoded, (average, deviation) = model.encode(values), model.scale.mean_and_std
    assert model.reconstruct(values).dtype == torch.float32 and encoded.moments is None
    assert torch.equal(model.scale(values), (values - average) / deviation)


@pytest.mark.parametrize(
    ("mean", "std", "kind"),
    [
        (FAR, SPREAD, torch.float64),
        (-10001.0, 1.0, torch.float64),
        (10000.0, 1.0, torch.float32),
        (3.0, 2.0, torch.float32),
        (0.0, 1e300, torch.float64),
    ],
)
def test_generated_and_decoded_series_are_float64_where_float32_lacks_digits_or_range(mean, std, kind):
    model = prior(mean, std)
    made = model.generate(4, return_codes=True, precision="no", generator=torch.Generator().manual_seed(1))
    plain = prior(0.0, 1.0).generate(4, precision="no", generator=torch.Generator().manual_seed(1))
    assert made.values.dtype == model.decode(made.codes).dtype == kind
    assert torch.equal(made.values, model.decode(made.codes)) and made.values.unique().numel() > 100
    tolerance = 1e-5 if kind == torch.float64 else 1e-3
    torch.testing.assert_close((made.values - mean) / std, plain, atol=tolerance, rtol=1e-5, check_dtype=False)


def test_a_set_far_from_zero_is_generated_in_float64_and_others_are_not():
    sets = [{"name": "far", "length": 40, "mean": FAR, "std": SPREAD}, {"name": "near", "length": 40, "mean": 1.0}]
    sets[1]["std"] = 2.0
    fields = TINY_PRIOR | {"id2label": {0: "far/a", 1: "near/a"}, "label_shares": [0.5, 0.5], "sets": sets}
    fields |= {"code_embedding": "geometry", "position_encoding": "rotary"}
    model = MaskGITForTimeSeriesGeneration.from_tokenizer(NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH)), **fields).eval()
    assert model.generate(2, "far").dtype == torch.float64 and model.generate(2, "near").dtype == torch.float32
    assert model.generate(2, "far").unique().numel() > 60


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_a_cast_of_the_model_takes_no_digits_from_its_moments(kind):
    model, values = tokenizer().to(kind), FAR + WAVES
    torch.testing.assert_close(model.scale(values).double(), WAVES / SPREAD, atol=5e-3, rtol=5e-3)
    assert (model.reconstruct(values) - FAR).abs().max() < 10 * SPREAD
    ordinary = tokenizer(293.3, 2.7).to(kind)
    assert torch.equal(ordinary.scale.inverse(torch.zeros(1, 1, 1)), torch.full((1, 1, 1), 293.3))


def test_a_loaded_model_has_the_moments_of_the_saved_one(tmp_path):
    model, values = prior(FAR, SPREAD), FAR + WAVES
    model.save_pretrained(tmp_path)
    again = MaskGITForTimeSeriesGeneration.from_pretrained(tmp_path)
    assert torch.equal(again.reconstruct(values), model.reconstruct(values))
    made = [one.generate(3, generator=torch.Generator().manual_seed(1)) for one in (model, again)]
    assert made[0].dtype == torch.float64 and torch.equal(*made)


def test_a_tokenizer_exports_for_float64_series():
    model, values = tokenizer(), FAR + WAVES
    output, expected = torch.export.export(model, (values,)).module()(values), model(values)
    assert torch.equal(output.codes, expected.codes) and output.reconstruction.dtype == torch.float64
    torch.testing.assert_close(output.reconstruction - FAR, expected.reconstruction - FAR, atol=1e-3, rtol=0)
