# make            build $(BUILD)/kmsbeacon             make check    everything that must hold (installs what is missing)
# make demo       see it work on this machine          make lint     format, include direction, banned functions
# make unit       unit tests, ASan and UBSan           make itest    integration tests against real servers
# make faults     calls that fail, each in its turn    make replay   scripts over a played network, in virtual time
# make sim        the played machine itself            make chaos    whatever can go wrong, at random, in it (CHAOS_SEED=)
# make tidy       clang-tidy
# make fuzz       look for inputs that break a parser, FUZZ_SECONDS=10 for each of the targets
# make format     rewrite the sources with clang-format     make analyze  gcc -fanalyzer, clang --analyze, clang-tidy; minutes
# make valgrind   unit, sim, replay and integration tests under valgrind, an hour (VALGRIND="unit replay": only these)
# make coverage   which lines and branches the tests run, as a table (COVERAGE="unit faults": only those stages)
# make bench      figures beside other programs, as a table, about 9 minutes; BENCH_WRITE=1 keeps it in docs/benchmarks.md
# make install    program, manual pages, systemd units, bash completion below PREFIX (/usr/local); DESTDIR for packagers
# make uninstall  takes these away again; configuration and state stay
# make docs       manual pages and bash completion, below build/release/doc     make clean    takes build/ away
# make soak       relays, name servers and KMS hosts killed and restarted under load, SOAK_MINUTES=10
#
# V=1 shows whole commands. VARIANT picks flags and a folder: release (default, gcc), asan (clang, ASan and UBSan), clang (clang, -Werror),
# coverage (clang, counts which lines run).

VARIANT ?= release
BUILD   := build/$(VARIANT)
MODULES := common net publisher resolver kmscore daemon cli

ifeq ($(VARIANT),release)
CC      := gcc
OPT     := -O2 -g -D_FORTIFY_SOURCE=2
else ifeq ($(VARIANT),clang)
CC      := clang
OPT     := -O2 -g -Werror
else ifeq ($(VARIANT),asan)
CC      := clang
# fuzzer-no-link: counts edges for the fuzz targets, which so need no second library; a fifth more time for the other tests.
OPT     := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
else ifeq ($(VARIANT),coverage)
# %c: counted in a mapped file, so that a process that is killed counts too. %m: one file for each program.
CC      := clang
OPT     := -O1 -g -fno-omit-frame-pointer -fcoverage-mapping -mllvm -runtime-counter-relocation \
           -fprofile-instr-generate=$(CURDIR)/build/coverage/counts/%m%c.profraw
else
$(error VARIANT is release, clang, asan or coverage)
endif

# -fno-strict-aliasing: libuv's handle casts break the aliasing rules.
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes \
           -Wcast-qual -Wwrite-strings -Wformat=2 -Wvla -Wundef -Wimplicit-fallthrough -Wnull-dereference \
           -Werror=implicit -Werror=attributes
ifeq ($(CI),true)
WARN    += -Werror
endif
PKGS    := libuv ldns yaml-0.1 libcrypto sqlite3 jansson
CFLAGS  := -std=gnu17 $(OPT) $(WARN) -fno-strict-aliasing -fvisibility=hidden -fstack-protector-strong -fPIE \
           -D_GNU_SOURCE -I. $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(EXTRA_CFLAGS)
LDFLAGS := $(filter -fsanitize% -fprofile%,$(OPT)) -pie -Wl,-z,relro,-z,now
LDLIBS  := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lpthread

ifeq ($(V),1)
Q       :=
say      =
else
Q       := @
say      = @printf '  %-5s %s\n' $(1) $(2)
endif

.PHONY: all
all: $(BUILD)/kmsbeacon

include $(MODULES:%=%/module.mk) tests/module.mk

SRCS := $(foreach m,$(MODULES),$($(m)_SRCS))
MAIN := cli/main.c
OBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(MAIN),$(SRCS)))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libkmsbeacon.a: $(OBJS)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $(OBJS)

$(BUILD)/kmsbeacon: $(BUILD)/$(MAIN:.c=.o) $(BUILD)/libkmsbeacon.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

