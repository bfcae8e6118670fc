"""Training that starts from a checkpoint: what is carried over, what is new, what is frozen."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..inference import load_checkpoint
from ..models.configuration_maskgit import MaskGITConfig
from ..models.configuration_ncvqvae import NCVQVAEConfig
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..models.modeling_ncvqvae_pretraining import NCVQVAEForPreTraining
from ..runtime import process_state
from .recipes import FROM_DATA, Recipe


# The settings that a recipe cannot change in an existing network.
SIZES = {
    "tokenizer": ("n_fft", "dim", "num_residual_blocks", "codebook_size", "downsampled_width"),
    "prior": (
        *(
            "code_embedding",
            "position_encoding",
            "convolution_width",
            "knows_strength",
            "hidden_size",
            "num_hidden_layers",
        ),
        *("num_attention_heads", "head_dim", "intermediate_size"),
    ),
}


@dataclass
class Start:
    """What a training starts from: a checkpoint, or random weights.

    Args:
        model (*optional*): a checkpoint of both stages or of stage 1 alone; `None` starts from random weights.
        frozen: names of parts that are not trained, such as `encoder` or `transformer.layers.0`. A frozen part is in
            evaluation mode: its batch norms and its codebook do not move either.

    Attributes:
        new: names of the tensors that the checkpoint could not provide, filled as the stages start.

    Raises:
        ValueError: for a part that the model does not have.
    """

    model: MaskGITForTimeSeriesGeneration | NCVQVAEModel | None = None
    frozen: Sequence[str] = ()
    new: list[str] = field(default_factory=list)

    def __post_init__(self):
        models = [model for model in (self.tokenizer, self.prior) if model is not None]
        for name in self.frozen:
            if all(_part(model, name) is None for model in models):
                parts = {child for model in models for child, _ in model.named_children()}
                known = ", ".join(sorted(parts - {"tokenizer", "scale", "time_frequency"}))
                raise ValueError(f"there is no part {name!r} to freeze; the model has {known or 'no parts yet'}")

    @classmethod
    def of(cls, recipe: Recipe, frozen: Sequence[str] = ()) -> "Start":
        """What a recipe says: its `start`, loaded, or random weights.

        Raises:
            ValueError: for a checkpoint that is not there, or not whole.
        """
        if recipe.start is None:
            return cls()
        process_state()  # decides which GPU is this process's, before the checkpoint goes there
        return cls(load_checkpoint(recipe.start), frozen)

    @property
    def tokenizer(self) -> NCVQVAEModel | None:
        return self.model.tokenizer if isinstance(self.model, MaskGITForTimeSeriesGeneration) else self.model

    @property
    def prior(self) -> MaskGITForTimeSeriesGeneration | None:
        return self.model if isinstance(self.model, MaskGITForTimeSeriesGeneration) else None

    def check(self, output_dir: str | Path, only: str | None) -> None:
        """Raises `ValueError` for a prior without a tokenizer, or a folder that holds the checkpoint itself."""
        if self.model is None:
            if only == "prior":
                needed = 'only="prior" trains on the tokenizer of a checkpoint'
                raise ValueError(f"{needed}: name one with start=Start(model)")
            return
        source, folder = self.model.name_or_path, Path(output_dir)
        if source and Path(source).is_dir() and folder.is_dir() and Path(source).samefile(folder):
            raise ValueError(f"{folder} holds the checkpoint to start from; choose another output folder")

    def new_tokenizer(self, config: NCVQVAEConfig) -> tuple[NCVQVAEForPreTraining, list[nn.Module]]:
        """Builds stage 1 with every weight of the checkpoint that fits; returns it and its frozen parts."""
        model = NCVQVAEForPreTraining(config)
        if self.tokenizer is None:
            return model, []
        new = _carry_over(self.tokenizer, model.tokenizer)
        self._check_trained(new)
        self.new += [f"tokenizer.{name}" for name in new]
        return model, _freeze(model.tokenizer, self.frozen)

    def kept_tokenizer(self, config: NCVQVAEConfig) -> NCVQVAEModel:
        """The checkpoint's tokenizer, with its weights, and with the scaler and the length of `config`.

        Raises:
            ValueError: for a `config` that needs weights which the checkpoint does not have.
        """
        tokenizer = NCVQVAEModel(config).eval()
        if new := _carry_over(self.tokenizer, tokenizer):
            raise ValueError(f"the checkpoint has no {new[0]} for such series: train the tokenizer too")
        return tokenizer

    def new_prior(
        self, tokenizer: NCVQVAEModel, **config: object
    ) -> tuple[MaskGITForTimeSeriesGeneration, list[nn.Module]]:
        """Builds stage 2 on a tokenizer with every fitting weight of the checkpoint; returns it and its frozen parts.

        Other classes than the checkpoint's start anew, even if there are as many.
        """
        prior = MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, **config)
        if self.prior is None:
            return prior, _freeze(prior, self.frozen)
        new = _carry_over(self.prior, prior, without="tokenizer.")
        if self.prior.config.sets is not None:
            _start_classes(self.prior, prior)
            new = [name for name in new if name != "label_embedding.weight"]
        before, now = (list(model.config.id2label.values()) for model in (self.prior, prior))
        if before != now and len(before) == len(now):
            with torch.no_grad():
                prior.label_embedding.reset_parameters()
                prior.label_embedding.weight[-1] = self.prior.label_embedding.weight[-1]
            new.append("label_embedding.weight")
        self._check_trained(new)
        self.new += new
        return prior, _freeze(prior, self.frozen)

    def adapt(self, recipe: Recipe, length: int) -> Recipe:
        """The recipe with the sizes of the checkpoint's networks, for series of `length` samples.

        The checkpoint also decides objective, weights and sampling where the recipe does not.

        Raises:
            ValueError: for a recipe with other sizes, or series too short for the checkpoint's encoder.
        """
        sections: dict[str, Any] = {}
        if self.tokenizer is not None:
            sections["tokenizer"] = _settings(self.tokenizer.config, recipe.tokenizer, "tokenizer")
            if self.tokenizer.config.num_halvings is None:
                sections["tokenizer"]["downsampled_width"] = _width(self.tokenizer.config, length)
            if self.tokenizer.config.length is None:
                # It scales each series by itself. What is generated has no scale but that of the training split.
                sections["tokenizer"]["scale_each"] = False
        if self.prior is not None:
            sections["prior"] = _settings(self.prior.config, recipe.prior, "prior")
        return dataclasses.replace(recipe, **sections)

    def _check_trained(self, new: Sequence[str]) -> None:
        for name in new:
            if part := next((part for part in self.frozen if name.startswith(f"{part}.")), None):
                raise ValueError(f"{part} cannot be frozen: {name} is not in the checkpoint, and has to be trained")


def _settings(config: NCVQVAEConfig | MaskGITConfig, given: dict, section: str) -> dict:
    known = {name: getattr(config, name) for name in type(config).__annotations__ if name not in FROM_DATA}
    for name in SIZES[section]:
        if given.get(name, known[name]) != known[name]:
            raise ValueError(f"{section}.{name} is {known[name]} in the checkpoint and {given[name]} in the recipe")
    if section == "tokenizer" and "ssl_objective" in given:
        del known["ssl_weight"]  # its default depends on the objective
    return {name: value for name, value in known.items() if name != "model_type"} | given


def _width(config: NCVQVAEConfig, length: int) -> int:
    """The `downsampled_width` with which series of `length` samples pass as many halvings as the checkpoint has."""
    halvings = config.num_downsampling
    for width in sorted(range(1, length + 1), key=lambda width: abs(width - config.downsampled_width)):
        new = NCVQVAEConfig(length=max(length, 8), n_fft=config.n_fft, downsampled_width=width)
        if new.num_downsampling == halvings:
            return width
    raise ValueError(f"series of {length} samples are too short for the checkpoint, which halves {halvings} times")


@torch.no_grad()
def _carry_over(source: nn.Module, target: nn.Module, without: str = "-") -> list[str]:
    """Copies every tensor that both have in the same shape; returns the names of the target's other tensors."""
    known, new = source.state_dict(), []
    for name, tensor in target.state_dict().items():
        if name.startswith(without):
            continue
        if name in known and known[name].shape == tensor.shape:
            tensor.copy_(known[name])
        else:
            new.append(name)
    return new


@torch.no_grad()
def _start_classes(source: MaskGITForTimeSeriesGeneration, target: MaskGITForTimeSeriesGeneration) -> None:
    """Starts the classes of one set where a prior over many sets has them, or else at the average of its sets."""
    known, vectors = source.config, source.label_embedding.weight
    sets = vectors[known.num_labels :]
    name = target.config.tokenizer_config.dataset_name
    names = [one["name"] for one in known.sets]
    null = sets[names.index(name)] if name in names else sets.mean(0)
    target.label_embedding.weight[-1] = null
    for index, label in target.config.id2label.items():
        found = known.label2id.get(f"{name}/{label}")
        # Classes that are new keep a part of their random start, which tells them apart.
        own = 0.1 * target.label_embedding.weight[index] if found is None else vectors[found]
        target.label_embedding.weight[index] = null + own


def _part(model: nn.Module, name: str) -> nn.Module | None:
    if name.split(".")[0] == "tokenizer":
        return None
    return dict(model.named_modules()).get(name or "-")


def _freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    parts = [part.requires_grad_(False) for name in names if (part := _part(model, name)) is not None]
    if parts and not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"nothing is left to train: {', '.join(names)} are frozen")
    return parts
