import math
from numbers import Integral, Real
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .bounds import MOST, check_attention, check_keys, check_sizes
from .configuration_ncvqvae import NCVQVAEConfig


MOST_CODES = 4096  # of a series with all its channels: attention needs memory for their square
# Beyond these, logits would leave the numbers of float32, and all codes would be the same one.
MOST_SETTING, LEAST_TEMPERATURE = 1e6, 1e-6
# The settings of `generate`, and the fields that hold their defaults.
SAMPLING = {
    "num_steps": "sampling_steps",
    "order": "sampling_order",
    "temperature": "sampling_temperature",
    "choice_temperature": "sampling_choice_temperature",
    "guidance_scale": "sampling_guidance_scale",
    "guidance_schedule": "sampling_guidance_schedule",
}
SET_FIELDS = {"name", "length", "mean", "std"}
ORDERS = "confidence", "random", "low_discrepancy"
GUIDANCE_SCHEDULES = "constant", "ramped", "interval"


@strict
class MaskGITConfig(PreTrainedConfig):
    r"""
    Configuration of stage 2, the masked prior over the codes of a tokenizer that it holds. The defaults are the
    thesis'.

    Args:
        tokenizer_config (`NCVQVAEConfig` or `dict`, *optional*): stage 1.
        id2label (`dict[int, str]`, *optional*): names of the classes; without it the prior knows no classes.
        label_shares (`list[float]`, *optional*, defaults to equal shares): share of each class in the training
            split. Labels are drawn at these shares if none are given. Setting `num_labels` or `id2label` to another
            number of classes makes them equal.
        sets (`list[dict]`, *optional*): of a prior over many sets of univariate series, on a tokenizer for series of
            every length: the `name`, `length`, `mean` and `std` of each. The name of a class is then that of its set,
            a slash and its own, `"CBF/2"`.
        code_embedding (`str`, defaults to `"learned"`): what the transformer sees of a code. `"learned"`: a table
            of its own that starts at the codebook, and whose transpose gives the logits (the thesis' regular
            prior). `"codebook"`: the frozen codebook (token context). `"codebook_finetuned"`: a trainable copy of
            it (learnable codebook). The last two have a linear head. `"geometry"`: a linear map of the frozen
            codebook plus a table of its own, both of `hidden_size`; the logits are a scaled cosine with the codebook
            plus the products with that table, so that codes that decode alike are alike to the prior.
        position_encoding (`str`, defaults to `"learned"`): `"learned"` absolute positions, or `"rotary"` distances in
            time, which know any number of codes.
        convolution_width (`int`, defaults to 0): codes that a depthwise convolution sees at the beginning of each
            layer, an odd number; 0 means none.
        hidden_size (`int`, defaults to 256): width of the transformer.
        num_hidden_layers (`int`, defaults to 4): layers of the transformer.
        num_attention_heads (`int`, defaults to 2), head_dim (`int`, defaults to 64): number and width of its heads.
        intermediate_size (`int`, defaults to 256): width of its perceptrons.
        knows_strength (`bool`, defaults to `False`): the prior is told in training how strongly each series was
            augmented. Sampling means not at all, so that nothing of it is generated.
        label_dropout (`float`, defaults to 0.2): share of training samples that lose their label, for guidance.
        sampling_steps (`int`, defaults to 10): default `num_steps` of `generate`.
        sampling_order (`str`, defaults to `"confidence"`): its default `order`.
        sampling_temperature (`float`, defaults to 1): its default `temperature`.
        sampling_choice_temperature (`float`, defaults to 4): its default `choice_temperature`.
        sampling_guidance_scale (`float`, defaults to 1): its default `guidance_scale`.
        sampling_guidance_schedule (`str`, defaults to `"constant"`): its default `guidance_schedule`.
        sampling_precision (`str`, defaults to `"auto"`): its default `precision`.

    Raises:
        `huggingface_hub.errors.StrictDataclassError`: for a value of the wrong type or out of its range.
        `ValueError`: for a number above its bound in `bounds.MOST`, or an attention that is not transformers' own.
    """

    model_type = "ncvqvae_maskgit"
    _auto_class = "AutoConfig"  # so that a save carries the code
    sub_configs_defaults = {"tokenizer_config": NCVQVAEConfig}

    tokenizer_config: dict | PreTrainedConfig | None = None
    label_shares: list[float | int] | tuple[float | int, ...] | None = None
    sets: list[dict] | tuple[dict, ...] | None = None
    code_embedding: Literal["learned", "codebook", "codebook_finetuned", "geometry"] = "learned"
    position_encoding: Literal["learned", "rotary"] = "learned"
    convolution_width: int = 0
    hidden_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 2
    head_dim: int = 64
    intermediate_size: int = 256
    knows_strength: bool = False
    label_dropout: float | int = 0.2
    sampling_steps: int = 10
    sampling_order: Literal["confidence", "random", "low_discrepancy"] = "confidence"
    sampling_temperature: float | int = 1.0
    sampling_choice_temperature: float | int = 4.0
    sampling_guidance_scale: float | int = 1.0
    sampling_guidance_schedule: Literal["constant", "ramped", "interval"] = "constant"
    sampling_precision: Literal["auto", "no", "bf16"] = "auto"

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: object):
        check_sizes(config_dict | kwargs)  # before each entry is looked at
        if not __name__.startswith("transformers_modules"):
            # The package has registered its pipeline. transformers would insist on the one beside the weights.
            config_dict = {name: value for name, value in config_dict.items() if name != "custom_pipelines"}
        return super().from_dict(config_dict, **kwargs)

    def __post_init__(self, **kwargs):
        check_sizes(vars(self) | kwargs)
        check_keys(type(self), kwargs)
        if self.id2label is None and "num_labels" not in kwargs:
            self.id2label = {}
        super().__post_init__(**kwargs)
        for config in (self, self.tokenizer_config):
            check_attention(config)
        self.tokenizer_config.name_or_path = ""  # else where stage 1 was loaded from would be saved, and published
        if unnamed := [name for name in self.id2label.values() if not isinstance(name, str)]:
            raise ValueError(f"id2label must name each class by a text, found {unnamed[0]!r}")
        if self.label_shares is None and self.id2label:
            self.label_shares = [1 / len(self.id2label)] * len(self.id2label)
        self.label2id = {name: index for index, name in self.id2label.items()}

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "id2label" or not isinstance(value, dict):
            super().__setattr__(name, value)
            return
        # `num_labels` sets it too, and so does `from_pretrained`. What hangs on the classes follows them.
        before, number = len(self.id2label or {}), len(value)
        super().__setattr__(name, {int(index): label for index, label in value.items()})  # in JSON they are texts
        named = {label: index for index, label in self.id2label.items() if isinstance(label, str)}
        super().__setattr__("label2id", named)
        # They are set after the classes where a configuration is made.
        if "label_shares" in vars(self) and len(self.label_shares or []) == before != number:
            self.label_shares = [1 / number for _ in range(number)] or None

    def validate_architecture(self) -> None:
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "head_dim", "intermediate_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.convolution_width < 0 or (self.convolution_width and self.convolution_width % 2 == 0):
            raise ValueError(f"convolution_width must be 0 or an odd number, found {self.convolution_width}")
        if self.position_encoding == "rotary" and self.head_dim % 2:
            raise ValueError(f"head_dim must be even for rotary positions, found {self.head_dim}")
        self._check_sets()
        tokenizer = self.tokenizer_config
        if tokenizer.length is not None and tokenizer.num_codes > MOST_CODES:
            found = f"{tokenizer.num_channels} channels of {tokenizer.length} samples are {tokenizer.num_codes} codes"
            raise ValueError(f"{found}, more than the {MOST_CODES} of a prior; take fewer channels or shorter windows")
        if sorted(int(index) for index in self.id2label) != list(range(len(self.id2label))):
            raise ValueError(f"id2label must name the classes 0, 1, ..., found {sorted(self.id2label)}")
        if len(set(self.id2label.values())) != len(self.id2label):
            raise ValueError(f"id2label must name each class differently, found {list(self.id2label.values())}")
        if self.id2label and (len(self.label_shares) != len(self.id2label) or abs(sum(self.label_shares) - 1) > 1e-3):
            raise ValueError(
                f"label_shares must be {len(self.id2label)} shares that sum to 1, found {self.label_shares}"
            )
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(f"label_dropout must lie in 0 to 1, found {self.label_dropout}")
        if self.id2label and not all(share >= 0 for share in self.label_shares):
            raise ValueError(f"label_shares must not be negative, found {self.label_shares}")
        for name, field in SAMPLING.items():
            _check_sampling(name, getattr(self, field), field)

    def _check_sets(self) -> None:
        every = self.tokenizer_config.length is None
        if self.sets is None:
            if every:
                raise ValueError("a prior on a tokenizer for series of every length needs sets, found none")
            return
        if not every or not self.tokenizer_config.channelwise:
            raise ValueError("sets need a channelwise tokenizer for series of every length")
        if self.position_encoding != "rotary" or self.code_embedding == "learned":
            raise ValueError('sets need position_encoding "rotary" and another code_embedding than "learned"')
        for one in self.sets:
            if not _is_set(one):
                wanted = "a name, a length of at least 8, and a finite mean and positive std"
                raise ValueError(f"a set has {', '.join(sorted(SET_FIELDS))}: {wanted}; found {one}")
            if (codes := math.prod(self.tokenizer_config.grid(one["length"]))) > MOST_CODES:
                raise ValueError(f"series of the set {one['name']!r} are {codes} codes, more than {MOST_CODES}")
        names = [one["name"] for one in self.sets]
        known = set(names)
        if not names or len(known) != len(names) or any("/" in name for name in names):
            raise ValueError(f"sets must have different names without a slash, found {names}")
        for name in self.id2label.values():
            if name.partition("/")[0] not in known:
                raise ValueError(f"class {name!r} is of no set; the sets are {', '.join(names)}")

    @property
    def null_labels(self) -> list[int]:
        """The null class of each label, those of the classes and of the null classes themselves.

        The null class of a set is the set: it follows the classes, in the order of `sets`.
        """
        if self.sets is None:
            return [self.num_labels] * (self.num_labels + 1)
        places = {one["name"]: index for index, one in enumerate(self.sets)}
        owners = [places[name.partition("/")[0]] for name in self.id2label.values()]
        return [self.num_labels + index for index in (*owners, *range(len(places)))]

    def sampling(self, **given: Any) -> dict[str, Any]:
        """The settings of `generate` by name. The configuration decides those that are `None` or not given.

        Raises:
            ValueError: for a setting out of its range.
        """
        settings = {}
        for name, field in SAMPLING.items():
            settings[name] = getattr(self, field) if given.get(name) is None else given[name]
            _check_sampling(name, settings[name], name)
        return settings


