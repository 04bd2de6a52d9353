# Every chore in one command. `make run` and `make test` set up all they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PORT := $(or $(AFFECTD_MQTT__PORT),1883)
DATA ?= ../shared/data
ENCODER ?= $(DATA)/../encoder/whisper_tiny_en_encoder.npz
RECORDINGS := --ravdess $(DATA)/ravdess --ravdess-song $(DATA)/ravdess_song --cremad $(DATA)/cremad \
	--nemo $(DATA)/nemo --banglaser $(DATA)/banglaser --indian $(DATA)/indian_emospeech \
	--test-only $(DATA)/test_only/ased/clips.csv --test-only $(DATA)/test_only/polish_students/clips.csv \
	--test-only $(DATA)/test_only/emotiontts/clips.csv --encoder $(ENCODER) \
	--noise $(DATA)/noise/household --noise $(DATA)/noise/esc10 \
	--plain $(DATA)/plain_speech --rooms $(DATA)/rir/house* $(DATA)/rir/warehouse* \
	--tried-rooms $(DATA)/rir/seminar* $(DATA)/rir/piper__ir_bathroom1*
MUSIC := --music build/synthesised_music --tried-noise build/recorded_music

RUN_PACKAGES := libportaudio2
TEST_PACKAGES := $(RUN_PACKAGES) mosquitto mosquitto-clients pulseaudio pulseaudio-utils \
	libasound2-plugins pipewire pipewire-pulse wireplumber strace systemd fluidsynth timgm6mb-soundfont
# Scores and sound fonts that music is synthesised from, and recorded music that only tests.
MUSIC_PACKAGES := freedoom fluidsynth fluidr3mono-gm-soundfont musescore-general-soundfont-small \
	hyperrogue-music singularity-music
DEB_PACKAGES := dpkg-dev debhelper help2man python3 python3-venv
# The newest that runs on Debian 12's Node.js 18; Node-RED 5 needs Node.js 22.9.
NODE_RED := 4.1.15
FUZZ_S ?= 60
# Many tests wait for sound and brokers, so there are more of them at a time than cores.
WORKERS ?= --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: help run test lint format schemas docs fuzz bench hour soak kills privacy throughput wear browser nodered \
	homeassistant raspberrypi systemd evaluate gate ablate ancestor bundle wheel deb packagetest lifetest clean

help:  ## list the chores
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: $(VENV)/run.stamp  ## listen to the default microphone, or play the demo if there is none
	@$(call apt,$(RUN_PACKAGES))
	@if $(BIN)/affectd devices --json >/dev/null; then \
		if $(BIN)/python -c "import socket; socket.create_connection(('127.0.0.1', $(PORT)), 1)" \
			2>/dev/null; \
		then LD_BIND_NOW=1 $(BIN)/affectd run; else LD_BIND_NOW=1 $(BIN)/affectd run --broker embedded; fi; \
	else \
		echo "So here is the demo instead."; $(BIN)/affectd demo; \
	fi

test: lint  ## ruff, mypy and all tests
	@$(call apt,$(TEST_PACKAGES))
	$(BIN)/pytest $(WORKERS)

lint: $(VENV)/dev.stamp  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/run.stamp  ## write config/schema/ from the types in the code
	$(BIN)/python -m affectd.daemon.schemas config/schema

fuzz: $(VENV)/dev.stamp  ## messages that a fuzzer makes up, to a node (FUZZ_S=60 seconds)
	mkdir -p build/fuzz
	$(BIN)/python -m tests.fuzz.messages build/fuzz tests/fuzz/seeds -max_total_time=$(FUZZ_S) \
		-max_len=9000 -dict=tests/fuzz/messages.dict -artifact_prefix=build/

docs: $(VENV)/dev.stamp  ## build the documentation to build/site/index.html; a broken link ends it
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

bench: $(VENV)/dev.stamp  ## speed and memory, beside their targets and beside others (about 20 minutes)
	@$(call apt,$(TEST_PACKAGES))
	@$(BIN)/pip install --quiet --editable '.[dev,bench]' || echo "So the others are left out."
	$(BIN)/python -m benchmarks.pipeline --data $(DATA)

hour: $(VENV)/dev.stamp  ## are readings the same at a microphone's pace and as fast as it can (an hour)
	@$(call apt,$(TEST_PACKAGES))
	$(BIN)/python -m benchmarks.hour --data $(DATA)

soak: $(VENV)/dev.stamp  ## 100 failures of the microphone in a row (about 15 minutes)
	@$(call apt,$(TEST_PACKAGES))
	$(BIN)/python -m benchmarks.soak

kills: $(VENV)/dev.stamp  ## does every reading arrive, whatever is killed when? (3 minutes)
	@$(call apt,$(TEST_PACKAGES))
	$(BIN)/python -m benchmarks.kills

privacy: $(VENV)/dev.stamp  ## does audio leave the process, and is any left after a pause? (as root; a minute)
	@$(call apt,$(TEST_PACKAGES))
	$(BIN)/pytest tests/test_privacy.py

