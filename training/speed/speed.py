"""What training and sampling cost, as ratios to a reference: `python training/speed/speed.py --against REFERENCE`.

Every measurement is a process of its own, and those of the two sides take turns, so that what the machine does besides
falls on both. Prints a table, and how cost grows (`growth.py`), draws that, and writes every figure as JSON.
Without a reference it measures this side alone.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

import growth
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel
from ncvqvae.cli.__main__ import run
from ncvqvae.models.precision import autocast
from ncvqvae.runtime import keep_freed_memory, whole_file
from ncvqvae.training.augmentations import augment


LENGTH, WARM, STEPS = 500, 2, 5  # FordA's samples; steps before the clock starts, and on it
VIEWS = ["window_warp", "amplitude_resize"]
NOISY = 0.15  # spread of one side between its turns, beyond which the machine is said to be noisy


def clock(step: Callable[[], object], warm: int = WARM, steps: int = STEPS) -> float:
    """Median seconds of a step."""
    seconds = []
    for _ in range(warm + steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[warm:])


def training_step(model: torch.nn.Module, inputs: dict) -> Callable[[], None]:
    """A step as `ncvqvae.training.loop` takes it on this machine, in bfloat16 where the hardware has it."""
    keep_freed_memory()
    model.train().to(memory_format=torch.channels_last)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, generator = torch.optim.AdamW(parameters, 1e-3, fused=True), torch.Generator()

    def step() -> None:
        with autocast(torch.device("cpu"), "auto"):
            loss = model(**inputs, generator=generator).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def stage1(objective: str, length: int = LENGTH, batch: int = 128, **clocked: int) -> float:
    config = NCVQVAEConfig(length=length, ssl_objective=objective)
    values = torch.randn(batch, 1, length)
    views = {"values": values, "augmented_values": values + 0.05 * torch.randn_like(values)}
    return clock(training_step(NCVQVAEForPreTraining(config), views), **clocked)


def prior(n_fft: int = 8) -> MaskGITForTimeSeriesGeneration:
    tokenizer = NCVQVAEModel(NCVQVAEConfig(length=LENGTH, n_fft=n_fft)).eval()
    return MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, id2label={0: "a", 1: "b"})


def stage2(n_fft: int = 8, **clocked: int) -> float:
    model = prior(n_fft)
    codes, labels = torch.randint(32, (256, model.num_codes)), torch.randint(2, (256,))
    return clock(training_step(model, {"codes": codes, "labels": labels}), **clocked)


def sampling(guidance: float, num_samples: int = 256, **clocked: int) -> float:
    """As `ncvqvae sample` does it, with the thesis' ten steps."""
    keep_freed_memory()
    model = prior().eval()
    settings = {"labels": 1, "num_steps": 10, "choice_temperature": 4.0, "guidance_scale": guidance}
    return clock(lambda: model.generate(num_samples, **settings), **clocked)


def views() -> float:
    values, generator = torch.randn(128, 1, LENGTH), torch.Generator().manual_seed(0)
    return clock(lambda: augment(values, VIEWS, generator))


