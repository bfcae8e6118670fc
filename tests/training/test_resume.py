"""What a run may be resumed with: everything that decides a number is compared, and what decides none is not."""

import numpy as np
import pytest

from helpers.tensors import assert_same, states
from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae.data.series import series_dataset, to_tensors
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.stages import train


VALUES, LABELS = (part.numpy() for part in to_tensors(toy_dataset()))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run of both stages: its model, and its work folder."""
    folder = tmp_path_factory.mktemp("done")
    model, _ = train(toy_dataset(), load_recipe(None, SETTINGS), folder / "out", folder / "work")
    return model, folder / "work"


def flipped():
    labels = LABELS.copy()
    labels[[0, 1]] = labels[[1, 0]]
    return series_dataset(VALUES, labels)


def moved():
    values = VALUES.copy()
    values[3, 0, 5] += 1e-3
    return series_dataset(values, LABELS)


@pytest.mark.parametrize(
    ("dataset", "field"),
    [
        (moved, "values"),
        (flipped, "labels"),
        (lambda: toy_dataset().add_column("series", [i % 2 + i // 4 * 2 for i in range(12)]), "held_out"),
        (lambda: series_dataset(VALUES, np.where(np.arange(12) % 3, LABELS, 2)), "classes"),
        (lambda: toy_dataset(labelled=False), "classes"),
        (lambda: series_dataset(VALUES[:, :, :20], LABELS), "shape"),
    ],
)
def test_other_data_is_refused_naming_the_field_and_nothing_is_deleted(done, tmp_path, dataset, field):
    _, work = done
    before = sorted(work.rglob("checkpoint-*"))
    with pytest.raises(ValueError, match=f"cannot resume: {field} was "):
        train(dataset(), load_recipe(None, SETTINGS), tmp_path / "out", work, resume=True)
    assert before == sorted(work.rglob("checkpoint-*"))


def test_another_recipe_is_refused_naming_the_field(done, tmp_path):
    changed = load_recipe(None, [*SETTINGS, "prior_training.batch_size=4"])
    with pytest.raises(ValueError, match=r"cannot resume: prior_training\.batch_size was 8 in .* and is 4 now"):
        train(toy_dataset(), changed, tmp_path / "out", done[1], resume=True)


def test_another_tracker_and_fewer_kept_checkpoints_are_taken_for_they_change_no_number(done, tmp_path):
    fewer = [f"{stage}_training.save_total_limit=1" for stage in ("tokenizer", "prior")]
    changed = load_recipe(None, [*SETTINGS, "report_to=tensorboard", *fewer])
    again, _ = train(toy_dataset(), changed, tmp_path / "out", done[1], resume=True)
    assert_same(states(done[0]), states(again))


def test_the_number_of_processes_is_compared_too(done, tmp_path, monkeypatch):
    monkeypatch.setattr("ncvqvae.training.stages.num_processes", lambda: 2)
    with pytest.raises(ValueError, match=r"cannot resume: processes was 1 in .* and is 2 now"):
        train(toy_dataset(), load_recipe(None, SETTINGS), tmp_path / "out", done[1], resume=True)
