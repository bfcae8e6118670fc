import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from helpers.tensors import tensors
from helpers.tiny import ANY_LENGTH, TINY, TINY_PRIOR
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel
from ncvqvae.models.bidirectional_transformer import eager_attention
from ncvqvae.models.masking import decoding_order, draw, least_confident


KINDS = ["learned", "codebook", "codebook_finetuned", "geometry"]
LOCAL = {"position_encoding": "rotary", "convolution_width": 3}  # what goes with geometry in the priors of the base
UP_AND_DOWN = torch.tensor([0, 1] * 8)


def prior(pretraining_model, **settings):
    if settings.get("code_embedding") == "geometry":
        settings = LOCAL | settings
    return MaskGITForTimeSeriesGeneration.from_tokenizer(pretraining_model.tokenizer, **(TINY_PRIOR | settings))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_cross_entropy_of_the_masked_codes(pretraining_model, kind):
    model = prior(pretraining_model, code_embedding=kind).eval()
    values = torch.randn(16, 1, 40)
    codes = model.encode(values).codes
    output = model(values, UP_AND_DOWN, generator=torch.Generator().manual_seed(1))
    assert output.mask.any(1).all() and not output.mask.all()
    logits = model.predict(codes, ~output.mask, UP_AND_DOWN)
    assert logits.shape == (16, 50, 6)
    torch.testing.assert_close(output.logits, logits[output.mask])
    nats = -logits.log_softmax(-1).gather(-1, codes[..., None])[..., 0]
    torch.testing.assert_close(output.loss, nats[output.mask].mean())
    right = logits.argmax(-1) == codes
    torch.testing.assert_close(output.accuracy, right[output.mask].float().mean())
    again = model(labels=UP_AND_DOWN, codes=codes, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.loss, output.loss)


@pytest.mark.parametrize("batch", [6, 16])  # fewer than there are codes to look up, and more
@pytest.mark.parametrize("kind", KINDS)
def test_training_computes_few_numbers_of_rows_and_the_gradients_of_the_masked_codes(pretraining_model, kind, batch):
    model = prior(pretraining_model, code_embedding=kind, label_dropout=0.0).train()
    codes, labels = torch.randint(6, (batch, 50)), UP_AND_DOWN[:batch]
    rows, masked, generator = set(), set(), torch.Generator().manual_seed(1)
    model.head[0].register_forward_hook(lambda _, inputs, output: rows.add(len(inputs[0])))
    for _ in range(100):
        output = model(labels=labels, codes=codes, generator=generator)
        masked.add(int(output.mask.sum()))
    assert len(rows) <= 16 < len(masked) and max(rows) <= codes.numel() and len(output.logits) == output.mask.sum()

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(output.loss, parameters)
    plain = F.cross_entropy(model.predict(codes, ~output.mask, labels)[output.mask], codes[output.mask])
    torch.testing.assert_close(found, torch.autograd.grad(plain, parameters), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_gradients_lose_digits_and_no_more(pretraining_model, kind):
    """Sums over thousands of rows stand still where they are kept in bfloat16."""
    model, codes = prior(pretraining_model, code_embedding=kind).train(), torch.randint(6, (400, 50))
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}

    def gradients(enabled):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = model(labels=UP_AND_DOWN.repeat(25), codes=codes, generator=torch.Generator().manual_seed(1)).loss
        return torch.autograd.grad(loss, list(parameters.values()))

    for name, rounded, exact in zip(parameters, gradients(True), gradients(False), strict=True):
        assert (rounded - exact).norm() < 0.1 * exact.norm(), name