def memory(num_samples: int) -> float:
    """Peak megabytes of the process, less the series that it returns."""
    values = prior().eval().generate(num_samples, num_steps=1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - values.nbytes / 2**20


def reference_stage2(file: str) -> float:
    """A step of the reference's prior that encodes its batch anew, with the reference's own parts, float32."""
    spec = importlib.util.spec_from_file_location("reference", file)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    tokenizer, values = reference.Stage1(LENGTH).eval(), torch.randn(256, LENGTH)
    size = tokenizer.encoder(tokenizer.spectrum(values[:1])).shape[2:].numel()
    model, labels = reference.Prior(size), torch.randint(2, (256,))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def step() -> None:
        with torch.no_grad():
            points = tokenizer.encoder(tokenizer.spectrum(values)).permute(0, 2, 3, 1).flatten(1, 2)
            codes = torch.cdist(points, tokenizer.codebook).argmin(-1)
        hidden = torch.rand(codes.shape) < 0.6
        optimizer.zero_grad()
        logits = model(codes.masked_fill(hidden, model.codes), labels)
        F.cross_entropy(logits.flatten(0, 1), codes.flatten()).backward()
        optimizer.step()

    return clock(step)


OURS = {
    "stage-1 step, barlow_twins": lambda: stage1("barlow_twins"),
    "stage-1 step, vibcreg": lambda: stage1("vibcreg"),
    "stage-2 step": stage2,
    "sampling 256, guidance 1": lambda: sampling(1.0),
    "sampling 256, guidance 2": lambda: sampling(2.0),
    "views of 128": views,
    "memory of 1000": lambda: memory(1000),
    "memory of 10000": lambda: memory(10000),
}
# The curves of `growth.py`.
FEW = {"warm": 1, "steps": 3}
POINTS = {
    "length": lambda size: stage1("barlow_twins", length=size, batch=16, **FEW),
    "batch": lambda size: stage1("barlow_twins", batch=size, **FEW),
    "series": lambda size: sampling(1.0, size, **FEW),
    "codes": lambda size: stage2(size, **FEW),
}
# What each is compared with, and the ratio that is wanted.
AGAINST = {
    "stage-1 step, barlow_twins": ("step", 4),
    "stage-1 step, vibcreg": ("step", 4),
    "stage-2 step": ("stage-2", 6),
    "sampling 256, guidance 1": ("sample", 10),
    "sampling 256, guidance 2": ("sample", 5),
}


def measured(*arguments: str) -> float:
    """Seconds, or megabytes, that a process of its own prints."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])["seconds"]


def imports(module: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - start


def measure(against: str, turns: int) -> dict[str, list[float]]:
    """Every figure of every turn, by what was measured."""
    here, figures = str(Path(__file__)), {}
    for _ in range(turns):
        if against:
            for what in ("step", "sample"):
                figures.setdefault(f"reference {what}", []).append(measured(against, what))
            figures.setdefault("reference stage-2", []).append(measured(here, "--reference-stage-2", against))
        for name in OURS:
            figures.setdefault(name, []).append(measured(here, "--one", name))
        for module in ("transformers", "ncvqvae"):
            figures.setdefault(f"import {module}", []).append(imports(module))
    return figures


def table(figures: dict[str, list[float]]) -> str:
    median = {name: statistics.median(values) for name, values in figures.items()}
    spread = {name: (max(values) - min(values)) / median[name] for name, values in figures.items()}
    lines = ["| work | median | spread | reference | ratio | wanted |", "|---|---|---|---|---|---|"]
    for name, value in median.items():
        unit = "MB" if name.startswith("memory") else "s"
        row = f"| {name} | {value:.3g} {unit} | {spread[name]:.0%} |"
        other, wanted = AGAINST.get(name, (None, None))
        if (reference := median.get(f"reference {other}")) is not None:
            row += f" {reference:.3g} s | {reference / value:.1f} | {wanted} |"
        else:
            row += " | | |"
        lines.append(row)
    share = median["views of 128"] / median["stage-1 step, barlow_twins"]
    more = median["memory of 10000"] - median["memory of 1000"]
    slower = median["import ncvqvae"] - median["import transformers"]
    lines += [
        f"\nViews take {share:.1%} of a stage-1 step (wanted: under 3 %).",
        f"Sampling 10000 series peaks {more:+.0f} MB from 1000, less what is returned (wanted: no more).",
        f"Importing ncvqvae takes {slower:+.2f} s from importing transformers (wanted: at most +0.3).",
    ]
    if noisy := [name for name in (*AGAINST, "reference step", "reference sample") if spread.get(name, 0) > NOISY]:
        lines.append(f"This machine is noisy: {', '.join(noisy)} vary by more than {NOISY:.0%} from turn to turn.")
    return "\n".join(lines)


def main(options: argparse.Namespace) -> None:
    if options.against and not Path(options.against).is_file():
        raise ValueError(f"there is no file {options.against}; name the reference with --against")
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {options.turns} turns\n", flush=True)
    figures = measure(options.against, options.turns)
    print(table(figures), flush=True)
    curves = growth.measure(str(Path(__file__)), options.against, measured)
    print(f"\n{growth.table(curves)}")
    growth.plot(curves, Path(options.out).with_suffix(".png"))
    facts = {"torch": torch.__version__, "cores": os.cpu_count(), "turns": options.turns}
    with whole_file(options.out) as partial:
        partial.write_text(json.dumps(facts | {"figures": figures, "growth": curves}, indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--against", metavar="FILE", default="", help="the reference: prints what a step costs")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="turns of the two sides (default: 3)")
    parser.add_argument("--out", default="bench.json", metavar="FILE", help="figures, and a PNG (default: bench.json)")
    parser.add_argument("--one", choices=OURS, help="measure this alone, here, and print it as JSON")
    parser.add_argument("--point", nargs=2, metavar=("CURVE", "SIZE"), help="likewise, one point of a curve")
    parser.add_argument("--reference-stage-2", metavar="FILE", help="likewise, the reference's stage-2 step")
    return parser


def here(options: argparse.Namespace) -> float | None:
    """What this process was asked to measure itself."""
    if options.one:
        return OURS[options.one]()
    if options.point:
        return POINTS[options.point[0]](int(options.point[1]))
    return reference_stage2(options.reference_stage_2) if options.reference_stage_2 else None


if __name__ == "__main__":
    options = _parser().parse_args()
    if (seconds := here(options)) is not None:
        print(json.dumps({"seconds": seconds}))
    else:
        sys.exit(run(main, options, "bench"))
