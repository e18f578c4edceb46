/** A folder of its own for who tests what reads a file: the input is written there. */
#ifndef KMSBEACON_TESTS_LIB_TMP_INPUT_H
#define KMSBEACON_TESTS_LIB_TMP_INPUT_H

#include <stddef.h>

#define TMP_INPUT_MAX 96

/** Write @p data as the one input of this process, mode 0600. @return its path, valid until the
 * next call; NULL where it cannot be written. The folder, in memory where the machine has one for
 * that, goes when the process exits. */
const char *tmp_input(const void *data, size_t len);

#endif