@pytest.mark.parametrize("kind", KINDS)
def test_eager_and_sdpa_attention_agree(pretraining_model, kind, tmp_path):
    prior(pretraining_model, code_embedding=kind).save_pretrained(tmp_path)
    codes, known = torch.randint(6, (16, 50)), torch.rand(16, 50) < 0.5
    logits = []
    for attention in ("eager", "sdpa"):
        model = MaskGITForTimeSeriesGeneration.from_pretrained(tmp_path, attn_implementation=attention)
        assert model.config._attn_implementation == attention
        # `predict` takes eager attention for sdpa on a CPU; here each is called by its name.
        entered = model._enter(codes.masked_fill(~known, 6), UP_AND_DOWN)
        function = ALL_ATTENTION_FUNCTIONS.get_interface(attention, eager_attention)
        assert (function is eager_attention) == (attention == "eager")
        logits.append(model.transformer(*entered, attention=function))
        logits.append(model.predict(codes, known, UP_AND_DOWN))
    torch.testing.assert_close(logits[0], logits[2], atol=1e-5, rtol=0)
    torch.testing.assert_close(logits[1], logits[3], atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_samples", [5, 20])  # fewer than there are codes to look up, and more
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_sampling_equals_a_plain_decoding_that_predicts_every_code_of_every_sample_at_every_step(
    model, scale, num_samples
):
    labels, steps, generator = torch.arange(num_samples) % 2, 6, torch.Generator().manual_seed(5)
    codes, hidden = torch.zeros(num_samples, 50, dtype=torch.long), torch.arange(50).repeat(num_samples, 1)
    for step in range(1, steps + 1):
        known = torch.ones_like(codes, dtype=torch.bool).scatter(1, hidden, False)
        conditional, null = (model.predict(codes, known, ids) for ids in (labels, torch.full_like(labels, 2)))
        logits = null + scale * (conditional - null)
        drawn, confidence = draw(logits.gather(1, hidden[..., None].expand(-1, -1, 6)), 1.0, generator)
        codes = codes.scatter(1, hidden, drawn)
        if left := int(50 * math.cos(math.pi / 2 * step / steps)):
            hidden = hidden.gather(1, least_confident(confidence, left, 4.0 * (1 - step / steps), generator))
    made = model.generate(
        labels=labels,
        num_steps=steps,
        guidance_scale=scale,
        generator=torch.Generator().manual_seed(5),
        return_codes=True,
        precision="no",
    )
    assert torch.equal(made.codes, codes)


@pytest.mark.parametrize("kind", ["learned", "geometry"])
@pytest.mark.parametrize("schedule", ["constant", "ramped", "interval"])
def test_sampling_in_order_equals_a_plain_decoding_that_predicts_every_code_at_every_step(
    pretraining_model, kind, schedule
):
    model, labels, steps = prior(pretraining_model, code_embedding=kind).eval(), torch.arange(8) % 2, 6
    generator = torch.Generator().manual_seed(5)
    order, codes = (
        decoding_order("low_discrepancy", 8, model.grid(40), generator),
        torch.zeros(8, 50, dtype=torch.long),
    )
    decided = [50 - int(50 * math.cos(math.pi / 2 * step / steps)) for step in range(steps + 1)]
    for step, (start, end) in enumerate(itertools.pairwise(decided)):
        known = torch.zeros_like(codes, dtype=torch.bool).scatter(1, order[:, :start], True)
        conditional, null = (model.predict(codes, known, ids) for ids in (labels, torch.full_like(labels, 2)))
        scale = {"constant": 2.5, "ramped": 1 + 1.5 * step / steps, "interval": 2.5 if 2 <= step <= 4 else 1.0}
        logits = null + scale[schedule] * (conditional - null)
        wanted = order[:, start:end]
        drawn, _ = draw(logits.gather(1, wanted[..., None].expand(-1, -1, 6)), 1.0, generator)
        codes = codes.scatter(1, wanted, drawn)
    made = model.generate(
        labels=labels,
        num_steps=steps,
        guidance_scale=2.5,
        guidance_schedule=schedule,
        order="low_discrepancy",
        generator=torch.Generator().manual_seed(5),
        return_codes=True,
        precision="no",
    )
    assert torch.equal(made.codes, codes)


def test_in_bfloat16_it_samples_the_same_law(model):
    def shares(precision):
        made = model.generate(2000, "up", num_steps=3, precision=precision, return_codes=True)
        return F.one_hot(made.codes, 6).float().mean(0)

    exact, rounded, again = shares("no"), shares("bf16"), shares("no")
    noise = (again - exact).square().mean().sqrt()
    assert (rounded - exact).square().mean().sqrt() < 1.2 * noise + 2e-3


@pytest.mark.parametrize("kind", KINDS)
def test_training_moves_every_parameter_of_the_prior_and_nothing_of_the_tokenizer(pretraining_model, kind):
    model = prior(pretraining_model, code_embedding=kind).train()
    assert model.training and not any(module.training for module in model.tokenizer.modules())
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable == {name for name, _ in model.named_parameters() if not name.startswith("tokenizer.")}
    before = tensors(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0)
    smallest = dict.fromkeys(trainable, 0.0)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(16, 1, 40), UP_AND_DOWN).loss.backward()
        for name in trainable:
            smallest[name] = max(smallest[name], model.get_parameter(name).grad.abs().max().item())
        optimizer.step()
    assert min(smallest.values()) > 1e-5, min(smallest, key=smallest.get)
    after = tensors(model)
    assert {name for name in before if not torch.equal(before[name], after[name])} == trainable


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_transformer_sees_of_a_code_starts_at_the_codebook(pretraining_model, kind):
    model, codebook = prior(pretraining_model, code_embedding=kind), pretraining_model.tokenizer.quantizer.codebook
    table = model.code_embedding.weight
    assert torch.equal(model.tokenizer.quantizer.codebook, codebook)
    if kind == "codebook":
        assert table.shape == (1, 8)  # the mask only: no copy that could be trained
    elif kind == "geometry":
        seen = model.code_in(codebook) + table[:-1]
        apart = torch.stack((torch.cdist(codebook, codebook).flatten(), torch.cdist(seen, seen).flatten()))
        assert table.shape == (7, model.config.hidden_size) and apart.corrcoef()[0, 1] > 0.9
    else:
        assert table.requires_grad and torch.equal(table[:-1], codebook)


