import pytest
import torch

from ncvqvae.models.ssl_objectives import barlow_twins_loss, vibcreg_loss


OBJECTIVES = pytest.mark.parametrize("objective", [barlow_twins_loss, vibcreg_loss])
# Fewer and more samples than dimensions: the two forms of the sums over pairs of dimensions.
SHAPES = pytest.mark.parametrize("shape", [(12, 40), (64, 10), (16, 16)])


def direct_barlow_twins(first, second, off_diagonal_weight=0.005):
    """Over the `dim x dim` correlations, entry by entry as the method states it."""
    batch, dim = first.shape
    first, second = ((z - z.mean(0)) / (z.std(0) + 1e-8) for z in (first, second))
    correlation = first.T @ second / batch
    diagonal = torch.eye(dim, dtype=torch.bool)
    on, off = correlation[diagonal], correlation[~diagonal]
    return ((1 - on).square().sum() + off_diagonal_weight * off.square().sum()) / dim


def direct_vibcreg(first, second, weights=(25, 25, 100)):
    batch, dim = first.shape
    terms = [(first - second).square().mean(), 0, 0]
    for z in (first, second):
        centred = z - z.mean(0)
        variance = centred.square().sum(0) / (batch - 1)
        terms[1] += torch.clamp(1 - torch.sqrt(variance + 1e-4), min=0).mean()
        correlation = centred.T @ centred / torch.outer(centred.norm(dim=0), centred.norm(dim=0))
        terms[2] += correlation[~torch.eye(dim, dtype=torch.bool)].square().sum() / dim**2
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


def views(shape, scale=1.0):
    first = scale * torch.randn(shape) @ torch.randn(shape[1], shape[1]) / shape[1] ** 0.5 + 0.3
    return first, 0.8 * first + 0.4 * scale * torch.randn(shape)


def decorrelated(batch, dim):
    """Columns of zero mean, unit norm and no correlation."""
    q, _ = torch.linalg.qr(torch.cat((torch.ones(batch, 1), torch.randn(batch, dim)), 1).double())
    return q[:, 1:]


def relative_error(actual, expected):
    return ((actual - expected).norm() / expected.norm()).item()


@SHAPES
@pytest.mark.parametrize("scale", [0.3, 3.0])  # VIbCReg's variance term acts below a standard deviation of 1
@pytest.mark.parametrize(
    ("objective", "direct"), [(barlow_twins_loss, direct_barlow_twins), (vibcreg_loss, direct_vibcreg)]
)
def test_values_and_gradients_equal_the_direct_form(objective, direct, shape, scale):
    actual = [z.requires_grad_() for z in views(shape, scale)]
    expected = [z.detach().double().requires_grad_() for z in actual]
    loss, direct_loss = objective(*actual), direct(*expected)
    assert loss.item() == pytest.approx(direct_loss.item(), rel=1e-5)
    gradients = torch.autograd.grad(loss, actual), torch.autograd.grad(direct_loss, expected)
    for gradient, direct_gradient in zip(*gradients, strict=True):
        assert relative_error(gradient, direct_gradient) < 1e-5


@SHAPES
def test_weights_are_those_of_the_terms(shape):
    first, second = views(shape, 0.5)
    loss = vibcreg_loss(first, second, invariance_weight=2, variance_weight=3, covariance_weight=5)
    assert loss.item() == pytest.approx(direct_vibcreg(first.double(), second.double(), (2, 3, 5)).item(), rel=1e-5)
    loss = barlow_twins_loss(first, second, off_diagonal_weight=0.5)
    assert loss.item() == pytest.approx(direct_barlow_twins(first.double(), second.double(), 0.5).item(), rel=1e-5)


@SHAPES
def test_barlow_twins_ignores_an_affine_map_with_positive_slope_of_each_dimension(shape):
    first, second = views(shape)
    slope, offset = 0.1 + 5 * torch.rand(2, shape[1]), 3 * torch.randn(2, shape[1])
    mapped = barlow_twins_loss(first * slope[0] + offset[0], second * slope[1] + offset[1])
    assert mapped.item() == pytest.approx(barlow_twins_loss(first, second).item(), rel=1e-4)


@pytest.mark.parametrize("batch", [10, 40])
def test_identical_decorrelated_views_leave_what_the_unbiased_deviation_costs(batch):
    # The diagonal is (batch - 1) / batch, the rest zero. (Fewer samples than dimensions are never decorrelated.)
    views = decorrelated(batch, 8)
    assert barlow_twins_loss(views, views).item() == pytest.approx(1 / batch**2, rel=1e-3)
    scaled = views * 2 * (batch - 1) ** 0.5  # a standard deviation of 2
    assert vibcreg_loss(scaled, scaled).item() == pytest.approx(0, abs=1e-5)


def test_opposite_decorrelated_views_cost_barlow_twins_almost_four():
    views = decorrelated(40, 8)
    assert barlow_twins_loss(views, -views).item() == pytest.approx((1 + 39 / 40) ** 2, rel=1e-5)


def test_the_variance_term_is_zero_where_every_deviation_exceeds_one_and_counts_the_shortfall_elsewhere():
    unit, kwargs = decorrelated(40, 8) * 39**0.5, dict(invariance_weight=0, covariance_weight=0, variance_weight=1)
    assert vibcreg_loss(1.01 * unit, 5 * unit, **kwargs) == 0
    assert vibcreg_loss(0.6 * unit, 5 * unit, **kwargs).item() == pytest.approx(1 - (0.36 + 1e-4) ** 0.5, rel=1e-5)


@OBJECTIVES
def test_a_batch_of_one_and_unequal_batches_are_refused(objective):
    for first, second in (((1, 8), (1, 8)), ((4, 8), (5, 8)), ((4, 8), (4, 9)), ((0, 8), (0, 8))):
        with pytest.raises(ValueError, match="two equal batches"):
            objective(torch.randn(first), torch.randn(second))


@OBJECTIVES
def test_a_dimension_without_variance_gives_finite_values_and_gradients(objective):
    first, second = views((12, 40))
    first[:, 3] = 1.0
    first.requires_grad_()
    loss = objective(first, second)
    assert loss.isfinite() and torch.autograd.grad(loss, first)[0].isfinite().all()


@OBJECTIVES
def test_autocast_to_bfloat16_leaves_the_objective_in_float32(objective):
    first, second = views((16, 256))
    gradients = []
    for autocast in (False, True):
        leaf = first.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = objective(leaf, second)
        gradients.append(torch.autograd.grad(loss, leaf)[0])
    assert relative_error(gradients[1], gradients[0]) < 1e-5
