"""What the archive's numbers of classes stand for, where its descriptions say it (timeseriesclassification.com)."""

MEANINGS = {
    "CBF": {"1": "cylinder", "2": "bell", "3": "funnel"},
    "GunPoint": {"1": "gun", "2": "point"},
    "ItalyPowerDemand": {"1": "October to March", "2": "April to September"},
    "SyntheticControl": {
        "1": "normal",
        "2": "cyclic",
        "3": "increasing trend",
        "4": "decreasing trend",
        "5": "upward shift",
        "6": "downward shift",
    },
}


def explained(dataset: str | None, name: str) -> str:
    """The name of a class with its meaning, such as `"2 (point)"`; the name alone where none is known."""
    meaning = MEANINGS.get(dataset or "", {}).get(name)
    return f"{name} ({meaning})" if meaning else name
