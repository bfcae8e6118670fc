"""Training that starts from a checkpoint: what is carried over, what is new, what is frozen."""

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

from helpers.tensors import assert_same
from helpers.tiny import FURTHER, SETTINGS, as_options, toy_dataset
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining
from ncvqvae.cli.__main__ import main
from ncvqvae.data.files import write_series
from ncvqvae.data.series import series_dataset, to_tensors
from ncvqvae.training.finetuning import Start
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.run_folder import save
from ncvqvae.training.stages import train


def dataset(length=24, classes=("0", "1"), channels=1):
    values = np.random.default_rng(1).normal(size=(12, channels, length)).cumsum(2)
    return series_dataset(values, [classes[i % len(classes)] for i in range(12)], classes)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    return train(toy_dataset(), load_recipe(None, SETTINGS), folder / "out", folder / "work")[0]


def finetune(checkpoint, data, tmp_path, *overrides, frozen=(), **options):
    start = Start(checkpoint, frozen)
    recipe = load_recipe(None, [*FURTHER, *overrides])
    model, histories = train(data, recipe, tmp_path / "out", tmp_path / "work", start=start, **options)
    return model, histories, start


def barely(*stages):
    """Settings of a training that moves nothing that one can see."""
    return [f"{stage}_training={{max_steps: 1, batch_size: 8, learning_rate: 1e-12}}" for stage in stages]


def test_on_the_same_data_all_is_carried_over_but_the_projector(checkpoint, tmp_path):
    model, _, start = finetune(checkpoint, toy_dataset(), tmp_path, *barely("tokenizer", "prior"), "report_to=null")
    assert start.new == []
    for name, tensor in checkpoint.state_dict().items():
        if not any(moving in name for moving in ("quantizer", "running", "num_batches")):
            torch.testing.assert_close(model.state_dict()[name], tensor, atol=1e-6, rtol=0)


def test_other_classes_lengths_and_channels_renew_just_the_tensors_that_depend_on_them(checkpoint, tmp_path):
    def new(**kind):
        folder = tmp_path / "-".join(map(str, kind.values()))
        model, _, start = finetune(checkpoint, dataset(**kind), folder, *barely("tokenizer", "prior"))
        assert model.generate(2).shape == (2, kind.get("channels", 1), kind.get("length", 24))
        return set(start.new), model

    positions = {"position_embedding.weight", "transformer.position_embedding.weight", "logit_bias"}
    assert new(classes=("a", "b", "c"))[0] == {"label_embedding.weight"}
    renewed, model = new(classes=("a", "b"))  # as many classes, but others
    assert renewed == {"label_embedding.weight"}
    torch.testing.assert_close(model.label_embedding.weight[-1], checkpoint.label_embedding.weight[-1])
    assert (model.label_embedding.weight[0] - checkpoint.label_embedding.weight[0]).abs().max() > 0.1
    renewed, model = new(length=37)
    assert renewed == positions
    assert model.config.tokenizer_config.num_downsampling == checkpoint.config.tokenizer_config.num_downsampling
    renewed, _ = new(channels=2)
    assert {name.rpartition(".")[0].rpartition(".")[0] for name in renewed} == {
        "tokenizer.encoder.down",
        "tokenizer.decoder.up",
    }


def test_frozen_parts_keep_every_bit_and_the_others_move(checkpoint, tmp_path):
    frozen = ("encoder", "quantizer", "transformer.layers.0")
    model, _, _ = finetune(checkpoint, dataset(), tmp_path, frozen=frozen)
    kept = ("tokenizer.encoder.", "tokenizer.quantizer.", "transformer.layers.0.")
    before, now = checkpoint.state_dict(), model.state_dict()
    assert_same(*({name: state[name] for name in state if name.startswith(kept)} for state in (before, now)))
    assert not torch.equal(
        before["tokenizer.decoder.blocks.0.conv1.weight"], now["tokenizer.decoder.blocks.0.conv1.weight"]
    )
    assert not torch.equal(before["head.0.weight"], now["head.0.weight"])


