/* The KMS side: the lab service with its clients, the pool of a relay, the control socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "common/log.h"
#include "daemon/control.h"
#include "kmscore/kms_client.h"
#include "kmscore/service.h"
#include "tests/faults/fault.h"
#include "tests/lib/lab_files.h"
#include "tests/lib/pool_fixture.h"

#define CALL_MS 300 /* a call whose other side was hit by the fault waits that long */

/* ---- pool ---- */

static int pool_calls(void)
{
	static struct pool_fixture f; /* large */
	struct kms_pool_rules r = pool_rules();
	int err = 0;

	r.timeout_ms = CALL_MS;
	r.connect_ms = CALL_MS;
	pool_setup(&f, &r);
	fault_begin();
	for (size_t i = 0; i < 2; i++) {
		struct pool_test_call *c = pool_one(&f, i);

		if (c->err == 0)
			pool_assert_answered(c);
		else
			err = c->err;
	}
	fault_end();
	pool_assert_answered(pool_one(&f, 2));
	pool_teardown(&f);
	return err;
}

/* ---- service in mode lab, and a client of it ---- */

struct lab {
	struct test_net t;
	struct lab_files files;
	struct addr listen;
	struct kms_service *s;
	int calls;
	bool done, freed;
	int err;
	uint32_t hresult;
	struct lab_response answer;
};

static void on_answer(struct kms_client *c, const struct kms_client_result *r)
{
	struct lab *f = c->owner;

	f->calls++;
	f->done = true;
	f->err = r->err;
	f->hresult = r->hresult;
	if (r->err == 0 && r->hresult == 0)
		f->err = lab_response_open(&f->files.key, r->body, r->body_len, &f->answer);
	memset(c, 0xa5, sizeof(*c));
	free(c);
}

static void on_freed(void *ctx)
{
	((struct lab *)ctx)->freed = true;
}

/* An activation. @return 0 with a right answer, or the error that the client was told. */
static int activate(struct lab *f, uint8_t id)
{
	struct lab_request rq = { .n_policy = 25, .licence = KMS_OOB_GRACE, .machine = "pc1" };
	uint8_t body[LAB_REQUEST_LEN], nonce[LAB_NONCE_LEN] = { id };
	struct kms_client_params p = { .peer = f->listen,
				       .timeout_ms = CALL_MS,
				       .body = body,
				       .body_len = sizeof(body),
				       .done = on_answer };
	struct kms_client *c = calloc(1, sizeof(*c));
	int err;

	assert_non_null(c);
	rq.client_time = lab_filetime(f->t.clock.wall_ms);
	rq.cmid.b[0] = id;
	err = lab_request_seal(&f->files.key, nonce, &rq, body);
	if (err != 0) {
		free(c);
		return err;
	}
	c->owner = f;
	f->done = false;
	f->calls = 0;
	kms_client_start(c, &f->t.net, &p);
	assert_int_equal(f->calls, 0);
	test_net_run_until(&f->t, &f->done);
	assert_int_equal(f->calls, 1);
	if (f->err == 0 && f->hresult == 0) {
		assert_true(f->answer.count >= 1);
		assert_int_equal(f->answer.activation_min, 120);
	}
	return f->err != 0 ? f->err : f->hresult != 0 ? ERR_INTERNAL : 0;
}

static void on_line(void *ctx, const char *line)
{
	bool *told = ctx;

	*told = *told || strstr(line, "conn.lost") != NULL ||
		strstr(line, "client.refused") != NULL;
}

/* A client that there was no room for is told of: its own end is all that shows otherwise. */
static int lab_service(void)
{
	struct err_info info = { "" };
	struct lab f = { .listen = test_addr("127.0.0.1:0") };
	struct kms_service_params p = { .mode = KMS_MODE_LAB, .listen = &f.listen, .n_listen = 1 };
	bool told = false;
	int err;

	test_net_init(&f.t);
	lab_files_make(&f.files);
	p.lab_key_file = f.files.key_file;
	p.limits.idle_ms = 5000;
	log_set_tap(on_line, &told);
	fault_begin();
	err = kms_service_new(&f.t.net, &p, &f.s, &info);
	if (err == 0) {
		f.listen = *kms_service_addr(f.s, 0);
		err = activate(&f, 1);
	} else {
		assert_string_not_equal(info.text, "");
	}
	fault_end();
	log_set_tap(NULL, NULL);
	if (fault_kind() == FAULT_ALLOC && fault_site_has("", "conn_new"))
		assert_true(told);
	if (f.s != NULL) {
		assert_int_equal(activate(&f, 2), 0);
		kms_service_free(f.s, on_freed, &f);
		test_net_run_until(&f.t, &f.freed);
	}
	lab_files_remove(&f.files);
	test_net_done(&f.t);
	return err;
}

