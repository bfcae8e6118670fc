"""Model cards. Every figure comes from the `metrics.json` of `ncvqvae evaluate`; nobody types one."""

from importlib import resources
from pathlib import Path
from string import Template

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..evaluation.provenance import read_recipe, reproduction
from ..evaluation.report import headline_table, headlines, legend, verdicts
from ..inference import BASE
from ..models.configuration_maskgit import MaskGITConfig
from ..models.configuration_ncvqvae import NCVQVAEConfig
from ..models.integrity import read_json
from ..runtime import one_line
from .base_card import check_base_card, is_base, render_base_card
from .origin import FEATURES, again, hub_datasets, origin_fields
from .stamp import is_written, stamped


TASK = "time-series-generation"
TAGS = ["time-series", TASK, "vq-vae", "maskgit", "ncvqvae"]
# What the Hub calls a figure, where it has a name for it; several may have one, and differ in theirs.
METRICS = {"null_fid": "fid", "minirocket_fid": "fid", "null_inception_score": "inception_score"}
METRICS |= dict.fromkeys(("cas_fcn", "svm", "knn", "test_masked_accuracy"), "accuracy")
METRICS |= {"test_reconstruction_error": "mse", "test_perplexity": "perplexity"}
DIGESTS = ("config_sha256", "recipe_sha256")
# What `metrics.json` must hold.
NEEDED: tuple[str, ...] = ("checkpoint", "weights_sha256", *DIGESTS, "dataset", "seeds", "sizes", "network")
NEEDED += ("scores", "not_measured", "published")
NEEDED_OF_BASE = ("checkpoint", "tokenizer_sha256", *DIGESTS, "command", "zero_shot")
PICTURES = ("samples.png", "nearest.png")
# What the card says about an id without an organisation.
BARE_NAME = """`$name` is a folder of that name in the working directory, such as the one in `model_cards/` of the
source. On the Hub the id is `<organisation>/$name`, whoever publishes it.

"""


def card_of(folder: Path, repo_id: str, config: MaskGITConfig | NCVQVAEConfig) -> tuple[str, bool]:
    """The card that is published: one of the folder's figures, or the folder's own, if a person has edited it.

    The second is whether it is the folder's own. What only this package has written is no edit, whatever has been
    measured since.

    Raises:
        ValueError: for a folder that no card can be made from, or an edited card that contradicts the folder.
    """
    file = folder / "README.md"
    try:
        text = render_card(folder, repo_id, config)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"{folder}/metrics.json holds what was not measured ({type(error).__name__}: {one_line(error)})"
        raise ValueError(f"{reason}; {again(folder, config)}") from None
    found = file.read_text() if file.is_file() else None
    if found is None or is_written(found):
        return text, False
    if is_base(config):
        check_base_card(found, folder)
    else:
        check_card(found, folder, repo_id, config)
    return stamped(found, edited=True), True


def render_card(folder: Path, repo_id: str, config: MaskGITConfig | NCVQVAEConfig) -> str:
    """The card of a checkpoint's folder, which holds `metrics.json`, `recipe.yaml` and pictures, with its digest.

    The optional `notes.md` becomes part of the card. An id without an organisation is a folder's name.

    Raises:
        ValueError: for a folder that lacks one of these files (the message names the command that makes it), or that
            was measured on another dataset than it was trained on.
    """
    name = repo_id.split("/")[-1]
    bare_name = "" if "/" in repo_id else Template(BARE_NAME).substitute(name=name)
    if is_base(config):
        return stamped(render_base_card(folder, repo_id, config, bare_name))
    fields = _fields(folder, repo_id, config) | {"name": name, "bare_name": bare_name}
    start, organisation = _recipe(folder).get("start"), repo_id.rpartition("/")[0]
    if start == BASE and organisation:  # which publishes both
        start = f"{organisation}/{start}"
    metrics = read_metrics(folder, config)
    results = card_results(metrics)
    # No `pipeline_tag`: of the Hub's tasks none is this one.
    data = ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        tags=TAGS,
        datasets=hub_datasets(metrics, organisation),
        metrics=list(dict.fromkeys(result.metric_type for result in results)),
        model_name=name,
        eval_results=results,
        base_model=start,
        base_model_relation="finetune" if start else None,
    )
    body = Template(resources.files(__package__).joinpath("model_card.md").read_text()).substitute(fields)
    return stamped(f"---\n{data.to_yaml()}\n---\n\n{body}")


def check_card(card: str, folder: Path, repo_id: str, config: MaskGITConfig) -> None:
    """Raises `ValueError` for an edited card that lacks a fact of the rendered one, or has other figures for the Hub.

    Everything else in the card may be edited.
    """
    remedy = "delete README.md to have it written anew; what you have to say can stand in notes.md"
    if not card.startswith("---\n"):
        raise ValueError(f"{folder}/README.md has no metadata between lines of --- at its head; {remedy}")
    try:
        said = ModelCard(card).data.eval_results or []
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"the metadata of {folder}/README.md cannot be read ({one_line(error)}); {remedy}") from None
    wanted = card_results(read_metrics(folder, config))
    for result in (*wanted, *said):
        if said.count(result) != wanted.count(result):
            has, key = [], (result.metric_type, result.metric_name)
            for part in (said, wanted):
                same = [one for one in part if (one.metric_type, one.metric_name) == key]
                has.append(", ".join(str(one.metric_value) for one in same) or "nothing")
            what = result.metric_name or result.metric_type
            raise ValueError(
                f"the metadata of {folder}/README.md has {has[0]} for {what}, metrics.json {has[1]}; {remedy}"
            )
    fields = _fields(folder, repo_id, config)
    facts = {
        f"the line that loads {repo_id}": f'from_pretrained("{repo_id}")',
        f"the line that loads {repo_id} without the package": f'from_pretrained("{repo_id}", trust_remote_code=True)',
        "the table of metrics.json": f"\n\n{fields['table']}\n\n",
        "the sentences on metrics.json": f"\n\n{fields['verdicts']}\n\n",
        "the recipe of recipe.yaml": f"```yaml\n{fields['recipe']}\n```\n",
        "the text of notes.md": fields["notes"],
    }
    for what, fact in facts.items():
        if fact not in card:
            raise ValueError(f"{folder}/README.md was edited and lacks {what}; {remedy}")


