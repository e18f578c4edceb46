/**
 * The manual page kmsbeacon(1) and the completion for bash, made from the same tables as `--help`:
 * so neither can lack a command or an option. `make install` puts them where man and bash look.
 */
#ifndef KMSBEACON_CLI_MANUAL_H
#define KMSBEACON_CLI_MANUAL_H

#include <stdio.h>

/** kmsbeacon(1), in the macros of man(7). */
void cli_print_manual(FILE *out);
/** A script for bash to source. */
void cli_print_completion(FILE *out);

#endif
