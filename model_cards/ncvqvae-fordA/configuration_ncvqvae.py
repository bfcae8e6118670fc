import math

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .ssl_objectives import OBJECTIVES


@strict
class NCVQVAEConfig(PreTrainedConfig):
    r"""
    Configuration of stage 1, the tokenizer of time series of NC-VQVAE (arXiv 2408.16613). The defaults are the thesis'
    but for the codebook's start and revival, which mend what went wrong there.

    Args:
        num_channels (`int`, defaults to 1): channels of a series.
        length (`int`, defaults to 128): samples of a series, at least 8.
        mean (`list[float]`, *optional*, defaults to zeros): mean of each channel over the training split, in the
            units of the data.
        std (`list[float]`, *optional*, defaults to ones): standard deviation of each channel over the training split.
        dataset_name (`str`, *optional*): of the archive's dataset that it was trained on, if it was one.
        n_fft (`int`, defaults to 8): window of the STFT, a multiple of 4; the hop is a quarter of it.
        downsampled_width (`int`, defaults to 8): positions in time of the latent grid, about: 7 to 15, fewer for
            series too short for them.
        dim (`int`, defaults to 64): channels of encoder and decoder, and the size of a code.
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
        commitment_weight (`float`, defaults to 1): of the distance of latents to their codes.
        augmented_weight (`float`, defaults to 0.1): of both reconstruction losses of the augmented branch.
        ssl_weight (`float`, *optional*): of the objective; defaults to the thesis' 1 for Barlow Twins, 0.01 for
            VIbCReg.

    Raises:
        `huggingface_hub.errors.StrictDataclassError`: for a value of the wrong type or out of its range.
    """

    model_type = "ncvqvae"
    _auto_class = "AutoConfig"  # so that a save carries the code

    num_channels: int = 1
    length: int = 128
    mean: list[float | int] | tuple[float | int, ...] | None = None
    std: list[float | int] | tuple[float | int, ...] | None = None
    dataset_name: str | None = None
    n_fft: int = 8
    downsampled_width: int = 8
    dim: int = 64
    num_residual_blocks: int = 4
    codebook_size: int = 32
    codebook_decay: float | int = 0.9
    kmeans_init: bool = True
    revival_threshold: float | int = 0.5
    ssl_objective: str | None = "barlow_twins"
    projector_dim: int = 4096
    time_weight: float | int = 1.0
    spectrogram_weight: float | int = 1.0
    commitment_weight: float | int = 1.0
    augmented_weight: float | int = 0.1
    ssl_weight: float | int | None = None

    def __post_init__(self, **kwargs):
        if self.mean is None:
            self.mean = [0.0] * self.num_channels
        if self.std is None:
            self.std = [1.0] * self.num_channels
        if self.ssl_weight is None:
            self.ssl_weight = OBJECTIVES[self.ssl_objective].weight if self.ssl_objective in OBJECTIVES else 1.0
        super().__post_init__(**kwargs)

    def validate_architecture(self) -> None:
        if self.n_fft < 4 or self.n_fft % 4:
            raise ValueError(f"n_fft must be a multiple of 4, found {self.n_fft}")
        if self.length < 8:
            raise ValueError(f"length must be at least 8 samples, found {self.length}")
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
            "commitment_weight",
            "augmented_weight",
            "ssl_weight",
        ):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, found {getattr(self, name)}")
        if self.num_codes < 1:
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

    @property
    def num_frames(self) -> int:
        """Frames of the spectrogram."""
        return self.length // (self.n_fft // 4) + 1

    @property
    def num_downsampling(self) -> int:
        """How often the encoder halves the frames.

        The rate is `length / hop / downsampled_width` with the real hop; the reference derives the hop from
        log2(n_fft), which is right for 4 and 8 only.
        """
        rate = max(1, round(self.length / (self.n_fft // 4) / self.downsampled_width))
        return max(1, rate.bit_length() - 1)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """`(frequencies, width)` of the latent grid."""
        return self.n_fft // 2 + 1, self.num_frames >> self.num_downsampling

    @property
    def num_codes(self) -> int:
        """Codes of one series."""
        frequencies, width = self.latent_shape
        return frequencies * width
