# Every target does its own set-up: Python 3.11 or newer and make are all it takes.

PORT ?= 8000
VENV := .venv
PYTHON := $(VENV)/bin/python

export PYTHONUNBUFFERED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test soak audit lint bench format requirements clean

demo: $(VENV)/run.stamp
	$(PYTHON) manage.py demo --port $(PORT)

# A data folder of its own: its PostgreSQL shares nothing with the one in use.
test: $(VENV)/dev.stamp
	COSTPRISM_DATA_DIR=var/test $(PYTHON) -m pytest -n 2 $(ARGS)

# Kills, outages and ten minutes of load, all measured: about half an hour.
soak: $(VENV)/dev.stamp
	COSTPRISM_DATA_DIR=var/test $(PYTHON) -m pytest -m soak $(ARGS)

# Asks the advisory database of PyPI about every dependency.
audit: $(VENV)/dev.stamp
	$(PYTHON) -m pip_audit --require-hashes --disable-pip -r requirements.txt

lint: $(VENV)/dev.stamp
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	COSTPRISM_DATA_DIR=var/test $(PYTHON) -m mypy

bench: $(VENV)/bench.stamp
	$(PYTHON) -m benchmarks $(ARGS)

format: $(VENV)/dev.stamp
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

# Away from this machine's own package sources, so that none of them gets into the files.
COMPILE := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND="make requirements" $(PYTHON) -m piptools compile --quiet --upgrade \
	--generate-hashes --strip-extras --allow-unsafe --no-annotate --no-emit-index-url \
	--no-emit-find-links

requirements: $(VENV)/dev.stamp
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml
	$(COMPILE) --extra bench --constraint requirements.txt --output-file requirements-bench.txt pyproject.toml

# Not var/: that is data.
clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/run.stamp: requirements.txt $(PYTHON)
$(VENV)/dev.stamp: requirements-dev.txt $(PYTHON)
$(VENV)/bench.stamp: requirements-bench.txt $(PYTHON)
$(VENV)/%.stamp:
	@echo "Installing $(filter %.txt,$^) into $(VENV)"
	@$(PYTHON) -m pip install --quiet --require-hashes -r $(filter %.txt,$^)
	@touch $@

# Tried out, not looked up: a name on the PATH may be a stub, or a Python without venv.
$(PYTHON):
	@for python in python3 python3.13 python3.12 python3.11 python3.14; do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then \
			echo "Making $(VENV) with $$($$python --version)"; \
			exec $$python -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "No Python 3.11 or newer with venv was found (on Debian: apt install python3-venv)" >&2; \
	exit 1
