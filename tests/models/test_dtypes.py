"""The pre-training of the tokenizer in every dtype. `tests/trials` casts what checkpoints hold."""

import copy

import pytest
import torch
from transformers import AutoModelForPreTraining

from helpers.tiny import ANY_LENGTH, TINY
from ncvqvae import NCVQVAEConfig, NCVQVAEForPreTraining
from trials.dtypes import DTYPES, default


SCALED = {"mean": [1013.25], "std": [4.0]}
KINDS = {
    "thesis": TINY | SCALED | {"ssl_objective": "vibcreg"},
    "base": ANY_LENGTH | {"length": 40, "scale_each": False, "magnitude_weight": 1.0} | SCALED,
}


@pytest.fixture(params=KINDS)
def model(request):
    return NCVQVAEForPreTraining(NCVQVAEConfig(**KINDS[request.param]))


def loaded(model, dtype, folder):
    model.save_pretrained(folder)
    return NCVQVAEForPreTraining.from_pretrained(folder, dtype=dtype)


WAYS = {
    "from_pretrained": loaded,
    "cast": lambda model, dtype, _: getattr(copy.deepcopy(model), DTYPES[dtype])(),
    "from_config": lambda model, dtype, _: AutoModelForPreTraining.from_config(model.config, dtype=dtype),
    "default": lambda model, dtype, _: NCVQVAEForPreTraining(model.config),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_stage_1_trains_in_every_dtype_with_a_codebook_in_float32(model, dtype, way, tmp_path):
    values = 1013.25 + torch.randn(16, 1, 40).cumsum(-1)
    with default(dtype if way == "default" else torch.float32):
        cast = WAYS[way](model, dtype, tmp_path).train()
        assert cast.dtype == dtype
        before, generator = copy.deepcopy(cast.state_dict()), torch.Generator().manual_seed(0)
        loss = cast(values, values + 0.1, generator=generator).loss
        loss.backward()
        torch.optim.SGD(cast.parameters(), 1e-2).step()
        evaluated = cast.eval()(values, values + 0.1)
    assert (
        loss.isfinite() and evaluated.loss.isfinite() and loss.dtype == evaluated.reconstruction.dtype == torch.float32
    )
    assert (evaluated.reconstruction - 1013.25).abs().max() < 200
    assert all(one.isfinite().all() for one in cast.state_dict().values())
    moved = [name for name, one in cast.named_parameters() if not torch.equal(one, before[name])]
    assert len(moved) > len(list(cast.parameters())) // 3
    kept = cast.tokenizer
    assert {one.dtype for part in (kept.quantizer, kept.scale) for one in part.buffers()} == {torch.float32}
    assert not torch.equal(kept.quantizer.embedding_sum, before["tokenizer.quantizer.embedding_sum"])
    if way == "cast":  # the others draw weights, if only those of the projector, anew
        whole = model.train()(values, values + 0.1, generator=generator.manual_seed(0)).loss
        torch.testing.assert_close(loss, whole, atol=0, rtol=0.05)
