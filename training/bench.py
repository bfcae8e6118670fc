"""What training and sampling cost, as ratios to a reference: `python training/bench.py --against reference.py`.

Every measurement is a process of its own, and those of the two sides take turns, so that what the machine does besides
falls on both. Prints a table, and writes it with every single figure as JSON.
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

from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel
from ncvqvae.augmentations import augment
from ncvqvae.cli import run
from ncvqvae.memory import keep_freed_memory
from ncvqvae.precision import autocast


LENGTH, WARM, STEPS = 500, 2, 5  # FordA's samples; steps before the clock starts, and on it
VIEWS = ["window_warp", "amplitude_resize"]
NOISY = 0.15  # spread of one side between its turns, beyond which the machine is said to be noisy


def clock(step: Callable[[], object]) -> float:
    """Median seconds of a step."""
    seconds = []
    for _ in range(WARM + STEPS):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM:])


def training_step(model: torch.nn.Module, inputs: dict) -> Callable[[], None]:
    """A step as `ncvqvae.training` takes it on this machine, in bfloat16 where the hardware has it."""
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


def stage1(objective: str) -> float:
    config = NCVQVAEConfig(length=LENGTH, ssl_objective=objective)
    values = torch.randn(128, 1, LENGTH)
    views = {"values": values, "augmented_values": values + 0.05 * torch.randn_like(values)}
    return clock(training_step(NCVQVAEForPreTraining(config), views))


def prior() -> MaskGITForTimeSeriesGeneration:
    tokenizer = NCVQVAEModel(NCVQVAEConfig(length=LENGTH)).eval()
    return MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, id2label={0: "a", 1: "b"})


def stage2() -> float:
    model = prior()
    codes, labels = torch.randint(32, (256, model.num_codes)), torch.randint(2, (256,))
    return clock(training_step(model, {"codes": codes, "labels": labels}))


def sampling(guidance: float) -> float:
    model = prior().eval()
    return clock(lambda: model.generate(256, labels=1, num_steps=10, choice_temperature=4.0, guidance_scale=guidance))


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


def main(options: argparse.Namespace) -> None:
    if not Path(options.against).is_file():
        raise ValueError(f"there is no file {options.against}; name the reference with --against")
    here, figures = str(Path(__file__)), {}
    for _ in range(options.turns):
        for what in ("step", "sample"):
            figures.setdefault(f"reference {what}", []).append(measured(options.against, what))
        figures.setdefault("reference stage-2", []).append(measured(here, "--reference-stage-2", options.against))
        for name in OURS:
            figures.setdefault(name, []).append(measured(here, "--one", name))
        for module in ("transformers", "ncvqvae"):
            figures.setdefault(f"import {module}", []).append(imports(module))
    median = {name: statistics.median(values) for name, values in figures.items()}
    spread = {name: (max(values) - min(values)) / median[name] for name, values in figures.items()}
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {options.turns} turns\n")
    print("| work | median | spread | reference | ratio | wanted |\n|---|---|---|---|---|---|")
    for name, value in median.items():
        unit = "MB" if name.startswith("memory") else "s"
        row = f"| {name} | {value:.3g} {unit} | {spread[name]:.0%} |"
        if name in AGAINST:
            other, wanted = AGAINST[name]
            reference = median[f"reference {other}"]
            row += f" {reference:.3g} s | {reference / value:.1f} | {wanted} |"
        else:
            row += " | | |"
        print(row)
    share = median["views of 128"] / median["stage-1 step, barlow_twins"]
    print(f"\nViews take {share:.1%} of a stage-1 step (wanted: under 3 %).")
    if noisy := [name for name in AGAINST if spread[name] > NOISY]:
        print(f"This machine is noisy: {', '.join(noisy)} vary by more than {NOISY:.0%} from turn to turn.")
    partial = Path(f"{options.out}.partial")
    partial.write_text(json.dumps({"figures": figures, "torch": torch.__version__, "cores": os.cpu_count()}, indent=1))
    partial.replace(options.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--against", metavar="FILE", default="", help="the reference: prints what a step costs")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="of the two sides (default: 3)")
    parser.add_argument("--out", default="bench.json", metavar="FILE", help="every figure (default: bench.json)")
    parser.add_argument("--one", choices=OURS, help="measure this alone, here, and print it as JSON")
    parser.add_argument("--reference-stage-2", metavar="FILE", help="likewise, the reference's stage-2 step")
    return parser


if __name__ == "__main__":
    options = _parser().parse_args()
    if options.one or options.reference_stage_2:
        seconds = OURS[options.one]() if options.one else reference_stage2(options.reference_stage_2)
        print(json.dumps({"seconds": seconds}))
    else:
        sys.exit(run(main, options, "bench"))
