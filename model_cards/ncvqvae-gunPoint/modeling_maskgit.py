"""Stage 2 of NC-VQVAE: a masked prior over the codes, conditional on a class, that generates series."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import ModelOutput
from transformers.utils.output_capturing import capture_outputs

from .bidirectional_transformer import BidirectionalTransformer, TransformerLayer, eager_attention
from .class_labels import NO_CLASS, Labels, label_ids
from .configuration_maskgit import MaskGITConfig
from .cpu_kernels import Enter, LayerNorm, attention_for, rounded_rows, tabulated
from .distributed import mean_over_batch, place_in_batch
from .imputation import Imputation
from .likelihood import Likelihood
from .masking import decode_by_confidence, decode_in_order, decoding_order, guidance_at, training_mask, uniform
from .modeling_ncvqvae import NCVQVAEEncoderOutput, NCVQVAEModel, NCVQVAEPreTrainedModel
from .plain import all_plain, is_plain, vectors
from .precision import autocast
from .scaler import Moment, enough_digits
from .series_input import Series


@dataclass
class MaskGITOutput(ModelOutput):
    """
    Args:
        loss (scalar): cross-entropy of the masked codes.
        accuracy (scalar): share of the masked codes whose most probable code is the true one.
        logits (`torch.FloatTensor` of shape `(masked, codebook_size)`): of the masked codes, in the mask's order.
        mask (`torch.BoolTensor` of shape `(batch, num_codes)`): which codes were masked.
        hidden_states (tuple of `torch.FloatTensor` of shape `(batch, 1 + num_codes, hidden_size)`, *optional*): of the
            class and the codes, before the first attention and after each layer.
        attentions (tuple of `torch.FloatTensor` of shape `(batch, heads, 1 + num_codes, 1 + num_codes)`, *optional*):
            weights of each layer.
    """

    loss: Tensor | None = None
    accuracy: Tensor | None = None
    logits: Tensor | None = None
    mask: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class MaskGITGenerateOutput(ModelOutput):
    """
    Args:
        values (`torch.Tensor` of shape `(num_samples, channels, length)`): series in the units of the data.
        codes (`torch.LongTensor` of shape `(num_samples, num_codes)`, *optional*): their codes.
        labels (`torch.LongTensor` of shape `(num_samples,)`, *optional*): their classes; -1 means none.
    """

    values: Tensor | None = None
    codes: Tensor | None = None
    labels: Tensor | None = None


class MaskGITForTimeSeriesGeneration(Imputation, Likelihood, NCVQVAEPreTrainedModel):
    """The prior of NC-VQVAE (Mathisen et al., arXiv 2408.16613), after MaskGIT (Chang et al., arXiv 2202.04200).

    A bidirectional transformer predicts masked codes from visible ones and the class. The tokenizer inside is frozen:
    always in evaluation mode, without gradient.
    """

    config: MaskGITConfig
    _auto_class = "AutoModel"  # so that a save carries the code
    _loads_from = ("ncvqvae_maskgit",)
    _input_embed_layer = "code_embedding"
    _can_record_outputs = {"hidden_states": TransformerLayer, "attentions": TransformerLayer}
    supports_gradient_checkpointing = True

    def __init__(self, config: MaskGITConfig):
        super().__init__(config)
        self.tokenizer = NCVQVAEModel(config.tokenizer_config)  # type: ignore[arg-type]
        self.tokenizer.requires_grad_(False)
        stage1, geometry = config.tokenizer_config, config.code_embedding == "geometry"
        self.codebook_size = stage1.codebook_size
        grid = (1, 0) if config.sets else self.grid(stage1.length)  # sets have any number of codes
        self.num_codes = grid[0] * grid[1]
        dim = config.hidden_size if geometry else stage1.code_size
        own_codes = 0 if config.code_embedding == "codebook" else self.codebook_size
        self.code_embedding = nn.Embedding(own_codes + 1, dim)  # the last row is the mask
        rotary = config.position_encoding == "rotary"
        self.position_embedding = None if rotary else nn.Embedding(self.num_codes, dim)
        self.embedding_norm = nn.LayerNorm(dim, eps=1e-12)
        self.label_embedding = nn.Embedding(max(config.null_labels) + 1, dim)  # null classes, of each set, come last
        if config.knows_strength:
            self.strength_vector = nn.Parameter(torch.empty(dim))
        heads = config.num_attention_heads, config.head_dim
        sizes = config.hidden_size, config.num_hidden_layers, *heads, config.intermediate_size
        self.transformer = BidirectionalTransformer(grid, dim, *sizes, config.convolution_width, rotary)
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), LayerNorm(dim, eps=1e-12))
        if config.code_embedding in ("learned", "geometry"):
            positions = () if geometry else (self.num_codes,)
            self.logit_bias = nn.Parameter(torch.empty(*positions, self.codebook_size))
        else:
            self.to_logits = nn.Linear(dim, self.codebook_size)
        if geometry:
            self.code_in, self.code_out = nn.Linear(stage1.code_size, dim), nn.Linear(dim, stage1.code_size)
            self.log_sharpness = nn.Parameter(torch.empty(()))
        self.post_init()

    def grid(self, length: int) -> tuple[int, int]:
        """Rows and columns of the codes of a series: frequencies, bands and channels tokenized one by one; time."""
        tokenizer = self.config.tokenizer_config
        frequencies, columns = tokenizer.grid(length)
        rows = frequencies * tokenizer.num_bands * (tokenizer.num_channels if tokenizer.channelwise else 1)
        return rows, columns

    def reset_parameters(self) -> None:
        if self.config.knows_strength:
            nn.init.zeros_(self.strength_vector)
        if self.config.code_embedding in ("learned", "geometry"):
            nn.init.zeros_(self.logit_bias)
        if self.config.code_embedding == "geometry":
            nn.init.constant_(self.log_sharpness, 2.0)
            nn.init.normal_(self.code_embedding.weight, std=0.02)  # codes begin alike where they decode alike

    @classmethod
    def from_tokenizer(cls, tokenizer: NCVQVAEModel, **config: object) -> "MaskGITForTimeSeriesGeneration":
        """A new prior over the codes of a trained tokenizer, whose weights it copies; fields as in `MaskGITConfig`."""
        model = cls(MaskGITConfig(tokenizer_config=tokenizer.config.to_dict(), **config))
        model.tokenizer.load_state_dict(tokenizer.state_dict())
        if model.config.code_embedding in ("learned", "codebook_finetuned"):
            with torch.no_grad():
                model.code_embedding.weight[:-1] = tokenizer.quantizer.codebook
        return model.train(tokenizer.training)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> "MaskGITForTimeSeriesGeneration":
        """See `NCVQVAEPreTrainedModel.from_pretrained`."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.tokenizer.requires_grad_(False)  # loading has made its parameters anew
        return loaded

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """See `NCVQVAEPreTrainedModel.save_pretrained`. The pipeline is saved too, for those without the package."""
        from .pipeline import CUSTOM_PIPELINES  # transformers copies what a model's module imports

        self.config.custom_pipelines = CUSTOM_PIPELINES
        try:
            super().save_pretrained(*args, **kwargs)
        finally:
            del self.config.custom_pipelines

    def train(self, mode: bool = True) -> "MaskGITForTimeSeriesGeneration":
        super().train(mode)
        self.tokenizer.eval()
        return self

    def encode(self, values: Series, mean: Moment = None, std: Moment = None) -> NCVQVAEEncoderOutput:
        """See `NCVQVAEModel.encode`."""
        return self.tokenizer.encode(values, mean, std)

    def decode(self, codes: Tensor, length: int | None = None, moments: Tensor | None = None) -> Tensor:
        """See `NCVQVAEModel.decode`."""
        return self.tokenizer.decode(codes, length, moments)

    def reconstruct(self, values: Series, mean: Moment = None, std: Moment = None) -> Tensor:
        """See `NCVQVAEModel.reconstruct`."""
        return self.tokenizer.reconstruct(values, mean, std)

    def embed(self, values: Series, mean: Moment = None, std: Moment = None) -> Tensor:
        """See `NCVQVAEModel.embed`."""
        return self.tokenizer.embed(values, mean, std)

    @capture_outputs
    def forward(
        self,
        values: Series | None = None,
        labels: Tensor | None = None,
        codes: Tensor | None = None,
        strength: Tensor | None = None,
        generator: torch.Generator | None = None,
        visible: Tensor | None = None,
        wanted: Tensor | None = None,
        return_loss: bool = True,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> MaskGITOutput:
        """Masks codes at random and predicts them; or, with `visible`, predicts and computes no loss.

        Args:
            values (*optional*): series `(batch, channels, length)`, as `encode` takes them, unless `codes` are given.
            labels (`torch.LongTensor` of shape `(batch,)`, *optional*): classes, -1 for none; without them none.
            codes (`torch.LongTensor` of shape `(batch, num_codes)`, *optional*): saves encoding them again. Of a prior
                over many sets, -1 at the end fills up series with fewer codes.
            strength (`torch.FloatTensor` of shape `(batch,)`, *optional*): how strongly each series was augmented, for
                a prior that `knows_strength`; without it not at all.
            generator (`torch.Generator`, *optional*): draws the masks and, in training, which labels to drop.
            visible (`torch.LongTensor` of shape `(batch, num_codes)`, *optional*): codes, and `codebook_size` in the
                place of those that are masked.
            wanted (`torch.LongTensor` of shape `(wanted,)`, *optional*): indices in `visible.flatten()` of codes to
                predict; defaults to all.
            return_loss (`bool`, defaults to `True`): whether the output has the loss.
            output_hidden_states, output_attentions (`bool`, default to those of the configuration): whether it has the
                hidden states, and the weights of the attention where its implementation tells them (`"eager"`).
            return_dict (`bool`, defaults to that of the configuration): whether it is more than a tuple.
        """
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        whole = bool(output_hidden_states)
        if labels is not None and self.config.sets is None:
            labels = labels.masked_fill(labels == NO_CLASS, self.config.num_labels)
        if visible is not None:
            if wanted is None:
                wanted = torch.arange(visible.numel(), device=visible.device)
            return MaskGITOutput(logits=self._logits(visible, labels, wanted, self._enter, whole=whole))
        if codes is None:
            if values is None:
                raise ValueError("forward needs values or codes, found neither")
            with torch.no_grad():
                codes = self.tokenizer.encode(values).codes
        if labels is None:
            if self.config.sets is not None:
                raise ValueError("a prior over many sets needs labels, which say of which set each series is")
            labels = torch.full((codes.shape[0],), self.config.num_labels, device=codes.device)
        # In training all processes draw for the whole batch, and each takes its own part.
        start, total = place_in_batch(codes.shape[0], codes.device) if self.training else (0, codes.shape[0])
        mine = slice(start, start + codes.shape[0])
        if self.training:
            keep = uniform(total, generator=generator, device=codes.device) >= self.config.label_dropout
            labels = torch.where(keep[mine], labels, self._null(labels))
        valid = None if self.config.sets is None else codes >= 0
        mask = training_mask(total, codes.shape[1], generator, codes.device, mine, valid)
        visible, targets = codes.masked_fill(mask, self.codebook_size), codes[mask]
        masked = mask.flatten().nonzero()[:, 0]
        enter = self._tabulated(codes.shape[0], codes.shape[1])
        if strength is not None:
            if not self.config.knows_strength:
                raise ValueError("the prior does not know of strengths: set knows_strength, or leave strength out")
            enter = partial(self._enter, strength=strength)
        rows = rounded_rows(masked, mask.numel())
        logits = self._logits(visible.clamp_min(0), labels, rows, enter, valid, whole)[: len(masked)]
        loss = F.cross_entropy(logits.float(), targets)
        accuracy = (logits.argmax(-1) == targets).float().mean()
        if self.training:
            loss, accuracy = mean_over_batch(loss, accuracy, count=mask.sum())
        return MaskGITOutput(loss if return_loss else None, accuracy, logits, mask)

    def predict(self, codes: Tensor, known: Tensor, labels: Tensor) -> Tensor:
        """Logits `(batch, num_codes, codebook_size)` of every code given those that are `known`, and the class."""
        visible = codes.masked_fill(~known, self.codebook_size)
        return self(visible=visible, labels=labels, return_dict=True).logits.view(*codes.shape, -1)

    def _enter(self, visible: Tensor, labels: Tensor, strength: Tensor | None = None) -> tuple[Tensor, ...]:
        """Embeds each sample's label and its `visible` codes `(batch, num_codes)`; `codebook_size` means masked."""
        table = vectors(self.code_embedding, visible.device)
        codebook = self.tokenizer.quantizer.codebook.to(table.dtype)
        if self.config.code_embedding == "codebook":
            table = torch.cat((codebook, table))
        if self.config.code_embedding == "geometry":
            table = F.pad(self.code_in(codebook).to(table.dtype), (0, 0, 0, 1)) + table
        embedded = F.embedding(visible, table)
        if self.position_embedding is not None:
            embedded = embedded + vectors(self.position_embedding, visible.device)
        embedded = self.embedding_norm(embedded)
        label = self.label_embedding(labels)
        if self.config.sets is not None:  # a class, and the set that it is of
            label = label + self.label_embedding(self._null(labels))
        if strength is not None:
            label = label + strength[:, None].to(label.dtype) * self.strength_vector
        return self.transformer.enter(torch.cat((label[:, None], embedded), 1))

    def _null(self, labels: Tensor) -> Tensor:
        return torch.tensor(self.config.null_labels, device=labels.device)[labels]

    def _tabulated(self, num_samples: int, num_codes: int) -> Enter:
        if torch.compiler.is_compiling() or not all_plain(self):
            return self._enter
        return tabulated(self._enter, num_samples, num_codes, self.codebook_size, max(self.config.null_labels))

    def _logits(
        self,
        visible: Tensor,
        labels: Tensor,
        wanted: Tensor,
        enter: Enter,
        valid: Tensor | None = None,
        whole: bool = False,
    ) -> Tensor:
        """Logits `(wanted, codebook_size)` at the flat indices `wanted` of `visible` `(batch, num_codes)`.

        Codes that are not `valid` fill up shorter samples. With `whole` the last layer computes all positions, for who
        looks at its hidden states.
        """
        implementation = attention_for(self.config._attn_implementation, visible.device)
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention)
        num_codes = visible.shape[1]
        rows = wanted + wanted // num_codes + 1  # every sample has its class before its codes
        valid = None if valid is None else F.pad(valid, (1, 0), value=True)
        few = None if whole else rows
        hidden = self.transformer(*enter(visible, labels), attention=attention, wanted=few, valid=valid)
        hidden = self.head(hidden.flatten(0, 1).index_select(0, rows) if whole else hidden)
        table = vectors(self.code_embedding, hidden.device)[:-1]
        if self.config.code_embedding == "learned":
            bias = self.logit_bias.index_select(0, wanted % num_codes)
            return F.linear(hidden, table) + bias
        if self.config.code_embedding != "geometry":
            return self.to_logits(hidden)
        codebook = F.normalize(self.tokenizer.quantizer.codebook, dim=1)
        towards = self.log_sharpness.exp() * F.normalize(self.code_out(hidden).float(), dim=1)
        return F.linear(hidden, table, self.logit_bias) + F.linear(towards, codebook)

    @torch.no_grad()
    def generate(
        self,
        num_samples: int | None = None,
        labels: Labels = None,
        num_steps: int | None = None,
        temperature: float | None = None,
        choice_temperature: float | None = None,
        guidance_scale: float | None = None,
        order: Literal["confidence", "random", "low_discrepancy"] | None = None,
        guidance_schedule: Literal["constant", "ramped", "interval"] | None = None,
        generator: torch.Generator | None = None,
        batch_size: int = 256,
        return_codes: bool = False,
        return_labels: bool = False,
        precision: Literal["auto", "no", "bf16"] | None = None,
    ) -> Tensor | MaskGITGenerateOutput:
        """Generates series. The configuration of the checkpoint decides the settings that are not given.

        Args:
            num_samples (`int`, *optional*): how many; defaults to one for each label given, else to 1.
            labels (*optional*): a class, as its index or its name, or one for each sample. An integer tensor or NumPy
                array holds indices, or -1 for no class; any other integer that is the index of one class and the name
                of another is refused. `None` draws classes at the shares of the training split. `"null"` samples
                without a class, which is worse and less steady, unless a class is called so.
            num_steps (`int`, *optional*): parallel decoding steps; more are slower and mostly better. Never more are
                taken than there are codes.
            temperature (`float`, *optional*): randomness of the codes drawn; lower is more typical and less diverse.
            choice_temperature (`float`, *optional*): scale of the noise in the choice of the codes to keep.
            guidance_scale (`float`, *optional*): classifier-free guidance (Ho and Salimans, arXiv 2207.12598);
                above 1 the class is followed more closely, at twice the cost.
            order (`str`, *optional*): which codes are decided first: those of the highest `"confidence"` (MaskGIT's),
                `"random"` ones, or, with `"low_discrepancy"`, ones that lie far apart (Halton scheduler, arXiv
                2503.17076). The last two do without `choice_temperature`.
            guidance_schedule (`str`, *optional*): `"constant"` guidance, guidance that is `"ramped"` up from 1 with
                the share of the steps that are done, or guidance in an `"interval"`, the middle half of the steps
                (arXiv 2404.07724).
            generator (`torch.Generator`, *optional*): on the model's device; the same state gives the same series.
            batch_size (`int`, defaults to 256): samples at a time, to bound memory. Another size draws other series.
            return_codes, return_labels (`bool`): whether to return a `MaskGITGenerateOutput` with them.
            precision (`str`, *optional*): `"no"` is float32, `"bf16"` is bfloat16, `"auto"` is bfloat16 where the
                hardware multiplies it. Another precision draws other series. A model that was cast to another dtype
                or quantized computes as it is.

        Returns:
            Series `(num_samples, channels, length)` in the units of the data, or the output above. They are float32,
            or float64 where that would lack the digits: at a mean of more than 10,000 standard deviations.

        Raises:
            ValueError: for an unknown or ambiguous label, a wrong number of them, labels of several sets, or a setting
                out of its range.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {batch_size}")
        decoding = self.config.sampling(
            num_steps=num_steps,
            temperature=temperature,
            choice_temperature=choice_temperature,
            guidance_scale=guidance_scale,
            order=order,
            guidance_schedule=guidance_schedule,
        )
        order, guidance = decoding.pop("order"), [decoding.pop(f"guidance_{name}") for name in ("scale", "schedule")]
        ids = label_ids(labels, num_samples, self.config, self.device, generator)
        length, moments = self._length_and_moments(ids)
        grid, kept = self.grid(length), []
        decoding["num_steps"] = min(decoding["num_steps"], grid[0] * grid[1])
        shape = len(ids), self.config.tokenizer_config.num_channels, length
        values = torch.empty(shape, dtype=moments.dtype, device=self.device)
        with autocast(self.device, precision or self.config.sampling_precision, self):
            # While all codes are masked, samples of a class are alike: their first prediction is made once.
            classes, which = ids.unique(return_inverse=True)
            everywhere = torch.arange(grid[0] * grid[1], device=self.device).repeat(len(classes), 1)
            nothing = torch.zeros_like(everywhere)
            first = self._guided_logits(nothing, everywhere, everywhere, 0.0, classes, guidance, self._enter)
            enter = self._tabulated(len(ids), everywhere.shape[1])
            for rows in torch.arange(len(ids), device=self.device).split(batch_size):
                predict = partial(self._guided_logits, labels=ids[rows], guidance=guidance, enter=enter)
                positions = decoding_order(order, len(rows), grid, generator, self.device)
                if positions is None:
                    codes = decode_by_confidence(predict, first[which[rows]], **decoding, generator=generator)
                else:
                    steps = decoding["num_steps"], decoding["temperature"], generator
                    codes = decode_in_order(predict, first[which[rows]], positions, *steps)
                values[rows] = self.decode(codes, length, moments)
                if return_codes:
                    kept.append(codes)
        told = ids.masked_fill(ids == self.config.num_labels, NO_CLASS) if return_labels else None
        output = MaskGITGenerateOutput(values, torch.cat(kept) if kept else None, told)
        return output if return_codes or return_labels else values

    def _length_and_moments(self, labels: Tensor) -> tuple[int, Tensor]:
        """Samples of the series of these classes, and what brings them to the units of the data."""
        if self.config.sets is None:
            scaler = self.tokenizer.scale
            return self.config.tokenizer_config.length, scaler.of_config(scaler.dtype)
        one = self.config.sets[self.config.null_labels[int(labels[0])] - self.config.num_labels]
        dtype = enough_digits([one["mean"]], [one["std"]])
        return one["length"], torch.tensor([one["mean"], one["std"]], dtype=dtype, device=self.device).view(2, 1, 1, 1)

    def _guided_logits(
        self,
        codes: Tensor,
        masked: Tensor,
        wanted: Tensor,
        progress: float,
        labels: Tensor,
        guidance: Sequence,
        enter: Enter,
    ) -> Tensor:
        """Logits `(batch, wanted, codebook_size)` at the `wanted` positions of `codes` `(batch, num_codes)`.

        At the `masked` positions the codes mean nothing. `guidance` is its scale and schedule, `progress` the share
        of the steps that are done.
        """
        scale = guidance_at(progress, *guidance)
        visible = codes.scatter(1, masked, self.codebook_size)
        wanted = wanted + codes.shape[1] * torch.arange(codes.shape[0], device=codes.device)[:, None]
        if scale != 1:  # both passes as one
            visible, labels = visible.repeat(2, 1), torch.cat((labels, self._null(labels)))
            wanted = torch.cat((wanted, wanted + codes.numel()))
        if is_plain(self):
            logits = self._logits(visible, labels, wanted.flatten(), enter)
        else:
            logits = self(visible=visible, labels=labels, wanted=wanted.flatten(), return_dict=True).logits
        logits = logits.view(*wanted.shape, self.codebook_size)
        if scale == 1:
            return logits
        conditional, null = logits.chunk(2)
        return null + scale * (conditional - null)