def _is_set(one: dict) -> bool:
    """Whether a description of a set is whole, of the right types and in range."""
    if set(one) != SET_FIELDS or not isinstance(one["name"], str) or type(one["length"]) is not int:
        return False
    moments = [one["mean"], one["std"]]
    finite = all(isinstance(moment, int | float) and math.isfinite(moment) for moment in moments)
    return finite and one["std"] > 0 and 8 <= one["length"] <= MOST["length"]


def _check_sampling(name: str, value: Any, shown: str) -> None:
    if name == "num_steps" and not isinstance(value, Integral):
        raise ValueError(f"{shown} must be a whole number, found {value!r}")
    if name.endswith(("temperature", "scale")):
        size: Any = abs(value) if isinstance(value, Real) else math.nan
        if not size < math.inf:
            raise ValueError(f"{shown} must be a finite number, found {value!r}")
        if size > MOST_SETTING:
            raise ValueError(f"{shown} must lie within {MOST_SETTING:g} of 0, found {value}")
    fits, wanted = {
        "num_steps": (lambda: value >= 1, "at least 1"),
        "order": (lambda: value in ORDERS, f"one of {', '.join(ORDERS)}"),
        "temperature": (lambda: value >= LEAST_TEMPERATURE, f"at least {LEAST_TEMPERATURE}"),
        "choice_temperature": (lambda: value >= 0, "at least 0"),
        "guidance_schedule": (lambda: value in GUIDANCE_SCHEDULES, f"one of {', '.join(GUIDANCE_SCHEDULES)}"),
    }.get(name, (lambda: True, ""))
    if not fits():
        raise ValueError(f"{shown} must be {wanted}, found {value}")
