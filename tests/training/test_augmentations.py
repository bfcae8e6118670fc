import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from ncvqvae.training.augmentations import VIEWS, augment, check_views, draw_strength, spline_basis


def written_out_window_warp(series, start, window, scale):
    """Window warp of one channel with numpy, as the definition reads."""
    length = len(series)
    warped = int(window * scale)
    piece = np.interp(np.linspace(0, window - 1, warped), np.arange(window), series[start : start + window])
    whole = np.concatenate((series[:start], piece, series[start + window :]))
    return np.interp(np.linspace(0, len(whole) - 1, length), np.arange(len(whole)), whole)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("shape", [(5, 1, 24), (3, 4, 65)])
def test_every_view_keeps_the_shape_is_seeded_and_leaves_its_input_alone(name, shape):
    values = torch.randn(shape)
    before = values.clone()
    first, second = (augment(values, [name], torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == shape
    assert torch.equal(first, second)
    assert torch.equal(values, before)
    assert not torch.equal(first, values)


@pytest.mark.parametrize("length", [24, 150, 501])
def test_window_warp_is_the_definition_written_out(length):
    values = torch.randn(8, 2, length, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    window = max(round(0.4 * length), 1)
    start = (torch.rand(8, 1, generator=generator, dtype=torch.float64) * (length - window)).floor().long()
    scale = 0.9 + 1.1 * torch.rand(8, 1, generator=generator, dtype=torch.float64)
    warped = augment(values, ["window_warp"], torch.Generator().manual_seed(1))
    for i in range(8):
        for channel in range(2):
            expected = written_out_window_warp(values[i, channel].numpy(), int(start[i]), window, float(scale[i]))
            np.testing.assert_allclose(warped[i, channel].numpy(), expected, atol=1e-10)


def test_time_warp_is_the_definition_written_out():
    values, length = torch.randn(6, 2, 50, dtype=torch.float64), 50
    generator = torch.Generator().manual_seed(1)
    knots, whole = (torch.randn(6, size, generator=generator, dtype=torch.float64).numpy() for size in (7, 1))
    view = {"time_warp": {"std": 0.05, "num_knots": 7}}
    warped = augment(values, [view], torch.Generator().manual_seed(1))
    for i in range(6):
        bend = np.interp(np.linspace(0, 6, length), np.arange(7), knots[i])
        position = np.arange(length) + 0.05 * length * (bend + whole[i])
        for channel in range(2):
            expected = np.interp(position, np.arange(length), values[i, channel].numpy())
            np.testing.assert_allclose(warped[i, channel].numpy(), expected, atol=1e-10)


def test_slice_and_shuffle_permutes_contiguous_pieces_alike_in_all_channels(generator):
    length = 50
    values = torch.arange(length).float().repeat(64, 2, 1)
    shuffled = augment(values, ["slice_and_shuffle"], generator)
    assert torch.equal(shuffled.sort(-1).values, values)
    assert torch.equal(shuffled[:, 0], shuffled[:, 1])
    breaks = (shuffled[:, 0].diff(dim=-1) != 1).sum(1)
    assert breaks.max() == 3 and breaks.min() < 3


def test_slice_and_shuffle_uses_every_order_of_the_pieces(generator):
    shuffled = augment(torch.arange(40.0).repeat(3000, 1, 1), ["slice_and_shuffle"], generator)
    identity = (shuffled == torch.arange(40.0)).all(-1).float().mean()
    assert 0.03 < identity < 0.1  # one order in 24, and more where pieces are empty


def test_noise_and_resizing_have_the_stated_spread(generator):
    values = torch.ones(20000, 1, 8)
    noise = augment(values, [{"gaussian_noise": {"std": 0.3}}], generator) - values
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)
    factor = augment(values, [{"amplitude_resize": {"rate": 0.1}}], generator)
    assert (factor == factor[..., :1]).all()
    assert factor[:, 0, 0].std().item() == pytest.approx(0.1, rel=0.03)


def test_offset_adds_one_number_to_each_channel(generator):
    added = augment(torch.zeros(10000, 2, 8), [{"offset": {"std": 0.3}}], generator)
    assert (added == added[..., :1]).all()
    assert added[:, :, 0].std(0).tolist() == pytest.approx([0.3, 0.3], rel=0.03)
    assert abs(added[:, :, 0].T.corrcoef()[0, 1]) < 0.05


def test_slope_adds_one_line_to_all_channels(generator):
    added = augment(torch.zeros(100, 3, 30), [{"slope": {"rate": 0.5}}], generator)
    gradient = added.diff(dim=-1)
    torch.testing.assert_close(gradient, gradient[:, :1, :1].expand_as(gradient), atol=1e-5, rtol=0)
    assert 0.4 < gradient.abs().max() <= 0.5001


def test_flip_reverses_time():
    values = torch.randn(2, 3, 9)
    assert torch.equal(augment(values, ["flip"]), values.flip(-1))


@pytest.mark.parametrize("length", [9, 50, 500])
def test_the_spline_of_magnitude_warp_is_scipys(length):
    knots = np.random.default_rng(0).normal(size=6)
    expected = CubicSpline(np.linspace(0, length - 1, 6), knots)(np.arange(length))
    np.testing.assert_allclose(knots @ spline_basis(6, length).numpy(), expected, atol=1e-10)


def test_views_apply_in_the_order_of_the_list():
    values = torch.randn(4, 1, 20)
    views = [{"slope": {"rate": 1.0}}, "flip"]
    forward, backward = (augment(values, order, torch.Generator().manual_seed(0)) for order in (views, views[::-1]))
    assert not torch.equal(forward, backward)
    torch.testing.assert_close(forward, augment(values, views[:1], torch.Generator().manual_seed(0)).flip(-1))


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (["gausian_noise"], "did you mean gaussian_noise"),
        ([{"slope": {"rat": 1}}], "no parameter 'rat'; it has rate"),
        ([{"flip": {"x": 1}}], "it has none"),
        ([{"flip": None, "slope": None}], "unknown view"),
    ],
)
def test_unknown_views_and_parameters_are_refused(views, message):
    with pytest.raises(ValueError, match=message):
        check_views(views)


@pytest.mark.parametrize(
    "name", ["amplitude_resize", "gaussian_noise", "time_warp", "offset", "magnitude_warp", "slope"]
)
def test_a_strength_of_zero_leaves_series_as_they_are_and_one_of_one_is_the_view(name):
    values, strength = torch.randn(40, 2, 30), torch.tensor([0.0, 1.0]).repeat(20)
    plain = augment(values, [name], torch.Generator().manual_seed(1))
    weaker = augment(values, [name], torch.Generator().manual_seed(1), strength)
    torch.testing.assert_close(weaker[::2], values[::2])
    torch.testing.assert_close(weaker[1::2], plain[1::2])


def test_a_view_without_a_spread_has_no_strength():
    with pytest.raises(ValueError, match="view flip has no std or rate"):
        augment(torch.randn(2, 1, 9), ["flip"], None, torch.ones(2))


def test_one_series_in_four_is_not_augmented(generator):
    strength = draw_strength(20_000, generator, torch.device("cpu"))
    assert (strength == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert strength[strength > 0].mean().item() == pytest.approx(0.5, abs=0.02) and strength.max() <= 1