@pytest.mark.parametrize("kind", KINDS)
def test_predict_sees_known_codes_and_the_label_only(pretraining_model, kind):
    model = prior(pretraining_model, code_embedding=kind).eval()
    codes, known = torch.randint(6, (16, 50)), torch.rand(16, 50) < 0.5
    logits = model.predict(codes, known, UP_AND_DOWN)
    other = (codes + 1) % 6
    assert torch.equal(model.predict(torch.where(known, codes, other), known, UP_AND_DOWN), logits)
    assert not torch.allclose(model.predict(torch.where(known, other, codes), known, UP_AND_DOWN), logits, atol=1e-3)
    assert not torch.allclose(model.predict(codes, known, 1 - UP_AND_DOWN), logits, atol=1e-3)


def test_a_loaded_prior_has_a_frozen_tokenizer_too(model, tmp_path):
    model.save_pretrained(tmp_path)
    for loaded in (
        MaskGITForTimeSeriesGeneration.from_pretrained(tmp_path),
        MaskGITForTimeSeriesGeneration.from_pretrained(tmp_path, output_loading_info=True)[0],
    ):
        assert not any(parameter.requires_grad for parameter in loaded.tokenizer.parameters())
        assert all(parameter.requires_grad for parameter in loaded.transformer.parameters())
    loaded.embed(torch.randn(2, 1, 40)).numpy()


def test_label_dropout_hides_labels_in_training_only(pretraining_model):
    model, codes = prior(pretraining_model, label_dropout=1.0), torch.randint(6, (16, 50))

    def logits(labels):
        return model(labels=labels, codes=codes, generator=torch.Generator().manual_seed(1)).logits

    assert torch.equal(logits(UP_AND_DOWN), logits(None))
    model.eval()
    assert not torch.allclose(logits(UP_AND_DOWN), logits(None), atol=1e-3)
    assert torch.equal(logits(torch.full((16,), 2)), logits(None))


@pytest.mark.parametrize(
    ("labels", "num_samples", "expected"),
    [
        (1, 3, [1, 1, 1]),
        ("up", 3, [1, 1, 1]),
        ("down", None, [0]),
        (["up", 0, "down"], 3, [1, 0, 0]),
        ((0, 1), None, [0, 1]),
        (torch.tensor([1, 1, 0]), None, [1, 1, 0]),
        (torch.tensor(1), 2, [1, 1]),
        ("null", 2, [-1, -1]),
    ],
)
def test_labels_are_indices_or_names_of_one_or_each(model, labels, num_samples, expected):
    output = model.generate(num_samples, labels, num_steps=2, return_codes=True, return_labels=True)
    assert output.labels.tolist() == expected
    assert output.values.shape == (len(expected), 1, 40) and output.values.isfinite().all()
    assert output.codes.shape == (len(expected), 50)
    torch.testing.assert_close(output.values, model.decode(output.codes), atol=0.05, rtol=0.02)  # bfloat16, perhaps


