"""Gaps are filled by the prior; what is known stays."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from helpers.tiny import ANY_LENGTH
from ncvqvae import MaskGITForTimeSeriesGeneration
from ncvqvae.cli.__main__ import main
from ncvqvae.data.own_series import read_series
from ncvqvae.models.imputation import complete_codes
from ncvqvae.models.interpolation import distance_to_known, interpolate


def seeded():
    return torch.Generator().manual_seed(3)


def over_sets(tokenizer, names):
    """A tiny prior over one set A, for series of every length."""
    sets = [{"name": "A", "length": 64, "mean": 0.0, "std": 1.0}]
    sizes = dict(hidden_size=16, num_hidden_layers=1, head_dim=8, intermediate_size=16, position_encoding="rotary")
    prior = MaskGITForTimeSeriesGeneration.from_tokenizer(
        tokenizer, sets=sets, id2label=names, code_embedding="geometry", **sizes
    )
    return prior.eval()


@pytest.fixture
def gappy():
    values = torch.randn(4, 1, 40).cumsum(-1)
    values[0, 0, 10:20] = values[1, 0, ::2] = values[2, 0, :15] = torch.nan
    return values


def test_lines_go_through_known_samples_as_numpy_interpolates():
    values, known = torch.randn(5, 2, 30), torch.rand(5, 2, 30) < 0.4
    known[..., 4] = True
    filled = interpolate(values, known)
    for series, where, line in zip(values.flatten(0, 1), known.flatten(0, 1), filled.flatten(0, 1), strict=True):
        place = where.nonzero()[:, 0]
        np.testing.assert_allclose(line, np.interp(np.arange(30), place, series[where]), atol=1e-5)
    known = torch.tensor([True, False, False, False, True, False])
    assert distance_to_known(known).tolist() == [0, 1, 2, 1, 0, 1]


@pytest.mark.parametrize("order", ["confidence", "random", "low_discrepancy"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_known_samples_come_back_bit_for_bit_and_draws_are_seeded(model, gappy, order, guidance):
    filled = model.impute(gappy, "up", 5, order=order, guidance_scale=guidance, generator=seeded())
    known = ~gappy.isnan()
    for series in (filled.values, *filled.draws):
        assert series.isfinite().all() and torch.equal(series[known], gappy[known])
    assert (filled.spread[known] == 0).all() and (filled.spread[~known] > 0).any()
    torch.testing.assert_close(filled.values, filled.draws.mean(0))
    again = model.impute(gappy.numpy(), "up", 5, order=order, guidance_scale=guidance, generator=seeded())
    assert torch.equal(again.draws, filled.draws)


def test_a_series_without_gaps_has_no_code_to_draw(model, gappy):
    filled = model.impute(gappy, generator=seeded())
    assert not filled.drawn[3].any() and filled.drawn[:3].any(1).all()
    assert torch.equal(filled.values[3], gappy[3])


def test_nothing_jumps_at_the_edge_of_a_gap_however_far_the_decoder_is_off(model, monkeypatch):
    line = torch.linspace(0, 1, 40).view(1, 1, 40)
    monkeypatch.setattr(model, "decode", lambda codes, length, moments: torch.full((len(codes), 1, length), 1e3))
    gappy = line.clone()
    gappy[..., 10:30] = torch.nan
    torch.testing.assert_close(model.impute(gappy, num_draws=1).values, line, rtol=0, atol=1e-3)  # float32 at 1000


def test_codes_that_are_not_masked_stay_and_the_others_follow_the_prediction():
    codes, masked = torch.randint(5, (6, 12)), torch.rand(6, 12) < 0.5
    masked[0], masked[1] = False, True

    def predict(codes, masked, wanted, progress):
        assert not (wanted & ~masked).any()
        return torch.nn.functional.one_hot(wanted.nonzero()[:, 1] % 5, 5) * 100.0

    for order in (None, torch.rand(6, 12).argsort(1)):
        found = complete_codes(predict, codes, masked, order, 4, generator=seeded())
        torch.testing.assert_close(found, torch.where(masked, torch.arange(12) % 5, codes))


def test_moments_and_classes_stay_with_their_series_however_many_are_filled_at_a_time(base_tokenizer):
    prior = over_sets(base_tokenizer, {0: "A/x"})
    scale = torch.tensor([1.0, 1e3, 1e6])
    values = torch.randn(1, 2, 64).cumsum(-1).repeat(3, 1, 1) * scale[:, None, None]
    values[..., 20:40] = torch.nan
    how = dict(mean=torch.zeros(3, 2), std=scale[:, None].expand(3, 2), num_draws=2)
    how |= dict(temperature=1e-3, order="confidence", choice_temperature=0.0)
    for size in (1, 256):
        filled = prior.impute(values, "A", batch_size=size, generator=seeded(), **how).values
        torch.testing.assert_close(filled[0], filled[1] / 1e3, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(filled[0], filled[2] / 1e6, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_known_samples_are_exact_in_any_precision_of_the_model_or_the_series(model, gappy, dtype):
    gappy = gappy.double() if dtype == torch.float64 else gappy
    filled = model.to(dtype).impute(gappy, num_draws=2, generator=seeded())
    known = ~gappy.isnan()
    assert filled.values.dtype == gappy.dtype and torch.equal(filled.values[known], gappy[known])


def test_edit_keeps_a_slice_and_draws_the_rest_whatever_stood_there(model):
    values = torch.randn(3, 1, 40)
    other = values.clone()
    other[..., 15:] += 9
    edited = model.edit(values, slice(None, 15), "down", generator=seeded())
    assert torch.equal(edited.values[..., :15], values[..., :15])
    assert torch.equal(edited.values, model.edit(other, slice(0, 15), "down", generator=seeded()).values)
    mask = torch.arange(40) < 15
    assert torch.equal(edited.values, model.edit(values, mask, "down", generator=seeded()).values)
    for keep in (slice(0, 0), slice(None), torch.zeros(40)):
        with pytest.raises(ValueError, match="keep must leave a sample"):
            model.edit(values, keep)
    with pytest.raises(ValueError, match="keep must be a slice"):
        model.edit(values, torch.ones(39))


def test_a_prior_over_many_sets_fills_any_length_and_channels_in_the_units_of_the_data(base_tokenizer):
    prior = over_sets(base_tokenizer, {0: "A/x", 1: "A/y"})
    assert ANY_LENGTH["scale_each"]
    values = 1e3 + 50 * torch.randn(2, 3, 70)
    values[0, 1, 20:40] = torch.nan
    for labels in ("A", "A/y", ["A/x", "A/y"]):
        filled = prior.impute(values, labels, 3)
        assert filled.draws.shape == (3, 2, 3, 70) and (filled.values - 1e3).abs().max() < 1e3
    with pytest.raises(ValueError, match="say of which set"):
        prior.impute(values)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda values: values.fill_(torch.nan), "nothing but NaN"),
        (lambda values: values[0, 0].fill_(torch.inf), "infinite"),
        (lambda values: values.nan_to_num_(), "nothing to fill"),
    ],
)
def test_what_cannot_be_filled_is_said_in_one_line(model, gappy, change, match):
    change(gappy)
    with pytest.raises(ValueError, match=match):
        model.impute(gappy)


def test_wrong_labels_shapes_and_numbers_are_refused(model, gappy):
    with pytest.raises(ValueError, match="one for each of 4 series; found 2"):
        model.impute(gappy, ["up", "down"])
    with pytest.raises(ValueError, match="must have the shape"):
        model.impute(gappy[..., :30])
    with pytest.raises(ValueError, match="num_draws"):
        model.impute(gappy, num_draws=0)


def test_impute_reads_a_file_with_gaps_and_writes_one_without(checkpoint, model, gappy, tmp_path, capsys):
    rows = [["" if value != value else repr(value) for value in series[0].tolist()] for series in gappy]
    lines = [",".join(["label", *(f"t{index}" for index in range(40))])]
    lines += [",".join([name, *row]) for name, row in zip(["up", "down", "up", "up"], rows, strict=True)]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    out, spread = str(tmp_path / "out.npz"), str(tmp_path / "spread.npz")
    assert main(["impute", checkpoint, str(tmp_path / "in.csv"), out, "--spread", spread, "--seed", "3"]) == 0
    assert (
        "4 series" in (said := capsys.readouterr().out)
        and f"1 channel, {int(gappy.isnan().sum())} missing values" in said
    )
    values, labels, _ = read_series(out)
    expected = model.impute(gappy, ["up", "down", "up", "up"], generator=seeded())
    torch.testing.assert_close(values, expected.values)
    torch.testing.assert_close(read_series(spread)[0], expected.spread)
    assert labels == ["up", "down", "up", "up"]


def test_edit_keeps_what_the_option_says_and_writes_the_new_class(checkpoint, model, tmp_path, capsys):
    values, out = torch.randn(3, 1, 40), str(tmp_path / "out.npz")
    np.savez(tmp_path / "in.npz", values=values, labels=["up", "down", "up"])
    command = ["edit", checkpoint, str(tmp_path / "in.npz"), out, "--label", "down"]
    assert main([*command, "--keep=-25:", "--seed", "3"]) == 0
    edited, labels, _ = read_series(out)
    torch.testing.assert_close(edited, model.edit(values, slice(-25, None), "down", generator=seeded()).values)
    assert torch.equal(edited[..., -25:], values[..., -25:]) and labels == ["down"] * 3
    for wrong in ("25", "a:b", "0:9:0", "1:2:3:4"):
        capsys.readouterr()
        assert main([*command, "--keep", wrong]) == 2
        assert f"--keep takes START:STOP, such as 0:40, found {wrong!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "options", "match"),
    [
        ("[[1, 2, 3], [4, 5]]", [], "equally many"),
        ("[[null, 2, 3], [4, 5, 6]]", [], "shape (batch, 1, 40)"),
        ("[[1, 2, 3], [4, 5, 6]]", ["--window", "20"], "gaps are filled in whole series"),
        ([[1] * 40], [], "nothing to fill"),
    ],
)
def test_a_file_that_cannot_be_filled_is_said_in_one_line(checkpoint, tmp_path, content, options, match, capsys):
    table = pa.table({"values": json.loads(str(content))})
    pq.write_table(table, tmp_path / "in.parquet")
    assert main(["impute", checkpoint, str(tmp_path / "in.parquet"), str(tmp_path / "out.csv"), *options]) == 2
    error = capsys.readouterr().err
    assert match in error and error.count("\n") == 1, error
