DATASET ?= GunPoint
UCR ?=
REFERENCE ?= $(wildcard ../shared/bench/reference.py)

.PHONY: setup demo test test-fast test-long test-peer test-lowest .venv-lowest .venv-newest bench browser style quality cards clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --upgrade pip
	.venv/bin/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

demo: setup
	.venv/bin/ncvqvae train $(DATASET) $(if $(RECIPE),--recipe $(RECIPE)) $(if $(UCR),--data-dir $(UCR)) --figures . \
	  $(if $(OVERWRITE),--overwrite)

# The browser test wants Debian's Chromium; where it cannot be installed the test is skipped and says so.
test: setup
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update \
	  && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core \
	  >/dev/null 2>&1; } || echo "no chromium: the browser test is skipped"
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --dist loadfile -m "not long" $(PYTEST)

# Whole sweeps, killed and elsewhere, and a compiler's run: minutes each.
test-long: setup
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m long $(PYTEST)

# Without those that take a browser, kills, two processes, clean environments, or more than ten seconds.
test-fast: setup
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --dist loadfile -m "not slow and not long" $(PYTEST)

# The tests that transformers runs on its own models, on ours; what of them is left out is counted, with its reason.
test-peer: setup
	if .venv/bin/python tests/peer/lay_out.py; then OMP_NUM_THREADS=1 .venv/bin/python -m pytest -o addopts= -q -rs \
	  --tb=short -n auto --dist loadscope tests/peer/prior.py tests/peer/stage1.py $(PYTEST); fi

# The inference install at the lowest and at the newest versions that pyproject.toml allows, whatever constraints.txt says:
# each has PyTorch as PyPI has it, 5 GB with CUDA. Then, with PEFT, what people do with any model.
test-lowest: .venv-lowest .venv-newest

FOR_TRIALS = "accelerate>=1.15,<2" "peft>=0.20,<1"
.venv-lowest: RESOLUTION = lowest-direct
.venv-newest: RESOLUTION = highest
.venv-lowest .venv-newest:
	python3 -m venv --clear $@
	$@/bin/pip install --quiet uv
	$@/bin/uv pip install --quiet --python $@/bin/python --resolution $(RESOLUTION) --only-binary :all: \
	  --no-binary ncvqvae --reinstall-package ncvqvae .
	OMP_NUM_THREADS=1 $@/bin/python tests/lowest.py model_cards/ncvqvae-gunPoint $@/checkpoints \
	  $(if $(filter lowest-direct,$(RESOLUTION)),--floors)
	$@/bin/uv pip install --quiet --python $@/bin/python --resolution $(RESOLUTION) --only-binary :all: $(FOR_TRIALS)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $@/bin/python -m trials model_cards/ncvqvae-gunPoint $@/checkpoints/*

# The page of spaces/ncvqvae-browser: onnxruntime-web, by npm, and the ONNX files of a checkpoint.
browser: setup
	.venv/bin/python spaces/ncvqvae-browser/build.py $(CHECKPOINTS)

# REFERENCE is a script that prints what the same work costs elsewhere, see training/speed/speed.py; without one there are no ratios.
bench: setup
	.venv/bin/python training/speed/speed.py --against "$(REFERENCE)"

style: setup
	.venv/bin/ruff check --fix --quiet .
	.venv/bin/ruff format --quiet .

quality: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# After a change of a model: the code beside the weights of every shipped checkpoint, its card and its report.
cards: setup
	.venv/bin/python -m ncvqvae.hub.refresh model_cards/*/

clean:
	rm -rf .venv .venv-lowest .venv-newest .peer runs ncvqvae-*/ samples.png reconstructions.png training.png bench.json bench.png
