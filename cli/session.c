#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"

const char *session_config_path(const struct cli_args *a, bool *ret_named)
{
	const char *path = cli_get(a, "config");

	if (path == NULL)
		path = getenv("KMSBEACON_CONFIG");
	*ret_named = path != NULL && path[0] != '\0';
	return *ret_named ? path : CONFIG_PATH_DEFAULT;
}

void print_config_messages(const struct config_errors *errs, bool warnings_too)
{
	for (size_t i = 0; i < errs->n_errors; i++)
		(void)fprintf(stderr, "%s\n", errs->errors[i].text);
	for (size_t i = 0; warnings_too && i < errs->n_warnings; i++)
		(void)fprintf(stderr, "%s (warning)\n", errs->warnings[i].text);
	if (errs->dropped > 0)
		(void)fprintf(stderr, "... and %zu more\n", errs->dropped);
}

/** 0, or the exit code of the command. */
static int load(struct session *s, const struct cli_args *a, bool optional)
{
	struct config_errors errs = { 0 };
	bool named;
	int err;

	*s = (struct session){ .path = session_config_path(a, &named) };
	if (optional && !named && access(s->path, F_OK) != 0) {
		s->path = NULL;
		err = config_new_defaults(&s->config);
		if (err != 0)
			(void)fprintf(stderr, "kmsbeacon: %s\n", err_text(err));
	} else {
		err = config_load(s->path, &s->config, &errs);
		print_config_messages(&errs, false);
	}
	if (err != 0 && cli_wants_json(a))
		print_json_error(err_name(err),
				 errs.n_errors > 0 ? errs.errors[0].text : err_text(err));
	config_errors_done(&errs);
	return err != 0 ? cli_command_of(a)->usage_exit : 0;
}

static int load_leniently(struct session *s, const struct cli_args *a)
{
	struct config_errors errs = { 0 };
	bool named;
	int err;

	*s = (struct session){ .path = session_config_path(a, &named) };
	if (!named && access(s->path, F_OK) != 0)
		return load(s, a, true);
	err = config_load_leniently(s->path, &s->config, &errs);
	if (err == ERR_CONFIG) {
		(void)fprintf(
			stderr,
			"kmsbeacon: %s has errors (kmsbeacon check-config shows them); asking "
			"the daemon at %s\n",
			s->path, s->config->node.control.socket);
		err = 0;
	} else if (err != 0) {
		(void)fprintf(stderr, "kmsbeacon: %s\n", err_text(err));
	}
	config_errors_done(&errs);
	return err != 0 ? cli_command_of(a)->usage_exit : 0;
}

static int start(struct session *s)
{
	struct err_info info;
	int err;

	/* A command's report says it all; its log would say it twice. Who wants the details asks
	 * for debug. */
	log_setup(s->config->log.level == LOG_DEBUG ? LOG_DEBUG : LOG_ERROR, s->config->log.format,
		  STDERR_FILENO);
	err = env_init(&s->env, s->config, &info);
	if (err == 0)
		return 0;
	(void)fprintf(stderr, "kmsbeacon: %s\n", info.text);
	config_free(s->config);
	return CLI_NO;
}

int session_open(struct session *s, const struct cli_args *a, bool optional)
{
	int code = load(s, a, optional);

	return code != 0 ? code : start(s);
}

int session_open_to_ask(struct session *s, const struct cli_args *a)
{
	int code = load_leniently(s, a);

	return code != 0 ? code : start(s);
}

void session_close(struct session *s)
{
	env_done(&s->env);
	config_free(s->config);
}

int session_ask(const struct session *s, const struct cli_args *a, const char *command,
		json_t *args, uint64_t timeout_ms, struct control_result *ret)
{
	struct err_info info;
	const char *code, *text = info.text;
	char safe[ERR_INFO_MAX];
	int err =
		control_ask(s->config->node.control.socket, command, args, timeout_ms, ret, &info);

	json_decref(args);
	if (err == 0 && !cli_wants_json(a))
		control_result_escape(ret);
	if (err == 0 && ret->report != NULL)
		return 0;
	code = err != 0 ? err_name(err) : json_text(ret->error, "code", "INTERNAL");
	if (err == 0)
		text = json_text(ret->error, "text", "refused");
	if (cli_has(a, "json"))
		print_json_error(code, text);
	(void)fprintf(stderr, "kmsbeacon %s: %s\n", cli_command_of(a)->name,
		      text_escape(text, safe, sizeof(safe)));
	if (err != 0)
		return CLI_NO;
	json_decref(ret->error);
	return ret->exit_code != 0 ? ret->exit_code : CLI_NO;
}

int session_duration(const struct cli_args *a, const char *option, uint64_t fallback_ms,
		     uint64_t *ret_ms)
{
	const char *text = cli_get(a, option);

	*ret_ms = fallback_ms;
	if (text == NULL || duration_parse(text, ret_ms) == 0)
		return 0;
	return cli_usage_error(a, "--%s '%s' is no duration: a whole number and ms, s, m, h or d",
			       option, text);
}
