"""A checkpoint to resume from: no file of it runs code, and none that was changed is taken."""

import hashlib
import os
import pickle
import shutil
import time

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from ncvqvae.training.checkpoints import Checkpoints, History


FILES = ["SHA256SUMS", "history.json", "model.safetensors", "optimizer.safetensors"]
HISTORY = History([{"step": 5, "loss": 1.5}], [{"step": 4, "reconstruction_error": 0.5}])


class Training:
    """A layer that has taken a step, and its checkpoints."""

    def __init__(self, folder, seed=0):
        torch.manual_seed(seed)
        self.model = torch.nn.Linear(3, 2)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.model(torch.randn(4, 3)).sum().backward()
        self.optimizer.step()
        self.checkpoints = Checkpoints(folder, 3, Accelerator(cpu=True), self.model, self.optimizer)

    def load(self):
        """The steps done, and the history."""
        history = History()
        return self.checkpoints.load(history), history

    @property
    def tensors(self):
        states = [self.optimizer.state[parameter] for parameter in self.model.parameters()]
        return [*self.model.parameters(), *(state[key] for state in states for key in sorted(state))]


def as_bits(training):
    return [tensor.detach().clone() for tensor in training.tensors]


def assert_equal(first, second):
    assert len(first) == len(second) and all(map(torch.equal, first, second))


@pytest.fixture
def saved(tmp_path):
    """A training whose step 5 was saved, and another one's step 10, which is newer."""
    training = Training(tmp_path / "tokenizer")
    training.checkpoints.save(5, HISTORY)
    Training(tmp_path / "tokenizer", seed=1).checkpoints.save(10, HISTORY)
    return training


def test_a_checkpoint_is_four_files_whose_sums_sha256sum_can_check(saved):
    folder = saved.checkpoints.whole()[0]
    assert sorted(os.listdir(folder)) == FILES
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_it_restores_weights_averages_and_history(saved):
    other = Training(saved.checkpoints.folder, seed=2)
    shutil.rmtree(saved.checkpoints.folder / "checkpoint-10")
    assert other.load() == (5, HISTORY)
    assert_equal(as_bits(saved), as_bits(other))


def test_averages_get_the_layout_of_their_parameters(tmp_path):
    training = Training(tmp_path)
    training.model = torch.nn.Conv2d(3, 2, 3).to(memory_format=torch.channels_last)
    training.optimizer = torch.optim.AdamW(training.model.parameters(), fused=True)
    training.model(torch.randn(4, 3, 8, 8)).sum().backward()
    training.optimizer.step()
    checkpoints = Checkpoints(tmp_path, 1, Accelerator(cpu=True), training.model, training.optimizer)
    checkpoints.save(5, HISTORY)
    before, strides = as_bits(training), [tensor.stride() for tensor in training.tensors]
    checkpoints.load(History())
    assert_equal(before, training.tensors)
    assert strides == [tensor.stride() for tensor in training.tensors]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_flipped_bit_in_any_file_sets_the_checkpoint_aside_and_the_one_before_is_used(saved, name, place, caplog):
    file = saved.checkpoints.folder / "checkpoint-10" / name
    data = bytearray(file.read_bytes())
    data[round(place * (len(data) - 1))] ^= 1
    file.write_bytes(data)
    other = Training(saved.checkpoints.folder, seed=2)
    assert other.load() == (5, HISTORY)
    assert_equal(as_bits(saved), as_bits(other))
    assert (saved.checkpoints.folder / "damaged-checkpoint-10" / name).read_bytes() == data
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "checkpoint-10 is damaged and set aside: " in said[0] and "\n" not in said[0]


@pytest.mark.parametrize("damage", ["empty", "truncated", "missing", "another"])
@pytest.mark.parametrize("name", FILES)
def test_so_does_a_file_that_is_short_missing_or_of_another_checkpoint(saved, name, damage):
    file, before = (saved.checkpoints.folder / f"checkpoint-{step}" / name for step in (10, 5))
    data = {"empty": b"", "truncated": file.read_bytes()[:-1], "another": before.read_bytes(), "missing": None}[damage]
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    assert Training(saved.checkpoints.folder, seed=2).load()[0] == 5


