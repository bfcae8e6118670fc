"""What a checkpoint was measured on, and the command that measures it again, for readers who have none of its files.

Series of the user's own are described by `metrics["data"]`; sets of the archive have no such entry. It has

- `file`, `test_file`: names without folders, or ids on the Hub; `test_file` is `None` without `--test`;
- `judged_by`: the kind of the series in the place of a test split, see `evaluation_split`;
- `series`: how many there are in the training `split`, in the part of it to `train` on, and in the `test` split or
  what stands in its place;
- `windows`: whether they are windows of longer series;
- `reading`: the options that say how the files are read, by name.
"""

import shlex


JUDGED_BY = {
    "test": "The test split is {file}, series that training does not use.",
    "held-out": """There is no test split. What is called test are the series that training held out: no weights were
learned from them, but they may have chosen how the model samples.""",
    "training": """There is no test split, and training held out no series. What is called test are the training series
themselves: these figures are of training series, and do not say how the model does on new ones.""",
}
OWN_UNITS = "Series are compared as the checkpoint's scaler scales them: training series have mean 0 and variance 1."


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
