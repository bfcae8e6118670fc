"""What classifiers gain from generated series, over real ones alone and over the fair rival: warps and jitter."""

from collections.abc import Callable, Sequence

import torch

from .classification import (
    Classified,
    fcn_accuracy,
    fcn_steps,
    join_evenly,
    linear_accuracy,
    minirocket_accuracy,
    ridge_penalty,
)
from .comparison import Comparison
from .result import Score


CLASSIFIERS = {"fcn": "the FCN", "minirocket": "MiniROCKET", "embed": "a linear model on `embed`"}
MOST_EMBEDDED = 1000  # series of a kind that the linear model learns from: features are many

Trained = Callable[[Classified, Sequence[Classified]], list[float]]


def usefulness(
    comparison: Comparison, synthetic: Classified, warped: Classified, generated: Classified, seed: int
) -> dict[str, float]:
    """Test accuracies of each of `CLASSIFIERS`, by `<what it learned from>_<classifier>`.

    It learns from `synthetic` series alone (`cas`), from `real` ones, from real and synthetic ones (`both`), and from
    real and `warped` ones. `gain` is `both` minus `real`, `rival` is `warped` minus `real`, and `margin` is `both`
    minus `warped`. `mirror` is the accuracy on `generated` series after training on real ones.

    Args:
        comparison: has the real series, and gives features of `embed`.
        synthetic, warped: generated series, and real ones lightly changed; as many of each class.
        generated: series whose classes are drawn.
        seed: of the classifiers.
    """
    sets = {"train": comparison.train, "test": comparison.test, "synthetic": synthetic}
    sets |= {"warped": warped, "generated": generated}
    device = comparison.network.final.weight.device
    on_device = {name: (values.to(device), labels.to(device)) for name, (values, labels) in sets.items()}
    steps = fcn_steps(max(len(comparison.train[0]), len(synthetic[0])))
    scores = _scores(
        "fcn", on_device, lambda data, tests: fcn_accuracy(data, tests, comparison.num_classes, seed, steps)
    )
    scores |= _scores("minirocket", sets, lambda data, tests: minirocket_accuracy(data, tests, seed))
    embedded = _embedded(comparison, sets)
    penalty = ridge_penalty(*embedded["train"])
    return scores | _scores("embed", embedded, lambda data, tests: linear_accuracy(data, tests, penalty))


def _scores(name: str, sets: dict[str, Classified], accuracies: Trained) -> dict[str, float]:
    train, test = sets["train"], sets["test"]
    real, mirror = accuracies(train, [test, sets["generated"]])
    (alone,) = accuracies(sets["synthetic"], [test])
    both, warped = (accuracies(join_evenly(train, sets[added]), [test])[0] for added in ("synthetic", "warped"))
    found = {"cas": alone, "real": real, "warped": warped, "both": both}
    found |= {"gain": both - real, "rival": warped - real, "margin": both - warped}
    return {f"{key}_{name}": value for key, value in (found | {"mirror": mirror}).items()}


def _embedded(comparison: Comparison, sets: dict[str, Classified]) -> dict[str, Classified]:
    """The sets as features of `embed`; of those to learn from at most `MOST_EMBEDDED`, drawn at random."""
    found = {}
    for name, (values, labels) in sets.items():
        drawn = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
        rows = drawn if name in ("test", "generated") else drawn[:MOST_EMBEDDED]
        known = {"train": 0, "test": 1}.get(name)
        features = comparison.embed(values[rows]) if known is None else comparison.embedded[known][rows]
        found[name] = features, labels[rows]
    return found


def advice(scores: dict[str, Score]) -> list[str]:
    """Sentences on whether generated series help a classifier, and plain words for whom they do not.

    Figures of earlier versions, which lack some classifiers and some rivals, are taken as far as they go.
    """
    gains = {key: scores[f"gain_{key}"]["mean"] for key in CLASSIFIERS if f"gain_{key}" in scores}
    if not gains:
        return []
    rivals = {key: gain for key in gains if (gain := _rival_gain(scores, key)) is not None}
    found = [f"Adding its series to the real ones changes test accuracy by {_listed(gains)}."]
    if rivals:
        how = "warped and jittered" if "rival_fcn" in scores else "warped"
        found.append(f"Adding real series that are lightly {how} instead changes it by {_listed(rivals)}.")
    lost = [key for key, gain in gains.items() if gain < max(0.0, rivals.get(key, 0.0))]
    won = [key for key, gain in gains.items() if gain > max(0.0, rivals.get(key, gain))]
    if lost:
        best = ["the real series alone"] * any(rivals.get(key, 0.0) <= 0 for key in lost)
        best += ["real series that are lightly changed"] * any(rivals.get(key, 0.0) > 0 for key in lost)
        names = "" if len(lost) == len(CLASSIFIERS) else f" with {_joined([CLASSIFIERS[key] for key in lost])}"
        found.append(f"Do not use it for this{names}: {' or '.join(best)} serve better.")
    if won:
        found.append(f"Its series serve {_joined([CLASSIFIERS[key] for key in won])} best.")
    return found


def _rival_gain(scores: dict[str, Score], key: str) -> float | None:
    """What lightly changed real series add to the accuracy, `None` where that was not measured."""
    if f"rival_{key}" in scores:
        return scores[f"rival_{key}"]["mean"]
    return scores[f"gain_{key}"].get("warped")


def _listed(gains: dict[str, float]) -> str:
    return _joined([f"{gain:+.1%} for {CLASSIFIERS[key]}" for key, gain in gains.items()])


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