def test_one_stage_alone(checkpoint, tmp_path):
    model, histories, _ = finetune(checkpoint, dataset(), tmp_path / "prior", only="prior")
    assert list(histories) == ["prior"]
    assert_same(*({k: v for k, v in m.tokenizer.state_dict().items()} for m in (checkpoint, model)))
    assert model.config.tokenizer_config.mean != checkpoint.config.tokenizer_config.mean  # the scaler is the data's
    model, histories, _ = finetune(checkpoint, dataset(), tmp_path / "tokenizer", only="tokenizer")
    assert list(histories) == ["tokenizer"] and not hasattr(model, "generate")
    again, histories, _ = finetune(model, dataset(), tmp_path / "again")  # from stage 1 alone: a new prior
    assert list(histories) == ["tokenizer", "prior"] and again.generate(1).shape == (1, 1, 24)


def test_it_resumes_to_the_same_bits_and_not_from_another_checkpoint(checkpoint, tmp_path):
    whole, _, _ = finetune(checkpoint, dataset(), tmp_path / "whole")
    finetune(checkpoint, dataset(), tmp_path / "run", "prior_training.save_total_limit=9")
    for folder in (tmp_path / "run" / "work" / "prior").glob("checkpoint-12"):
        folder.rename(folder.with_name("aside"))
    resumed, _, _ = finetune(checkpoint, dataset(), tmp_path / "run", "prior_training.save_total_limit=9", resume=True)
    assert_same(whole.state_dict(), resumed.state_dict())
    with pytest.raises(ValueError, match="cannot resume: checkpoint was"):
        finetune(whole, dataset(), tmp_path / "run", "prior_training.save_total_limit=9", resume=True)


