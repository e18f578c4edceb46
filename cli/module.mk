cli_SRCS := $(sort $(wildcard cli/*.c))
