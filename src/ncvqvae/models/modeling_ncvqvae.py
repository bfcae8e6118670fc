"""Stage 1 of NC-VQVAE: a series to codes and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .configuration_ncvqvae import NCVQVAEConfig
from .encoder_decoder import Decoder, Encoder
from .integrity import check_config, check_weights, write_digests
from .time_frequency import TimeFrequency
from .vector_quantizer import VectorQuantizer


@dataclass
class NCVQVAEEncoderOutput(ModelOutput):
    """
    Args:
        codes (`torch.LongTensor` of shape `(batch, num_codes)`): indices into the codebook, lowest frequency first.
        quantized (`torch.FloatTensor` of shape `(batch, dim, frequencies, width)`): codebook vectors at `codes`.
        latents (`torch.FloatTensor` of shape `(batch, dim, frequencies, width)`): what was quantized.
        commitment_loss, perplexity, usage (scalars): see `Quantization`.
    """

    codes: Tensor | None = None
    quantized: Tensor | None = None
    latents: Tensor | None = None
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


class NCVQVAEPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving that all models of the package share."""

    config: NCVQVAEConfig
    base_model_prefix = "tokenizer"  # so that stage 1 loads from the folder of a composite checkpoint
    main_input_name = "values"
    input_modalities = "time"
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    # Half a bit decides between two codes: the codebook stays in float32 whatever the dtype asked for.
    _keep_in_fp32_modules_strict = ["quantizer"]
    _loads_from: tuple[str, ...] = ("ncvqvae", "ncvqvae_maskgit")  # model types whose folders hold these weights

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # PyTorch's own initialisation, not the library's normal(0, 0.02), for every parameter and every buffer.
        # Batch norm is the library's: there `reset_parameters` would overwrite running statistics that were just
        # loaded.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            super()._init_weights(module)
        elif callable(reset := getattr(module, "reset_parameters", None)):
            reset()

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> None:
        """Saves weights, configuration and code, and the SHA-256 of each file of weights next to it."""
        super().save_pretrained(save_directory, **kwargs)
        write_digests(Path(save_directory))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path | None, *args, **kwargs) -> "PreTrainedModel":
        """Loads a model as every model of transformers does; a local folder is checked first.

        Raises:
            ValueError: for a file of weights in a local folder that is truncated or not the one that was saved. (The
                Hub's own client checks what it downloads.)
        """
        folder = Path(pretrained_model_name_or_path or "", kwargs.get("subfolder") or "")
        if pretrained_model_name_or_path is not None and folder.is_dir():
            if "config" not in kwargs:
                check_config(folder, cls._loads_from, cls.__name__)
            check_weights(folder)
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)