@pytest.mark.parametrize(
    ("override", "frozen", "length", "message"),
    [
        ("tokenizer.dim=16", (), 24, "tokenizer.dim is 8 in the checkpoint and 16 in the recipe"),
        ("prior.hidden_size=32", (), 24, "prior.hidden_size is 16 in the checkpoint and 32 in the recipe"),
        ("seed=0", ("encodr",), 24, "there is no part 'encodr' to freeze; the model has code_embedding, decoder"),
        ("seed=0", ("encoder", "decoder", "projector"), 24, "there is no part 'projector'"),
        (
            "seed=0",
            ("position_embedding",),
            37,
            "position_embedding cannot be frozen: position_embedding",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(checkpoint, override, frozen, length, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        finetune(checkpoint, dataset(length), tmp_path, override, frozen=frozen)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_not_overwritten_by_its_own_fine_tuning(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(checkpoint, "ncvqvae-mine")
    write_series("mine.csv", to_tensors(toy_dataset())[0], ["0", "1"] * 6)
    before = {path: path.read_bytes() for path in (tmp_path / "ncvqvae-mine").iterdir()}
    work = tmp_path / "runs" / "ncvqvae-mine" / "tokenizer" / "checkpoint-5"
    work.mkdir(parents=True)
    command = ["finetune", "../" + str(tmp_path.name) + "/ncvqvae-mine", "--data", "mine.csv"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said == "ncvqvae finetune: ncvqvae-mine holds the checkpoint to start from; choose another output folder\n"
    assert {path: path.read_bytes() for path in (tmp_path / "ncvqvae-mine").iterdir()} == before and work.is_dir()


def test_parts_to_freeze_are_named_with_spaces_or_without(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(checkpoint, "start")
    write_series("mine.csv", to_tensors(toy_dataset())[0], ["0", "1"] * 6)
    assert (
        main(["finetune", "start", "--data", "mine.csv", "--freeze", "encoder, quantizer", *as_options(FURTHER)]) == 0
    )
    kept = ("tokenizer.encoder.", "tokenizer.quantizer.")
    after = MaskGITForTimeSeriesGeneration.from_pretrained("ncvqvae-mine").state_dict()
    assert_same(
        *({name: one[name] for name in one if name.startswith(kept)} for one in (checkpoint.state_dict(), after))
    )


def test_networks_that_would_stay_random_are_refused(checkpoint, tmp_path):
    with pytest.raises(ValueError, match=r"the checkpoint has no encoder\.down\.0\.weight for such series"):
        finetune(checkpoint, dataset(channels=2), tmp_path, only="prior")
    with pytest.raises(ValueError, match=r"encoder cannot be frozen: encoder\.down\.0\.weight is not"):
        finetune(checkpoint, dataset(channels=2), tmp_path, frozen=["encoder"])
    kept = ["encoder", "decoder"]  # as they are anyway
    model, _, _ = finetune(checkpoint, dataset(), tmp_path, only="prior", frozen=kept)
    assert model.generate(1).isfinite().all()


def test_it_starts_better_than_from_scratch(tmp_path):
    def sines(seed, offset):
        rng = np.random.default_rng(seed)
        phase, labels = rng.uniform(0, 6.28, size=(40, 1, 1)), np.arange(40) % 2
        return series_dataset(
            np.sin(np.arange(32) * np.where(labels, 1.1, 0.5)[:, None, None] + phase) + offset, labels
        )

    longer = ["tokenizer_training={max_steps: 150, batch_size: 20}", "prior_training={max_steps: 5, batch_size: 20}"]
    short = ["tokenizer_training={max_steps: 20, batch_size: 20, eval_steps: 10}", longer[1]]
    first, _ = train(sines(0, 0), load_recipe(None, [*SETTINGS, *longer]), tmp_path / "a", tmp_path / "aw")
    errors = {}
    for name, start in (("scratch", None), ("finetuned", Start(first))):
        settings = SETTINGS if start is None else FURTHER
        _, histories = train(
            sines(1, 5), load_recipe(None, [*settings, *short]), tmp_path / name, tmp_path / f"{name}w", start=start
        )
        errors[name] = [row["reconstruction_error"] for row in histories["tokenizer"].validation]
    assert all(tuned < scratch for tuned, scratch in zip(errors["finetuned"], errors["scratch"], strict=True))


@pytest.mark.parametrize("stage", ["tokenizer", "prior"])
def test_the_trainer_of_transformers_fine_tunes_it_unchanged(checkpoint, stage, tmp_path):
    values, labels = to_tensors(toy_dataset())
    if stage == "prior":
        model, rows = (
            checkpoint.__class__.from_pretrained(_saved(checkpoint, tmp_path)),
            zip(values, labels, strict=True),
        )
        rows = [{"values": series, "labels": label} for series, label in rows]
    else:
        model = NCVQVAEForPreTraining(
            NCVQVAEConfig(**checkpoint.config.tokenizer_config.to_dict() | {"projector_dim": 16})
        )
        rows = [{"values": series, "augmented_values": series + 0.1 * torch.randn_like(series)} for series in values]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    arguments = TrainingArguments(
        output_dir=tmp_path / "trainer", max_steps=6, per_device_train_batch_size=6, report_to=[], logging_steps=2,
        remove_unused_columns=False, use_cpu=True, disable_tqdm=True, learning_rate=1e-2,
        label_names=["labels" if stage == "prior" else "augmented_values"],
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    assert all(np.isfinite(row["loss"]) for row in trainer.state.log_history if "loss" in row)
    assert np.isfinite(trainer.evaluate()["eval_loss"])
    moved = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert any("transformer" in name if stage == "prior" else "encoder" in name for name in moved)
    trainer.save_model(tmp_path / "saved")
    again = type(model).from_pretrained(tmp_path / "saved")
    assert_same(again.state_dict(), model.state_dict())


def _saved(model: MaskGITForTimeSeriesGeneration, tmp_path):
    model.save_pretrained(tmp_path / "start")
    return tmp_path / "start"
