daemon_SRCS := $(sort $(wildcard daemon/*.c))
