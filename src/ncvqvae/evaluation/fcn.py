"""The evaluation network: the fully convolutional classifier behind the published FID, IS and CAS of time series."""

import contextlib
import hashlib
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from huggingface_hub.constants import HF_HOME
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import trange

from ..models.precision import autocast
from ..runtime import one_line, whole_file


LEAST_STEPS, EPOCHS = 1000, 10  # networks trained here take whichever is more
RECIPE_VERSION = 1  # raise it when networks are trained differently: it is part of the cache's key
CHANNELS, KERNELS = (128, 256, 128), (8, 5, 3)


class ConvolutionBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel_size: int):
        super().__init__()
        # The padding keeps the length. For an even kernel, the end gets one sample more than the start.
        self.padding = (kernel_size - 1) // 2, kernel_size // 2
        self.layers = nn.Sequential(nn.Conv1d(inputs, outputs, kernel_size), nn.BatchNorm1d(outputs))

    def forward(self, hidden: Tensor) -> Tensor:
        return F.relu(self.layers(F.pad(hidden, self.padding)))


class FCN(nn.Module):
    """Three convolutions, the average over time, one linear layer (Wang et al., arXiv 1611.06455).

    The weights have the sizes and names of danelee2601/supervised-FCN, so that its files load here. TimeVQVAE (Lee et
    al., arXiv 2303.04743) and NC-VQVAE (arXiv 2408.16613) are measured with its networks.

    Args:
        num_channels, num_classes: sizes of the data.
        mean, std: scalars of the training split, over all series, channels and samples; the input is scaled by them.
    """

    def __init__(self, num_channels: int, num_classes: int, mean: float, std: float):
        super().__init__()
        self.mean, self.std = mean, std
        inputs = (num_channels, *CHANNELS[:-1])
        self.layers = nn.ModuleList(map(ConvolutionBlock, inputs, CHANNELS, KERNELS))
        self.final = nn.Linear(CHANNELS[-1], num_classes)

    def features(self, values: Tensor) -> Tensor:
        """Features `(batch, 128)` of `values` `(batch, channels, length)` in the units of the data."""
        hidden = (values - self.mean) / self.std
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden.mean(2)

    def forward(self, values: Tensor) -> Tensor:
        """Logits `(batch, classes)`."""
        return self.final(self.features(values))


def train_fcn(
    values: Tensor,
    labels: Tensor,
    num_classes: int,
    num_steps: int,
    batch_size: int = 32,
    seed: int = 0,
) -> FCN:
    """Trains a network on series `(series, channels, length)` with AdamW and a cosine schedule to zero.

    The reference trains for 1000 epochs in batches of 256; `training/LOG.md` says what fewer and smaller steps cost.
    Shows a progress bar. Returns the network in evaluation mode.
    """
    if not len(values):
        raise ValueError("there are no series to train a classifier on")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FCN(values.shape[1], num_classes, values.mean().item(), values.std(correction=0).item())
    network = network.to(values.device).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-5, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    queue = torch.empty(0, dtype=torch.long)
    for _ in trange(num_steps, desc="training a classifier", leave=False, disable=None):
        while len(queue) < batch_size:  # whole epochs, one after the other, so that every batch is full
            queue = torch.cat((queue, torch.randperm(len(values), generator=generator)))
        batch, queue = queue[:batch_size].to(values.device), queue[batch_size:]
        with autocast(values.device, "auto"):
            loss = F.cross_entropy(network(values[batch]).float(), labels[batch])
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return network.eval()


def save_fcn(network: FCN, file: Path, dataset: str) -> None:
    """Writes the weights to a safetensors file, as a whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items() if tensor.ndim}
    with whole_file(file) as partial:
        save_file(weights, partial, {"format": "pt", "dataset": dataset})


def load_fcn(file: str | Path, values: Tensor, num_classes: int) -> FCN:
    """Loads a trained network for the data whose training split is `values` `(series, channels, length)`.

    Raises:
        ValueError: for a file that is missing or holds no network, or a network with other numbers of classes or
            channels than the data.
    """
    file = Path(file)
    if not file.is_file():
        known = sorted(path.stem for path in file.parent.glob("*.safetensors"))
        raise ValueError(f"there is no network {file}; {file.parent} has {', '.join(known) or 'none'}")
    try:
        with safe_open(file, "pt") as weights:
            state = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118, it is no mapping
        found = len(state["final.weight"]), state["layers.0.layers.0.weight"].shape[1]
        network = FCN(found[1], found[0], values.mean().item(), values.std(correction=0).item())
        # The files lack the norms' count of batches, which nothing reads.
        counts = {name: tensor for name, tensor in network.state_dict().items() if not tensor.ndim}
        network.load_state_dict(counts | state)
    except (SafetensorError, KeyError, IndexError, TypeError, RuntimeError) as error:
        raise ValueError(f"{file} holds no evaluation network: {one_line(error)}") from None
    if found != (num_classes, values.shape[1]):
        wanted = f"{num_classes} classes and {values.shape[1]} channels"
        raise ValueError(f"{file} is for {found[0]} classes and {found[1]} channels; the data has {wanted}")
    return network.to(values.device).eval()


def evaluation_network(
    dataset: str | None, train: tuple[Tensor, Tensor], num_classes: int, folder: str | Path | None = None
) -> tuple[FCN, dict[str, object]]:
    """The network that measures a dataset, and its description for the report.

    Args:
        dataset: the name of the dataset, and of its file in `folder`.
        train: series and labels of the training split; the network is on the series' device.
        folder (*optional*): holds `<dataset>.safetensors`. Without a folder a network is trained once and kept in the
            cache of Hugging Face, under a digest of the data that it was trained on.
    """
    values, labels = train
    if folder is not None:
        if not Path(folder).is_dir():
            raise ValueError(f"there is no folder {folder} of evaluation networks")
        file, source = Path(folder) / f"{dataset}.safetensors", "reference"
    else:
        num_steps = max(LEAST_STEPS, EPOCHS * len(values) // 32)
        settings = f"{RECIPE_VERSION} {num_steps} {num_classes} {tuple(values.shape)}"
        parts = (values.cpu().numpy().tobytes(), labels.numpy().tobytes(), settings.encode())
        digest = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
        file = Path(HF_HOME) / "ncvqvae" / "fcn" / f"{dataset or 'data'}-{digest}.safetensors"
        source = "trained here"
        if not file.is_file():
            own = file.with_suffix(f".{os.getpid()}")
            save_fcn(train_fcn(values, labels.to(values.device), num_classes, num_steps), own, dataset or "")
            with contextlib.suppress(FileExistsError):  # another process was first: all use its network
                os.link(own, file)
            own.unlink()
    network = load_fcn(file, values, num_classes)
    return network, {"source": source, "file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
