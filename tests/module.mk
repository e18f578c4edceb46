# One program for each tests/unit/test_*.c; tests/lib holds what several of them share.
UNIT_SRCS     := $(sort $(wildcard tests/unit/test_*.c))
TESTLIB_SRCS  := $(sort $(wildcard tests/lib/*.c))
UNIT_BINS     := $(UNIT_SRCS:tests/unit/%.c=$(BUILD)/tests/%)
