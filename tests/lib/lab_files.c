#include "tests/lib/lab_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

void lab_files_make(struct lab_files *f)
{
	struct err_info info;
	struct rng rng;

	memset(f, 0, sizeof(*f));
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kmsbeacon-lab-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->key_file, sizeof(f->key_file), "%s/lab.key", f->dir);
	(void)snprintf(f->state_file, sizeof(f->state_file), "%s/client.json", f->dir);
	rng_init_system(&rng);
	assert_int_equal(lab_keygen(f->key_file, &rng, &info), 0);
	assert_int_equal(lab_key_read(f->key_file, &f->key, &info), 0);
}

void lab_files_remove(struct lab_files *f)
{
	(void)unlink(f->key_file);
	(void)unlink(f->state_file);
	assert_int_equal(rmdir(f->dir), 0);
}
