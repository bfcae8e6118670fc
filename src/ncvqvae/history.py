"""What a training measured."""

from dataclasses import dataclass, field


@dataclass
class History:
    """One row for each logged step, and one for each evaluation."""

    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
