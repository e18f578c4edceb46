# One program for each tests/unit/test_*.c; tests/lib holds what several of them share.
UNIT_SRCS     := $(sort $(wildcard tests/unit/test_*.c))
TESTLIB_SRCS  := $(sort $(wildcard tests/lib/*.c))
UNIT_BINS     := $(UNIT_SRCS:tests/unit/%.c=$(BUILD)/tests/%)

# Fuzzing: tests/fuzz/fuzz_NAME.c is a target, tests/fuzz/corpus/NAME/ its stored inputs (tools/fuzz).
# make fuzz FUZZ_SECONDS=10   looks for new inputs that long, for each target (FUZZ_TARGETS="a b": only those; FUZZ_JOBS at once)
# make fuzz-check             runs the stored inputs and a bounded number of random changes of them
FUZZ_SECONDS  ?= 10
FUZZ_SRCS     := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_TARGETS  ?= $(FUZZ_SRCS:tests/fuzz/fuzz_%.c=%)
export FUZZ_SECONDS

# cmocka only for what tests/lib needs
$(BUILD)/fuzzers/find_%: $(BUILD)/tests/fuzz/fuzz_%.o $(TESTLIB_SRCS:%.c=$(BUILD)/%.o) $(BUILD)/libkmsbeacon.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS) -lcmocka

# make fuzz-coverage          how much of its parsers each target reaches (tests/fuzz/README.md)
.PHONY: fuzz fuzz-bins fuzz-check fuzz-coverage
fuzz-bins: $(FUZZ_TARGETS:%=$(BUILD)/fuzzers/find_%)

fuzz fuzz-check:
	@$(MAKE) --no-print-directory VARIANT=asan fuzz-bins
	@tools/fuzz $(if $(filter fuzz,$@),find,check) $(FUZZ_TARGETS)

fuzz-coverage:
	@tools/deps build test coverage
	@$(MAKE) --no-print-directory VARIANT=coverage fuzz-bins
	@tools/fuzz coverage $(FUZZ_TARGETS)

# Benchmarks: a table against other programs in one run; never a pass or a failure (docs/benchmarks.md).
# BENCH_WRITE=1 make bench    also keeps the table there, and its picture
BENCH_TOOLS   := $(BUILD)/bench/delay $(BUILD)/bench/measure $(BUILD)/bench/echo $(BUILD)/bench/kmsload $(BUILD)/bench/presigned $(BUILD)/bench/rpchost
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

.PHONY: bench
bench:
	@tools/deps build bench
	@$(MAKE) --no-print-directory all $(BENCH_TOOLS)
	@BUILD=$(BUILD) tests/bench/bench.py

# The multi-host run in its long form (tests/soak/soak.py): faults under load for SOAK_MINUTES, then a table.
SOAK_MINUTES  ?= 10
.PHONY: soak
soak:
	@tools/deps build test
	@$(MAKE) --no-print-directory all
	@SOAK_MINUTES=$(SOAK_MINUTES) KMSBEACON=$(BUILD)/kmsbeacon tests/soak/soak.py

# Faults on purpose (tests/faults/fault.h): the library once more, with the calls that can fail renamed to those of fault_calls.c;
# and what plays a peer in a section of its own, by which its calls are told from ours. Counting edges gives each function its
# own section, which could not be renamed as one.
ifeq ($(VARIANT),asan)
$(BUILD)/tests/lib/%.o: CFLAGS += -fno-sanitize=fuzzer-no-link
$(TESTLIB_SRCS:%.c=$(BUILD)/%.o): tests/module.mk
endif
FAULT_SRCS    := $(sort $(wildcard tests/faults/test_*.c))
FAULT_BINS    := $(FAULT_SRCS:tests/faults/%.c=$(BUILD)/faults/%)
FAULT_LIB     := $(BUILD)/tests/faults/fault.o $(BUILD)/tests/faults/fault_calls.o $(BUILD)/tests/faults/fault_child.o
FAULT_FAKES   := $(filter-out %_fixture.c tests/lib/test_net.c tests/lib/pub_site.c,$(TESTLIB_SRCS))
FAULT_OTHERS  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(FAULT_FAKES),$(TESTLIB_SRCS)))

$(BUILD)/faults/calls: $(BUILD)/tests/faults/fault_calls.o
	@mkdir -p $(@D)
	$(Q)nm --defined-only $< | awk '/ T fault_call_/ { print substr($$3, 12), $$3 }' >$@

.SECONDARY: $(FAULT_FAKES:tests/lib/%.c=$(BUILD)/faults/lib/%.o)

$(BUILD)/faults/libkmsbeacon.a: $(BUILD)/libkmsbeacon.a $(BUILD)/faults/calls
	$(call say,COPY,$@)
	$(Q)objcopy --redefine-syms=$(BUILD)/faults/calls $< $@

$(BUILD)/faults/lib/%.o: $(BUILD)/tests/lib/%.o
	@mkdir -p $(@D)
	$(Q)objcopy --rename-section .text=fake_text $< $@
	$(Q)! objdump -h $@ | awk '$$2 ~ /^\.text/ && $$2 !~ /^\.text(\.asan\..*)?$$/' | grep . || { echo '$@: code outside fake_text' >&2; false; }

$(BUILD)/faults/test_%: $(BUILD)/tests/faults/test_%.o $(FAULT_LIB) $(FAULT_OTHERS) \
		$(FAULT_FAKES:tests/lib/%.c=$(BUILD)/faults/lib/%.o) $(BUILD)/faults/libkmsbeacon.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# test_daemon: the whole program in the played machine (below). What the calls of fault_calls.c pass on goes there, as the others.
FAULT_SIM     := $(BUILD)/faults/sim
$(FAULT_SIM)/libkmsbeacon.a: $(BUILD)/faults/libkmsbeacon.a $(BUILD)/sim/calls
	@mkdir -p $(@D)
	$(call say,COPY,$@)
	$(Q)objcopy --redefine-syms=$(BUILD)/sim/calls $< $@

$(FAULT_SIM)/fault_calls.o: $(BUILD)/tests/faults/fault_calls.o $(BUILD)/sim/calls
	@mkdir -p $(@D)
	$(Q)objcopy --redefine-syms=$(BUILD)/sim/calls $< $@

$(BUILD)/faults/test_daemon: $(addprefix $(BUILD)/tests/faults/,test_daemon.o fault.o silent.o) $(FAULT_SIM)/fault_calls.o

.PHONY: faults fault-bins
fault-bins: $(FAULT_BINS)

faults:
	@$(MAKE) --no-print-directory VARIANT=asan fault-bins
	@tools/run-tests faults

# The played machine (tests/sim/sim.h): copies of our library and of libuv whose system calls are those of tests/sim. Above it:
# tests/sim/test_NAME.c   the machine itself, and the models in it      $(BUILD)/sim/test_NAME
# tests/replay/*.c        the runner of the scripts                     $(BUILD)/replay/replay
# tests/chaos/*.c         the whole-system test                         $(BUILD)/chaos/chaos
SIM_TESTS     := $(sort $(wildcard tests/sim/test_*.c))
SIM_OBJS      := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(SIM_TESTS),$(sort $(wildcard tests/sim/*.c))))
SIM_BINS      := $(SIM_TESTS:tests/sim/%.c=$(BUILD)/sim/%) $(foreach p,replay chaos,$(if $(wildcard tests/$p/*.c),$(BUILD)/$p/$p))
SIM_LIBS      := $(BUILD)/sim/libkmsbeacon.a $(BUILD)/sim/libuv.a
# uv_run: the loop whose timers tests/sim/wakes.c looks at
SIM_LDLIBS    := -Wl,--wrap=uv_run $(filter-out -luv,$(LDLIBS)) -lcmocka -ldl
LIBUV_A       := $(shell pkg-config --variable=libdir libuv 2>/dev/null)/libuv_a.a

$(BUILD)/sim/calls: $(SIM_OBJS)
	@mkdir -p $(@D)
	$(Q)nm --defined-only $^ | awk '/ [BDT] sim_call_/ { print substr($$3, 10), $$3 }' >$@

$(BUILD)/sim/libkmsbeacon.a: $(BUILD)/libkmsbeacon.a $(BUILD)/sim/calls
	$(call say,COPY,$@)
	$(Q)objcopy --redefine-syms=$(BUILD)/sim/calls $< $@

$(BUILD)/sim/libuv.a: $(LIBUV_A) $(BUILD)/sim/calls
	$(call say,COPY,$@)
	$(Q)objcopy --redefine-syms=$(BUILD)/sim/calls $< $@

$(BUILD)/faults/test_daemon: $(SIM_OBJS) $(FAULT_SIM)/libkmsbeacon.a $(BUILD)/sim/libuv.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(SIM_LDLIBS)

$(BUILD)/sim/test_%: $(BUILD)/tests/sim/test_%.o $(SIM_OBJS) $(SIM_LIBS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(SIM_LDLIBS)

define SIM_PROGRAM
$(BUILD)/$(1)/$(1): $$(patsubst %.c,$(BUILD)/%.o,$$(sort $$(wildcard tests/$(1)/*.c))) $$(SIM_OBJS) $$(SIM_LIBS)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(SIM_LDLIBS)
endef
$(foreach p,replay chaos,$(eval $(call SIM_PROGRAM,$(p))))

.PHONY: sim sim-bins
sim-bins: $(SIM_BINS)

sim:
	@$(MAKE) --no-print-directory VARIANT=asan sim-bins
	@tools/run-tests sim

# make replay                 all scripts of tests/replay
# make replay REPLAY=NAME     one of them
.PHONY: replay
replay:
	@$(MAKE) --no-print-directory VARIANT=asan build/asan/replay/replay
	@tools/run-tests replay $(REPLAY)

# make chaos                              20 seeds that nobody has tried, of 20 rounds each
# make chaos CHAOS_SEED=7 CHAOS_SEEDS=1   this one (CHAOS_ROUNDS=40: for longer)
CHAOS_SEED    ?= $(shell date +%s)
CHAOS_SEEDS   ?= 20
CHAOS_ROUNDS  ?= 20
.PHONY: chaos
chaos:
	@$(MAKE) --no-print-directory VARIANT=asan build/asan/chaos/chaos
	@tools/run-tests chaos $(CHAOS_SEED) $(CHAOS_SEEDS) $(CHAOS_ROUNDS)
