/** A temporary folder with a lab key in it. */
#ifndef KMSBEACON_TESTS_LIB_LAB_FILES_H
#define KMSBEACON_TESTS_LIB_LAB_FILES_H

#include "kmscore/lab.h"

struct lab_files {
	char dir[64];
	char key_file[96];
	char state_file[96]; /* a name; no file yet */
	struct lab_key key;
};

void lab_files_make(struct lab_files *f);
/** Removes key, state file and folder; fails the test where anything else is left there. */
void lab_files_remove(struct lab_files *f);

#endif
