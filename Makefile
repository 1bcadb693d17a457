# make run   the recorder on simulated hardware, from nothing
# make test  the whole check; make dev prepares .venv for working on the code
# make fuzz  looks for bytes that break a reader of them, MINUTES (10) long
# make image BOARD=generic-arm64   dist/*.img.zst, to be written to a card or disk
# make wheels   dist/*.whl for arm64 and x86-64, glibc and musl; make deb: dist/*.deb for Debian 12 and 13
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= var
MINUTES ?= 10
BOARD ?= board/virtual.toml
SOURCES := $(wildcard native/*.c native/*.h) pyproject.toml

.PHONY: run dev test nightly fuzz wheels deb image clean

run: $(VENV)/installed
	@exec $(BIN)/nvr run --board $(BOARD) --data $(DATA)

dev: $(VENV)/dev

test: $(VENV)/dev
	$(BIN)/python -X dev -m tests.check

nightly: $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group peer || true
	$(BIN)/python -m tests.nightly

fuzz: $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz || true
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

wheels: $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group wheel
	$(BIN)/python -m images.wheel

deb: $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group wheel
	$(BIN)/python -m images.deb

image: $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group wheel
	$(BIN)/python -m images.image $(notdir $(basename $(BOARD)))

# `nvr run` from a checkout uses the checkout's own code, so an edit needs no new install;
# only a change of the compiled part does.
$(VENV)/installed: $(SOURCES)
	@$(PYTHON) tests/preflight.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV), a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: $(VENV)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info nvr/*.so