throughput: $(VENV)/dev.stamp  ## readings a second from 1, 10 and 100 nodes through one mosquitto
	@$(call apt,$(TEST_PACKAGES))
	$(BIN)/python -m benchmarks.throughput

browser: $(VENV)/dev.stamp  ## pages of `affectd report` in a real browser (2 minutes)
	@$(call apt,chromium chromium-driver)
	$(BIN)/pytest -m slow tests/report

nodered: $(VENV)/dev.stamp build/node-red/$(NODE_RED).stamp  ## the example flow in the real Node-RED (one minute)
	@$(call apt,$(TEST_PACKAGES))
	$(BIN)/pytest -m slow tests/node_red

homeassistant: $(VENV)/dev.stamp  ## the entities in two real Home Assistants (as root; 3 minutes, and as many to install)
	@$(call apt,$(TEST_PACKAGES) debootstrap)
	for version in 2026.11.0 2024.11.3; do \
		HOME_ASSISTANT=$$version tests/home_assistant/tree.sh make || exit 1; done
	$(BIN)/pytest -m slow tests/home_assistant

raspberrypi: $(VENV)/dev.stamp  ## readings on the Debians of Raspberry Pis, under QEMU (as root; 30 to 50 minutes)
	@$(call apt,$(TEST_PACKAGES) debootstrap qemu-user-static)
	$(BIN)/pytest -s -m "slow or not slow" tests/raspberry_pi

wear: $(VENV)/dev.stamp  ## bytes written to an SD card a day (as root; 15 minutes)
	@$(call apt,$(TEST_PACKAGES))
	$(BIN)/python -m benchmarks.wear

systemd: $(VENV)/dev.stamp  ## the unit under a real systemd, in namespaces (as root; 3 minutes)
	@$(call apt,$(TEST_PACKAGES) iproute2)
	$(BIN)/pytest -m slow -rP tests/systemd

evaluate: $(VENV)/dev.stamp  ## figures on unseen voices and corpora, three seeds (2 hours on 2 cores)
	$(BIN)/affectd train evaluate $(RECORDINGS)

gate: $(VENV)/dev.stamp build/recorded_music  ## what of noise, music and speech the gate lets through (25 minutes)
	$(BIN)/affectd train gate $(RECORDINGS) $(MUSIC)

ablate: $(VENV)/dev.stamp  ## what each ingredient of the recipe brings (an hour and a half on 2 cores)
	$(BIN)/affectd train ablate $(RECORDINGS) --seeds 1

ancestor: $(VENV)/dev.stamp  ## what a random split of oversampled clips pretends
	$(BIN)/affectd train ancestor --ravdess $(DATA)/ravdess

bundle: $(VENV)/dev.stamp  ## write models/ of what evaluate and gate have fitted, and the demo's recordings
	$(BIN)/affectd train demo --cremad $(DATA)/cremad --to models/demo
	$(BIN)/affectd export --to models

build/node-red/$(NODE_RED).stamp:
	@command -v npm >/dev/null || { $(call apt,nodejs npm); }
	npm install --prefix build/node-red --no-save --no-audit --no-fund node-red@$(NODE_RED)
	@touch $@

build/recorded_music: | $(VENV)/dev.stamp
	@$(call apt,$(MUSIC_PACKAGES))
	$(BIN)/affectd train music --to build/synthesised_music
	@mkdir -p $@.part
	@ln -sfn /usr/share/hyperrogue/music $@.part/hyperrogue
	@ln -sfn /usr/share/games/singularity/music $@.part/singularity
	@mv $@.part $@

deb: wheel  ## build dist/affectd_*.deb with all it needs but Python and PortAudio (on Debian; 1 minute)
	@$(call apt,$(DEB_PACKAGES))
	packaging/deb.sh $$(ls -t dist/affectd-*.whl | head -n 1)

packagetest: deb $(VENV)/dev.stamp  ## the Debian package in a clean Debian and under systemd (as root; 9 minutes)
	@$(call apt,$(TEST_PACKAGES) debootstrap lintian)
	$(BIN)/pytest -m slow tests/install

lifetest: deb $(VENV)/dev.stamp  ## the package on a fresh Debian under systemd, from installation to removal (as root; 3 minutes)
	@$(call apt,$(TEST_PACKAGES) debootstrap)
	$(BIN)/pytest -m slow tests/install/test_whole_life.py

wheel: | $(BIN)/pip  ## build dist/affectd-*.whl
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/run.stamp: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[broker]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/run.stamp

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v[:2] < (3, 14))' || \
		{ echo "affectd needs Python 3.11 to 3.13, $(PYTHON) is `$(PYTHON) --version`;" \
		"name another one with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call apt,python3-venv); }
	$(PYTHON) -m venv $(VENV)

# Install those Debian packages that are missing; do nothing where there is no apt.
define apt
	missing=$$(for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null; then \
		echo "Installing Debian packages:" $$missing; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; \
	fi
endef
