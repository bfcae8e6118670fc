import json
import os
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from helpers.trainings import Forked
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.run_folder import (
    changes,
    check_resumable,
    check_writable,
    default_output_dir,
    default_work_dir,
    note_run,
    only_run_in,
    save,
)


def test_folders_are_named_after_the_dataset_and_a_tokenizer_says_that_it_is_one():
    assert default_output_dir("GunPoint") == default_output_dir("GunPoint", "prior") == Path("ncvqvae-gunPoint")
    assert default_output_dir("GunPoint", "tokenizer") == Path("ncvqvae-gunPoint-tokenizer")
    assert default_output_dir("ECG200") == Path("ncvqvae-eCG200")


def test_folders_of_one_name_in_two_places_have_work_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_work_dir("a/x") == Path("runs/a/x")
    assert default_work_dir("b/x") == Path("runs/b/x")
    assert default_work_dir("/elsewhere/x") == Path("runs/elsewhere/x")


def test_a_saved_model_has_its_recipe_and_files_that_others_may_read(model, tmp_path):
    recipe = load_recipe(None, ["seed=3"])
    save(model, tmp_path / "out", recipe)
    assert yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text()) == recipe.to_dict()
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in (tmp_path / "out").iterdir())
    before = load_file(tmp_path / "out" / "model.safetensors")
    (tmp_path / "out" / "notes.md").write_text("mine")
    save(model, tmp_path / "out")  # again, and without a recipe
    assert (tmp_path / "out" / "notes.md").read_text() == "mine" and (tmp_path / "out" / "recipe.yaml").is_file()
    assert before.keys() == load_file(tmp_path / "out" / "model.safetensors").keys()


def test_looking_whether_a_folder_can_be_written_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write to .*file/a: .*; choose another folder"):
        check_writable(tmp_path / "file" / "a")


def test_a_run_is_noted_once_and_compared_when_it_resumes(tmp_path):
    facts = {"seed": 1, "prior_training": {"batch_size": 8}, "report_to": None}
    note_run(tmp_path, facts, resume=False)
    (tmp_path / "prior" / "checkpoint-5").mkdir(parents=True)
    note_run(tmp_path, facts | {"report_to": "wandb"}, resume=True)
    assert json.loads((tmp_path / "run.json").read_text()) == facts  # as it began
    with pytest.raises(ValueError, match=r"cannot resume: prior_training\.batch_size was 8 in .* and is 4 now"):
        note_run(tmp_path, facts | {"prior_training": {"batch_size": 4}}, resume=True)
    (tmp_path / "run.json").unlink()
    with pytest.raises(ValueError, match="which says what the checkpoints belong to, is missing"):
        note_run(tmp_path, facts, resume=True)
    note_run(tmp_path, facts, resume=False)
    assert not (tmp_path / "prior" / "checkpoint-5").exists()


@pytest.mark.parametrize("record", ["", "[]", "3", "{", "[" * 10**5, '{"seed": ', '{"seed": ' + "9" * 5000 + "}"])
def test_a_damaged_note_of_a_run_is_one_line(tmp_path, record):
    (tmp_path / "prior" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "run.json").write_text(record)
    with pytest.raises(ValueError, match=r"run\.json (is not JSON|holds a ).* delete it and train") as raised:
        note_run(tmp_path, {"seed": 1}, resume=True)
    assert "\n" not in str(raised.value) and "Expecting" not in str(raised.value)


def test_a_note_of_terabytes_is_not_read(tmp_path):
    note_run(tmp_path, {"seed": 1}, resume=False)
    (tmp_path / "prior" / "checkpoint-5").mkdir(parents=True)
    os.truncate(tmp_path / "run.json", 2**42)  # which takes no room on a disk
    with pytest.raises(ValueError, match=r"has 4398046511104 bytes, .* delete it and train"):
        note_run(tmp_path, {"seed": 1}, resume=True)


def test_the_folder_of_a_stage_is_no_link_to_the_checkpoints_of_another_run(tmp_path):
    (tmp_path / "other" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "prior").symlink_to(tmp_path / "other")
    for resume in (False, True):
        with pytest.raises(ValueError, match="prior is a link, not a folder"):
            note_run(tmp_path / "work", {"seed": 1}, resume)
    assert (tmp_path / "other" / "checkpoint-5").exists()


