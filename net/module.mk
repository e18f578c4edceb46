net_SRCS := $(sort $(wildcard net/*.c))
