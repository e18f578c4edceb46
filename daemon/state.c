#include "daemon/state.h"

#include <limits.h>
#include <stdio.h>

#include "daemon/events.h"
#include "daemon/upstream_memory.h"
#include "kmscore/memory.h"

static const struct store_schema *const schemas[] = {
	&pub_journal_schema,
	&events_schema,
	&kms_memory_schema,
	&upstream_memory_schema,
};

/* In the store's thread. */
static void wake_loop(void *ctx)
{
	struct state *s = ctx;

	(void)uv_async_send(&s->wake);
}

static void on_wake(uv_async_t *a)
{
	struct state *s = a->data;

	if (s->store != NULL)
		store_dispatch(s->store);
}

int state_open(uv_loop_t *loop, const char *state_dir, struct state *ret, bool *ret_damaged,
	       struct err_info *info)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", state_dir, STATE_FILE_NAME);
	int err;

	*ret = (struct state){ 0 };
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(info, ERR_CONFIG, "node.state_dir: the path is too long");
	err = uv_async_init(loop, &ret->wake, on_wake);
	if (err != 0)
		return err_set(info, err, "cannot tie the state file to the loop: %s",
			       err_text(err));
	ret->wake.data = ret;
	err = store_new(path, schemas, sizeof(schemas) / sizeof(schemas[0]), wake_loop, ret,
			&ret->store, ret_damaged, info);
	if (err == 0) {
		struct err_info load;

		err = pub_journal_new(ret->store, &ret->journal, &load);
		if (err != 0)
			(void)err_set(info, err, "%s", load.text);
	}
	if (err != 0)
		state_close(ret);
	return err;
}

void state_finish(struct state *s)
{
	store_finish(s->store);
}

void state_close(struct state *s)
{
	if (s->store != NULL)
		store_free(s->store);
	pub_journal_free(s->journal);
	s->store = NULL;
	s->journal = NULL;
	/* Its closing is due at the next turn of the loop; *s stays put until then (state.h). */
	uv_close((uv_handle_t *)&s->wake, NULL);
}
