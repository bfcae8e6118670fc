"""Run settings: dataclasses, filled from one small YAML file and then from the command line.

Unknown keys are errors.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml
from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError

from ..data.mixture import MixtureSettings
from ..models.configuration_maskgit import MaskGITConfig
from ..models.configuration_ncvqvae import NCVQVAEConfig
from ..runtime import load_yaml, one_line
from .augmentations import check_views, spread_of
from .settings import TrainingSettings


# The fields that the data decides. No recipe may set them.
FROM_DATA = {
    *("num_channels", "length", "mean", "std", "dataset_name"),
    *("tokenizer_config", "id2label", "label2id", "label_shares", "sets"),
}
MOST_BYTES = 2**20  # of a recipe
MOST_SEED = 2**32 - 1  # of NumPy and scikit-learn


@strict
@dataclass
class Recipe:
    """The settings of a whole run. `tokenizer` and `prior` hold fields of `NCVQVAEConfig` and `MaskGITConfig`.

    Args:
        start: the checkpoint that the run starts from, a folder, an id on the Hub, or `ncvqvae-base`; `None` starts
            from random weights.
        tune_tokenizer: whether a run that starts from a checkpoint trains its tokenizer too, or its prior alone.
        half_weights: whether the weights of what is trained are rounded to half precision at the end, which halves
            the file.
        seed: the seed of every random draw.
        validation_fraction: share of the training split that is held out to watch the training. The test split is
            never seen.
        report_to: tracker (`"tensorboard"`, `"wandb"`, `"trackio"`), or `None`.
        tokenizer: architecture and losses of stage 1.
        views: ordered list of augmentations, `flip` or `gaussian_noise: {std: 0.1}`; without any, one branch.
        high_views: augmentations of the high band, for a tokenizer that splits bands; `views` are then the low one's.
        tokenizer_training: how stage 1 is optimised.
        prior: architecture of stage 2 and how it samples by default.
        prior_training: how stage 2 is optimised.
        prior_views: augmentations of the series whose codes the prior learns, drawn and encoded anew at each step;
            without any the codes are computed once. A prior that `knows_strength` is told how strong each was.
        choose_sampling: whether order, temperature and guidance of the sampling are chosen at the end, by what the
            prior generates; see `choose_sampling`.
        mixture: how series are drawn in pre-training.
        decoder_training: how the second phase of pre-training, for a tokenizer with `decoder_noise`, is optimised.
        code_temperature: at 0 the prior learns the nearest codes. Above 0 codes are drawn anew at each step, with
            probability proportional to exp(-distance^2 / temperature); the reference has 1.
    """

    start: str | None = None
    tune_tokenizer: bool = False
    half_weights: bool = False
    seed: int = 0
    validation_fraction: float | int = 0.1
    report_to: Literal["tensorboard", "wandb", "trackio"] | None = "tensorboard"
    tokenizer: dict[str, Any] = field(default_factory=dict)
    views: list[Any] = field(default_factory=lambda: ["gaussian_noise"])
    high_views: list[Any] = field(default_factory=list)
    tokenizer_training: TrainingSettings = field(default_factory=TrainingSettings)
    prior: dict[str, Any] = field(default_factory=dict)
    prior_training: TrainingSettings = field(default_factory=lambda: TrainingSettings(batch_size=256))
    code_temperature: float | int = 0.0
    prior_views: list[Any] = field(default_factory=list)
    choose_sampling: bool = False
    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    decoder_training: TrainingSettings = field(default_factory=TrainingSettings)

    def validate_parts(self) -> None:
        for section, config in (("tokenizer", NCVQVAEConfig), ("prior", MaskGITConfig)):
            known = set(config.__annotations__) - FROM_DATA
            for key in getattr(self, section):
                if key not in known:
                    raise ValueError(unknown_key(f"{section}.{key}", [f"{section}.{name}" for name in known]))
            # The real length comes with the data. This one is long enough for every setting.
            config(**getattr(self, section) | ({"length": 2**24} if config is NCVQVAEConfig else {}))
        for views in (self.views, self.high_views, self.prior_views):
            check_views(views)
        if self.high_views and not (self.views and self.tokenizer.get("split_bands")):
            raise ValueError("high_views want tokenizer.split_bands, and views of the low band")
        if self.prior.get("knows_strength"):
            if not self.prior_views:
                raise ValueError("prior.knows_strength is the strength of views: name some under 'prior_views'")
            for view, _ in check_views(self.prior_views):
                spread_of(view)
        if self.tokenizer.get("ssl_objective", NCVQVAEConfig.ssl_objective) is not None and not self.views:
            raise ValueError("an objective compares two views: name some under 'views', or set ssl_objective: null")
        if not 0 <= self.seed <= MOST_SEED:
            raise ValueError(f"seed must lie in 0 to {MOST_SEED}, found {self.seed}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must lie in [0, 1), found {self.validation_fraction}")
        if not 0 <= self.code_temperature < float("inf"):
            raise ValueError(f"code_temperature must be at least 0, found {self.code_temperature}")
        for name, value in by_dotted_names(self.to_dict()):
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, found {value}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_recipe(recipe: str | Path) -> Path:
    """The file of a recipe: a path that ends in `.yaml`, or the name of one in the package.

    Raises:
        ValueError: for a file that does not exist, or an unknown name; the message lists the known names.
    """
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ValueError(f"there is no recipe {recipe}")
        return path
    packaged = Path(__file__).parents[1] / "recipes"  # in a wheel; a checkout has them in training/
    folder = packaged if packaged.is_dir() else Path(__file__).parents[3] / "training" / "recipes"
    known = sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml"))
    if str(recipe) not in known:
        raise ValueError(f"there is no recipe {str(recipe)!r}; name a .yaml file or one of {', '.join(known)}")
    return folder / f"{recipe}.yaml"


def load_recipe(recipe: str | Path | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """Loads a recipe by its name or from a YAML file. Settings that it lacks have their defaults.

    Args:
        recipe (*optional*): see `find_recipe`; without it all settings are the defaults.
        overrides: settings that are applied last, such as `"prior.hidden_size=128"`.

    Raises:
        ValueError: for a missing file, an unknown key or a wrong value; the message is one line.
    """
    data: Any = {}
    if recipe is not None:
        path = find_recipe(recipe)
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes, more than any recipe")
        try:
            data = load_yaml(path.read_text()) or {}
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not YAML: {one_line(error)}") from None
        if not isinstance(data, dict):
            raise ValueError(f"{path} must hold keys and values, found {type(data).__name__}")
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise ValueError(f"an override is key=value, found {override!r}")
        *parents, last = key.split(".")
        section = data
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise ValueError(f"cannot set {key}: {parent} is a value ({section!r}), not a section")
        try:
            section[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"{override!r} is not YAML: {one_line(error)}") from None
    try:
        return _build(Recipe, data)
    except StrictDataclassError as error:
        raise ValueError(one_line(error.__cause__ or error)) from None


def _build(kind: type, data: Mapping[str, Any], prefix: str = "") -> Any:
    known = {f.name: f for f in fields(kind)}
    arguments = {}
    for key, value in data.items():
        if key not in known:
            raise ValueError(unknown_key(prefix + str(key), [prefix + name for name in known]))
        annotation: Any = known[key].type
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
            if not isinstance(value, Mapping):
                raise ValueError(f"{prefix}{key} must hold keys and values, found {value!r}")
            value = _build(annotation, value, f"{prefix}{key}.")
        # YAML 1.1 reads `no` as false.
        arguments[key] = "no" if key == "precision" and value is False else _number(value)
    return kind(**arguments)


def _number(value: Any) -> Any:
    """Turns text such as `1e-3` into a number: YAML 1.1 reads it as text, because it has no point."""
    if isinstance(value, dict):
        return {key: _number(one) for key, one in value.items()}
    if isinstance(value, str) and "e" in value.lower():
        try:
            return float(value)
        except ValueError:
            return value
    return value


def by_dotted_names(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by names such as `prior_training.batch_size`."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from by_dotted_names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def unknown_key(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, 1, 0.5)
    return f"unknown key {key!r}" + (f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}")
