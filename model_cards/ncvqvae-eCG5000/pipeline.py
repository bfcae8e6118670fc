"""`pipeline("time-series-generation", model=...)`, which turns classes into series."""

import torch
from transformers import Pipeline
from transformers.utils import ModelOutput

from .class_labels import Labels
from .configuration_maskgit import SAMPLING


TASK = "time-series-generation"
# What a saved configuration says of it, in the words of transformers.
CUSTOM_PIPELINES = {TASK: {"impl": "pipeline.TimeSeriesGenerationPipeline", "pt": ["AutoModel"], "type": "time"}}
SETTINGS = {"num_samples", *SAMPLING}


class TimeSeriesGenerationPipeline(Pipeline):
    """A thin wrapper around `MaskGITForTimeSeriesGeneration.generate`.

    A call takes a class or a list of classes, by index or name; without them, classes are drawn at their shares in the
    training split. It also takes the settings of `generate` and a `seed`. It returns a list of
    `{"label": name, "values": array}`, with values `(channels, length)` in the units of the data. All series are
    generated in one batch.
    """

    _load_processor = _load_image_processor = _load_feature_extractor = _load_tokenizer = False

    def __call__(self, labels: Labels = None, **settings: object) -> list[dict]:
        return super().__call__({"labels": labels}, **settings)

    def _sanitize_parameters(self, seed: int | None = None, **settings: object) -> tuple[dict, dict, dict]:
        if unknown := settings.keys() - SETTINGS:
            known = ", ".join(sorted(SETTINGS | {"seed"}))
            raise TypeError(f"unknown setting {min(unknown)!r}; known are {known}")
        return {}, settings | ({} if seed is None else {"seed": seed}), {}

    def preprocess(self, inputs: dict) -> dict:
        return inputs

    def _forward(self, inputs: dict, seed: int | None = None, **settings: object) -> ModelOutput:
        generator = None if seed is None else torch.Generator(self.model.device).manual_seed(seed)
        return self.model.generate(labels=inputs["labels"], generator=generator, return_labels=True, **settings)

    def postprocess(self, output: ModelOutput) -> list[dict]:
        names = self.model.config.id2label
        series = zip(output.labels.tolist(), output.values.cpu().numpy(), strict=True)
        return [{"label": names.get(label), "values": values} for label, values in series]