def read_metrics(folder: Path, config: MaskGITConfig | NCVQVAEConfig | None = None) -> dict:
    """`metrics.json`, of a checkpoint with a prior unless `config` is a tokenizer's.

    Raises:
        ValueError: for one that `ncvqvae evaluate` did not write.
    """
    file = folder / "metrics.json"
    if not file.exists():
        raise ValueError(f"{folder} lacks metrics.json, which the card is made from; {again(folder, config)}")
    try:
        metrics = read_json(file)
    except ValueError as error:
        raise ValueError(f"{error}, or {again(folder, config)}") from None
    needed = NEEDED_OF_BASE if config is not None and is_base(config) else NEEDED
    missing = [name for name in needed if name not in metrics]
    if missing:
        raise ValueError(f"{file} lacks {missing[0]!r}; {again(folder, config)}")
    if not isinstance(metrics.get("scores", {}), dict):
        raise ValueError(f"{file} holds scores without names; {again(folder, config)}")
    return metrics


def card_results(metrics: dict) -> list[EvalResult]:
    """The figures that the Hub reads."""
    data, name = metrics.get("data"), metrics["dataset"]
    split = "test" if data is None else data["judged_by"]
    kind = "ucr" if data is None else name.split(":")[0] if "/" in name else "own-series"
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=kind,
            dataset_name=f"UCR {name}" if data is None else name,
            dataset_config=name if data is None else None,
            dataset_split=split,
            metric_type=METRICS.get(key, key),
            metric_name=label,
            metric_value=round(metrics["scores"][key]["mean"], 4),
        )
        for key, label, _, _ in headlines(metrics["scores"])
    ]


def _fields(folder: Path, repo_id: str, config: MaskGITConfig) -> dict[str, str]:
    """The values of the template's fields."""
    tokenizer, metrics = config.tokenizer_config, _check_folder(folder, config)
    notes = folder / "notes.md"
    table = headline_table(metrics["scores"], metrics["published"])
    return origin_fields(metrics, config) | {
        "repo_id": repo_id,
        "output_shape": f"(8, {tokenizer.num_channels}, {tokenizer.length})",
        "num_codes": str(tokenizer.num_codes),
        "codebook_size": str(tokenizer.codebook_size),
        "steps": str(config.sampling_steps),
        "sampling": _sampling(config, _recipe(folder)),
        "legend": legend(table),
        "table": "\n".join(table),
        "verdicts": "\n".join(f"- {sentence}" for sentence in verdicts(metrics["scores"], metrics["published"])),
        "recipe": (folder / "recipe.yaml").read_text().rstrip(),
        "features": FEATURES if (folder / "features.png").is_file() else "",
        "notes": f"{notes.read_text().strip()}\n\n" if notes.is_file() else "",
        "reproduction": reproduction(metrics),
    }


def _sampling(config: MaskGITConfig, recipe: dict) -> str:
    """A sentence on the settings that `generate` takes if none are given, and on who chose them."""
    order = {
        "confidence": f"most confident codes first (choice temperature {config.sampling_choice_temperature:g})",
        "random": "codes in random order",
        "low_discrepancy": "codes that lie far apart together",
    }[config.sampling_order]
    scale = config.sampling_guidance_scale
    guidance = "no guidance" if scale == 1 else f"{config.sampling_guidance_schedule} guidance of {scale:g}"
    steps = f"in {config.sampling_steps} steps, at temperature {config.sampling_temperature:g} with {guidance}"
    chosen = " The training chose these settings by what they generate, or kept its first ones where series are few."
    chosen = chosen if recipe.get("choose_sampling") else ""
    return f"Unless other settings are given it decides {order}, {steps}.{chosen}"


def _check_folder(folder: Path, config: MaskGITConfig) -> dict:
    """The metrics of a checkpoint on what it was trained on; checks that its folder has every file of a card."""
    metrics = read_metrics(folder, config)
    if (None if "data" in metrics else metrics["dataset"]) != config.tokenizer_config.dataset_name:
        trained_on = config.tokenizer_config.dataset_name or "series of your own"
        found = f"{folder}/metrics.json is of {metrics['dataset']}, the checkpoint of {trained_on}"
        raise ValueError(f"{found}; {again(folder, config)}")
    pictures = PICTURES[:1] if "copying" in metrics["not_measured"] else PICTURES
    for name in (*pictures, "recipe.yaml"):
        if not (folder / name).is_file():
            remedy = again(folder, config) if name in PICTURES else f"train it again, or copy {name} there"
            raise ValueError(f"{folder} lacks {name}, which the card is made from; {remedy}")
    start = _recipe(folder).get("start") or ""
    if start.startswith(("/", ".", "~")) or start.count("/") > 1:
        remedy = "write there the name that others find it by"
        raise ValueError(f"{folder}/recipe.yaml starts from {start}, a folder of this machine; {remedy}")
    return metrics


def _recipe(folder: Path) -> dict:
    recipe = read_recipe(folder)
    if not isinstance(recipe, dict):
        raise ValueError(f"{folder}/recipe.yaml holds no keys and values; train it again, or copy recipe.yaml there")
    return recipe
