"""Wavelets in the place of the STFT, and the two bands of a series tokenized one by one."""

import numpy as np
import pytest
import torch
from transformers import AutoModel

from helpers.tiny import ANY_LENGTH, SETTINGS, TINY, TINY_PRIOR, toy_dataset
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEModel
from ncvqvae.models.time_frequency import TRANSFORMS, Wavelets, low_band
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.stages import train


LENGTHS = [*range(8, 40), 499, 500]
KINDS = [dict(transform="wavelets"), dict(split_bands=True), dict(transform="wavelets", split_bands=True)]
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=["wavelets", "split", "both"])


def starlet(series, levels=4):
    """The bands `(levels + 1, length)` of a series `(length,)`, smoothest first, sample by sample."""
    bands, smooth = [], series.astype(float)
    for level in range(levels):
        gap = 2**level
        padded = np.pad(smooth, 2 * gap, mode="reflect")
        smoother = np.array(
            [np.dot([1, 4, 6, 4, 1], padded[t : t + 4 * gap + 1 : gap]) / 16 for t in range(len(smooth))]
        )
        bands, smooth = [smooth - smoother, *bands], smoother
    return np.stack([smooth, *bands])


def test_wavelets_are_the_starlet_transform_with_two_samples_a_frame():
    for length in LENGTHS:
        values = torch.randn(2, 3, length)
        found = Wavelets(length)(values)
        assert found.shape == (2, 6, 5, length // 2 + 1)
        for channel in range(3):
            expected = starlet(values[1, channel].numpy())
            samples = torch.stack((found[1, 2 * channel], found[1, 2 * channel + 1]), -1).flatten(1)
            np.testing.assert_allclose(samples[:, :length], expected, atol=1e-5)


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_bands_add_up_to_the_series_at_every_length(transform):
    for length in LENGTHS:
        values, module = torch.randn(2, 2, length), transform(None)
        torch.testing.assert_close(module.inverse(module(values), length), values, atol=2e-6, rtol=0)
        low = low_band(module, values)
        assert low.shape == values.shape
        assert 0 < low.std() < values.std()


def test_the_low_band_of_the_stft_is_that_of_torch_with_all_frequencies_but_the_lowest_taken_out():
    values = torch.randn(3, 1, 101)
    kind = dict(n_fft=8, hop_length=2, window=torch.hann_window(8))
    spectrum = torch.stft(values[:, 0], return_complex=True, **kind)
    spectrum[:, 1:] = 0
    expected = torch.istft(spectrum, length=101, **kind)
    torch.testing.assert_close(low_band(TRANSFORMS["stft"](None), values)[:, 0], expected, atol=1e-6, rtol=0)


def test_wavelets_export_and_come_back_from_the_meta_device():
    with torch.device("meta"):
        module = Wavelets(45)
    module.to_empty(device="cpu").reset_parameters()
    values = torch.randn(2, 1, 45)
    exported = torch.export.export(module, (values,)).module()
    torch.testing.assert_close(exported(values), Wavelets(45)(values))
    assert not module.state_dict()


@EACH_KIND
@pytest.mark.parametrize("channels", [{}, dict(num_channels=2), dict(num_channels=2, channelwise=True)], ids=len)
def test_a_model_of_each_kind_encodes_decodes_saves_and_loads(kind, channels, tmp_path):
    config = NCVQVAEConfig(**TINY | kind | channels)
    model = NCVQVAEModel(config).eval()
    values = torch.randn(3, config.num_channels, 40)
    encoded = model.encode(values)
    assert encoded.codes.shape == (3, config.num_codes)
    rows = 5 * (2 if "split_bands" in kind else 1) * (2 if config.channelwise else 1)
    assert config.num_codes == rows * config.latent_shape[1]
    reconstruction = model.reconstruct(values)
    assert reconstruction.shape == values.shape
    torch.testing.assert_close(model.decode(encoded.codes), reconstruction)
    assert model.embed(values).shape[0] == 3
    model.save_pretrained(tmp_path)
    assert torch.equal(AutoModel.from_pretrained(tmp_path).reconstruct(values), reconstruction)


def test_the_bands_of_series_of_any_length_are_tokenized_one_by_one():
    split = NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH, split_bands=True)).eval()
    for channels, length in ((1, 33), (3, 70)):
        values = torch.randn(2, channels, length)
        encoded = split.encode(values)
        assert encoded.codes.shape[1] == 2 * channels * split.config.grid(length)[1]
        decoded = split.decode(encoded.codes, length, encoded.moments)
        torch.testing.assert_close(decoded, split.reconstruct(values))


def test_each_band_comes_back_from_codes_of_its_own():
    model = NCVQVAEModel(NCVQVAEConfig(**TINY, split_bands=True)).eval()
    codes = torch.randint(6, (4, model.config.num_codes), generator=torch.Generator().manual_seed(0))
    low, high = codes.chunk(2, 1)

    def change(low):
        return model.decode(torch.cat((low, high.roll(1, 0)), 1)) - model.decode(torch.cat((low, high), 1))

    # A reconstruction is a sum, so that other codes of one band change it alike whatever those of the other are.
    assert change(low).abs().max() > 1e-3
    torch.testing.assert_close(change(low), change(low.roll(1, 0)), atol=1e-5, rtol=0)


@EACH_KIND
def test_both_stages_train_with_views_for_each_band(kind, tmp_path):
    settings = [f"tokenizer.{name}={value}" for name, value in kind.items()]
    bands = ["high_views=[gaussian_noise]"] if "split_bands" in kind else []
    model, histories = train(toy_dataset(), load_recipe(None, [*SETTINGS, *settings, *bands]), tmp_path / "model")
    assert histories["tokenizer"].training[-1]["loss"] < histories["tokenizer"].training[0]["loss"] * 1.5
    made = model.generate(3, generator=torch.Generator().manual_seed(0))
    assert made.shape == (3, 1, 24) and made.isfinite().all()


def test_a_prior_of_bands_knows_their_rows():
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**TINY, split_bands=True)).eval()
    prior = MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, **TINY_PRIOR).eval()
    assert prior.num_codes == tokenizer.config.num_codes and prior.grid(40)[0] == 10
    assert prior.generate(2).shape == (2, 1, 40)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["tokenizer.transform=fourier"], "transform must be one of stft, wavelets, found 'fourier'"),
        (["tokenizer.transform=wavelets", "tokenizer.n_fft=16"], "wavelets need n_fft 8, found 16"),
        (["high_views=[flip]"], "high_views want tokenizer.split_bands, and views of the low band"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(settings, said):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refusal:
        load_recipe(None, settings)
    assert said in str(refusal.value)
