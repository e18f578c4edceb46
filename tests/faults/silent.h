/**
 * Faults that are right to say nothing: each with its reason. All others end in a warning or an
 * error in the log, or in an answer that is none of success.
 */
#ifndef KMSBEACON_TESTS_FAULTS_SILENT_H
#define KMSBEACON_TESTS_FAULTS_SILENT_H

#include <stdbool.h>

/** Whether the call that failed in this run is one of them, or its place is not known. */
bool silent_is_right(void);

#endif
