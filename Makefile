# The commands of this repository; `make help` lists them.
#
# They need git, make and a Python of 3.11 or newer, and live in .venv. To choose the Python:
# make PYTHON=python3.12 run

VENV := .venv
LOCK := requirements.txt
LOCK_DEV := requirements-dev.txt
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--custom-compile-command "make lock"

# `python` in dvc.yaml is the one of .venv.
export PATH := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))/bin:$(PATH)
export DVC_NO_ANALYTICS := true
export GX_ANALYTICS_ENABLED := false
# Without bytecode a `dvc repro` with nothing to do takes 3.6 s instead of 1.1 s.
unexport PYTHONDONTWRITEBYTECODE

PY := "$(VENV)/bin/python"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install install-dev run table test lint format hooks lock benchmarks pictures clean \
	serve migrate release promote rollback versions

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

install: ## Make .venv with what the pipeline needs
	@sh .ci/install "$(VENV)" "$(PYTHON)" $(LOCK)

install-dev: ## Make .venv with what tests, checks and benchmarks need as well
	@sh .ci/install "$(VENV)" "$(PYTHON)" $(LOCK) $(LOCK_DEV)

run: install ## Run what has changed of the pipeline, then show the results
	@$(PY) -m stages.common.sections
	@$(PY) -m dvc repro
	@$(PY) -m versions.report

table: install ## Show the results of the last run again
	@$(PY) -m versions.report

.PHONY: data-docs experiments search
data-docs: install ## Write what every expectation found to great_expectations/uncommitted/data_docs
	@mkdir -p great_expectations/uncommitted/data_docs
	@$(PY) -m stages.validate
	@$(PY) -m stages.validate_datasets

experiments: install ## Compare experiments; ARGS go to `dvc exp show`, such as --all-commits
	@$(PY) -m versions.experiments $(ARGS)

search: install ## Search better params for HORIZON in TRIALS experiments (docs/experiments.md)
	@$(PY) -m versions.search "$(HORIZON)" $(if $(TRIALS),--trials $(TRIALS)) $(ARGS)

.PHONY: remote s3 s3-stop push pull heal
remote: install ## Point the S3 remote at URL=s3://bucket/path, with ENDPOINT=https://... if not AWS
	@$(PY) -m versions.remote set "$(URL)" --endpoint "$(ENDPOINT)"

s3: install ## Start an S3 server on this machine, and point the remote at it
	@$(PY) -m versions.s3 start

s3-stop: install ## Stop the server of `make s3`; its data stay in var/s3
	@$(PY) -m versions.s3 stop

push: install ## Push data and models to the remote; ARGS name some outputs
	@$(PY) -m versions.remote push $(ARGS)

pull: install ## Pull data and models from the remote; ARGS name some outputs
	@$(PY) -m versions.remote pull $(ARGS)

heal: install ## Find what is broken in the remote and write it anew
	@$(PY) -m versions.remote heal

.PHONY: refresh
refresh: install ## Move data.as_of: make refresh AS_OF=2013-02-28 [KEEP=models], then show what changed
	@$(PY) -m versions.refresh $(AS_OF) $(if $(KEEP),--keep "$(KEEP)") $(ARGS)

# Four for two cores: tests wait for the processes that they start.
PYTEST := -m pytest -n 4 --dist worksteal
.PHONY: test-slow test-all coverage
test: install-dev ## Run the tests but for the slow ones; ARGS go to pytest
	@$(PY) $(PYTEST) -m 'not slow' $(ARGS)

test-slow: install-dev ## Run the slow tests: whole pipelines, the browser, the simulation
	@$(PY) $(PYTEST) -m slow $(ARGS)

test-all: install-dev ## Run all tests, with more kills, more rounds, more random examples
	@CI_FULL=1 $(PY) $(PYTEST) $(ARGS)

coverage: install-dev ## Run the test suite and show which lines it does not reach
	@mkdir -p var/coverage
	@$(PY) -m coverage erase
	@$(PY) -m coverage run $(PYTEST) $(ARGS)
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report

lint: install-dev ## Check style, types, who imports whom, workflows and scripts
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@"$(VENV)/bin/lint-imports" --no-cache
	@"$(VENV)/bin/shellcheck" $(filter-out %.py,$(wildcard .ci/*))
	@"$(VENV)/bin/actionlint" .github/workflows/*.yml

format: install-dev ## Mend what the linter can mend, and format
	@$(PY) -m ruff check --fix --show-fixes .
	@$(PY) -m ruff format .

serve: install ## Serve forecasts of what is checked out; ARGS go to python -m serve
	@$(PY) -m serve $(ARGS)

migrate: install ## Bring the tables of the prediction log up to date; ARGS go to the command
	@$(PY) -m serve migrate $(ARGS)

.PHONY: monitor up demo-self-healing dashboard
monitor: install ## Watch, refresh and retrain when it is due; ARGS go to python -m monitor run
	@$(PY) -m monitor run $(ARGS)

dashboard: install ## Show the dashboard on localhost:8501; ARGS go to python -m dashboard
	@$(PY) -m dashboard $(ARGS)

up: install ## Run server, monitor and dashboard together; one Ctrl-C ends all three
	@$(PY) -m monitor up

demo-self-healing: install ## Show the whole loop on past data: drift, gates, rollback (docs/self-healing.md)
	@$(PY) -m monitor simulate --small --step 50 --from 2011-01-03 --to 2011-12-28 --name demo --seed 1 \
		--faults drift@2011-03-16,bad-challenger@2011-06-01,turning-challenger@2011-07-01 $(ARGS)

hooks: install ## Let data and models follow git checkout and git push; check each commit
	@sh .ci/hooks "$(VENV)"

release: install ## Register the checked-out revision as the next version; HORIZON= [BUMP=minor]
	@$(PY) -m versions.release register "$(HORIZON)" --bump "$(or $(BUMP),minor)"

promote: install ## Put a version into a stage; HORIZON= VERSION= [STAGE=production]
	@$(PY) -m versions.release promote "$(HORIZON)" "$(VERSION)" --stage "$(or $(STAGE),production)"

rollback: install ## Put the former version of a stage back; HORIZON= [STAGE=production]
	@$(PY) -m versions.release rollback "$(HORIZON)" --stage "$(or $(STAGE),production)"

versions: install ## List the versions with their stages and metrics; ARGS=--json for programs
	@$(PY) -m versions.release versions $(ARGS)

lock: install ## Compile the locks anew from their requirements*.in
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@$(PY) -m $(COMPILE) requirements.in -o $(LOCK)
	@$(PY) -m $(COMPILE) requirements-dev.in -o $(LOCK_DEV)
	@$(PY) -m $(COMPILE) benchmarks/peers/requirements.in -o benchmarks/peers/requirements.txt

benchmarks: install-dev ## Measure stages and server against their peers; ARGS go to the benchmarks
	@$(PY) -m benchmarks $(ARGS)

pictures: install-dev ## Draw the plots into docs/pictures, or those of REVS into var/pictures
	@$(PY) docs/pictures.py $(if $(REVS),var/pictures $(REVS))

.PHONY: screenshots
screenshots: install-dev ## Photograph the dashboard into docs/pictures; needs chromium
	@$(PY) docs/screenshots.py

clean: ## Remove .venv and caches; data, models and the DVC cache stay
	@rm -rf "$(VENV)" .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