def seal(folder):
    """Writes sums of the files as they are, as whoever made them on purpose would."""
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in (*FILES[2:], FILES[1])
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.mark.parametrize(
    "record",
    [
        *("", "[]", "null", "3", "{", "[" * 10**5, '"text"'),
        '{"training": [], "validation": []}',
        '{"step": "10", "training": [], "validation": []}',
        '{"step": 5, "training": [], "validation": []}',
        '{"step": 10, "training": {}, "validation": []}',
        '{"step": 10, "training": [], "validation": [3]}',
        '{"step": 10, "training": [{"loss": 1}], "validation": []}',
        '{"step": 10, "training": [{"step": "one"}], "validation": []}',
    ],
)
def test_a_malformed_record_gets_one_line_and_the_checkpoint_before_is_used(saved, record, caplog):
    folder = saved.checkpoints.folder / "checkpoint-10"
    (folder / "history.json").write_text(record)
    seal(folder)
    assert Training(saved.checkpoints.folder, seed=2).load() == (5, HISTORY)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "checkpoint-10 is damaged and set aside: " in said and "\n" not in said and "Expecting" not in said


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_terabytes_is_not_read(saved, name):
    os.truncate(saved.checkpoints.folder / "checkpoint-10" / name, 2**42)  # which takes no room on a disk
    start = time.perf_counter()
    assert Training(saved.checkpoints.folder).load()[0] == 5
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("weight.exp_avg", torch.zeros(1)),
        ("weight.exp_avg", torch.zeros(2, 3, dtype=torch.float64)),
        ("weight.step", torch.zeros(3)),
        ("other.exp_avg", torch.zeros(2, 3)),
        ("weight.other", torch.zeros(2, 3)),
        ("weight", torch.zeros(2, 3)),
    ],
)
def test_averages_of_another_shape_or_kind_or_of_no_parameter_are_damaged(saved, name, tensor, caplog):
    folder = saved.checkpoints.folder / "checkpoint-10"
    save_file(load_file(folder / "optimizer.safetensors") | {name: tensor}, folder / "optimizer.safetensors")
    seal(folder)
    assert Training(saved.checkpoints.folder, seed=2).load()[0] == 5
    assert name.split(".")[-1] in caplog.records[0].getMessage()


def test_the_last_ones_are_kept(saved):
    for step in (15, 20):
        saved.checkpoints.save(step, HISTORY)
    assert [path.name for path in saved.checkpoints.whole()] == ["checkpoint-10", "checkpoint-15", "checkpoint-20"]


@pytest.mark.parametrize("lost", ["step", "exp_avg", "exp_avg_sq"])
def test_averages_of_which_some_are_missing_are_damaged(saved, lost):
    folder = saved.checkpoints.folder / "checkpoint-10"
    averages = load_file(folder / "optimizer.safetensors")
    del averages[f"weight.{lost}"]
    save_file(averages, folder / "optimizer.safetensors")
    seal(folder)
    assert Training(saved.checkpoints.folder, seed=2).load()[0] == 5


def test_a_record_of_other_tensors_is_damaged_too(saved):
    for name in ("model.safetensors", "optimizer.safetensors"):
        training = Training(saved.checkpoints.folder)
        training.checkpoints.save(10, HISTORY)
        folder = saved.checkpoints.folder / "checkpoint-10"
        save_file({"weight": torch.zeros(2, 2), "weight.exp_avg": torch.zeros(1)}, folder / name)
        seal(folder)
        assert training.load()[0] == 5
        assert_equal(as_bits(saved), as_bits(training))


def test_folders_that_are_none_of_ours_are_named_and_left_alone(saved, caplog):
    names = ["checkpoint-abc", "checkpoint-5-copy", "checkpoint-", "checkpoint-007", "checkpoint-٣"]
    for name in names:
        (saved.checkpoints.folder / name).mkdir()
    (saved.checkpoints.folder / "checkpoint-11").write_text("a file")
    assert Training(saved.checkpoints.folder).load()[0] == 10
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(names) + 1 and all("is no checkpoint of a step, and left alone" in line for line in said)
    assert all((saved.checkpoints.folder / name).exists() for name in names)


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(saved, name):
    file = saved.checkpoints.folder / "checkpoint-10" / name
    file.unlink()
    os.mkfifo(file)
    assert Training(saved.checkpoints.folder).load()[0] == 5


class Bomb:
    """What runs code when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


# Every name that Accelerate, transformers' Trainer or PyTorch would load from such a folder, and our own.
TEMPTING = [
    *FILES,
    *("custom_checkpoint_0.pkl", "random_states_0.pkl", "scheduler.bin", "optimizer.bin", "scaler.pt"),
    *("pytorch_model.bin", "model.bin", "sampler.bin", "dl_state_dict.bin", "dl_state_dict_0.bin"),
    *("optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state.pth", "trainer_state.json"),
]


@pytest.mark.parametrize("sealed", [False, True], ids=["as planted", "with sums that fit"])
@pytest.mark.parametrize("write", [lambda bomb, file: file.write_bytes(pickle.dumps(bomb)), torch.save])
def test_a_folder_full_of_pickles_runs_none_of_them(saved, tmp_path, write, sealed):
    folder = saved.checkpoints.folder / "checkpoint-10"
    for name in TEMPTING:
        write({"x": Bomb(tmp_path / f"ran-{name}")}, folder / name)
    if sealed:
        seal(folder)
    assert Training(saved.checkpoints.folder).load()[0] == 5
    assert not list(tmp_path.glob("ran-*"))
    planted = saved.checkpoints.folder / "damaged-checkpoint-10" / "optimizer.bin"
    pickle.loads(planted.read_bytes()) if write is not torch.save else torch.load(planted, weights_only=False)
    assert list(tmp_path.glob("ran-*")) == [tmp_path / "ran-optimizer.bin"]  # so they were live