def test_links_in_a_work_folder_are_deleted_and_what_they_lead_to_is_not(tmp_path):
    kept, work = tmp_path / "kept", tmp_path / "work"
    kept.mkdir()
    (kept / "precious").touch()
    (work / "prior").mkdir(parents=True)
    for name in ("checkpoint-5", "partial-checkpoint-7"):
        (work / "prior" / name).symlink_to(kept)
    note_run(work, {"seed": 1}, resume=False)
    assert not os.listdir(work / "prior") and (kept / "precious").exists()


def test_a_work_folder_in_which_nothing_was_begun_is_not_resumed(tmp_path):
    begun = tmp_path / "ncvqvae-gunPoint"
    note_run(begun, {"seed": 1}, resume=False)
    check_resumable(begun)
    with pytest.raises(ValueError, match=r"nothing to resume in .*gunpint, .*mean --work-dir .*/ncvqvae-gunPoint"):
        check_resumable(tmp_path / "ncvqvae-gunpint")
    with pytest.raises(ValueError, match=r"nothing to resume in .*other, .*; leave out --resume to begin one"):
        check_resumable(tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["ncvqvae-gunPoint"]


@pytest.fixture
def finished(tmp_path):
    """The facts of a run whose checkpoint is finished."""
    facts = {"seed": 1, "prior_training": {"batch_size": 8}, "output": (str(tmp_path / "out"), None)}
    note_run(tmp_path / "work", facts, resume=False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_bytes(b"weights")
    return facts


def test_a_run_may_be_repeated_and_resumed_into_its_own_folder(finished, tmp_path):
    for resume in (False, True):
        note_run(tmp_path / "work", finished | {"report_to": "wandb"}, resume)


@pytest.mark.parametrize(
    "changed", [{"seed": 2}, {"prior_training": {"batch_size": 4}}, {"start": "base"}, {"output": "tokenizer"}]
)
@pytest.mark.parametrize("resume", [False, True])
def test_another_run_replaces_a_finished_checkpoint_only_where_it_may(finished, tmp_path, changed, resume):
    facts = finished | changed
    if "output" in changed:
        facts["output"] = finished["output"][0], "tokenizer"
    with pytest.raises(ValueError, match=r"/out holds the finished checkpoint of another training; add --overwrite"):
        note_run(tmp_path / "work", facts, resume)
    assert json.loads((tmp_path / "work" / "run.json").read_text())["seed"] == 1
    note_run(tmp_path / "work", facts, False, overwrite=True)
    note_run(tmp_path / "work", facts, resume)  # which is now the run of this folder


def test_a_run_in_another_work_folder_is_another_run(finished, tmp_path):
    with pytest.raises(ValueError, match="add --overwrite to replace it, or choose another --output-dir"):
        note_run(tmp_path / "work2", finished, resume=False)


def test_the_lock_of_a_run_does_not_follow_a_link(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError), only_run_in(tmp_path / "work"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_changes_are_named_by_their_sections_and_leave_out_what_decides_no_number():
    before = {"a": {"x": 1, "save_total_limit": 2}, "b": [1], "report_to": None}
    now = {"a": {"x": 2, "save_total_limit": 9}, "c": 3, "report_to": "wandb"}
    assert sorted(changes(before, now)) == [("a.x", 1, 2), ("b", [1], None), ("c", None, 3)]
    assert not list(changes(before, before))


def hold_and_die(folder):
    with only_run_in(folder):
        os._exit(3)  # as if killed


def test_the_lock_of_a_run_ends_with_its_process(tmp_path):
    assert Forked(tmp_path / "log", hold_and_die, tmp_path / "work").wait() == 3
    assert os.listdir(tmp_path / "work") == ["lock"]
    with (
        only_run_in(tmp_path / "work"),
        pytest.raises(ValueError, match="another training runs in"),
        only_run_in(tmp_path / "work"),
    ):
        pass
    with only_run_in(tmp_path / "work"):
        assert os.listdir(tmp_path / "work") == ["lock"]
