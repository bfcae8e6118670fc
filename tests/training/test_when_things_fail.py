"""Ctrl-C, a full disk, a lost tracker, too little memory: what was trained is kept, and one line says what to do."""

import re
import signal

import pytest
import torch
from transformers import AutoModel

import ncvqvae  # noqa: F401, registers the models
from helpers import two_processes
from helpers.tensors import assert_same
from helpers.tiny import SETTINGS, toy_dataset
from helpers.trainings import begin, interrupt_once_there_is, together
from ncvqvae.evaluation.stage_scores import score_tokenizer
from ncvqvae.training.finetuning import Start
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.stages import train


def weights(folder):
    return AutoModel.from_pretrained(folder).state_dict()


LONGER = ("tokenizer_training.max_steps=60", "prior_training.max_steps=60")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    process = begin(folder, *LONGER)
    assert process.wait() == 0, process.said
    return weights(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("tokenizer", signal.SIGINT),
        pytest.param("prior", signal.SIGINT, marks=pytest.mark.long),
        ("tokenizer", signal.SIGTERM),
        ("prior", signal.SIGHUP),
    ],
)
def test_a_signal_saves_the_step_says_how_to_go_on_and_the_end_is_bitwise_the_same(whole, stage, number, tmp_path):
    process = begin(tmp_path / "run", *LONGER)
    said = interrupt_once_there_is(process, f"{stage}/checkpoint-5", tmp_path / "run-work", number)
    assert process.wait() == 130 and f"train: {stage} stopped and saved at step " in said, said
    assert said.strip().endswith("; a training goes on with the same command and --resume")
    step = said.split("at step ")[1].split()[0]
    assert (tmp_path / "run-work" / stage / f"checkpoint-{step}").is_dir()
    assert begin(tmp_path / "run", *LONGER).wait() == 0
    assert_same(whole, weights(tmp_path / "run"))


def test_ctrl_c_during_the_last_evaluation_of_a_stage_stops_before_the_next(tmp_path, monkeypatch):
    recipe = load_recipe(None, SETTINGS)
    whole, _ = train(toy_dataset(), recipe, tmp_path / "whole", tmp_path / "w")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt, match=STOPPED):
        patched.setattr("ncvqvae.training.stages.score_tokenizer", interrupted_at(3))  # after steps 4, 8 and 12
        train(toy_dataset(), recipe, tmp_path / "run", tmp_path / "work")
    assert not (tmp_path / "work" / "prior").exists() and not (tmp_path / "run").exists()
    resumed, histories = train(toy_dataset(), recipe, tmp_path / "run", tmp_path / "work", resume=True)
    assert_same(whole.state_dict(), resumed.state_dict())
    assert [row["step"] for row in histories["tokenizer"].validation] == [4, 8, 12]


STOPPED = "^tokenizer stopped and saved at step 12 of 12; a training goes on with the same command and --resume$"


def interrupted_at(last):
    """`score_tokenizer`, during whose `last` call Ctrl-C comes."""
    calls = []

    def score(*arguments):
        calls.append(arguments)
        if len(calls) == last:
            signal.raise_signal(signal.SIGINT)
        return score_tokenizer(*arguments)

    return score


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.long)]
)
def test_a_signal_to_a_launcher_and_its_two_processes_saves_one_step_for_both(number, tmp_path):
    long = "tokenizer_training.max_steps=4000"
    both = together(tmp_path / "log", 2, two_processes.trains, str(tmp_path / "run"), False, long)
    said = interrupt_once_there_is(both, "tokenizer/checkpoint-5", tmp_path / "run-work", number)
    saved = {path.name for path in (tmp_path / "run-work" / "tokenizer").glob("*checkpoint-*")}
    step = said.split("tokenizer stopped and saved at step ")[1].split()[0]
    assert f"checkpoint-{step}" in saved and not any("partial" in name for name in saved)


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_and_nothing_half_written(tmp_path):
    longer, work = ["tokenizer_training.max_steps=4000"], tmp_path / "run-work"
    interrupt_once_there_is(begin(tmp_path / "run", *longer), "tokenizer/checkpoint-5", work)
    before = {path: path.read_bytes() for path in work.rglob("*checkpoint-*/*")}
    process = begin(tmp_path / "run", *longer, file_limit=20_000)
    assert process.wait() == 2 and "cannot save step " in process.said and "make room and resume" in process.said
    assert not list(work.rglob("*partial*"))
    assert before and all(path.read_bytes() == data for path, data in before.items())


