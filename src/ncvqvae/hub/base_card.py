"""The card of a tokenizer for all series. Every figure comes from `metrics.json` and `pretraining.json`."""

from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub import ModelCardData

from ..evaluation.zero_shot import LEGEND, SEEN, ZeroShot, zero_shot_table
from ..models.configuration_maskgit import MaskGITConfig
from ..models.configuration_ncvqvae import NCVQVAEConfig
from ..models.integrity import read_json
from .origin import archive_datasets


TAGS = ["time-series", "feature-extraction", "vq-vae", "ncvqvae"]
FILES = ("metrics.json", SEEN, "recipe.yaml")
NO_PRIOR = "It has no prior yet, so it does not generate series by itself.\n"
PRIOR = """Its prior generates series of the sets that it knows, by class:

```python
values = model.generate(16, labels="$example")  # (16, 1, samples), in the units of the set
```

It knows $number sets: $sets. Labels are written as in the archives; one of no class is the name of its set. A
checkpoint for one set, or for your own series, generates better ones and takes minutes: `ncvqvae train DATASET`
starts from this one.
"""
OBJECTIVES = {
    None: "without an objective between views",
    "barlow_twins": "with the objective of Barlow Twins ([2103.03230](https://arxiv.org/abs/2103.03230))",
    "vibcreg": "with the objective VIbCReg ([2109.00783](https://arxiv.org/abs/2109.00783))",
}


def is_base(config: MaskGITConfig | NCVQVAEConfig) -> bool:
    """Whether a checkpoint takes series of every length."""
    return getattr(config, "tokenizer_config", config).length is None


def render_base_card(folder: Path, repo_id: str, config: MaskGITConfig | NCVQVAEConfig, bare_name: str) -> str:
    """The card of a folder that holds `metrics.json`, `pretraining.json`, `recipe.yaml` and perhaps `notes.md`.

    `bare_name` is what it says about an id without an organisation.

    Raises:
        ValueError: for a folder that lacks one of these files; the message names the command that makes it.
    """
    for name in FILES:
        if not (folder / name).is_file():
            command = f"ncvqvae evaluate {folder} --out {folder}" if name == FILES[0] else "ncvqvae pretrain"
            raise ValueError(f"{folder} lacks {name}, which the card is made from; {command} writes it")
    metrics, pretraining = (read_json(folder / name) for name in FILES[:2])
    notes, prior = folder / "notes.md", ""
    if isinstance(config, MaskGITConfig):
        example = next(iter(config.id2label.values()))
        sets = ", ".join(one["name"] for one in config.sets or [])
        prior = Template(PRIOR).substitute(
            example=example, name=repo_id.split("/")[-1], number=len(config.sets or []), sets=sets
        )
    tokenizer: Any = getattr(config, "tokenizer_config", config)
    data = ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        tags=TAGS,
        pipeline_tag="feature-extraction",
        datasets=archive_datasets(repo_id.rpartition("/")[0]),
        metrics=["accuracy", "fid", "mse"],
    )
    fields = {
        "name": repo_id.split("/")[-1],
        "repo_id": repo_id,
        "bare_name": bare_name,
        "prior": prior or NO_PRIOR,
        "num_sets": len(pretraining["sets"]),
        "synthetic": f"{pretraining['synthetic_series']:,}",
        "seen": _seen(pretraining["sets"]),
        "samples_per_code": (tokenizer.n_fft // 4) << tokenizer.num_downsampling,
        "codebook_size": tokenizer.codebook_size,
        "working_length": tokenizer.working_length,
        "most_codes": tokenizer.grid(tokenizer.working_length)[1],
        "objective": OBJECTIVES[tokenizer.ssl_objective],
        "legend": LEGEND,
        "table": zero_shot_table([ZeroShot(**row) for row in metrics["zero_shot"]]),
        "recipe": (folder / "recipe.yaml").read_text().rstrip(),
        "notes": f"{notes.read_text().strip()}\n\n" if notes.is_file() else "",
    }
    body = Template(resources.files(__package__).joinpath("base_card.md").read_text()).substitute(fields)
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def check_base_card(card: str, folder: Path) -> None:
    """Raises `ValueError` for an edited card that lacks a table of the folder's figures, or of what it has seen."""
    metrics, pretraining = (read_json(folder / name) for name in FILES[:2])
    tables = {
        "metrics.json": zero_shot_table([ZeroShot(**row) for row in metrics["zero_shot"]]),
        SEEN: _seen(pretraining["sets"]),
    }
    for name, table in tables.items():
        if table not in card:
            remedy = "delete README.md to have it written anew; what you have to say can stand in notes.md"
            raise ValueError(f"{folder}/README.md was edited and lacks the table of {name}; {remedy}")


def _seen(sets: dict[str, dict[str, int]]) -> str:
    lines = ["| set | series | samples |", "|---|---|---|"]
    for name, one in sets.items():
        ends = dict.fromkeys((one["shortest"], one["longest"]))
        lines.append(f"| {name} | {one['series']} | {' to '.join(map(str, ends))} |")
    return "\n".join(lines)
