"""What a checkpoint was measured on, and the command that measures it again, for readers who have none of its files.

Series of the user's own are described by `metrics["data"]`; sets of the archive have no such entry. It has

- `file`, `test_file`: names without folders, or ids on the Hub; `test_file` is `None` without `--test`;
- `judged_by`: the kind of the series in the place of a test split, see `evaluation_split`;
- `series`: how many there are in the training `split`, in the part of it to `train` on, and in the `test` split or
  what stands in its place;
- `windows`: whether they are windows of longer series;
- `reading`: the options that say how the files are read, by name.
"""

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from ..models.integrity import CONFIG, read_json, read_text
from ..runtime import load_yaml


JUDGED_BY = {
    "test": "The test split is {file}, series that training does not use.",
    "held-out": """There is no test split. What is called test are the series that training held out: no weights were
learned from them, but they may have chosen how the model samples.""",
    "training": """There is no test split, and training held out no series. What is called test are the training series
themselves: these figures are of training series, and do not say how the model does on new ones.""",
}
OWN_UNITS = "Series are compared as the checkpoint's scaler scales them: training series have mean 0 and variance 1."


# Of a configuration, what changes without the model: the version that wrote it, the code beside it, where it was.
NO_SETTINGS = ("transformers_version", "auto_map", "custom_pipelines", "_name_or_path")
RECIPE = "recipe.yaml"
OF_THE_PRIOR = ("prior", "code_temperature", "choose_sampling")  # how keys of a recipe begin


def file_digests(folder: Path, of_tokenizer: bool = False) -> dict[str, str | None]:
    """The SHA-256 of what the figures of a checkpoint depend on beside its weights: configuration and recipe.

    They are of what the files say, not of how it is written; a checkpoint that the training started from counts by
    its last name, since it is another folder elsewhere. With `of_tokenizer` they leave out what is the prior's. A file
    that is not there has `None`.

    Raises:
        ValueError: for a configuration or a recipe that cannot be read.
    """
    config = read_json(folder / CONFIG) if (folder / CONFIG).exists() else None
    recipe = read_recipe(folder) if (folder / RECIPE).exists() else None
    if of_tokenizer and config is not None:
        config = config.get("tokenizer_config", config)
    if isinstance(recipe, dict):
        left_out = OF_THE_PRIOR if of_tokenizer else ()
        recipe = {key: value for key, value in recipe.items() if not str(key).startswith(left_out)}
        recipe["start"] = Path(str(recipe.get("start"))).name
    return {"config_sha256": _digest(_settings(config)), "recipe_sha256": _digest(recipe)}


def read_recipe(folder: Path) -> Any:
    """What `recipe.yaml` of a checkpoint says. Raises `ValueError` for one that cannot be read."""
    try:
        return load_yaml(read_text(folder / RECIPE))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{folder / RECIPE} is not YAML ({' '.join(str(error).split())})") from None


def _settings(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    return {key: _settings(value) for key, value in config.items() if key not in NO_SETTINGS}


def _digest(content: Any) -> str | None:
    if content is None:
        return None
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def judged_by(metrics: dict) -> str:
    """Sentences on the series that a checkpoint of the user's own series is judged by, and on their units."""
    data, sizes = metrics["data"], metrics["sizes"]
    file = f"`{data['test_file']}`" if data["test_file"] else f"that of `{data['file']}`"
    said = " ".join(JUDGED_BY[data["judged_by"]].format(file=file).split())
    if left_out := sum(data["series"][name] - sizes[name] for name in ("train", "test")):
        said += f" Of such many series evenly spaced ones are measured, without {left_out} others."
    return f"{said} {OWN_UNITS}"


def counted(data: dict) -> str:
    """`120 series` or `120 windows`, those of the training split with what is held out of it."""
    return f"{data['series']['split']} {'windows' if data['windows'] else 'series'}"


def data_options(data: dict, with_test: bool = True) -> str:
    """The options of a command that name the user's own series and say how they are read."""
    words = ["--data", data["file"]]
    words += ["--test", data["test_file"]] if with_test and data["test_file"] else []
    for name, value in data["reading"].items():
        option = f"--{'' if value is not False else 'no-'}{name.replace('_', '-')}"
        text = ",".join(value) if isinstance(value, list) else str(value)
        words += [option] if isinstance(value, bool) else [option, text]
    return shlex.join(words)


def reproduction(metrics: dict) -> str:
    """The command that reproduces the figures on any machine, and the files that it needs there."""
    name, dataset, data = metrics["checkpoint"], metrics["dataset"], metrics.get("data")
    series = f"--dataset {dataset}" if data is None else data_options(data)
    command = f"ncvqvae evaluate {name} {series} --out {name}"
    command += f" --seeds {len(metrics['seeds'])}" if metrics["seeds"] else " --only tokenizer"
    if metrics["network"].get("source") != "reference":
        return f"`{command}`."
    network = f"`{command} --fcn FOLDER`, where\n`FOLDER` holds `{dataset}.safetensors`, the evaluation network"
    link = "[supervised-FCN](https://github.com/danelee2601/supervised-FCN)"
    return f"{network} of\n{link} for this dataset, with its own names of the weights."
