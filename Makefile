# What a developer types. Everything but install happens in .venv and build/, which git ignores; nothing needs root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where install puts the commands: links in bin/, what they need in lib/vmcontroller/.
PREFIX ?= $(HOME)/.local
COMMANDS := vmcontroller vmcontroller-guest vmwrapper job-xml

define CHECK_PYTHON
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is missing or older than 3.11; name another: make PYTHON=python3.12" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip' || \
		{ echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help demo demo-vm install uninstall test test-vm test-virtualbox lint bench bench-vm docs clean

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## run a physics job in a VM and show every phase; DEMO="--example python" runs the second example
	@$(BIN)/python -m job_xml.examples.demo --cache build/pythia8mc $(DEMO)

demo-vm: $(VENV)/installed ## the same job in a Debian guest under QEMU, whose image is built first; DEMO as above
	@$(BIN)/python -m job_xml.examples.demo --cache build/pythia8mc --hypervisor qemu --images build/vm \
		--keep build/demo-vm $(DEMO)

install: ## put the commands on your PATH, into ~/.local/bin; PREFIX=/some/where puts them into its bin
	$(CHECK_PYTHON)
	$(PYTHON) -m venv --clear $(PREFIX)/lib/vmcontroller
	@rm -rf build/lib # what an earlier version had and this one has not would be installed, too
	$(PREFIX)/lib/vmcontroller/bin/python -m pip install --quiet --disable-pip-version-check .
	@mkdir -p $(PREFIX)/bin
	@for name in $(COMMANDS); do ln -sf ../lib/vmcontroller/bin/$$name $(PREFIX)/bin/$$name; done
	@echo "$(COMMANDS) are in $(PREFIX)/bin"
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; \
		*) echo "it is not on your PATH yet; add this line to ~/.profile:  export PATH=\"$(PREFIX)/bin:\$$PATH\"" ;; esac

uninstall: ## remove what install has made; VMs and results stay in their state directory
	rm -rf $(PREFIX)/lib/vmcontroller $(addprefix $(PREFIX)/bin/,$(COMMANDS))

test: lint ## check and test everything; TESTS=tests/wrapper tests a part
	$(BIN)/python -m pytest $(TESTS)

test-vm: $(VENV)/installed-test ## test with real VMs: QEMU and libvirt, and a guest image that is built for it
	$(BIN)/python -m pytest tests/vm

test-virtualbox: $(VENV)/installed-test ## test with a real VirtualBox, which is put into a chroot; needs root
	$(BIN)/python tests/virtualbox/chroot.py test

lint: $(VENV)/installed-test ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed-test ## measure, beside other programs where they are installed
	$(BIN)/python -m tests.bench

bench-vm: $(VENV)/installed-test ## the same with real VMs in QEMU, beside ssh and qemu-guest-agent in the same guest
	$(BIN)/python -m tests.bench.vm

docs: $(VENV)/installed ## make the generated pages of docs/reference again
	$(BIN)/python docs
	$(BIN)/job-xml doc > docs/reference/job-xml.md
	$(BIN)/job-xml schema > job_xml/schema/job.xsd

clean: ## remove what make has made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis bench-results.json bench-vm-results.json

$(VENV)/installed: $(VENV)/made setup.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@# libvirt's binding has to be compiled: only where that can be done.
	@! pkg-config --exists libvirt 2> /dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[libvirt]' || true
	@touch $@

$(VENV)/made:
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	@touch $@