class Scaler(nn.Module):
    """From the units of the data to zero mean and unit variance, channel by channel, in float32; and back."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.moments = [list(mean), list(std)]
        self.mean_and_std = nn.Buffer(torch.empty(2, len(mean), 1, dtype=torch.float32), persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        if not self.mean_and_std.is_meta:
            self.mean_and_std.copy_(torch.tensor(self.moments)[..., None])

    def forward(self, values: Tensor) -> Tensor:
        mean, std = self.mean_and_std
        return (values.to(mean.dtype) - mean) / std

    def inverse(self, values: Tensor) -> Tensor:
        mean, std = self.mean_and_std
        return values.to(mean.dtype) * std + mean


class NCVQVAEModel(NCVQVAEPreTrainedModel):
    """The tokenizer: STFT, encoder, vector quantizer, decoder, inverse STFT (Mathisen et al., arXiv 2408.16613).

    Everything it takes and returns as a series is in the units of the data; the scaler is part of the configuration.
    """

    # Every save then carries the code, so that it loads with `trust_remote_code=True` where the package is missing.
    _auto_class = "AutoModel"
    # What a composite checkpoint, or one of pre-training, holds beside stage 1.
    _keys_to_ignore_on_load_unexpected = [
        r"^(projector|transformer|code_embedding|position_embedding|embedding_norm|label_embedding|head|logit_bias|to_logits)(\.|$)"
    ]

    def __init__(self, config: NCVQVAEConfig):
        super().__init__(config)
        self.scale = Scaler(config.mean, config.std)
        self.time_frequency = TimeFrequency(config.length, config.n_fft)
        channels, blocks = 2 * config.num_channels, config.num_residual_blocks
        self.encoder = Encoder(channels, config.dim, config.num_downsampling, blocks)
        self.quantizer = VectorQuantizer(
            config.codebook_size,
            config.dim,
            config.codebook_decay,
            config.kmeans_init,
            config.revival_threshold,
        )
        self.decoder = Decoder(channels, config.dim, config.num_downsampling, blocks, config.num_frames)
        self.post_init()

    def forward(self, values: Tensor) -> NCVQVAEOutput:
        """Encodes and decodes `values` `(batch, channels, length)`."""
        encoded = self.encode(values)
        reconstruction, _ = self.decode_latents(encoded.quantized)
        return NCVQVAEOutput(self.scale.inverse(reconstruction), encoded.codes, encoded.latents)

    def encode(self, values: Tensor) -> NCVQVAEEncoderOutput:
        """`values` `(batch, channels, length)` to codes, their vectors and the latents.

        Raises:
            ValueError: for series of another number of channels or length than the model's, or with values that are
                NaN or infinite.
        """
        self.check_shape(values)
        # The one check that reads the values: it waits for the device, and cannot be traced.
        if not torch.compiler.is_compiling() and not values.isfinite().all():
            raise ValueError("series hold values that are NaN or infinite; fill the gaps first")
        latents = self.encode_spectrogram(self.time_frequency(self.scale(values)))
        quantization = self.quantizer(latents)
        return NCVQVAEEncoderOutput(
            codes=quantization.codes,
            quantized=quantization.quantized,
            latents=latents,
            commitment_loss=quantization.commitment_loss,
            perplexity=quantization.perplexity,
            usage=quantization.usage,
        )

    def decode(self, codes: Tensor) -> Tensor:
        """`codes` `(batch, num_codes)` to series `(batch, channels, length)`.

        Raises:
            ValueError: for codes of another number than the model's, or outside the codebook.
        """
        size, num_codes = self.config.codebook_size, self.config.num_codes
        if codes.ndim != 2 or codes.shape[1] != num_codes:
            raise ValueError(f"codes must have the shape (batch, {num_codes}), found {tuple(codes.shape)}")
        if not torch.compiler.is_compiling() and codes.numel() and not 0 <= codes.min() <= codes.max() < size:
            found = f"{int(codes.min())} to {int(codes.max())}"
            raise ValueError(f"codes must lie in 0 to {size - 1}, found {found}")
        vectors = F.embedding(codes, self.quantizer.codebook)
        quantized = vectors.view(len(codes), *self.config.latent_shape, self.config.dim).movedim(-1, 1)
        return self.scale.inverse(self.decode_latents(quantized)[0])

    def encode_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """The spectrogram of scaled series to latents."""
        return self.encoder(spectrogram.to(self.dtype))

    def decode_latents(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, quantized or not, to the scaled reconstruction and its spectrogram, in float32."""
        spectrogram = self.decoder(latents.to(self.dtype)).to(self.time_frequency.gain.dtype)
        return self.time_frequency.inverse(spectrogram), spectrogram

    def reconstruct(self, values: Tensor) -> Tensor:
        """`values` `(batch, channels, length)` as the codes tell them."""
        return self(values).reconstruction

    def embed(self, values: Tensor) -> Tensor:
        """Features of `values` for classifiers, `(batch, 7 * dim)`.

        Over all positions of the continuous latents: average, maximum, standard deviation, and the average of each
        quarter of the time axis. Scale each feature before you fit a classifier.
        """
        latents = self.encode(values).latents
        whole = [latents.mean((2, 3)), latents.amax((2, 3)), latents.std((2, 3), correction=0)]
        quarters = F.adaptive_avg_pool2d(latents, (1, 4)).flatten(1)
        return torch.cat([*whole, quarters], 1)

    def check_shape(self, values: Tensor) -> None:
        """Raises `ValueError` for series of another number of channels or length than the model's."""
        channels, length = self.config.num_channels, self.config.length
        if values.ndim != 3 or values.shape[1:] != (channels, length):
            raise ValueError(f"series must have the shape (batch, {channels}, {length}), found {tuple(values.shape)}")
