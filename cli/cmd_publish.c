#include "cli/commands.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ad_note.h"
#include "cli/control_client.h"
#include "cli/output.h"
#include "cli/publish_text.h"
#include "cli/session.h"
#include "daemon/keys.h"
#include "daemon/lock.h"
#include "daemon/publish_request.h"
#include "daemon/state.h"
#include "publisher/print.h"
#include "publisher/report.h"

/* The daemon answers within the time it was given; this is for the way there and back. */
#define CONTROL_GRACE_MS 5000
#define REPORT_TEXT_MAX  (64u << 20)

static bool is_about_orphans(const struct cli_args *a)
{
	return strcmp(cli_command_of(a)->name, "withdraw") == 0 && cli_has(a, "orphans");
}

static void print_for_people(const struct cli_args *a, const json_t *report)
{
	if (json_array_size(json_object_get(report, "domains")) > 0)
		publish_print(stdout, report);
	else
		(void)printf("nothing to do: %s\n",
			     is_about_orphans(a)
				     ? "no domain that is no longer configured has records of ours"
				     : "no domain is configured under publish.domains");
}

/* Of `publish` only: `withdraw` says on its own account what it removes. */
static void tell_orphans(const struct cli_args *a, const json_t *orphans)
{
	size_t n = json_array_size(orphans);

	if (n > 0 && strcmp(cli_command_of(a)->name, "publish") == 0)
		(void)fprintf(
			stderr,
			"kmsbeacon publish: %zu domain%s, no longer configured, still %s records "
			"from here: kmsbeacon withdraw --orphans\n",
			n, n == 1 ? "" : "s", n == 1 ? "has" : "have");
}

static int print_report(const struct cli_args *a, const json_t *report)
{
	if (cli_has(a, "json"))
		print_json(json_incref((json_t *)(uintptr_t)report));
	else
		print_for_people(a, report);
	tell_orphans(a, json_object_get(report, "orphans"));
	return pub_report_exit(report);
}

static int complain(const struct cli_args *a, int err, const char *text)
{
	char safe[ERR_INFO_MAX];

	if (cli_has(a, "json"))
		print_json_error(err_name(err), text);
	(void)fprintf(stderr, "kmsbeacon %s: %s\n", cli_command_of(a)->name,
		      text_escape(text, safe, sizeof(safe)));
	return err == ERR_CONFIG || err == ERR_USAGE ? CLI_USAGE : CLI_NO;
}

/* ---- without a daemon ---- */

struct alone {
	const struct cli_args *args;
	struct state state;
	bool state_is_open;
	const struct pub_targets *targets;
	int err;
	int code;
};

static int print_results(const struct cli_args *a, const struct pub_result *results, size_t n,
			 const json_t *orphans)
{
	struct buf text;
	json_t *report;
	int err = 0, code = CLI_YES;

	if (cli_has(a, "json")) {
		buf_init(&text, REPORT_TEXT_MAX);
		err = pub_report_write(&text, results, n, orphans);
		if (err == 0)
			(void)fwrite(text.data, 1, text.len, stdout);
		if (err == 0)
			(void)fputc('\n', stdout);
		buf_done(&text);
	} else {
		report = pub_report_json(results, n);
		print_for_people(a, report);
		json_decref(report);
	}
	tell_orphans(a, orphans);
	for (size_t i = 0; i < n; i++)
		if (!pub_result_ok(&results[i]))
			code = CLI_NO;
	return err == 0 ? code : complain(a, err, err_text(err));
}

static void on_reconciled(struct pub_reconcile *r, int err, const struct pub_result *results,
			  size_t n)
{
	struct alone *w = r->owner;
	json_t *orphans = pub_report_orphans(w->targets, w->state.journal);

	if (w->state_is_open)
		state_finish(&w->state); /* while this is printed */
	w->err = err;
	if (err == 0)
		w->code = print_results(w->args, results, n, orphans);
	json_decref(orphans);
	if (w->state_is_open)
		state_close(&w->state); /* the loop has nothing left to wait for */
}

static int reconcile_alone(struct session *s, const struct publish_request *rq,
			   struct pub_targets *targets, struct alone *w, struct err_info *info)
{
	struct pub_reconcile op = { .owner = w };
	struct pub_reconcile_params p = { .targets = targets };
	bool damaged = false;
	int err = state_open(&s->env.loop, s->config->node.state_dir, &w->state, &damaged, info);

	/* As in the daemon, a state file that cannot be used stops no record from being added (§8).
	 * Without it nothing is known to be ours, so there is nothing to withdraw. */
	if (err != 0 && rq->withdraw)
		return err;
	w->state_is_open = err == 0;
	if (err != 0 || damaged)
		(void)fprintf(stderr, "kmsbeacon: %s\n", info->text);
	publish_request_view(rq, &p.request);
	p.journal = w->state_is_open ? w->state.journal : NULL;
	w->targets = targets;
	pub_reconcile_start(&op, &s->env.net, &p, on_reconciled);
	(void)uv_run(&s->env.loop, UV_RUN_DEFAULT);
	if (w->err != 0)
		return err_set(info, w->err, "%s", err_text(w->err));
	return 0;
}