@pytest.mark.parametrize(("shares", "expected"), [([0.25, 0.75], [0.25, 0.75]), (None, [0.5, 0.5])])
def test_labels_are_drawn_at_their_shares(pretraining_model, generator, shares, expected):
    model = prior(pretraining_model, label_shares=shares).eval()
    output = model.generate(2000, num_steps=1, generator=generator, return_labels=True)
    assert output.codes is None and output.values.shape == (2000, 1, 40)
    share = output.labels.bincount() / 2000
    torch.testing.assert_close(share, torch.tensor(expected), atol=0.034, rtol=0)  # three standard deviations


def test_a_generator_decides_the_series(model):
    def sample(seed, **settings):
        return model.generate(5, generator=torch.Generator().manual_seed(seed), **settings)

    assert sample(0).shape == (5, 1, 40)
    assert torch.equal(sample(0), sample(0))
    assert not torch.equal(sample(0), sample(1))
    assert not torch.equal(sample(0, num_steps=3), sample(0))
    model.config.sampling_steps = 3
    assert torch.equal(sample(0, num_steps=3), sample(0))


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_guidance_moves_the_logits_away_from_the_null_class(model, scale):
    labels, nothing = torch.tensor([0, 1] * 4), torch.zeros(8, 50, dtype=torch.long)
    conditional, null = (model.predict(nothing, nothing.bool(), ids) for ids in (labels, torch.full_like(labels, 2)))
    probabilities = ((null + scale * (conditional - null)) / 0.8).softmax(-1)
    uniform = torch.rand(8, 50, 1, generator=torch.Generator().manual_seed(1))
    drawn = (probabilities.cumsum(-1) < uniform).sum(-1)
    output = model.generate(
        labels=labels,
        num_steps=1,
        temperature=0.8,
        guidance_scale=scale,
        generator=torch.Generator().manual_seed(1),
        return_codes=True,
        precision="no",
    )
    assert torch.equal(output.codes, drawn)


@pytest.mark.parametrize("settings", [dict(num_steps=70), dict(choice_temperature=0), dict(temperature=1e-3)])
def test_extreme_settings_leave_series_finite(model, settings):
    output = model.generate(4, guidance_scale=3.0, batch_size=3, return_codes=True, **settings)
    assert output.values.shape == (4, 1, 40) and output.values.isfinite().all()
    assert output.codes.min() >= 0 and output.codes.max() < 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(num_steps=0), "num_steps must be at least 1, found 0"),
        (dict(num_steps=2.5), "num_steps must be a whole number, found 2.5"),
        (dict(precision="fp8"), 'precision must be "auto", "no" or "bf16", found \'fp8\''),
        (dict(batch_size=0), "batch_size must be at least 1, found 0"),
        (dict(num_samples=0), "num_samples must be at least 1, found 0"),
        (dict(num_samples=10**30), "num_samples must be a whole number up to 2147483648, found 1000"),
        (dict(num_samples=2.5), "num_samples must be a whole number"),
        (dict(temperature=0), "temperature must be at least 1e-06, found 0"),
        (dict(temperature=1e-40), "temperature must be at least 1e-06, found 1e-40"),
        (dict(temperature=10**30), "temperature must lie within 1e\\+06 of 0, found 1000"),
        (dict(guidance_scale=-(10**400)), "guidance_scale must lie within 1e\\+06 of 0, found -1000"),
        (dict(choice_temperature=1e308), "choice_temperature must lie within"),
        (dict(temperature=float("inf")), "temperature must be a finite number, found inf"),
        (dict(temperature="hot"), "temperature must be a finite number, found 'hot'"),
        (dict(choice_temperature=-1), "choice_temperature must be at least 0, found -1"),
        (dict(labels="sideways"), r"unknown label 'sideways'.*0 \('down'\), 1 \('up'\)"),
        (dict(labels=2), "unknown label 2"),
        (dict(labels=-1), "unknown label -1"),
        (dict(labels=["up", "sideways"]), "unknown label 'sideways'"),
        (dict(labels=torch.tensor([0, 2])), "unknown label 2"),
        (dict(labels=[]), "found 0"),
        (dict(labels=[0, 1], num_samples=3), "each of 3 samples; found 2"),
    ],
)
def test_bad_arguments_are_refused(model, settings, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**settings)


