"""`torch.compile` as one graph, and `torch.export` for batches of every size: equal to eager up to rounding."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from helpers.tiny import ANY_LENGTH, FROM_BASE, TINY, TINY_PRIOR
from ncvqvae import MaskGITConfig, MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining


SHAPES = {"thesis": (TINY, {}), "from the base": (ANY_LENGTH | {"length": 40}, FROM_BASE)}
LABELS = torch.tensor([0, 1, 1, 0, 1, 0, 0])


@pytest.fixture(autouse=True)
def from_nothing():
    torch.manual_seed(0)
    torch._dynamo.reset()


def prior_of(kind, **fields):
    sizes, others = SHAPES[kind]
    config = MaskGITConfig(tokenizer_config=sizes, **TINY_PRIOR | others | {"num_hidden_layers": 1} | fields)
    return MaskGITForTimeSeriesGeneration(config)


def step(model, **inputs):
    torch.manual_seed(1)
    loss = model(**inputs).loss
    loss.backward()
    return loss.detach()


def assert_equal_steps(model, backend, **inputs):
    """A step of a copy of `model`, compiled, and one of itself."""
    other = copy.deepcopy(model)
    expected = step(model, **inputs)
    assert_close(step(torch.compile(other, fullgraph=True, backend=backend), **inputs), expected)
    assert_close(dict(other.named_buffers()), dict(model.named_buffers()), atol=1e-3, rtol=1e-4)
    for (name, weight), same in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (weight.grad is None) == (same.grad is None), name
        if weight.grad is not None:
            assert_close(same.grad, weight.grad, atol=1e-4, rtol=1e-4, msg=name)


def two_views():
    values = torch.randn(6, 1, 40).cumsum(-1)
    return {"values": values, "augmented_values": values + 0.1 * torch.randn_like(values)}


@pytest.mark.parametrize(
    ("sizes", "backend"),
    [
        (TINY | {"revival_threshold": 1.5}, "aot_eager"),  # so that codes are revived
        (ANY_LENGTH | {"ssl_objective": "vibcreg", "projector_dim": 16, "magnitude_weight": 1.0}, "eager"),
        # Inductor draws in another order: what is drawn for the start is equal, for the revival it is not.
        pytest.param(TINY | {"revival_threshold": 0}, "inductor", marks=pytest.mark.long),
    ],
)
def test_the_first_step_of_stage_1_with_both_branches_is_one_graph(sizes, backend):
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**sizes)).train()
    before = model.tokenizer.quantizer.codebook.clone()
    assert_equal_steps(model, backend, **two_views())
    assert not torch.isclose(model.tokenizer.quantizer.codebook, before).any()  # k-means has started it


@pytest.mark.parametrize("kind", SHAPES)
def test_the_masked_loss_of_the_prior_is_one_graph_for_batches_of_every_size(kind):
    model = prior_of(kind).train()
    assert_equal_steps(model, "aot_eager", values=torch.randn(6, 1, 40), labels=LABELS[:6])
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    codes = model.encode(torch.randn(7, 1, 40)).codes
    for size in (7, 5, 4, 3):
        given = {"codes": codes[:size], "labels": LABELS[:size]}
        assert_close(step(compiled, **given), step(model, **given))


@pytest.mark.parametrize(("kind", "order"), [("thesis", "confidence"), ("from the base", "low_discrepancy")])
def test_generate_takes_the_same_steps_with_a_compiled_model(kind, order):
    model = prior_of(kind, sampling_order=order, sampling_guidance_scale=2.0).eval()

    def generated():
        return model.generate(labels=LABELS, num_steps=12, generator=torch.Generator().manual_seed(0))

    expected, calls = generated(), []
    model.compile(fullgraph=True, backend=lambda graph, inputs: calls.append(graph) or graph.forward)
    assert_close(generated(), expected)
    assert calls


class Calls(nn.Module):
    """A method of a model, and its arguments besides tensors."""

    def __init__(self, model, method, *others):
        super().__init__()
        self.model, self.method, self.others = model, method, others

    def forward(self, *inputs):
        found = getattr(self.model, self.method)(*inputs, *self.others)
        return found.codes if self.method == "encode" else found


@pytest.mark.parametrize("kind", SHAPES)
def test_encode_decode_and_predict_export_with_any_size_of_the_batch(kind):
    model, values = prior_of(kind).eval(), torch.randn(7, 1, 40)
    codes = model.encode(values).codes
    known = torch.rand(codes.shape) < 0.5
    batch = torch.export.Dim("batch", min=1)
    for calls, *inputs in (
        (Calls(model, "encode"), values),
        (Calls(model, "decode", 40), codes),
        (Calls(model, "predict"), codes, known, LABELS),
    ):
        some = tuple(one[:4] for one in inputs)
        exported = torch.export.export(calls, some, dynamic_shapes=(tuple({0: batch} for _ in some),)).module()
        for size in (1, 4, 7):
            given = [one[:size] for one in inputs]
            assert_close(exported(*given), calls(*given))