/* ---- service in mode relay, before a lab host ---- */

static int relay_service(void)
{
	struct err_info info = { "" };
	struct lab f = { .listen = test_addr("127.0.0.1:0") };
	struct kms_service_params lab = { .mode = KMS_MODE_LAB,
					  .listen = &f.listen,
					  .n_listen = 1 };
	struct kms_service_params p = {
		.mode = KMS_MODE_RELAY,
		.listen = &f.listen,
		.n_listen = 1,
		.relay = { .pool = { .min = 1,
				     .max = 4,
				     .idle_ms = 60000,
				     .queue = 16,
				     .timeout_ms = CALL_MS,
				     .connect_ms = CALL_MS },
			   .retry = 1,
			   .interval_ms = 20,
			   .probe_ms = CALL_MS,
			   .rise = 1,
			   .fall = 1 },
	};
	struct relay_upstream up = { .name = "one", .n_addrs = 1, .lab = true };
	struct kms_service *host = NULL;
	struct cidr everybody;
	struct addr at;
	int err;

	test_net_init(&f.t);
	lab_files_make(&f.files);
	lab.lab_key_file = f.files.key_file;
	assert_int_equal(kms_service_new(&f.t.net, &lab, &host, &info), 0);
	at = *kms_service_addr(host, 0);
	up.addrs = &at;
	assert_int_equal(cidr_parse("127.0.0.0/8", &everybody), 0);
	p.upstreams = &up;
	p.n_upstreams = 1;
	fault_begin();
	err = kms_service_new(&f.t.net, &p, &f.s, &info);
	if (err == 0) {
		f.listen = *kms_service_addr(f.s, 0);
		err = activate(&f, 1);
		if (err == 0) /* or it has the old ones */
			err = kms_service_set_rules(f.s, &everybody, 1, &p.limits);
	} else {
		assert_string_not_equal(info.text, "");
	}
	fault_end();
	if (f.s != NULL) {
		/* until a probe has found the host again; the run's time ends it otherwise */
		while (activate(&f, 2) != 0)
			uv_run(&f.t.loop, UV_RUN_ONCE);
		kms_service_free(f.s, on_freed, &f);
		test_net_run_until(&f.t, &f.freed);
	}
	f.freed = false;
	kms_service_free(host, on_freed, &f);
	test_net_run_until(&f.t, &f.freed);
	lab_files_remove(&f.files);
	test_net_done(&f.t);
	return err;
}

/* ---- control socket ---- */

static void on_request(void *ctx, struct control_call *call, const char *command,
		       const json_t *args)
{
	(void)ctx;
	(void)command;
	(void)args;
	control_answer(call, 0, json_object());
}

/* A request, as any program could send it. @return whether the answer was "exit 0". */
static bool ask(struct test_net *t, const char *path)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char got[256] = "";
	size_t len = 0;
	ssize_t n;

	assert_true(fd >= 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	while ((n = recv(fd, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT)) != 0) {
		if (n > 0)
			len += (size_t)n;
		else if (errno != EAGAIN)
			break;
		uv_run(&t->loop, UV_RUN_NOWAIT);
	}
	close(fd);
	return strstr(got, "\"exit\":0") != NULL;
}

static void on_gone(void *ctx)
{
	*(bool *)ctx = true;
}

/* A request may be lost, the next one not. */
static int control_socket(void)
{
	char dir[64], path[96];
	struct control_params p = { .path = path, .mode = 0600, .handler = on_request };
	struct err_info info = { "" };
	struct control *c = NULL;
	bool gone = false, ok;
	struct test_net t;

	snprintf(dir, sizeof(dir), "%s/test_faults.XXXXXX", fault_folder());
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	test_net_init(&t);
	assert_int_equal(control_new(&t.loop, &p, &c, &info), 0);
	fault_begin();
	ok = ask(&t, path);
	fault_end();
	assert_true(ask(&t, path));
	control_free(c, on_gone, &gone);
	test_net_run_until(&t, &gone);
	test_net_done(&t);
	assert_int_equal(rmdir(dir), 0);
	return ok ? 0 : ERR_CLOSED;
}

static const struct fault_scenario scenarios[] = {
	{ .name = "control_socket", .run = control_socket },
	{ .name = "pool_calls", .run = pool_calls },
	{ .name = "lab_service", .run = lab_service },
	{ .name = "relay_service", .run = relay_service },
};

int main(void)
{
	return fault_run("fault_kms", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
