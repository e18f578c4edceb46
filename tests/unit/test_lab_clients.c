/* The file of lab clients at its edges: what cannot be read, what is too much, who writes first. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/lab_clients.h"
#include "kmscore/lab_events.h"
#include "tests/lib/lab_files.h"

#define T0 INT64_C(1795262400000)

static void client(struct lab_client *c, const char *name)
{
	struct rng rng;

	rng_init_seed(&rng, 7);
	lab_client_init(c, lab_product_find("windows"), name, &rng, T0);
}

static void t_no_file_at_all(void **state)
{
	struct err_info info = { "" };
	struct lab_files files;
	struct lab_clients t;
	char path[128];

	(void)state;
	lab_files_make(&files);
	assert_int_equal(lab_clients_load(files.dir, &t, &info), ERR_PARSE); /* a folder */
	assert_non_null(strstr(info.text, "or no file"));
	assert_int_equal(t.n, 0);
	(void)snprintf(path, sizeof(path), "%s/below", files.key_file);
	assert_int_equal(lab_clients_load(path, &t, &info), -ENOTDIR);
	assert_non_null(strstr(info.text, "cannot read"));
	assert_int_equal(truncate(files.key_file, (off_t)LAB_CLIENTS_FILE_MAX + 1), 0);
	assert_int_equal(lab_clients_load(files.key_file, &t, &info), ERR_PARSE);
	assert_non_null(strstr(info.text, "is too large"));
	lab_files_remove(&files);
}

static void t_the_most_clients(void **state)
{
	struct lab_clients t = { 0 };
	struct lab_client c;

	(void)state;
	client(&c, "pc");
	for (unsigned i = 0; i < LAB_CLIENTS_MAX; i++) {
		(void)snprintf(c.machine, sizeof(c.machine), "pc%u", i);
		assert_int_equal(lab_clients_put(&t, &c), 0);
	}
	assert_int_equal(lab_clients_put(&t, &c), 0); /* it is there */
	(void)snprintf(c.machine, sizeof(c.machine), "one more");
	assert_int_equal(lab_clients_put(&t, &c), ERR_LIMIT);
	assert_int_equal(t.n, LAB_CLIENTS_MAX);
	assert_non_null(lab_clients_find(&t, "pc19999"));
	lab_clients_done(&t);
}

static void t_events_that_cannot_be(void **state)
{
	static const struct {
		const char *key;
		json_int_t value;
		bool good;
	} rows[] = {
		{ "id", 12288, true },    { "id", -1, false },
		{ "id", 65536, false },   { "time_ms", 0, true },
		{ "time_ms", -1, false }, { "hresult", -1, false },
		{ "hresult", 0, true },   { "hresult", (json_int_t)UINT32_MAX + 1, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *o = json_pack("{s:i, s:i, s:i, s:s, s:s}", "time_ms", 1, "id", 12288,
				      "hresult", 0, "machine", "pc", "info", "");

		assert_non_null(o);
		assert_int_equal(json_object_set_new(o, rows[i].key, json_integer(rows[i].value)),
				 0);
		assert_int_equal(lab_event_valid(o), rows[i].good);
		json_decref(o);
	}
}

/* The ids of the table are ids: each product can ask. */
static void t_each_product_asks(void **state)
{
	static const char *const products[] = { "windows", "server", "office" };
	uint8_t body[LAB_REQUEST_LEN];
	struct lab_pending pending;
	struct lab_files files;
	struct lab_client c;
	struct rng rng;

	(void)state;
	lab_files_make(&files);
	rng_init_seed(&rng, 7);
	for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
		struct guid id;

		lab_client_init(&c, lab_product_find(products[i]), "pc", &rng, T0);
		assert_int_equal(lab_client_request(&c, &files.key, &rng, T0, &pending, body), 0);
		assert_int_equal(guid_parse(c.product->kms_id, &id), 0);
		assert_int_equal(lab_product_of(&id), i);
	}
	lab_files_remove(&files);
}

/* Another command writes; a signal meanwhile changes nothing. */

static int let_go = -1;
static volatile sig_atomic_t n_alarms;

static void on_alarm(int signum)
{
	(void)signum;
	if (++n_alarms == 10)
		(void)close(let_go);
}

static void t_waits_for_another_writer(void **state)
{
	struct sigaction alarm = { .sa_handler = on_alarm }; /* no SA_RESTART */
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { 0 };
	int has_it[2], goes_on[2], status;
	struct err_info info = { "" };
	struct lab_files files;
	struct lab_client c;
	char byte = 0;
	pid_t pid;

	(void)state;
	lab_files_make(&files);
	client(&c, "pc1");
	assert_int_equal(pipe2(has_it, O_CLOEXEC), 0);
	assert_int_equal(pipe2(goes_on, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(files.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		close(goes_on[1]);
		if (fd < 0 || flock(fd, LOCK_EX) != 0 || write(has_it[1], &byte, 1) != 1)
			_exit(1);
		_exit(read(goes_on[0], &byte, 1) == 0 ? 0 : 1);
	}
	assert_int_equal(read(has_it[0], &byte, 1), 1);
	let_go = goes_on[1];
	assert_int_equal(sigaction(SIGALRM, &alarm, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_int_equal(lab_clients_save(files.state_file, &c, 1, NULL, &info), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	alarm.sa_handler = SIG_IGN; /* valgrind may have kept one back, which would end us */
	assert_int_equal(sigaction(SIGALRM, &alarm, NULL), 0);
	assert_true(n_alarms >= 10); /* not before the other one was done */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(goes_on[0]);
	close(has_it[0]);
	close(has_it[1]);
	lab_files_remove(&files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_no_file_at_all),           cmocka_unit_test(t_the_most_clients),
		cmocka_unit_test(t_events_that_cannot_be),    cmocka_unit_test(t_each_product_asks),
		cmocka_unit_test(t_waits_for_another_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