TESTLIB_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(TESTLIB_SRCS))
$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(TESTLIB_OBJS) $(BUILD)/libkmsbeacon.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
.PRECIOUS: $(BUILD)/%.o

.PHONY: unit-bins unit itest check lint tidy analyze format deps demo clean
unit-bins: $(UNIT_BINS)

unit:
	@$(MAKE) --no-print-directory VARIANT=asan unit-bins
	@tools/run-tests unit

# Slow, and what it finds the sanitizers mostly find too: no part of make check.
VALGRIND      ?= unit sim replay itest
.PHONY: valgrind
valgrind:
	@tools/deps build test valgrind
	@$(MAKE) --no-print-directory VARIANT=release all unit-bins sim-bins
	@bad=0; for what in $(VALGRIND); do echo "$$what:"; tools/run-tests --valgrind $$what || bad=1; done; exit $$bad

# Some ten minutes with all stages: no part of make check. It ends with 1 where a line has neither a test nor an answer.
.PHONY: coverage
coverage:
	@tools/deps build test coverage
	@tools/coverage $(COVERAGE)

itest: all
	@tools/run-tests itest

check:
	@tools/check

demo:
	@tools/demo

deps:
	@tools/deps build test

lint:
	@tools/lint

tidy:
	@tools/tidy $(SRCS)

# Each finding is mended or answered in tools/analyze-answers.txt. No part of make check: it takes minutes, and its answers hold for
# one version of gcc and clang.
analyze:
	@tools/analyze

format:
	clang-format -i $(SRCS) $(foreach m,$(MODULES),$(wildcard $(m)/*.h)) $(wildcard tests/*/*.[ch])

# What is installed besides the program is made by it, from the tables that its --help and its configuration come from.
PREFIX        ?= /usr/local
BINDIR        ?= $(PREFIX)/bin
MANDIR        ?= $(PREFIX)/share/man
DOCDIR        ?= $(PREFIX)/share/doc/kmsbeacon
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR       ?= $(PREFIX)/lib/systemd/system
UNITS         := $(wildcard configs/kmsbeacon.service configs/kmsbeacon.socket)

.PHONY: docs install uninstall
docs: $(BUILD)/kmsbeacon
	@mkdir -p $(BUILD)/doc
	$(Q)$< --manual >$(BUILD)/doc/kmsbeacon.1
	$(Q)$< check-config --manual >$(BUILD)/doc/kmsbeacon.yaml.5
	$(Q)$< --completion >$(BUILD)/doc/kmsbeacon.bash

install: all docs
	install -D -m 755 $(BUILD)/kmsbeacon $(DESTDIR)$(BINDIR)/kmsbeacon
	install -D -m 644 $(BUILD)/doc/kmsbeacon.1 $(DESTDIR)$(MANDIR)/man1/kmsbeacon.1
	install -D -m 644 $(BUILD)/doc/kmsbeacon.yaml.5 $(DESTDIR)$(MANDIR)/man5/kmsbeacon.yaml.5
	install -D -m 644 $(BUILD)/doc/kmsbeacon.bash $(DESTDIR)$(COMPLETIONDIR)/kmsbeacon
	install -D -m 644 configs/kmsbeacon.yaml $(DESTDIR)$(DOCDIR)/kmsbeacon.yaml
	install -d $(DESTDIR)$(UNITDIR)
	for u in $(notdir $(UNITS)); do sed 's,/usr/bin/kmsbeacon,$(BINDIR)/kmsbeacon,' configs/$$u >$(DESTDIR)$(UNITDIR)/$$u; done

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/kmsbeacon $(DESTDIR)$(MANDIR)/man1/kmsbeacon.1 $(DESTDIR)$(MANDIR)/man5/kmsbeacon.yaml.5 \
		$(DESTDIR)$(COMPLETIONDIR)/kmsbeacon $(DESTDIR)$(DOCDIR)/kmsbeacon.yaml \
		$(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(UNITS)))

clean:
	rm -rf build

print-%:
	@echo '$($*)'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
