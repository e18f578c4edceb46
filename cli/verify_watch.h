/**
 * `verify --watch`: what changed in a domain from one audit to the next. Pure, from its JSON.
 *
 * A change is an object {change, ...}: `status` {from, to}; `finding-appeared`, `finding-cleared`
 * {id, severity, text, hint}; `record-added`, `record-removed` {target, port, priority, weight,
 * ttl}; `host-state` {target, port, from, to} with the states of a probe.
 */
#ifndef KMSBEACON_CLI_VERIFY_WATCH_H
#define KMSBEACON_CLI_VERIFY_WATCH_H

#include <jansson.h>
#include <stdio.h>

/** What is to be remembered of a report. A new reference; NULL without memory. */
json_t *watch_state(const json_t *report);
/** The array of changes, empty where nothing that counts is new. Numbers that stand alone in the
 * text of a finding (serials, seconds left) do not count. A new reference; NULL without memory. */
json_t *watch_changes(const json_t *before, const json_t *after);
/** One line for people, without its time and domain. */
void watch_print(FILE *out, const json_t *change);

#endif
