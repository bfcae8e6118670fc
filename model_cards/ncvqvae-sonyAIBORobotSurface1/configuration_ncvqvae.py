import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .bounds import MOST, check_attention, check_keys, check_sizes
from .resampling import refined_length
from .ssl_objectives import OBJECTIVES
from .time_frequency import TRANSFORMS


@strict
class NCVQVAEConfig(PreTrainedConfig):
    r"""
    Configuration of stage 1, the tokenizer of time series of NC-VQVAE (arXiv 2408.16613). The defaults are the thesis'
    but for the codebook's start and revival, which mend what went wrong there.

    Args:
        num_channels (`int`, defaults to 1): channels of a series.
        length (`int`, *optional*, defaults to 128): samples of a series, at least 8. `None` takes series of every
            length, and with `channelwise` of every number of channels.
        mean (`list[float]`, *optional*, defaults to zeros): mean of each channel over the training split, in the
            units of the data.
        std (`list[float]`, *optional*, defaults to ones): standard deviation of each channel over the training split.
        scale_each (`bool`, defaults to `False`): scale each channel of each series by its own mean and standard
            deviation instead of those above, unless the caller gives others.
        working_length (`int`, *optional*): a series with fewer samples is tokenized at k (samples - 1) + 1, with the
            largest k that keeps to this. Every sample is then one of the refined ones, so that coming back is exact.
        dataset_name (`str`, *optional*): of the archive's dataset that it was trained on, if it was one.
        n_fft (`int`, defaults to 8): window of the STFT, a multiple of 4; the hop is a quarter of it.
        transform (`"stft"` or `"wavelets"`, defaults to `"stft"`): what the networks see of a series, see
            `time_frequency.TRANSFORMS`. Wavelets need an `n_fft` of 8: as many bands as it has frequencies.
        split_bands (`bool`, defaults to `False`): tokenize the lowest frequency and the rest one by one, with one
            codebook, after TimeVQVAE (arXiv 2303.04743), whose networks and codebooks are two.
        downsampled_width (`int`, defaults to 8): positions in time of the latent grid, about: 7 to 15, fewer for
            series too short for them.
        num_halvings (`int`, *optional*): how often the encoder halves the frames; without it `downsampled_width`
            decides. Needed for series of every length, and with folded frequencies.
        fold_frequencies (`bool`, defaults to `False`): networks over time alone, with the frequencies of a frame in
            its channels, so that codes are a sequence in time.
        channelwise (`bool`, defaults to `False`): tokenize the channels of a series one by one, with one codebook.
        dim (`int`, defaults to 64): channels of encoder and decoder.
        code_dim (`int`, *optional*, defaults to `dim`): size of a code.
        normalise_codes (`bool`, defaults to `False`): keep latents and codes on the unit sphere.
        decoder_noise (`bool`, defaults to `False`): whether the decoder takes noise, which the second phase of
            pre-training teaches it to turn into detail.
        num_residual_blocks (`int`, defaults to 4): in the encoder and again in the decoder.
        codebook_size (`int`, defaults to 32): number of codes to choose from.
        codebook_decay (`float`, defaults to 0.9): of the codebook's moving averages, per training batch; 1 keeps
            the codebook as it started.
        kmeans_init (`bool`, defaults to `True`): whether the codebook starts from k-means on the first training
            batch, or from standard normal codes as the reference's.
        revival_threshold (`float`, defaults to 0.5): a code used less often than this per batch is replaced by a
            latent of the batch; 0, the reference's behaviour, never does.
        ssl_objective (`"barlow_twins"`, `"vibcreg"` or `None`, defaults to `"barlow_twins"`): what pulls the two
            branches together in training (`ssl_objectives.OBJECTIVES`); `None` trains a plain VQ-VAE.
        projector_dim (`int`, defaults to 4096): width of the projector. It exists in training only.
        time_weight, spectrogram_weight (`float`, default to 1): of the two reconstruction losses.
        magnitude_weight (`float`, defaults to 0): of the distance of STFT magnitudes at several resolutions.
        commitment_weight (`float`, defaults to 1): of the distance of latents to their codes.
        augmented_weight (`float`, defaults to 0.1): of both reconstruction losses of the augmented branch.
        ssl_weight (`float`, *optional*): of the objective; defaults to the thesis' 1 for Barlow Twins, 0.01 for
            VIbCReg.

    Raises:
        `huggingface_hub.errors.StrictDataclassError`: for a value of the wrong type or out of its range.
        `ValueError`: for a number above its bound in `bounds.MOST`, or an attention that is not transformers' own.
    """

    model_type = "ncvqvae"
    _auto_class = "AutoConfig"  # so that a save carries the code

    num_channels: int = 1
    length: int | None = 128
    mean: list[float | int] | tuple[float | int, ...] | None = None
    std: list[float | int] | tuple[float | int, ...] | None = None
    scale_each: bool = False
    working_length: int | None = None
    dataset_name: str | None = None
    n_fft: int = 8
    transform: str = "stft"
    split_bands: bool = False
    downsampled_width: int = 8
    num_halvings: int | None = None
    fold_frequencies: bool = False
    channelwise: bool = False
    dim: int = 64
    code_dim: int | None = None
    normalise_codes: bool = False
    decoder_noise: bool = False
    num_residual_blocks: int = 4
    codebook_size: int = 32
    codebook_decay: float | int = 0.9
    kmeans_init: bool = True
    revival_threshold: float | int = 0.5
    ssl_objective: str | None = "barlow_twins"
    projector_dim: int = 4096
    time_weight: float | int = 1.0
    spectrogram_weight: float | int = 1.0
    magnitude_weight: float | int = 0.0
    commitment_weight: float | int = 1.0
    augmented_weight: float | int = 0.1
    ssl_weight: float | int | None = None

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: object):
        check_sizes(config_dict | kwargs)  # before each entry is looked at
        return super().from_dict(config_dict, **kwargs)

    def __post_init__(self, **kwargs):
        check_sizes(vars(self) | kwargs)
        check_keys(type(self), kwargs)
        if self.mean is None:
            self.mean = [0.0] * self.num_channels
        if self.std is None:
            self.std = [1.0] * self.num_channels
        if self.ssl_weight is None:
            self.ssl_weight = OBJECTIVES[self.ssl_objective].weight if self.ssl_objective in OBJECTIVES else 1.0
        super().__post_init__(**kwargs)
        check_attention(self)

    def validate_architecture(self) -> None:
        if self.n_fft < 4 or self.n_fft % 4:
            raise ValueError(f"n_fft must be a multiple of 4, found {self.n_fft}")
        if self.transform not in TRANSFORMS:
            raise ValueError(f"transform must be one of {', '.join(TRANSFORMS)}, found {self.transform!r}")
        if self.transform == "wavelets" and self.n_fft != 8:
            raise ValueError(f"wavelets need n_fft 8, found {self.n_fft}")
        if self.num_halvings is None and (self.length is None or self.fold_frequencies):
            raise ValueError("length None, for series of every length, and fold_frequencies need num_halvings")
        for name in ("length", "working_length"):
            if (samples := getattr(self, name)) is not None and samples < 8:
                raise ValueError(f"{name} must be at least 8 samples, found {samples}")
        for name in ("num_halvings", "code_dim"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, found {number}")
        for name in (
            "num_channels",
            "downsampled_width",
            "dim",
            "num_residual_blocks",
            "codebook_size",
            "projector_dim",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in (
            "revival_threshold",
            "time_weight",
            "spectrogram_weight",
            "magnitude_weight",
            "commitment_weight",
            "augmented_weight",
            "ssl_weight",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, found {getattr(self, name)}")
        # What a code covers, to which series are filled up: neither bound of the two alone keeps it small.
        if (covered := (self.n_fft // 4) << (self.num_halvings or 0)) > MOST["length"]:
            raise ValueError(f"n_fft and num_halvings make a code of {covered} samples, above {MOST['length']}")
        if self.length is not None and self.num_codes < 1:
            raise ValueError(f"length {self.length} is too short for n_fft {self.n_fft}; use a smaller n_fft")
        if len(self.mean) != self.num_channels or len(self.std) != self.num_channels:
            found = f"{len(self.mean)} and {len(self.std)}"
            raise ValueError(f"mean and std need one number for each of {self.num_channels} channels, found {found}")
        if not all(math.isfinite(mean) for mean in self.mean):
            raise ValueError(f"mean must be finite, found {list(self.mean)}")
        if not all(0 < std < math.inf for std in self.std):
            raise ValueError(f"std must be positive and finite, found {list(self.std)}")
        if not 0 <= self.codebook_decay <= 1:
            raise ValueError(f"codebook_decay must be in [0, 1], found {self.codebook_decay}")
        if self.ssl_objective is None:
            return
        if self.ssl_objective not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise ValueError(f"ssl_objective must be None or one of {known}, found {self.ssl_objective!r}")
        if OBJECTIVES[self.ssl_objective].whitened and self.projector_dim > 64 and self.projector_dim % 64:
            wanted = f"projector_dim must be a multiple of 64 for {self.ssl_objective}"
            raise ValueError(f"{wanted}, found {self.projector_dim}")

    def working(self, length: int) -> int:
        """Samples that a series of `length` samples is tokenized at.

        With folded frequencies they are a whole number of codes: a code that covers the end in part, in any of several
        ways, would be one that training has not seen.
        """
        refined = self.refined(length)
        unit = (self.n_fft // 4) << self.num_downsampling if self.fold_frequencies else 1
        return refined + -refined % unit

    def refined(self, length: int) -> int:
        """Samples of a series of `length` samples after refining, before its last value is repeated."""
        return length if self.working_length is None else refined_length(length, self.working_length)

    def frames(self, length: int) -> int:
        """Frames of the spectrogram of a series of `length` samples."""
        return self.working(length) // (self.n_fft // 4) + 1

    def grid(self, length: int) -> tuple[int, int]:
        """`(frequencies, width)` of the latents of a series of `length` samples.

        Of one channel with `channelwise`, and of one band with `split_bands`.
        """
        if self.fold_frequencies:
            return 1, -(-self.frames(length) // 2**self.num_downsampling)
        return self.n_fft // 2 + 1, self.frames(length) >> self.num_downsampling

    @property
    def num_downsampling(self) -> int:
        """How often the encoder halves the frames.

        Unless `num_halvings` says so, the rate is `length / hop / downsampled_width` with the real hop; the reference
        derives the hop from log2(n_fft), which is right for 4 and 8 only.
        """
        if self.num_halvings is not None:
            return self.num_halvings
        rate = max(1, round(self.working(self._length) / (self.n_fft // 4) / self.downsampled_width))
        return max(1, rate.bit_length() - 1)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """`grid` of the model's own length."""
        return self.grid(self._length)

    @property
    def num_codes(self) -> int:
        """Codes of one series of the model's own length."""
        frequencies, width = self.latent_shape
        return frequencies * width * self.num_bands * (self.num_channels if self.channelwise else 1)

    @property
    def num_bands(self) -> int:
        """Bands that are tokenized one by one."""
        return 2 if self.split_bands else 1

    @property
    def code_size(self) -> int:
        """Size of a code."""
        return self.code_dim or self.dim

    @property
    def _length(self) -> int:
        if self.length is None:
            raise ValueError("the model takes series of every length, so that this depends on the series")
        return self.length
