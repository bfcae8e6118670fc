"""What a checkpoint computes, whichever kind it is of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.testing import assert_close


Load = Callable  # `AutoModel.from_pretrained`, with what is said to it in every case
LAYERS = nn.Linear, nn.Conv2d, nn.ConvTranspose2d


def seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def is_ours(model) -> bool:
    return hasattr(model, "encode")


def is_prior(model) -> bool:
    return hasattr(model, "predict")


def random_series(model, count: int = 4) -> Tensor:
    """Random walks in the units of the data."""
    config = getattr(model.config, "tokenizer_config", model.config)
    steps = torch.randn(count, config.num_channels, config.length or 40, generator=seed(), dtype=torch.float32)
    mean, std = (torch.tensor(one, dtype=torch.float32)[:, None] for one in (config.mean, config.std))
    return mean + std * steps.cumsum(-1) / 4


def inputs(model) -> dict[str, Tensor]:
    """Those of `forward`, which masks in evaluation too: at random, but for a generator."""
    if not is_ours(model):  # ViTMAE
        pixels = torch.randn(4, 3, 16, 16, generator=seed(), dtype=torch.float32)
        return {
            "pixel_values": pixels.to(model.dtype),
            "noise": torch.rand(4, 16, generator=seed(), dtype=torch.float32),
        }
    given = {"labels": torch.tensor([0, 1, 1, 0]), "generator": seed()} if is_prior(model) else {}
    return {"values": random_series(model), **given}


def outputs(model) -> dict[str, Tensor]:
    """Of the same input: all that weights decide."""
    if not is_ours(model):
        return {"states": model(**inputs(model)).last_hidden_state}
    values, stage1 = random_series(model), getattr(model, "tokenizer", model)
    encoded = model.encode(values)
    codes = torch.arange(encoded.codes.numel()).view(encoded.codes.shape) % stage1.config.codebook_size
    found = {"latents": encoded.latents, "features": model.embed(values)}
    found["series"] = model.decode(codes, values.shape[-1])
    if is_prior(model):
        found["logits"] = model.predict(codes, codes % 2 == 0, torch.tensor([0, 1, 1, 0]))
        found["drawn"] = model.generate(3, precision="no", generator=seed())
    return found


@torch.no_grad()
def expected_of(model) -> dict[str, Tensor]:
    return outputs(model)


def loss_of(model) -> Tensor:
    """Of which every weight that `outputs` hang on gets a gradient."""
    found = [one.float().flatten() for one in outputs(model).values() if one.requires_grad]
    return sum((one * torch.linspace(-1, 2, len(one), dtype=torch.float32)).mean() for one in found)


def assert_computes(model, expected: dict[str, Tensor]):
    found = expected_of(model)
    assert_close({name: found[name] for name in expected}, expected, atol=1e-3, rtol=1e-3)


def assert_computes_another(model, expected: dict[str, Tensor]):
    # What is drawn may be alike: only where a probability passes a random number, another code is.
    same = [name for name, one in expected_of(model).items() if torch.allclose(one, expected[name])]
    assert not {*same} - {"drawn"}, f"{same} are as before"


def layers(model, *kinds: type) -> list[str]:
    return [name for name, one in model.named_modules() if isinstance(one, kinds or LAYERS)]
