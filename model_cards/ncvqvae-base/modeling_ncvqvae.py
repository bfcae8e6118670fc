"""Stage 1 of NC-VQVAE: a series to codes and back."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_ncvqvae import NCVQVAEConfig
from .encoder_decoder import Decoder, Encoder
from .features import multiscale_features, pooled
from .folded_encoder_decoder import FoldedDecoder, FoldedEncoder
from .integrity import (
    check_config,
    check_digests,
    check_header,
    check_values,
    check_weights,
    read_json,
    write_digests,
)
from .noise_input import NoiseInput
from .precision import at_least_float32
from .resampling import coarsen, refine
from .scaler import Moment, Scaler, float_type, moments_of
from .series_input import Series, as_series
from .time_frequency import TRANSFORMS, low_band
from .vector_quantizer import VectorQuantizer


@dataclass
class NCVQVAEEncoderOutput(ModelOutput):
    """
    Args:
        codes (`torch.LongTensor` of shape `(batch, num_codes)`): indices into the codebook, lowest frequency first.
        quantized (`torch.FloatTensor` of shape `(batch, dim, frequencies, width)`): codebook vectors at `codes`.
        latents (`torch.FloatTensor` of shape `(batch, dim, frequencies, width)`): what was quantized.
        moments (`torch.Tensor` of shape `(2, batch, channels, 1)`, *optional*): mean and standard deviation that each
            series was scaled by, where the configuration does not say; for float64 series always, and in float64.
        commitment_loss, perplexity, usage (scalars): see `Quantization`.
    """

    codes: Tensor | None = None
    quantized: Tensor | None = None
    latents: Tensor | None = None
    moments: Tensor | None = None
    commitment_loss: Tensor | None = None
    perplexity: Tensor | None = None
    usage: Tensor | None = None


@dataclass
class NCVQVAEOutput(ModelOutput):
    """
    Args:
        reconstruction (`torch.FloatTensor` of shape `(batch, channels, length)`): in the units of the data.
        codes (`torch.LongTensor` of shape `(batch, num_codes)`).
        latents (`torch.FloatTensor` of shape `(batch, dim, frequencies, width)`).
    """

    reconstruction: Tensor | None = None
    codes: Tensor | None = None
    latents: Tensor | None = None


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Rounds the trainable parameters to numbers of half precision, so that `save_pretrained` needs half the bytes."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.copy_(parameter.half())


def halved(model: nn.Module) -> dict[str, Tensor]:
    """The state of a model, with those parameters in half precision that it holds exactly."""
    state = model.state_dict()
    half = {name: state[name].half() for name, _ in model.named_parameters()}
    return state | {name: tensor for name, tensor in half.items() if torch.equal(tensor.to(state[name]), state[name])}


class NCVQVAEPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving that all models of the package share."""

    config: NCVQVAEConfig
    base_model_prefix = "tokenizer"  # so that stage 1 loads from the folder of a composite checkpoint
    accepts_loss_kwargs = False  # `Trainer` would take a forward with **kwargs for one that counts accumulated batches
    main_input_name = "values"
    input_modalities = "time"
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    # Half a bit decides between two codes: the codebook stays in float32 whatever the dtype asked for.
    _keep_in_fp32_modules_strict = ["quantizer"]
    _loads_from: tuple[str, ...] = ("ncvqvae", "ncvqvae_maskgit")  # model types whose folders hold these weights

    @property
    def device(self) -> torch.device:
        """Where series are computed: the scaler's device, since weights may be offloaded to the meta device."""
        return getattr(self, "tokenizer", self).scale.mean_and_std.device

    @property
    def dtype(self) -> torch.dtype:
        """That of the weights."""
        first = next((weight for weight in self.parameters() if weight.is_floating_point()), None)
        if first is None:  # a replica of `nn.DataParallel` holds them as plain attributes
            own = (tensor for module in self.modules() for tensor in vars(module).values())
            first = next(tensor for tensor in own if isinstance(tensor, Tensor) and tensor.is_floating_point())
        return first.dtype

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # PyTorch's own initialisation, not the library's normal(0, 0.02), for every parameter and every buffer.
        # Batch norm is the library's: there `reset_parameters` would overwrite running statistics that were just
        # loaded.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            super()._init_weights(module)
        elif callable(reset := getattr(module, "reset_parameters", None)):
            reset()

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        *args: object,
        **kwargs: object,
    ) -> None:
        """Saves weights, configuration and code, and the SHA-256 of each file of weights next to it.

        Parameters that half precision holds exactly are stored in it, and load as they were; see `round_to_half`. The
        other arguments are those of transformers.
        """
        # transformers fetches offloaded weights itself, and picks those of adapters out.
        offloaded = any(parameter.is_meta for parameter in self.parameters())
        if state_dict is None and not offloaded and not getattr(self, "_hf_peft_config_loaded", False):
            state_dict = halved(self)
        super().save_pretrained(save_directory, is_main_process, state_dict, *args, **kwargs)
        if is_main_process:
            write_digests(Path(save_directory))

    def _upload_modified_files(self, working_dir: str | Path, *args: object, **kwargs: object) -> object:
        """transformers uploads here what `save_pretrained` has saved; the digests go with it."""
        write_digests(Path(working_dir))
        return super()._upload_modified_files(working_dir, *args, **kwargs)

    @classmethod
    def _check_config(cls, folder: Path) -> None:
        """Of an adapter (PEFT), that of the base which it names, and the base's weights: transformers loads both."""
        adapter = folder / "adapter_config.json"
        if not adapter.is_file():
            check_config(folder, cls._loads_from, cls.__name__)
            return
        base = Path(str(read_json(adapter).get("base_model_name_or_path")))
        if base.is_dir():
            check_config(base, cls._loads_from, cls.__name__)
            check_weights(base)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path | None, *args, **kwargs) -> "PreTrainedModel":
        """Loads a model as every model of transformers does, but takes safetensors alone, unless `use_safetensors` is
        `False`, and returns no model that has a weight which the checkpoint has not.

        Raises:
            ValueError: for a local folder whose files are none of a checkpoint, are truncated or not those that were
                saved (the Hub's own client checks what it downloads); for a weight that is missing, left over, of
                another kind, NaN or infinite.
            RuntimeError: for a weight of another shape, unless `ignore_mismatched_sizes` draws it anew.
        """
        name, report = pretrained_model_name_or_path, kwargs.pop("output_loading_info", False)
        folder = Path(name or "", kwargs.get("subfolder") or "")
        if name is not None and folder.is_dir():
            if "config" not in kwargs:
                cls._check_config(folder)
            check_weights(folder)
        kwargs.setdefault("use_safetensors", True)
        model, found = super().from_pretrained(name, *args, output_loading_info=True, **kwargs)
        left_over = sorted(found["missing_keys"]) or sorted(found["unexpected_keys"])
        # Without a name the caller gives a state dict, and knows what it holds.
        if name is not None and left_over and getattr(model, "hf_quantizer", None) is None:
            kind = "lacks weights" if found["missing_keys"] else "holds weights that its configuration leaves out"
            raise ValueError(f"{name} {kind}, for example {left_over[0]}; train it again or copy it again")
        check_values(model, str(name))
        return (model, found) if report else model

    @staticmethod
    def _load_pretrained_model(model, state_dict, checkpoint_files, load_config, *args, **kwargs):  # noqa: ANN001
        """transformers reads weights here; before it does, files and model, which has no memory yet, are compared."""
        files = [Path(file) for file in checkpoint_files or ()] if load_config.use_safetensors else []
        adapters = getattr(model, "_hf_peft_config_loaded", False)  # then the files hold adapters' weights
        if files and load_config.hf_quantizer is None and not adapters:
            check_header(model, files, load_config.ignore_mismatched_sizes)
        check_digests(files)
        return PreTrainedModel._load_pretrained_model(
            model, state_dict, checkpoint_files, load_config, *args, **kwargs
        )


