#include "cli/commands.h"

/* The order of the help: what one does first comes first. */
static const struct cli_command *const table[] = {
	&cmd_run,    &cmd_check_config, &cmd_policy, &cmd_publish, &cmd_withdraw, &cmd_discover,
	&cmd_verify, &cmd_probe,        &cmd_status, &cmd_events,  &cmd_drain,    &cmd_resume,
	&cmd_reload, &cmd_client,       &cmd_lab,    &cmd_explain, &cmd_import,
};

const struct cli_command *cli_command_at(size_t i)
{
	return i < sizeof(table) / sizeof(table[0]) ? table[i] : NULL;
}
