"""`python -m ncvqvae.hub.refresh`: code and texts of this version, and nothing else touched."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from helpers.places import MODEL_CARDS
from ncvqvae.hub.publish import check_checkpoint
from ncvqvae.hub.refresh import main


CARD = MODEL_CARDS / "ncvqvae-gunPoint"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(CARD, tmp_path / CARD.name)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_of_this_version_stays_as_it_is(folder):
    assert main([str(folder)]) == 0
    assert contents(folder) == contents(CARD)


def test_code_and_texts_come_back_and_weights_figures_and_config_keep_every_bit(folder, capsys):
    (folder / "masking.py").write_text("# of another version\n")
    (folder / "time_frequency.py").unlink()
    (folder / "older.py").write_text("# of a version that had it\n")
    (folder / "README.md").write_text("# old")
    (folder / "report.md").unlink()
    with pytest.raises(ValueError, match=r"is not part of ncvqvae|differs from the installed"):
        check_checkpoint(folder)
    assert main([str(folder)]) == 0 and capsys.readouterr().out == f"refreshed {folder}\n"
    assert contents(folder) == contents(CARD)
    check_checkpoint(folder)


def test_a_config_that_does_not_name_its_code_gets_the_names_and_keeps_the_rest(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if key != "auto_map"}))
    weights = (folder / "model.safetensors").read_bytes()
    assert main([str(folder)]) == 0
    found = json.loads((folder / "config.json").read_text())
    assert config["auto_map"] and found == config
    assert (folder / "model.safetensors").read_bytes() == weights


def test_without_figures_the_code_alone_is_written_anew(folder):
    for name in ("metrics.json", "report.md", "README.md"):
        (folder / name).unlink()
    (folder / "masking.py").write_text("")
    assert main([str(folder)]) == 0
    assert (folder / "masking.py").read_bytes() == (CARD / "masking.py").read_bytes()
    assert not (folder / "README.md").exists() and not (folder / "report.md").exists()


def test_it_stops_at_a_folder_that_is_no_checkpoint_with_one_line(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main([str(folder), str(tmp_path / "empty"), str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == f"refreshed {folder}\n" and said.err.count("\n") == 1
    assert said.err.startswith("refresh: ") and "empty" in said.err and not os.listdir(tmp_path / "empty")


@pytest.mark.slow
def test_it_is_a_command_of_its_own(folder):
    (folder / "masking.py").unlink()
    command = [sys.executable, "-m", "ncvqvae.hub.refresh", folder.name]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"refreshed {folder.name}\n"), done.stderr
    assert contents(folder) == contents(CARD)
