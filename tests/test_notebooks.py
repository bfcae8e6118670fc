"""The notebooks run from the first cell to the last, and are stored without what they print."""

import json

import pytest

from helpers.places import MODEL_CARDS, ROOT


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_beside_a_checkpoint(path, tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="the extra `train` is not installed")
    monkeypatch.setattr(pyplot, "show", pyplot.close)
    pyplot.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ncvqvae-gunPoint").symlink_to(MODEL_CARDS / "ncvqvae-gunPoint")
    found = {}
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), path.name, "exec"), found)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_one_and_holds_no_output(path):
    notebook = json.loads(path.read_text())
    assert notebook["nbformat"] == 4 and notebook["cells"][0]["cell_type"] == "markdown"
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells and not any(cell["outputs"] or cell["execution_count"] for cell in cells)
