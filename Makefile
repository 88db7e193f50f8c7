# Everything here needs Python 3.11 to 3.13 and make; the rest is installed from the lock files.
#
#   PYTHON=python3.12   another interpreter
#   UV=uv               a uv of your own in place of the locked one
#   TORCH=cpu           PyTorch without CUDA (requirements/install.sh); `make demo` and `make serve` take it
#                       by themselves on Linux without an NVIDIA driver, all others what is locked

PYTHON ?= python3
LOCKED_UV := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements/installer.txt)
PATH_UV := $(shell uv --version 2>/dev/null | cut -d ' ' -f 2)
# The uv on the PATH serves when it is the locked version; otherwise ours is installed beside us.
ifeq ($(PATH_UV),$(LOCKED_UV))
UV ?= uv
else
UV ?= .venv-uv/bin/uv
endif
ENV := .venv/.installed
BIN := .venv/bin

export UV_PYTHON_DOWNLOADS = never

.PHONY: help demo serve test test-lab test-services coverage test-browser test-milvus test-ray test-llm test-models bench bench-gate bench-gpu check audit sbom lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/make \1\t/p' Makefile

demo serve: TORCH ?= auto

demo: $(ENV)  ## draw a pool, index it, serve it, replay queries over HTTP and score them
	$(BIN)/tusou demo --dir demo-run

serve: $(ENV)  ## serve the demo: the search page is http://127.0.0.1:8000/
	test -e demo-run/bundle/CURRENT || $(BIN)/tusou demo --dir demo-run
	$(BIN)/tusou serve demo-run/bundle

# At most four processes: each holds PyTorch.
test: $(ENV)  ## run the tests of all but the lab
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal --ignore tests/tusou_lab

test-lab: $(ENV)  ## run the tests of the lab: data sets, evaluation, training, reports
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal tests/tusou_lab

test-services: $(ENV)  ## run the tests that start services and commands again and again: live changes, replicas, ladders
	$(BIN)/pytest -n auto --maxprocesses 2 --dist worksteal -m services

coverage: $(ENV)  ## run these three and measure branch coverage of tusou, client, indexer and service
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal --cov --cov-report=term --timeout 300 \
		-m "not (slow or weights or gpu or browser or milvus or ray or llm or models)"

CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

test-browser: $(ENV)  ## run the search page's tests in Chromium (SCREENSHOTS=docs/images takes the READMEs' anew)
	@test -n "$(CHROMIUM)" || { echo "Chromium is missing." >&2; \
		echo "On Debian: apt-get install chromium fonts-noto-cjk" >&2; exit 1; }
	$(BIN)/pytest tests/browser -m browser $(if $(SCREENSHOTS),--screenshots $(SCREENSHOTS))

MILVUS := .venv-milvus/.installed

test-milvus: $(MILVUS)  ## run the tests of searches on Milvus against servers of milvus-lite
	.venv-milvus/bin/pytest -n 2 --dist loadfile tests/milvus tests/contract -m milvus

RAY := .venv-ray/.installed

test-ray: $(RAY)  ## run the tests of encoding on Ray, with two nodes on this machine
	.venv-ray/bin/pytest tests/ray -m ray

LLM := .venv-llm/.installed

test-llm: $(LLM)  ## run the tests of reranking against a server of a small vision language model
	.venv-llm/bin/pytest tests/llm -m llm

MODELS := .venv-models/.installed

test-models: $(MODELS)  ## run the tests of models beside their own libraries, transformers and open_clip, and of ONNX
	.venv-models/bin/pytest -n 2 --dist worksteal tests/models -m models

bench: $(ENV)  ## measure speed beside stock cn_clip (QUICK=--quick for three rough minutes)
	$(BIN)/python -m benchmarks.performance $(QUICK); status=$$?; \
		$(BIN)/python -m benchmarks.page && exit $$status

bench-gate: $(ENV)  ## fail when Tusou has become more than 20 % slower relative to stock cn_clip and FAISS
	$(BIN)/python -m benchmarks.gate

bench-gpu:  ## measure what a CUDA device does (PYTHON=python of an environment with the extra `gpu`)
	$(if $(filter python3,$(PYTHON)),$(firstword $(wildcard $(BIN)/python) $(PYTHON)),$(PYTHON)) \
		-m benchmarks.gpu

check: $(ENV)  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

AUDIT := .venv-audit/.installed
LOCKS_TO_AUDIT := cpu gpu dev