/* First listening port that the file names; what `local` publishes where its host entry gives no
 * other. */
static uint16_t configured_port(const struct config *cfg)
{
	uint16_t port = cfg->service.n_listen > 0 ? addr_port(&cfg->service.listen[0]) : 0;

	return port != 0 ? port : CONFIG_KMS_PORT;
}

static int publish_alone(const struct cli_args *a, struct session *s,
			 const struct publish_request *rq)
{
	struct config_errors errs = { 0 };
	struct pub_targets *targets = NULL;
	struct alone w = { .args = a };
	struct keys keys;
	struct err_info info = { "" };
	int lock = -1;
	int code;
	int err = keys_load(s->config, &keys, &errs);

	print_config_messages(&errs, false);
	config_errors_done(&errs);
	if (err != 0)
		return CLI_USAGE;
	err = pub_targets_from_config(s->config, keys.list, configured_port(s->config), &targets,
				      &info);
	if (err == 0)
		err = publish_request_check(rq, targets, &info);
	if (err == 0)
		err = lock_take(s->config->node.state_dir, &lock, &info);
	if (err == 0)
		err = reconcile_alone(s, rq, targets, &w, &info);
	code = err == 0 ? w.code : complain(a, err, info.text);
	(void)uv_run(&s->env.loop,
		     UV_RUN_DEFAULT); /* the state's last handle closes here, in this frame */
	pub_targets_unref(targets);
	keys_done(&keys);
	lock_release(lock);
	return code;
}

/* ---- --print ---- */

/* Without it only adds can be printed, which is all there is to print where nothing was published.
 */
static struct pub_journal *look_into_journal(const struct config *cfg)
{
	struct pub_journal *journal = NULL;
	char path[PATH_MAX];
	int err;

	(void)snprintf(path, sizeof(path), "%s/%s", cfg->node.state_dir, STATE_FILE_NAME);
	err = pub_journal_read(path, &journal);
	if (err != 0 && access(path, F_OK) == 0)
		(void)fprintf(stderr,
			      "kmsbeacon publish: %s cannot be read (%s), so what was published "
			      "from here and is to go is not printed\n",
			      path, err_text(err));
	return journal;
}

/* The configuration on paper: nothing is locked or written, so a daemon has no part in it. */
static int print_wanted(const struct cli_args *a, struct session *s,
			const struct publish_request *rq, enum pub_print_as as)
{
	struct pub_print_params p = { .config = s->config, .as = as };
	struct config_errors errs = { 0 };
	struct pub_targets *targets = NULL;
	struct err_info info = { "" };
	struct keys keys;
	struct buf text;
	int err = keys_load(s->config, &keys, &errs);

	print_config_messages(&errs, false);
	config_errors_done(&errs);
	if (err != 0)
		return CLI_USAGE;
	buf_init(&text, REPORT_TEXT_MAX);
	err = pub_targets_from_config(s->config, keys.list, configured_port(s->config), &targets,
				      &info);
	if (err == 0)
		err = publish_request_check(rq, targets, &info);
	p.targets = targets;
	p.domain = rq->has_domain ? &rq->domain : NULL;
	if (err == 0 && as != PUB_PRINT_POWERSHELL)
		ad_note("publish", s, targets, p.domain);
	if (err == 0) {
		p.journal = look_into_journal(s->config);
		err = pub_print_write(&p, &text);
	}
	if (err == 0)
		(void)fwrite(text.data, 1, text.len, stdout);
	buf_done(&text);
	pub_journal_free(p.journal);
	pub_targets_unref(targets);
	keys_done(&keys);
	return err == 0 ? CLI_YES
			: complain(a, err, info.text[0] != '\0' ? info.text : err_text(err));
}

/* ---- through the daemon ---- */

/* @return whether a daemon was there; then *ret_code is the command's exit code. */
static bool publish_by_daemon(const struct cli_args *a, const struct session *s,
			      const struct publish_request *rq, int *ret_code)
{
	const char *command = cli_command_of(a)->name;
	struct control_result result;
	struct err_info info;
	json_t *args = publish_request_json(rq);
	int err = control_ask(s->config->node.control.socket, command, args,
			      rq->timeout_ms + CONTROL_GRACE_MS, &result, &info);

	json_decref(args);
	if (err == ERR_NOT_FOUND)
		return false;
	if (err != 0) {
		*ret_code = complain(a, err, info.text);
		return true;
	}
	if (!cli_wants_json(a))
		control_result_escape(&result);
	if (result.report != NULL) {
		*ret_code = print_report(a, result.report);
	} else {
		(void)complain(a, ERR_OK, json_text(result.error, "text", "refused by the daemon"));
		*ret_code = result.exit_code != 0 ? result.exit_code : CLI_NO;
	}
	json_decref(result.report);
	json_decref(result.error);
	return true;
}