def test_a_prior_without_classes_generates_and_refuses_labels(pretraining_model):
    model = prior(pretraining_model, id2label=None, label_shares=None)
    assert model(torch.randn(4, 1, 40)).loss > 0
    output = model.generate(3, return_labels=True)
    assert output.values.shape == (3, 1, 40) and output.labels.tolist() == [-1, -1, -1]
    assert model.generate(2, "null").shape == (2, 1, 40)
    for label in (0, "up", [0, 0]):
        with pytest.raises(ValueError, match=r"unknown label .* none$"):
            model.generate(labels=label)


def test_a_trained_prior_generates_the_class_asked_for():
    labels = torch.arange(64) % 2
    time = torch.linspace(0, 6.28, 40)
    classes = torch.stack([time.sin(), (4 * time).sin()])
    values = (classes[labels] + 0.05 * torch.randn(64, 40))[:, None]
    stage1 = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY | dict(dim=16, codebook_size=16), ssl_objective=None))
    optimizer = torch.optim.AdamW(stage1.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        stage1(values).loss.backward()
        optimizer.step()
    stage1.eval()
    model = prior(stage1, label_shares=[0.5, 0.5], hidden_size=32)
    codes, state = stage1.tokenizer.encode(values).codes, copy.deepcopy(model.tokenizer.state_dict())
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        model(labels=labels, codes=codes).loss.backward()
        optimizer.step()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.tokenizer.state_dict().items())
    wanted = torch.arange(128) % 2
    series = model.eval().generate(labels=wanted, generator=torch.Generator().manual_seed(0))[:, 0]
    reconstruction = model.reconstruct(values)[:, 0]
    means = torch.stack([reconstruction[labels == label].mean(0) for label in (0, 1)])
    assert F.mse_loss(means, classes) < 0.1
    nearest = torch.cdist(series, means).argmin(1)
    assert (nearest == wanted).float().mean() > 0.9


@pytest.mark.parametrize("position_encoding", ["learned", "rotary"])
@pytest.mark.parametrize("convolution_width", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_goes_with_every_encoding_of_positions_and_any_convolution(
    pretraining_model, kind, position_encoding, convolution_width, tmp_path
):
    fields = {"position_encoding": position_encoding, "convolution_width": convolution_width}
    model = prior(pretraining_model, code_embedding=kind, **fields).eval()
    model.save_pretrained(tmp_path)
    again = MaskGITForTimeSeriesGeneration.from_pretrained(tmp_path)
    for order in ("confidence", "random", "low_discrepancy"):
        settings = {"order": order, "guidance_scale": 2.0, "guidance_schedule": "interval"}
        drawn = [one.generate(5, **settings, generator=torch.Generator().manual_seed(2)) for one in (model, again)]
        assert torch.equal(*drawn) and drawn[0].isfinite().all()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"order": "best"}, "order must be one of confidence, random, low_discrepancy, found best"),
        ({"guidance_schedule": "late"}, "guidance_schedule must be one of constant, ramped, interval, found late"),
    ],
)
def test_an_order_or_a_schedule_that_is_not_known_is_named(model, setting, message):
    with pytest.raises(ValueError, match=message):
        model.generate(1, **setting)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"convolution_width": 4}, "convolution_width must be 0 or an odd number, found 4"),
        ({"position_encoding": "rotary", "head_dim": 5}, "head_dim must be even for rotary positions, found 5"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(pretraining_model, field, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        prior(pretraining_model, **field)


SETS = [
    {"name": "waves", "length": 40, "mean": 5.0, "std": 2.0},
    {"name": "steps", "length": 33, "mean": 0.0, "std": 1.0},
]


def many_sets(**settings):
    """A tiny prior over two sets of three classes, and its tokenizer for series of every length."""
    torch.manual_seed(0)
    classes = {0: "waves/slow", 1: "waves/fast", 2: "steps/up"}
    fields = (
        TINY_PRIOR
        | LOCAL
        | settings
        | {"code_embedding": "geometry", "id2label": classes, "label_shares": [0.3, 0.3, 0.4]}
    )
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH)).eval()
    return MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, **({"sets": SETS} | fields)).eval()


