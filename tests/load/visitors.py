"""Many visitors at once against the app: `python tests/load/visitors.py [VISITORS] [SECONDS]`. No part of pytest.

It serves the shipped checkpoint in a process of its own, and lets each visitor load, generate and reconstruct, one
after the other, as fast as they get answers. It prints how many answers came, the median and the slowest, whatever was
no answer, and every 20 seconds the memory of the server. It fails where a visitor got a trace, or where the memory
still grows: where the last third of the time needs over `GROWTH` more than the second.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[1]))

from gradio_client import Client

from helpers.places import MODEL_CARDS
from helpers.processes import served


EVERY, GROWTH = 20, 0.05


def memory(address: str) -> int:
    """MB that the process which listens at the address has."""
    port = f"{int(address.rsplit(':')[-1].strip('/')):04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    inode = next(line.split()[9] for line in lines if f":{port} 00000000:0000 0A" in line)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(f"socket:[{inode}]" == str(link.readlink()) for link in (process / "fd").iterdir()):
                return int((process / "statm").read_text().split()[1]) * 4096 // 2**20
        except OSError:
            continue
    return 0


def visit(address: str, until: float, seconds: dict[str, list[float]], said: Counter) -> None:
    client = Client(address, verbose=False, analytics_enabled=False, download_files=False)
    text = " ".join(str(random.random()) for _ in range(150))
    while time.monotonic() < until:
        inputs = random.choice(
            [
                {"api_name": "/load"},
                {"num_samples": 4, "seed": random.randrange(1000), "api_name": "/generate"},
                {"text": text, "api_name": "/reconstruct"},
            ]
        )
        begin = time.monotonic()
        try:
            client.predict(**inputs)
            seconds.setdefault(inputs["api_name"], []).append(time.monotonic() - begin)
        except Exception as error:
            said[f"{inputs['api_name']}: {str(error)[:150]}"] += 1
            time.sleep(1)


def grows(sizes: list[int]) -> bool:
    third = len(sizes) // 3
    return max(sizes[-third:]) > (1 + GROWTH) * max(sizes[third:-third])


def main(visitors: int = 50, duration: int = 120) -> int:
    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, "-u", "-m", "ncvqvae.cli", "demo", str(MODEL_CARDS / "ncvqvae-gunPoint")]
    seconds: dict[str, list[float]] = {}
    said: Counter = Counter()
    with served(command, folder / "log") as address:
        Client(address, verbose=False, download_files=False).predict(num_samples=1, api_name="/generate")
        start, sizes = time.monotonic(), [memory(address)]
        arguments = address, start + duration, seconds, said
        threads = [threading.Thread(target=visit, args=arguments, daemon=True) for _ in range(visitors)]
        for thread in threads:
            thread.start()
        while time.monotonic() < start + duration:
            time.sleep(EVERY)
            sizes.append(memory(address))
            answers = sum(map(len, seconds.values()))
            print(f"{time.monotonic() - start:4.0f} s: {answers} answers, {sizes[-1]} MB", flush=True)
        for thread in threads:
            thread.join(120)
        sizes.append(memory(address))
    for name, took in sorted(seconds.items()):
        print(f"{name}: {len(took)} answers, median {statistics.median(took):.1f} s, slowest {max(took):.1f} s")
    print(f"all: median {statistics.median([one for took in seconds.values() for one in took]):.1f} s")
    print(f"no answers: {dict(said)}")
    growing = grows(sizes)
    print(
        f"memory of the server in MB: {sizes}, " + ("still growing" if growing else "flat after a third of the time")
    )
    trace = "Traceback" in (folder / "log").read_text() or any("Traceback" in line for line in said)
    print("a trace: " + ("yes" if trace else "none"))
    subprocess.run(["rm", "-r", str(folder)], check=True)
    return int(trace or growing)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
