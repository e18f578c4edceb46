common_SRCS := $(sort $(wildcard common/*.c))
