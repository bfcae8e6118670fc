"""The pictures of a report, and what stands below them."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor
from tqdm.auto import tqdm

from ..inference import in_batches
from ..models.modeling_ncvqvae import NCVQVAEModel
from .memorisation import nearest_distances
from .plots import plot_reconstructions, plot_samples
from .plots_of_sets import plot_codes, plot_features, plot_nearest, plot_spectrograms
from .result import Evaluation, Model


BY_CLASS = ", by class"
CAPTIONS = {
    "samples.png": f"real training series and generated ones{BY_CLASS}",
    "spectrograms.png": "mean spectrograms of test and of generated series",
    "features.png": "where real and generated series lie in the features of the evaluation network",
    "nearest.png": "how near generated series come to training series, against how near test series come",
    "codes.png": "how often codes occur in test and in generated series",
    "reconstructions.png": "test series and their reconstructions, from the best to the worst",
}
# How to read them.
READ = {
    "samples.png": "Each line is a series.",
    "spectrograms.png": "They should be alike. Where the difference is red, generated series have too much power.",
    "features.png": "A point is a series. Generated ones should lie among test series, and leave none of these alone.",
    "nearest.png": "Generated series should not be nearer to training series than test series are.",
    "codes.png": "The bars of a code should be about as high.",
    "reconstructions.png": "The lines should lie on each other; what is lost here, no generated series has.",
}


def caption_of(file: str, classes: bool) -> str:
    """The caption of a picture, of series with classes or without."""
    return CAPTIONS[file] if classes else CAPTIONS[file].removesuffix(BY_CLASS)


def draw(result: Evaluation, model: Model, dataset: str, folder: Path) -> list[str]:
    """Draws every picture for which there are series; returns the names of their files."""
    tokenizer = model if isinstance(model, NCVQVAEModel) else model.tokenizer
    names, size, codes = result.label_names, tokenizer.config.codebook_size, {"test": result.test_codes}

    def spectrogram(values: Tensor) -> Tensor:
        on_device = values.to(tokenizer.device)
        return tokenizer.time_frequency(on_device if result.scaled else tokenizer.scale(on_device)).cpu()

    def in_units(values: Tensor) -> Tensor:
        """Series in the units of the data, for the eye."""
        return in_batches(tokenizer.scale.inverse, values, tokenizer.device) if result.scaled else values

    drawings: dict[str, tuple[Callable, tuple]] = {}
    if result.generated is not None:
        codes["generated"] = result.generated_codes
        sets = {"test": result.test, "generated": result.generated}
        real, made = ((in_units(values), labels) for values, labels in (result.train, result.generated))
        drawings["samples.png"] = plot_samples, (*real, *made, names)
        drawings["spectrograms.png"] = plot_spectrograms, (sets, spectrogram, names)
        if result.features and len(result.test[0]) > 1:  # principal components need two
            drawings["features.png"] = plot_features, (result.features,)
        if not result.seen:
            distances = {name: nearest_distances(values, result.train[0]) for name, (values, _) in sets.items()}
            drawings["nearest.png"] = plot_nearest, (result.generated[0], result.train[0], distances)
    drawings["codes.png"] = plot_codes, (codes, size)
    drawings["reconstructions.png"] = plot_reconstructions, (in_units(result.test[0]), in_units(result.reconstruction))
    for file, (plot, arguments) in tqdm(drawings.items(), desc="drawing", leave=False, disable=None):
        plot(*arguments, f"{dataset}: {caption_of(file, bool(names))}", folder / file)
    return list(drawings)
