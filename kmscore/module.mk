kmscore_SRCS := $(sort $(wildcard kmscore/*.c))
