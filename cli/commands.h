/** The commands, one file each (cmd_NAME.c); cli/commands.c puts them in the order of the help. */
#ifndef KMSBEACON_CLI_COMMANDS_H
#define KMSBEACON_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct cli_command cmd_check_config;
extern const struct cli_command cmd_client;
extern const struct cli_command cmd_discover;
extern const struct cli_command cmd_drain;
extern const struct cli_command cmd_events;
extern const struct cli_command cmd_explain;
extern const struct cli_command cmd_import;
extern const struct cli_command cmd_lab;
extern const struct cli_command cmd_policy;
extern const struct cli_command cmd_probe;
extern const struct cli_command cmd_publish;
extern const struct cli_command cmd_reload;
extern const struct cli_command cmd_resume;
extern const struct cli_command cmd_run;
extern const struct cli_command cmd_status;
extern const struct cli_command cmd_verify;
extern const struct cli_command cmd_withdraw;

#endif
