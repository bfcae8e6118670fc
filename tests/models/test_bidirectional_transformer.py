import pytest
import torch
import torch.nn.functional as F

from ncvqvae.models.bidirectional_transformer import BidirectionalTransformer, eager_attention


def transformer():
    """51 positions of 8 features, through two layers of 16, with norms whose weights are not one."""
    sizes = dict(hidden_size=16, num_layers=2, num_heads=2, head_dim=8, intermediate_size=24)
    network = BidirectionalTransformer(51, 8, **sizes)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network


def test_the_transformer_equals_one_of_pytorchs_own_norms_in_values_and_gradients():
    network, embedded = transformer(), torch.randn(4, 51, 8, requires_grad=True)

    def plain(hidden):
        hidden = network.project_in(hidden) + network.position_scale * network.position_embedding.weight
        for layer in network.layers:
            projected = layer.query_key_value(layer.attention_norm(hidden))
            heads = projected.view(4, 51, 3, layer.num_heads, layer.head_dim).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
            hidden = hidden + layer.attention_out(mixed)
            hidden = hidden + layer.perceptron(layer.perceptron_norm(hidden))
        return network.project_out(network.norm(hidden))

    wanted, parameters = torch.tensor([3, 50, 51, 120]), [embedded, *network.parameters()]
    expected, found = plain(embedded).flatten(0, 1)[wanted], network(*network.enter(embedded), wanted=wanted)
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(output.square().sum(), parameters) for output in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network(*network.enter(embedded)), plain(embedded))


def test_what_enters_depends_on_one_position_alone_and_what_leaves_on_all():
    network, embedded = transformer(), torch.randn(2, 51, 8)
    changed = embedded.clone()
    changed[:, 17] += 1
    others = torch.arange(51) != 17
    with torch.no_grad():
        entered, entered_changed = network.enter(embedded), network.enter(changed)
        for before, after in zip(entered, entered_changed, strict=True):
            assert torch.equal(before[:, others], after[:, others]) and not torch.allclose(before[:, 17], after[:, 17])
        difference = (network(*entered) - network(*entered_changed)).abs().amax(2)
    assert (difference > 0).all()  # of positions before it and after it


def test_positions_are_told_apart():
    network = transformer()
    alike = network(*network.enter(torch.ones(1, 51, 8)))
    assert torch.pdist(alike[0]).min() > 1e-4


def test_attention_takes_a_mask_and_drops_out_in_training_alone():
    heads, module = torch.randn(3, 2, 4, 6, 8).unbind(), torch.nn.Module()
    mask = torch.zeros(6, 6).masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf)
    mixed, weights = eager_attention(module, *heads, mask, scaling=8**-0.5)
    torch.testing.assert_close(mixed, F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2))
    assert not weights.triu(1).any() and weights.sum(-1).flatten().tolist() == pytest.approx([1] * 48)
    _, dropped = eager_attention(module.train(), *heads, None, scaling=1, dropout=0.5)
    assert 0.3 < (dropped == 0).float().mean() < 0.7
    _, kept = eager_attention(module.eval(), *heads, None, scaling=1, dropout=0.5)
    assert (kept > 0).all()
