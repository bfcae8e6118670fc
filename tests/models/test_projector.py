import copy

import numpy as np
import pytest
import torch

from ncvqvae.models.projector import IterativeNorm, Projector


def newton(points, epsilon=1e-5, num_iterations=5):
    """Mean and whitening matrix of one group `(batch, group_size)`, in numpy."""
    points = np.asarray(points, dtype=np.float64)
    mean = points.mean(0)
    covariance = (points - mean).T @ (points - mean) / len(points) + epsilon * np.eye(points.shape[1])
    trace = np.trace(covariance)
    root = np.eye(points.shape[1])
    for _ in range(num_iterations):
        root = 1.5 * root - 0.5 * np.linalg.matrix_power(root, 3) @ (covariance / trace)
    return mean, root / np.sqrt(trace)


def correlated(batch, num_features):
    mix = torch.eye(num_features) + 0.3 * torch.randn(num_features, num_features) / num_features**0.5
    return torch.randn(batch, num_features) @ mix + torch.randn(num_features)


def snapshot(module):
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def test_training_output_has_nearly_identity_covariance_within_groups():
    # Five iterations from the identity reach it for small groups; for one of 64 they stop at a variance near 0.6.
    output = IterativeNorm(12, group_size=4)(correlated(5000, 12)).detach().double()
    torch.testing.assert_close(output.mean(0), torch.zeros(12).double(), atol=1e-5, rtol=0)
    for group in output.split(4, 1):
        torch.testing.assert_close(group.T @ group / 5000, torch.eye(4).double(), atol=0.02, rtol=0)


@pytest.mark.parametrize(("num_features", "group_size", "batch"), [(12, 4, 100), (128, 64, 32), (10, 64, 50)])
def test_training_output_is_the_newton_iteration_written_out(num_features, group_size, batch):
    norm, features = IterativeNorm(num_features, group_size), correlated(batch, num_features)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    output = norm(features).detach().numpy()
    for start in range(0, num_features, group_size):
        group = slice(start, min(start + group_size, num_features))
        mean, whitening = newton(features[:, group])
        expected = (features[:, group].double().numpy() - mean) @ whitening.T
        expected = expected * norm.weight[group].detach().numpy() + norm.bias[group].detach().numpy()
        np.testing.assert_allclose(output[:, group], expected, atol=1e-4)


def test_evaluation_uses_running_statistics_and_changes_none():
    norm, mean, whitening = IterativeNorm(8, group_size=4), np.zeros((2, 4)), np.stack([np.eye(4)] * 2)
    for _ in range(5):
        features = correlated(50, 8)
        norm(features)
        for i in range(2):
            batch_mean, batch_whitening = newton(features[:, 4 * i : 4 * i + 4])
            mean[i] = 0.9 * mean[i] + 0.1 * batch_mean
            whitening[i] = 0.9 * whitening[i] + 0.1 * batch_whitening
    before, features = snapshot(norm.eval()), correlated(3, 8)
    output = norm(features).detach().numpy()
    expected = [(features[:, 4 * i : 4 * i + 4].numpy() - mean[i]) @ whitening[i].T for i in range(2)]
    np.testing.assert_allclose(output, np.concatenate(expected, 1), atol=1e-4)
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


def test_iterative_norm_differentiates_through_the_whitening():
    def direct(points):
        mean, whitening = newton(points)
        return ((points - mean) @ whitening.T * downstream).sum()

    features, downstream = torch.randn(9, 4, requires_grad=True), np.random.default_rng(0).normal(size=(9, 4))
    (gradient,) = torch.autograd.grad((IterativeNorm(4)(features) * torch.tensor(downstream)).sum(), features)
    points, steps = features.detach().double().numpy(), 1e-5 * np.eye(36).reshape(36, 9, 4)
    expected = [(direct(points + step) - direct(points - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient.flatten().numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("iterative_norm", [False, True])
def test_projector_sees_the_average_and_the_maximum_of_all_positions_only(iterative_norm):
    projector, latents = Projector(8, 16, iterative_norm).eval(), torch.randn(6, 8, 5, 7)
    (expected,) = projector(latents)
    shuffled = latents.flatten(2)[..., torch.randperm(35)].unflatten(2, (5, 7))
    torch.testing.assert_close(projector(shuffled)[0], expected)
    # Moving a hundredth between two positions that hold no maximum keeps average and maximum.
    flat = latents.flatten(2).clone()
    order = flat.argsort(2)
    flat.scatter_add_(2, order[..., :2], torch.tensor([0.01, -0.01]).expand(6, 8, 2))
    torch.testing.assert_close(projector(flat.unflatten(2, (5, 7)))[0], expected)
    assert not torch.allclose(projector(latents + 0.1)[0], expected)
    louder = torch.where(latents == latents.amax((2, 3), True), 9.0, latents)
    assert not torch.allclose(projector(louder)[0], expected)


def test_projector_is_the_perceptron_written_out():
    projector, latents = Projector(3, 8, iterative_norm=False), torch.randn(20, 3, 5, 4)
    parameters = [p.detach().double() for p in projector.parameters()]
    hidden = torch.cat((latents.mean((2, 3)), latents.amax((2, 3))), 1).double()
    for i in (0, 4):
        hidden = hidden @ parameters[i].T + parameters[i + 1]
        hidden = (hidden - hidden.mean(0)) / (hidden.var(0, correction=0) + 1e-5).sqrt()
        hidden = (hidden * parameters[i + 2] + parameters[i + 3]).clamp_min(0)
    expected = hidden @ parameters[8].T + parameters[9]
    torch.testing.assert_close(projector(latents)[0].double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("iterative_norm", [False, True])
def test_two_views_at_once_are_projected_as_one_after_the_other(iterative_norm):
    together = Projector(8, 64, iterative_norm)
    apart, views = copy.deepcopy(together), [torch.randn(70, 8, 5, 7), 2 + 3 * torch.randn(70, 8, 5, 7)]
    weights = torch.randn(2, 70, 64)
    for output, view, weight in zip(together(*views), views, weights, strict=True):
        torch.testing.assert_close(output, (alone := apart(view)[0]), atol=1e-4, rtol=1e-4)
        (output * weight).sum().backward(retain_graph=True)
        (alone * weight).sum().backward()
    for left, right in zip(together.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, atol=1e-3, rtol=1e-3)
    for left, right in zip(together.buffers(), apart.buffers(), strict=True):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize(("iterative_norm", "count"), [(False, 34_107_392), (True, 34_115_584)])
def test_projector_of_the_thesis_has_its_number_of_parameters(iterative_norm, count):
    with torch.device("meta"):
        projector = Projector(64, 4096, iterative_norm)
    assert sum(parameter.numel() for parameter in projector.parameters()) == count


@pytest.mark.parametrize("iterative_norm", [False, True])
def test_gradients_reach_every_parameter_and_the_latents(iterative_norm):
    projector, latents = Projector(8, 128, iterative_norm), torch.randn(32, 8, 5, 7, requires_grad=True)
    (projector(latents)[0] * torch.randn(32, 128)).sum().backward()
    # A bias that the next layer's mean takes away has a gradient of zero, but for rounding.
    cancelled = {"layers.0.bias", "layers.3.bias"} | ({"layers.6.bias"} if iterative_norm else set())
    for name, parameter in projector.named_parameters():
        assert parameter.grad.isfinite().all()
        assert (parameter.grad.abs().max() > 1e-3) == (name not in cancelled), name
    assert (latents.grad.abs().amax((0, 2, 3)) > 0).all()
