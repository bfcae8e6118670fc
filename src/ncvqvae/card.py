"""Model cards: every figure comes from the `metrics.json` that `ncvqvae evaluate` left, none is typed."""

import json
from importlib import resources
from pathlib import Path
from string import Template

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from .configuration_maskgit import MaskGITConfig
from .report import headline_table, verdicts
from .report_rows import HEADLINES


TASK = "time-series-generation"
TAGS = ["time-series", TASK, "vq-vae", "maskgit", "ncvqvae"]


def render_card(folder: Path, repo_id: str, config: MaskGITConfig) -> str:
    """The card of a checkpoint's folder, which holds `metrics.json`, `recipe.yaml` and `samples.png`.

    What else there is to say of its training stands in `notes.md`, if there is one.

    Raises:
        ValueError: for a folder that lacks one of them, naming the command that makes it.
    """
    for name in ("metrics.json", "samples.png", "recipe.yaml"):
        if not (folder / name).is_file():
            remedy = f"train it again, or copy {name} there"
            if name != "recipe.yaml":
                remedy = f"run ncvqvae evaluate {folder} --out {folder}"
            raise ValueError(f"{folder} lacks {name}, which the card is made from; {remedy}")
    metrics = json.loads((folder / "metrics.json").read_text())
    tokenizer, scores, labels = config.tokenizer_config, metrics["scores"], list(config.id2label.values())
    shape = f"{tokenizer.length} samples"
    shape += f" in {tokenizer.num_channels} channels" if tokenizer.num_channels > 1 else ""
    classes = ", ".join(labels) if len(labels) <= 10 else f"{labels[0]} to {labels[-1]}"
    network = "The evaluation network is the one behind the published figures."
    if metrics["network"]["source"] != "reference":
        network = "The evaluation network is our own, so published FID and inception score compare only roughly."
    notes = folder / "notes.md"
    body = Template(resources.files(__package__).joinpath("model_card.md").read_text()).substitute(
        name=repo_id.split("/")[-1],
        repo_id=repo_id,
        dataset=metrics["dataset"],
        shape=shape,
        classes=f"{len(labels)} classes ({classes})" if labels else "without classes",
        label=labels[0] if labels else "null",
        output_shape=f"(8, {tokenizer.num_channels}, {tokenizer.length})",
        num_codes=tokenizer.num_codes,
        codebook_size=tokenizer.codebook_size,
        steps=config.sampling_steps,
        network=network,
        table="\n".join(headline_table(scores, metrics["published"])),
        verdicts="\n".join(f"- {sentence}" for sentence in verdicts(scores, metrics["published"])),
        recipe=(folder / "recipe.yaml").read_text().rstrip(),
        notes=f"{notes.read_text().rstrip()}\n\n" if notes.is_file() else "",
        command=metrics["command"],
    )
    data = ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        tags=TAGS,
        model_name=repo_id.split("/")[-1],
        eval_results=card_results(metrics),
    )
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def card_results(metrics: dict) -> list[EvalResult]:
    """The figures that the Hub reads."""
    return [
        EvalResult(
            task_type=TASK,
            dataset_type="ucr",
            dataset_name=f"UCR {metrics['dataset']}",
            dataset_split="test",
            metric_type=key,
            metric_name=label,
            metric_value=round(metrics["scores"][key]["mean"], 4),
        )
        for key, label, _, _ in HEADLINES
        if key in metrics["scores"]
    ]


def check_card(card: str, metrics: dict, file: Path) -> None:
    """Raises `ValueError` for a card that says of itself other figures than its `metrics.json`."""
    said = {result.metric_type: result.metric_value for result in ModelCard(card).data.eval_results or []}
    for result in card_results(metrics):
        found = said.get(result.metric_type)
        if found != result.metric_value:
            wanted = f"metrics.json has {result.metric_type} {result.metric_value}"
            raise ValueError(f"{file} says {found}, {wanted}; delete {file.name} to have it written anew")