@pytest.mark.slow
def test_a_full_disk_at_the_very_end_leaves_the_folder_as_it_was_and_all_there_is_to_resume(tmp_path):
    assert begin(tmp_path / "run").wait() == 0
    expected = weights(tmp_path / "run")
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    process = begin(tmp_path / "run", file_limit=20_000)
    assert process.wait() == 2 and process.said.count("\n") == 1, process.said
    assert process.said.startswith(f"train: cannot save the model in {tmp_path}/run (")
    assert "make room and resume" in process.said
    assert not list((tmp_path / "run").iterdir())
    assert begin(tmp_path / "run").wait() == 0
    assert_same(expected, weights(tmp_path / "run"))


def test_a_picture_that_cannot_be_drawn_ends_the_pictures_alone(tmp_path, monkeypatch, caplog):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def fails(*_):
        raise RuntimeError("no ink")

    monkeypatch.setattr("ncvqvae.training.stages.plot_reconstructions", fails)
    recipe = load_recipe(None, [*SETTINGS, "report_to=tensorboard"])
    train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    said = [record.message for record in caplog.records if "the run goes on" in record.message]
    assert said == ["the run goes on without pictures of tokenizer: no ink"]
    scalars = {}
    for stage in ("tokenizer", "prior"):
        events = EventAccumulator(str(tmp_path / "work" / stage / f"ncvqvae-{stage}")).Reload()
        scalars[stage] = [event.step for event in events.Scalars(f"{stage}/loss")]
        assert bool(events.Tags()["images"]) == (stage == "prior")
    assert scalars == {"tokenizer": [5, 10, 12], "prior": [5, 10, 12]}


def test_a_lost_tracker_does_not_end_the_run(tmp_path, monkeypatch, caplog):
    def fails(*_, **__):
        raise ConnectionError("the service is gone")

    monkeypatch.setattr("accelerate.Accelerator.log", fails)
    recipe = load_recipe(None, [*SETTINGS, "report_to=tensorboard"])
    _, histories = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    assert histories["prior"].training[-1]["step"] == 12
    said = [record.message for record in caplog.records if "is lost" in record.message]
    assert said == ["tensorboard is lost, and the run goes on without it: the service is gone"] * 2  # one a stage


@pytest.mark.parametrize(
    ("override", "also"),
    [
        ("seed=0", ", or tokenizer.projector_dim, or set tokenizer_training.precision to bf16"),
        ("tokenizer_training.precision=bf16", ", or tokenizer.projector_dim"),
        ("tokenizer.ssl_objective=null", ", or set tokenizer_training.precision to bf16"),
    ],
)
def test_too_little_memory_names_the_settings_that_can_change(tmp_path, monkeypatch, override, also):
    monkeypatch.setattr("ncvqvae.training.loop._share", out_of_memory)
    lower = re.escape(f"out of memory in tokenizer: lower tokenizer_training.batch_size (now 8){also}")
    with pytest.raises(RuntimeError, match=f"^{lower}$"):
        train(toy_dataset(), load_recipe(None, [*SETTINGS, override]), tmp_path / "out", tmp_path / "work")


def out_of_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_too_little_memory_for_a_fine_tuning_does_not_name_a_size_that_the_checkpoint_fixes(tmp_path, monkeypatch):
    model, _ = train(toy_dataset(), load_recipe(None, SETTINGS), tmp_path / "start", tmp_path / "w")
    monkeypatch.setattr("ncvqvae.training.loop._share", out_of_memory)
    recipe = load_recipe(None, [setting for setting in SETTINGS if not setting.startswith(("tokenizer=", "prior="))])
    with pytest.raises(RuntimeError, match=r"prior_training.batch_size \(now 8\), or set prior_training.precision"):
        train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work", start=Start(model), only="prior")


def test_an_allocation_that_the_cpu_refuses_is_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr("ncvqvae.training.loop._share", lambda *_: torch.empty(2**60))
    with pytest.raises(RuntimeError, match="out of memory in tokenizer"):
        train(toy_dataset(), load_recipe(None, SETTINGS), tmp_path / "out", tmp_path / "work")
