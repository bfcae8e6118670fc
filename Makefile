DATASET ?= GunPoint
UCR ?=
RECIPE ?= training/recipes/demo.yaml

.PHONY: setup demo test style quality clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --upgrade pip
	.venv/bin/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

demo: setup
	.venv/bin/ncvqvae train $(DATASET) --recipe $(RECIPE) $(if $(UCR),--data-dir $(UCR)) --figures .

test: setup
	.venv/bin/python -m pytest $(PYTEST)

style: setup
	.venv/bin/ruff check --fix --quiet .
	.venv/bin/ruff format --quiet .

quality: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

clean:
	rm -rf .venv runs ncvqvae-*/ samples.png reconstructions.png training.png