def test_a_prior_over_many_sets_generates_each_at_its_length_and_in_its_units(tmp_path):
    model = many_sets()
    model.save_pretrained(tmp_path)
    again = MaskGITForTimeSeriesGeneration.from_pretrained(tmp_path)
    for labels, length, classes in (
        ("waves/fast", 40, {1}),
        ("steps/up", 33, {2}),
        ("waves", 40, {0, 1}),
        ([2, 2], 33, {2}),
    ):
        settings = {"order": "low_discrepancy", "precision": "no", "return_labels": True, "return_codes": True}
        count = None if isinstance(labels, list) else 20
        made, same = (
            one.generate(count, labels, **settings, generator=torch.Generator().manual_seed(1))
            for one in (model, again)
        )
        assert torch.equal(made.values, same.values) and made.values.shape[1:] == (1, length)
        assert set(made.labels.tolist()) == classes
        one = SETS[0] if length == 40 else SETS[1]
        moments = torch.tensor([one["mean"], one["std"]]).view(2, 1, 1, 1)
        assert torch.equal(made.values, model.tokenizer.decode(made.codes, length, moments))


@pytest.mark.parametrize(
    ("labels", "found"), [(None, "none"), (["waves/slow", "steps/up"], "steps, waves"), ("dogs", "dogs")]
)
def test_series_of_several_sets_or_of_none_are_not_generated_together(labels, found):
    with pytest.raises(ValueError, match=f"name one set.*found {found}; the sets are waves, steps"):
        many_sets().generate(labels=labels)


def test_a_prior_over_many_sets_is_told_the_sets_of_what_it_learns():
    with pytest.raises(ValueError, match="needs labels, which say of which set each series is"):
        many_sets()(codes=torch.zeros(2, 11, dtype=torch.long))


def test_the_null_class_of_a_set_is_the_set_and_a_class_is_told_which_it_is_of():
    model = many_sets()
    assert model.config.null_labels == [3, 3, 4, 3, 4]
    codes, nothing = torch.randint(16, (3, 14)), torch.zeros(3, 14, dtype=torch.bool)
    before = model.predict(codes, nothing, torch.tensor([0, 2, 4]))
    with torch.no_grad():
        model.label_embedding.weight[3] += 1
    changed = (model.predict(codes, nothing, torch.tensor([0, 2, 4])) - before).abs().amax((1, 2))
    assert changed[0] > 0 and (changed[1:] == 0).all()


def test_series_with_fewer_codes_train_together_with_longer_ones_as_if_alone():
    model, generator = many_sets(label_dropout=0.0).train(), torch.Generator().manual_seed(1)
    codes, labels = torch.randint(16, (40, 14)), torch.arange(40) % 3
    padded = codes.masked_fill((labels[:, None] == 2) & (torch.arange(14) >= 11), -1)
    output = model(codes=padded, labels=labels, generator=generator)
    assert output.mask.any(1).all() and not (output.mask & (padded < 0)).any()
    assert output.loss.isfinite()
    total, count = 0.0, 0
    for row in range(40):
        size = 11 if labels[row] == 2 else 14
        known = ~output.mask[row : row + 1, :size]
        logits = model.predict(codes[row : row + 1, :size], known, labels[row : row + 1])
        total += F.cross_entropy(logits[~known], codes[row : row + 1, :size][~known], reduction="sum")
        count += (~known).sum()
    torch.testing.assert_close(output.loss, total / count)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sets": None}, "needs sets, found none"),
        ({"position_encoding": "learned"}, 'sets need position_encoding "rotary"'),
        ({"sets": [SETS[0]]}, "class 'steps/up' is of no set; the sets are waves"),
        ({"sets": [SETS[0], SETS[0]]}, "must have different names"),
        ({"sets": [SETS[0], {"name": "steps", "length": 33}]}, "a set has length, mean, name, std"),
    ],
)
def test_sets_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        many_sets(**fields)


def test_a_prior_that_knows_strength_is_told_it_and_samples_without(pretraining_model):
    model = prior(pretraining_model, code_embedding="geometry", knows_strength=True).eval()
    with torch.no_grad():
        model.strength_vector += torch.randn_like(model.strength_vector)
    codes, generator = torch.randint(6, (4, 50)), torch.Generator()
    strengths = (None, torch.zeros(4), torch.ones(4))
    losses = [model(codes=codes, strength=one, generator=generator.manual_seed(1)).loss for one in strengths]
    assert losses[0] == losses[1] != losses[2]
    with pytest.raises(ValueError, match="the prior does not know of strengths"):
        prior(pretraining_model)(codes=codes, strength=strengths[2])
