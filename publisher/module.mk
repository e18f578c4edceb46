publisher_SRCS := $(sort $(wildcard publisher/*.c))
