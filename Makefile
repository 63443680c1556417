PROFILE ?= quick
CONFIG ?=
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
CORES ?= $(shell nproc)
export PATH := $(BIN):$(PATH)
export WANDB_MODE := disabled
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := true
export PYTHONPATH := $(CURDIR)
# Dozens of processes load the package: what Python compiles is kept, even where it is told not to.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: book archive test lab bench clean

book: $(VENV)/installed
	@snakemake --cores $(CORES) --nolock --rerun-incomplete --quiet all --config profile=$(PROFILE) $(CONFIG)
	@echo "The book is at $(CURDIR)/book/_build/html/index.html"

archive: book
	@snakemake archive --cores $(CORES) --nolock --rerun-incomplete --quiet all --config profile=$(PROFILE) $(CONFIG)
	@echo "The book and its notebooks in one file: $(CURDIR)/book/_build/featrack.zip"

test: $(VENV)/installed
	@python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# A double click opens a chapter as a notebook: said in a settings folder of the project's own.
# Chapters take all cores. Threads that wait soon leave theirs: a training alone takes a tenth longer
# so, and beside another run less than half as long.
LAB := $(CURDIR)/$(VENV)/etc/featrack-lab
lab: $(VENV)/installed
	@mkdir -p "$(LAB)/labconfig"
	@jupytext-config --settings-file "$(LAB)/labconfig/default_setting_overrides.json" set-default-viewer python > /dev/null
	@echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' > "$(LAB)/labconfig/page_config.json"
	@GOMP_SPINCOUNT=1000 JUPYTER_CONFIG_PATH="$(LAB)" JUPYTERLAB_SETTINGS_DIR="$(LAB)/settings" JUPYTERLAB_WORKSPACES_DIR="$(LAB)/workspaces" \
		jupyter lab notebooks --MappingKernelManager.root_dir="$(CURDIR)" $(LABFLAGS)

bench: $(VENV)/installed
	@for script in benchmarks/*.py; do python -m benchmarks.$$(basename $$script .py); done

# What an endpoint has answered was paid for: it stays.
clean:
	@test ! -d runs || find runs -mindepth 2 -maxdepth 2 ! -name answers -exec rm -rf {} +
	rm -rf book/executed book/_build book/_static/explorer/data .snakemake

# torch goes first and alone: its exact version takes the build without CUDA, which any looser
# requirement asked for before it would drag in.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "featrack needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked environment into $(VENV) (once, some minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' requirements.lock)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[test]'
	@touch $@
