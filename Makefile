# lvr: the one front door for people and for CI. `make help` lists the targets.
# `make demo` and `make test` work as the first command after a clone; every step is skipped when nothing changed.

.DEFAULT_GOAL := help
.PHONY: help deps debian build native proto demo test test-kernel vm check bench soak clean
.DELETE_ON_ERROR:

# Debian packages: building the addon, and everything the tests, the demo and the benchmark run against.
DEBIAN_PACKAGES = g++ make python3 liburing-dev libblkid1 util-linux strace \
  nbdkit libnbd-bin python3-libnbd qemu-utils qemu-system-common qemu-system-x86 fio fuse3 e2fsprogs xfsprogs \
  busybox-static kmod cpio xz-utils iproute2 dmsetup drbd-utils procps eatmydata libeatmydata1 \
  clang libclang-rt-dev

BIN := node_modules/.bin
NPM_STAMP := node_modules/.package-lock.json
TS_STAMP := dist/.stamp
NATIVE_STAMP := native/build/.stamp
TS_SOURCES := $(shell find src test -name '*.ts' -o -name '*.gen.js')
NATIVE_SOURCES := $(wildcard native/*.cc native/*.c native/*.h native/binding.gyp)
# Headers beside the running node (offline build); empty: node-gyp fetches them.
NODE_PREFIX := $(shell p=$$(dirname $$(dirname $$(readlink -f $$(command -v node)))); [ -e $$p/include/node/node_api.h ] && echo $$p)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: debian $(NPM_STAMP) ## install Debian packages (as root) and npm packages

debian:
	@command -v dpkg-query >/dev/null || { echo 'not Debian: install yourself: $(DEBIAN_PACKAGES)'; exit 0; }; \
	missing=''; for p in $(DEBIAN_PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ]; then export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -q && apt-get install -qy --no-install-recommends $$missing; \
	else echo "not root, so these Debian packages stay missing:$$missing"; fi

$(NPM_STAMP): package-lock.json
	npm ci --no-fund --no-audit
	@touch $@

build: deps $(NATIVE_STAMP) $(TS_STAMP) ## compile TypeScript to dist/ and the addon in native/

native: deps $(NATIVE_STAMP) ## compile the addon only

$(TS_STAMP): $(TS_SOURCES) package.json tsconfig.json $(NPM_STAMP)
	$(BIN)/tsc -p .
	@for b in lvr:cli lvrd:agent; do main=dist/src/$${b#*:}/main.js; \
	  [ ! -e $$main ] || { chmod +x $$main && ln -sf ../../$$main $(BIN)/$${b%:*}; }; done
	@touch $@

$(NATIVE_STAMP): $(NATIVE_SOURCES) $(NPM_STAMP)
	[ ! -e native/binding.gyp ] || $(BIN)/node-gyp rebuild --directory native --loglevel warn $(if $(NODE_PREFIX),--nodedir=$(NODE_PREFIX))
	@mkdir -p $(@D) && touch $@

# The generated wire code is committed; `make check` fails when it is not what the .proto gives. WIRE_DIRECTORY is where it goes.
WIRE_DIRECTORY := src/format
PBJS_FLAGS := -t static-module -w es6 --es6 --force-number --no-create --no-convert --no-typeurl --no-verify --no-delimited --no-service \
  --dependency protobufjs/minimal.js
proto: $(NPM_STAMP) ## regenerate src/format/wire.gen.js and .d.ts from wire.proto
	$(BIN)/pbjs $(PBJS_FLAGS) -o $(WIRE_DIRECTORY)/wire.gen.js src/format/wire.proto
	$(BIN)/pbts -o $(WIRE_DIRECTORY)/wire.gen.d.ts $(WIRE_DIRECTORY)/wire.gen.js
	@sed -i '1s|"protobufjs"|"protobufjs/minimal.js"|' $(WIRE_DIRECTORY)/wire.gen.d.ts

demo: build ## two agents, two file systems, a crash and a failover, in a minute
	@$(BIN)/lvr demo

test: build ## everything this machine can test; ONLY=nbd runs the files whose path contains "nbd"
	@node dist/test/run.js $(ONLY)

test-kernel: build ## only what a real kernel shows: crash images of a real process, and virtual machines with Debian's kernel
	@node dist/test/run.js crash/process crash/files kernel/

vm: build ## a shell in such a machine; MEMORY=2048 DISK=file (seen as /dev/vda)
	@MEMORY=$(MEMORY) DISK=$(DISK) node dist/test/kernel/vm/shell.js

check: build ## static checks only: types, formatting, lint, unused code, house rules
	@node dist/test/run.js --static

bench: build ## lvr beside nbdkit, qemu-nbd and a qemu quorum; ROUNDS=3 SECONDS=3 ONLY=B1,B4
	@ROUNDS=$(ROUNDS) SECONDS=$(SECONDS) ONLY=$(ONLY) node dist/test/bench/bench.js

HOURS ?= 1
soak: build ## simulator and fuzz targets with fresh seeds for HOURS=1, two processes; stops by itself or at the first violation
	@node dist/test/sim/soak.js $(HOURS)

clean: ## remove what was built (packages stay)
	rm -rf dist native/build .cache .tap bench.json