class NCVQVAEModel(NCVQVAEPreTrainedModel):
    """The tokenizer: STFT, encoder, vector quantizer, decoder, inverse STFT (Mathisen et al., arXiv 2408.16613).

    Everything it takes and returns as a series is in the units of the data; the scaler is part of the configuration.
    A model whose `config.length` is `None` takes series of every length. Series are tensors, arrays or lists
    `(batch, channels, length)`, or `(batch, length)` of one channel; they come back as a tensor of three axes, of
    float64 if they were that, else float32.
    """

    # Every save then carries the code, so that it loads with `trust_remote_code=True` where the package is missing.
    _auto_class = "AutoModel"
    # What a composite checkpoint, or one of pre-training, holds beside stage 1.
    _keys_to_ignore_on_load_unexpected = [
        r"^(projector|transformer|code_embedding|position_embedding|embedding_norm|label_embedding|head|logit_bias|to_logits|code_in|code_out|log_sharpness|strength_vector)(\.|$)"
    ]

    def __init__(self, config: NCVQVAEConfig):
        super().__init__(config)
        length = None if config.length is None else config.working(config.length)
        self.scale = Scaler(config.mean, config.std)
        self.time_frequency = TRANSFORMS[config.transform](length, config.n_fft)
        channels, frequencies = 2 * (1 if config.channelwise else config.num_channels), config.n_fft // 2 + 1
        sizes = config.dim, config.num_downsampling, config.num_residual_blocks
        folded = config.fold_frequencies
        self.encoder = FoldedEncoder(channels * frequencies, *sizes) if folded else Encoder(channels, *sizes)
        if config.code_dim is not None:
            self.to_code = nn.Conv2d(config.dim, config.code_dim, 1)
            self.from_code = nn.Conv2d(config.code_dim, config.dim, 1)
        self.quantizer = VectorQuantizer(
            config.codebook_size,
            config.code_size,
            config.codebook_decay,
            config.kmeans_init,
            config.revival_threshold,
            config.normalise_codes,
        )
        if config.decoder_noise:
            self.noise = NoiseInput(config.dim)
        self.decoder = FoldedDecoder(channels, frequencies, *sizes) if folded else Decoder(channels, *sizes)
        self.register_load_state_dict_post_hook(_fill_constants)
        self.post_init()

    @can_return_tuple
    def forward(self, values: Series, mean: Moment = None, std: Moment = None, **kwargs: object) -> NCVQVAEOutput:
        """Encodes and decodes `values` `(batch, channels, length)`; see `encode`.

        With `return_dict=False` as a tuple. Other arguments, such as further columns of a batch, are ignored.
        """
        values = as_series(values, self.config, self.device)
        encoded = self.encode(values, mean, std)
        scaled, _ = self.decode_latents(encoded.quantized, self.config.working(values.shape[-1]))
        reconstruction = self.scale.inverse(self.from_working(scaled, *values.shape[1:]), encoded.moments)
        return NCVQVAEOutput(reconstruction.to(float_type(values)), encoded.codes, encoded.latents)

    def encode(self, values: Series, mean: Moment = None, std: Moment = None) -> NCVQVAEEncoderOutput:
        """`values` `(batch, channels, length)` to codes, their vectors and the latents.

        Args:
            mean, std (*optional*): moments to scale by in the place of the configuration's, or, with `scale_each`, of
                each series' own: numbers, or tensors `(channels,)` or `(batch, channels)`.

        Raises:
            ValueError: for series of another number of channels or length than the model's, with values that are NaN
                or infinite, or, where they are to be scaled by themselves, constant.
        """
        values = as_series(values, self.config, self.device)
        working, moments = self._scaled(values, mean, std)
        latents = self.encode_spectrogram(self.time_frequency(working))
        quantization = self.quantizer(latents)
        return NCVQVAEEncoderOutput(
            codes=quantization.codes.view(values.shape[0], -1),
            quantized=quantization.quantized,
            latents=latents,
            moments=moments,
            commitment_loss=quantization.commitment_loss,
            perplexity=quantization.perplexity,
            usage=quantization.usage,
        )

    def decode(
        self,
        codes: Tensor,
        length: int | None = None,
        moments: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """`codes` `(batch, num_codes)` to series `(batch, channels, length)`.

        They are float64 where the moments are, or where float32 would lack the digits: at a mean of the configuration
        of more than 10,000 standard deviations.

        Args:
            length (*optional*, defaults to the configuration's): samples of the series.
            moments (*optional*): `encode(...).moments`, to come back in the units of the data where each series was
                scaled by itself.
            generator (*optional*): draws noise that becomes fine detail, for a model with `decoder_noise`; without it
                equal codes are equal series.

        Raises:
            ValueError: for codes of another number than series of that length have, or outside the codebook, or for a
                generator where the model has no noise.
        """
        config = self.config
        length = config.length if length is None else length
        if length is None:
            raise ValueError("the model takes series of every length: say the length of those to decode")
        size, grid = config.codebook_size, config.grid(length)
        of_channel = grid[0] * grid[1] * config.num_bands
        known = config.num_channels if config.channelwise and config.length is not None else None
        channels = known or (codes.shape[-1] // of_channel if config.channelwise else 1)
        if codes.ndim != 2 or codes.shape[1] != max(channels, 1) * of_channel:
            wanted = max(channels, 1) * of_channel
            raise ValueError(f"codes must have the shape (batch, {wanted}), found {tuple(codes.shape)}")
        if not torch.compiler.is_compiling() and codes.numel() and not 0 <= codes.min() <= codes.max() < size:
            found = f"{int(codes.min())} to {int(codes.max())}"
            raise ValueError(f"codes must lie in 0 to {size - 1}, found {found}")
        vectors = F.embedding(codes, self.quantizer.codebook)
        quantized = vectors.view(-1, *grid, config.code_size).movedim(-1, 1)
        noise = None
        if generator is not None:
            if not config.decoder_noise:
                raise ValueError("the model's decoder takes no noise: leave the generator out")
            shape = quantized.shape[0], config.dim, *grid
            noise = torch.randn(shape, generator=generator, dtype=torch.float32, device=generator.device)
            noise = noise.to(quantized.device)
        scaled, _ = self.decode_latents(quantized, config.working(length), noise)
        channels = channels if config.channelwise else config.num_channels
        return self.scale.inverse(self.from_working(scaled, channels, length), moments)

    def _scaled(self, values: Tensor, mean: Moment, std: Moment) -> tuple[Tensor, Tensor | None]:
        """Series, scaled and as they are tokenized, and the moments that they were scaled by."""
        # The one check that reads the values: it waits for the device, and cannot be traced.
        if not torch.compiler.is_compiling() and not values.isfinite().all():
            raise ValueError("series hold values that are NaN or infinite; fill the gaps first")
        moments = moments_of(values, mean, std, self.config.scale_each)
        if moments is None and values.dtype == torch.float64:
            moments = self.scale.of_config(torch.float64)[:, None].expand(2, *values.shape[:2], 1)
        return self.to_working(self.scale(values, moments)), moments

    def to_working(self, scaled: Tensor) -> Tensor:
        """Scaled series `(batch, channels, length)` as they are tokenized.

        They are refined, band by band with `split_bands` `(batch * bands, channels, working length)`, and channel by
        channel with `channelwise`, `(batch * bands * channels, 1, working length)`.
        """
        length = scaled.shape[-1]
        working = refine(scaled, self.config.refined(length))
        missing = self.config.working(length) - working.shape[-1]
        if missing:
            working = F.pad(working, (0, missing), mode="replicate")
        if self.config.split_bands:
            low = low_band(self.time_frequency, working)
            working = torch.stack((low, working - low), 1).flatten(0, 1)
        return working.flatten(0, 1)[:, None] if self.config.channelwise else working

    def from_working(self, working: Tensor, channels: int, length: int) -> Tensor:
        """Undoes `to_working`: scaled series `(batch, channels, length)`."""
        whole = working.reshape(-1, self.config.num_bands, channels, working.shape[-1]).sum(1)
        return coarsen(whole[..., : self.config.refined(length)], length)

    def encode_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """The spectrogram of scaled series to latents `(batch, code size, frequencies, width)`."""
        latents = self.encoder(spectrogram.to(self.dtype))
        if self.config.code_dim is not None:
            latents = self.to_code(latents)
        return F.normalize(latents.float(), dim=1) if self.config.normalise_codes else latents

    def decode_latents(
        self, latents: Tensor, length: int | None = None, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latents, quantized or not, to the scaled reconstruction and its spectrogram, in float32.

        `length` are the samples that the series are tokenized at; it defaults to those of the configuration's length.
        `noise` is that of `decode`, `(batch, dim, frequencies, width)`.
        """
        length = self.time_frequency.length if length is None else length
        latents = latents.to(self.dtype)
        if self.config.code_dim is not None:
            latents = self.from_code(latents)
        if noise is not None:
            latents = self.noise(latents, noise.to(self.dtype))
        spectrogram = self.decoder(latents, length // self.time_frequency.hop + 1)
        spectrogram = spectrogram.float()
        return self.time_frequency.inverse(spectrogram, length), spectrogram

    def reconstruct(self, values: Series, mean: Moment = None, std: Moment = None) -> Tensor:
        """`values` `(batch, channels, length)` as the codes tell them; see `encode`."""
        return self(values, mean, std, return_dict=True).reconstruction

    def embed(self, values: Series, mean: Moment = None, std: Moment = None) -> Tensor:
        """Features of `values` `(batch, channels, length)` for classifiers, `(batch, features)`.

        Average, maximum, standard deviation, and the average of each quarter of the time axis, of the continuous
        latents; with folded frequencies `multiscale_features`, which are stronger and many. Averaged over the channels
        where these are tokenized one by one; those of bands stand side by side. Scale each feature before you fit a
        classifier.
        """
        values = as_series(values, self.config, self.device)
        working, _ = self._scaled(values, mean, std)
        if self.config.fold_frequencies:
            parts = self.time_frequency, self.encoder, self.dtype
            features = multiscale_features(working, *parts)  # type: ignore[arg-type]
        else:
            features = pooled(at_least_float32(self.encode_spectrogram(self.time_frequency(working))), 4)
        return features.view(values.shape[0], self.config.num_bands, -1, features.shape[1]).mean(2).flatten(1)


def _fill_constants(model: NCVQVAEModel, _: object) -> None:
    """After `load_state_dict(assign=True)` of a model on the meta device: what no checkpoint holds joins the rest."""
    for part in (model.scale, model.time_frequency):
        if any(buffer.is_meta for buffer in part.buffers()):
            part.to_empty(device=model.quantizer.embedding_sum.device)