audit: $(AUDIT)  ## ask for known weaknesses of every locked package (needs PyPI's own service)
	set -e; for lock in $(LOCKS_TO_AUDIT); do .venv-audit/bin/pip-audit --strict \
		--require-hashes --disable-pip --requirement requirements/$$lock.txt; done

sbom: $(AUDIT)  ## list every locked package, with hashes, in CycloneDX's form, into dist/
	mkdir -p dist
	set -e; for lock in $(LOCKS_TO_AUDIT); do .venv-audit/bin/cyclonedx-py requirements \
		requirements/$$lock.txt --output-file dist/sbom-$$lock.json; done

lock: $(filter .venv-uv/bin/uv,$(UV))  ## resolve the lock files again (UPGRADE=--upgrade for newer versions)
	$(LOCK) --group installer --output-file requirements/installer.txt
	$(LOCK) --group build --output-file requirements/build.txt
	$(LOCK) --group audit --output-file requirements/audit.txt
	$(LOCK) pyproject.toml --extra dev --output-file requirements/dev.txt
	$(SAME) --extra cpu --output-file requirements/cpu.txt
	$(SAME) --extra gpu --output-file requirements/gpu.txt
	$(SAME) --extra data --output-file requirements/data.txt
	$(SAME) --extra lab --output-file requirements/lab.txt
	$(SAME) --extra otel --output-file requirements/otel.txt
	$(SAME) --extra milvus --output-file requirements/milvus.txt
	$(LOCK) --group milvus-server --constraints requirements/dev.txt --constraints requirements/milvus.txt \
		--output-file requirements/milvus-server.txt
	$(SAME) --extra ray --output-file requirements/ray.txt
	$(SAME) --extra llm --output-file requirements/llm.txt
	$(SAME) --extra models --output-file requirements/models.txt
	$(SAME) --extra s3 --output-file requirements/s3.txt
	$(SAME) --output-file requirements/client.txt

LOCK = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --custom-compile-command "make lock" --quiet $(UPGRADE)
# What is tested is what is installed: the other locks take their versions from dev.txt.
SAME = $(LOCK) pyproject.toml --constraints requirements/dev.txt

clean:  ## remove what make installed and what the tools cached
	rm -rf .venv .venv-uv .venv-audit .venv-milvus .venv-ray .venv-llm .venv-models build dist demo-run .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.import_linter_cache

$(ENV): $(filter .venv-uv/bin/uv,$(UV)) pyproject.toml requirements/dev.txt requirements/build.txt \
		requirements/install.sh
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12" >&2; exit 1; }
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	sh requirements/install.sh $(UV) $(BIN)/python requirements/dev.txt $(TORCH)
	$(UV) pip install --quiet --python $(BIN)/python --no-deps \
		--build-constraints requirements/build.txt --require-build-hashes --editable .
	touch $@

# An environment with the packages of an extra beside those of the tests.
define EXTRA_ENV
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(@D)
	sh requirements/install.sh $(UV) $(@D)/bin/python requirements/dev.txt $(TORCH)
	$(UV) pip install --quiet --python $(@D)/bin/python --require-hashes \
		$(patsubst %,--requirement %,$(filter requirements/%,$^))
	$(UV) pip install --quiet --python $(@D)/bin/python --no-deps \
		--build-constraints requirements/build.txt --require-build-hashes --editable .
	touch $@
endef

$(MILVUS): $(ENV) requirements/milvus.txt requirements/milvus-server.txt
	$(EXTRA_ENV)

$(RAY): $(ENV) requirements/ray.txt
	$(EXTRA_ENV)

$(LLM): $(ENV) requirements/llm.txt
	$(EXTRA_ENV)

$(MODELS): $(ENV) requirements/models.txt
	$(EXTRA_ENV)

$(AUDIT): $(filter .venv-uv/bin/uv,$(UV)) requirements/audit.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-audit
	$(UV) pip sync --quiet --python .venv-audit/bin/python --require-hashes requirements/audit.txt
	touch $@

.venv-uv/bin/uv: requirements/installer.txt
	$(PYTHON) -m venv .venv-uv || { rm -rf .venv-uv; \
		echo "python -m venv failed. On Debian and Ubuntu: apt install python3-venv." >&2; \
		echo "Or use a uv you have: make UV=uv" >&2; exit 1; }
	.venv-uv/bin/python -m pip install --quiet --require-hashes -r requirements/installer.txt
	touch $@
