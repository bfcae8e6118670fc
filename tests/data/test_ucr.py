import os

import numpy as np
import pytest

from helpers.places import ARCHIVE
from ncvqvae.data.series import to_tensors
from ncvqvae.data.ucr import load_ucr


@pytest.fixture
def archive(tmp_path):
    """A folder of the archive's layout, and a writer of datasets into it."""

    def write(name, train, test):
        folder = tmp_path / "UCRArchive_2018" / name
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, rows in (("TRAIN", train), ("TEST", test)):
            text = "".join("\t".join(str(value) for value in row) + "\n" for row in rows)
            (folder / f"{name}_{suffix}.tsv").write_text(text)
        return tmp_path / "UCRArchive_2018"

    return write


def test_gunpoint_comes_from_inside_aeon_as_the_archive_has_it(tmp_path):
    data = load_ucr("GunPoint", cache_dir=tmp_path)
    values, labels = to_tensors(data["train"])
    assert values.shape == (50, 1, 150) and len(data["test"]) == 150
    assert data["train"].features["label"].names == ["1", "2"]
    assert labels.tolist().count(0) == 24
    assert values.mean().item() == pytest.approx(0, abs=1e-5)
    assert values[0, 0, :3].tolist() == pytest.approx([-0.647885, -0.641992, -0.638186], abs=1e-5)


def test_multivariate_sets_come_with_all_channels(tmp_path):
    data = load_ucr("BasicMotions", cache_dir=tmp_path)
    assert to_tensors(data["train"])[0].shape == (40, 6, 100)
    assert data["test"].features["label"].names == ["badminton", "running", "standing", "walking"]


def test_an_archive_folder_gives_both_splits_in_order_with_labels_sorted_as_numbers(archive, tmp_path):
    train = [[2, 0.5, 1.5, 2.5], [-1, 3, 4, 5], [10, 6, 7, 8]]
    folder = archive("Mine", train, [[10, 1, 2, 3]])
    for data_dir in (folder, folder.parent):
        data = load_ucr("Mine", data_dir, tmp_path / "cache")
        values, labels = to_tensors(data["train"])
        assert values[:, 0].tolist() == [row[1:] for row in train]
        assert data["train"].features["label"].names == ["-1", "2", "10"]
        assert labels.tolist() == [1, 0, 2]
        assert to_tensors(data["test"])[1].tolist() == [2]


def test_a_changed_file_is_not_answered_from_the_cache(archive, tmp_path):
    folder = archive("Mine", [[1, 0, 0, 0]], [[1, 1, 1, 1]])
    assert to_tensors(load_ucr("Mine", folder, tmp_path / "cache")["train"])[0].sum() == 0
    archive("Mine", [[1, 9, 9, 9]], [[1, 1, 1, 1]])
    os.utime(folder / "Mine" / "Mine_TRAIN.tsv", (1, 1))
    assert to_tensors(load_ucr("Mine", folder, tmp_path / "cache")["train"])[0].sum() == 27


def test_missing_values_and_unequal_lengths_each_have_their_policy(archive, tmp_path):
    nan = "NaN"
    folder = archive("Gaps", [[1, 0, nan, 2, nan]], [[1, 0, 1, 2, 3]])
    assert to_tensors(load_ucr("Gaps", folder, tmp_path / "cache")["train"])[0][0, 0].tolist() == [0, 1, 2, 2]
    archive("Padded", [[1, 0, 3, nan, nan]], [[1, 0, 1, 2, 3]])
    assert to_tensors(load_ucr("Padded", folder, tmp_path / "cache")["train"])[0][0, 0].tolist() == [0, 1, 2, 3]


def test_a_name_that_does_not_exist_lists_the_closest(archive, tmp_path):
    folder = archive("Wobbly", [[1, 0, 0]], [[1, 0, 0]])
    for name, close in (("gunpiont", "GunPoint"), ("FordC", "FordA"), ("Wobly", "Wobbly")):
        with pytest.raises(ValueError, match=f"unknown dataset '{name}'; the closest names are .*{close}"):
            load_ucr(name, folder, tmp_path / "cache")


def test_broken_folders_are_refused_in_one_line(archive, tmp_path):
    folder = archive("Mine", [[1, 0, 0, 0]], [])
    with pytest.raises(ValueError, match="test split of Mine is empty"):
        load_ucr("Mine", folder, tmp_path / "cache")
    (folder / "Mine" / "Mine_TEST.tsv").unlink()
    with pytest.raises(ValueError, match=r"lacks the file Mine_TEST\.tsv"):
        load_ucr("Mine", folder, tmp_path / "cache")
    with pytest.raises(ValueError, match="does not exist"):
        load_ucr("Mine", tmp_path / "nowhere", tmp_path / "cache")
    archive("Words", [["a", "b", "c"]], [["a", "b", "c"]])
    with pytest.raises(ValueError, match=r"Words_TRAIN\.tsv is not a table of numbers"):
        load_ucr("Words", folder, tmp_path / "cache")


@pytest.mark.skipif(not ARCHIVE.is_dir(), reason="the real archive is not beside the project")
@pytest.mark.parametrize(
    ("name", "train", "test", "length"),
    [("Chinatown", 20, 343, 24), ("DodgerLoopGame", 20, 138, 288), ("PickupGestureWiimoteZ", 50, 50, 361)],
)
def test_real_sets_of_the_archive_load_without_gaps(name, train, test, length, tmp_path):
    data = load_ucr(name, ARCHIVE, tmp_path)
    for split, size in (("train", train), ("test", test)):
        values, _ = to_tensors(data[split])
        assert values.shape == (size, 1, length)
        assert np.isfinite(values.numpy()).all()


def test_a_tab_at_the_end_of_each_line_is_no_sample(tmp_path):
    (tmp_path / "Tab").mkdir()
    for split in ("TRAIN", "TEST"):
        (tmp_path / "Tab" / f"Tab_{split}.tsv").write_text("1\t0.1\t0.2\t0.3\t\n2\t0.5\t0.7\t0.6\t\n")
    values = load_ucr("Tab", tmp_path)["train"]["values"][:]
    assert np.allclose(values, [[[0.1, 0.2, 0.3]], [[0.5, 0.7, 0.6]]])
