"""`ncvqvae train --stage` and `ncvqvae finetune --stage`: one stage at a time gives what both at once give."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModel

import ncvqvae
from helpers.tensors import assert_same, tensors
from helpers.tiny import as_options
from ncvqvae.cli.__main__ import main
from ncvqvae.training.run_folder import only_run_in


TOKENIZER = "ncvqvae-gunPoint-tokenizer"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which stage 1 of GunPoint was trained alone, into the default folder."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "GunPoint", "--from-scratch", "--stage", "tokenizer", *as_options()]) == 0
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_tokenizer_trained_alone_has_a_folder_that_says_so_and_loads_as_stage_1(folder, capsys):
    assert sorted(path.name for path in folder.iterdir()) == [TOKENIZER, "runs"]
    assert (folder / "runs" / TOKENIZER / "tokenizer" / "checkpoint-12").is_dir()
    assert isinstance(AutoModel.from_pretrained(TOKENIZER), ncvqvae.NCVQVAEModel)
    assert main(["sample", TOKENIZER, "out.csv"]) == 2
    assert "holds a model of type 'ncvqvae'" in capsys.readouterr().err


def test_stage_1_and_then_a_prior_for_it_are_bitwise_both_stages_at_once(folder, capsys):
    recipe = ["--recipe", f"{TOKENIZER}/recipe.yaml"]
    assert main(["finetune", TOKENIZER, "GunPoint", "--stage", "prior", *recipe, "--output-dir", "by-stages"]) == 0
    said = capsys.readouterr().out
    assert "test accuracy of 1-NN" in said and "hence new" not in said
    assert main(["train", "GunPoint", *recipe]) == 0
    by_stages, at_once = (AutoModel.from_pretrained(name) for name in ("by-stages", "ncvqvae-gunPoint"))
    assert_same(tensors(by_stages), tensors(at_once))
    assert by_stages.config.to_diff_dict() == at_once.config.to_diff_dict()
    files = [load_file(Path(name) / "model.safetensors") for name in ("by-stages", "ncvqvae-gunPoint")]
    assert_same(*files)


def test_a_stage_alone_takes_the_lock_of_its_work_folder(folder, capsys):
    commands = {
        f"runs/{TOKENIZER}": ["train", "GunPoint", "--from-scratch", "--stage", "tokenizer", "--resume"],
        "runs/ncvqvae-gunPoint": ["finetune", TOKENIZER, "GunPoint", "--stage", "prior"],
        "elsewhere": ["finetune", TOKENIZER, "GunPoint", "--stage", "tokenizer", "--output-dir", "other"],
    }
    commands["elsewhere"] += ["--work-dir", "elsewhere"]
    for work, command in commands.items():
        with only_run_in(Path(work)):
            assert main([*command, *as_options()]) == 2
        assert f"another training runs in {work}; wait for it" in capsys.readouterr().err
    assert not Path("ncvqvae-gunPoint").exists() and not Path("other").exists()


def test_a_stage_alone_goes_on_after_it_was_stopped(folder):
    expected = load_file(f"{TOKENIZER}/model.safetensors")
    (folder / "runs" / TOKENIZER / "tokenizer" / "checkpoint-12").rename(folder / "gone")
    shutil.rmtree(TOKENIZER)
    assert main(["train", "GunPoint", "--from-scratch", "--stage", "tokenizer", "--resume", *as_options()]) == 0
    assert_same(load_file(f"{TOKENIZER}/model.safetensors"), expected)


def test_mistakes_in_the_stage_get_one_line(folder, capsys):
    for arguments, message in (
        (["finetune", "./nowhere/at/all", "GunPoint", "--stage", "prior"], "there is no folder ./nowhere/at/all"),
        (["finetune", TOKENIZER, "GunPoint", "--stage", "tokenizer"], "holds the checkpoint to start from"),
        (["finetune", TOKENIZER, "BasicMotions", "--stage", "prior"], "train the tokenizer too"),
    ):
        assert main([*arguments, "--set", "report_to=null"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    for command in (["train", "GunPoint"], ["finetune", TOKENIZER, "GunPoint"]):
        with pytest.raises(SystemExit) as left:
            main([*command, "--stage", "decoder"])
        assert left.value.code == 2 and "invalid choice: 'decoder'" in capsys.readouterr().err