static int run(const struct cli_args *a)
{
	bool withdraw = strcmp(cli_command_of(a)->name, "withdraw") == 0;
	const char *print = withdraw ? NULL : cli_get(a, "print");
	struct publish_request rq = { .withdraw = withdraw };
	enum pub_print_as as = PUB_PRINT_ZONE;
	struct session s;
	uint64_t timeout_ms;
	int code = session_duration(a, "timeout", PUB_TIMEOUT_MS, &timeout_ms);

	if (code != 0)
		return code;
	if (timeout_ms < 1000 || timeout_ms > PUBLISH_TIMEOUT_MAX_MS)
		return cli_usage_error(a, "--timeout is 1s to 1h");
	if (print != NULL && !pub_print_as_parse(print, &as))
		return cli_usage_error(a, "--print takes %s, not '%s'", pub_print_as_list(), print);
	if (print != NULL && cli_has(a, "json"))
		return cli_usage_error(a, "--print writes text to paste: it goes without --json");
	rq.timeout_ms = (uint32_t)timeout_ms;
	rq.dry_run = cli_has(a, "dry-run");
	if (cli_get(a, "domain") != NULL) {
		rq.has_domain = true;
		if (dns_name_parse(cli_get(a, "domain"), &rq.domain) != 0)
			return cli_usage_error(a, "'%s' is no domain name", cli_get(a, "domain"));
	}
	if (withdraw) {
		const char *host = cli_get(a, "host");

		rq.adopted = cli_has(a, "adopted");
		rq.orphans = cli_has(a, "orphans");
		if (host != NULL && strlen(host) >= sizeof(rq.host))
			return cli_usage_error(a, "--host: the name is too long");
		if (host != NULL)
			memcpy(rq.host, host, strlen(host) + 1);
	}
	code = session_open(&s, a, false);
	if (code != 0)
		return code;
	if (print != NULL)
		code = print_wanted(a, &s, &rq, as);
	else if (!publish_by_daemon(a, &s, &rq, &code))
		code = publish_alone(a, &s, &rq);
	session_close(&s);
	return code;
}

static const struct cli_option publish_options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 'd', "domain", "DOMAIN", false, "only this domain (default: all that are configured)" },
	{ 'n', "dry-run", NULL, false, "read and plan, send no update, write nothing" },
	{ 0, "timeout", "DURATION", false, "for everything, the proof included (default: 60s)" },
	{ 0, "print", "FORM", false,
	  "write what to paste, change nothing: zone, nsupdate, powershell" },
	CLI_OPT_END,
};

const struct cli_command cmd_publish = {
	.name = "publish",
	.operands = "",
	.summary = "make the SRV records as configured, and prove it on every server",
	.text = "Reads _vlmcs._tcp.DOMAIN from the primary, plans, sends at most one UPDATE for "
		"each domain\n"
		"and view, and asks every authoritative server until it shows the result. Records "
		"that are\n"
		"not ours are never touched. Where nothing is to change, no UPDATE is sent. A "
		"record that\n"
		"`withdraw` held back is published again.\n"
		"With a daemon running the daemon does the work; else this command does, and then "
		"no host is\n"
		"asked whether it is up.\n"
		"For a zone that takes no updates, or that is not served by BIND, --print writes "
		"every record\n"
		"that is configured, whatever its host's health, and removes what was published "
		"from here and\n"
		"no longer is: lines of a zone file, input of nsupdate, or PowerShell for a "
		"Microsoft DNS\n"
		"server. `kmsbeacon verify` proves such a zone too.\n"
		"Exit code 0: every domain is proven, unchanged (or planned, with --dry-run), 1: "
		"not.",
	.examples = "  kmsbeacon publish --dry-run\n"
		    "  kmsbeacon publish --domain corp.example --json\n"
		    "  kmsbeacon publish --domain corp.example --print zone >> corp.example.zone",
	.options = publish_options,
	.run = run,
	.usage_exit = CLI_USAGE,
};

static const struct cli_option withdraw_options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 'd', "domain", "DOMAIN", false, "only this domain (default: all that are configured)" },
	{ 0, "host", "NAME", false, "only the records of this host of the configuration" },
	{ 0, "adopted", NULL, false, "also wanted records that were there before us" },
	{ 0, "orphans", NULL, false, "only our records of domains that are no longer configured" },
	{ 'n', "dry-run", NULL, false, "read and plan, send no update, write nothing" },
	{ 0, "timeout", "DURATION", false, "for everything, the proof included (default: 60s)" },
	CLI_OPT_END,
};

const struct cli_command cmd_withdraw = {
	.name = "withdraw",
	.operands = "",
	.summary = "remove exactly our own SRV records, and prove it",
	.text = "Removes the records that kmsbeacon published, and nothing else, and asks every "
		"server until\n"
		"it shows the result. They stay withdrawn, over restarts too, until `kmsbeacon "
		"publish` or `resume`.\n"
		"With a daemon running the daemon does the work; else this command does.\n"
		"Exit code 0: every domain is proven or had nothing of ours, 1: not.",
	.examples = "  kmsbeacon withdraw --dry-run\n"
		    "  kmsbeacon withdraw --domain corp.example --host office",
	.options = withdraw_options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
