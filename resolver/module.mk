resolver_SRCS := $(sort $(wildcard resolver/*.c))
