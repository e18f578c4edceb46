/**
 * The runner of replay scripts (README.md is the language): what its files share.
 *
 * A script is read and checked whole, then carried out one statement after the other. The program
 * runs in lives, each a child process (tests/sim/sim.h), so the same interpreter works in two
 * places: in a life from events of the played machine, else in the parent. Where it stands, and
 * what was seen, is in the world's memory.
 */
#ifndef KMSBEACON_TESTS_REPLAY_REPLAY_H
#define KMSBEACON_TESTS_REPLAY_REPLAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_dns.h"
#include "tests/sim/sim_kms.h"

#define WORDS_MAX   48
#define TEXT_MAX    1024 /* of a pattern, a path ... */
#define WHY_MAX     1024
#define LINES_MAX   200000
#define LINES_BYTES (48u << 20)
#define OUTPUT_MAX  (1u << 20)
#define OWN_MAX     8
#define TAIL        25 /* lines shown when a script fails */

struct verb;

struct stmt {
	int line;
	char *text; /* as it stands in the file, without comment */
	char *word[WORDS_MAX];
	size_t n;
	char *block; /* of `<<`; NULL: none */
	const struct verb *verb;
};

struct script {
	const char *path;
	const char *title;
	uint64_t seed;
	struct stmt *stmt;
	size_t n;
};

/** The whole file, with each statement's verb. false: all errors have been printed to stderr, as
 * "FILE:LINE: sentence". */
bool script_load(const char *path, struct script *ret);

/* ---- text (text.c) ---- */

/** `*` stands for anything, also nothing. */
bool text_match(const char *pattern, const char *text);
/** The words of @p st from @p from to before @p to, with one blank between them. */
void text_join(const struct stmt *st, size_t from, size_t to, char ret[TEXT_MAX]);
bool text_ms(const char *word, uint64_t *ret);                    /* "90s" */
bool text_signed_ms(const char *word, int64_t *ret);              /* "+5h", "-400s" */
bool text_range_ms(const char *word, uint64_t *lo, uint64_t *hi); /* "4s..6s" */
bool text_range(const char *word, uint64_t *lo, uint64_t *hi);    /* "0", "23..25" */
bool text_number(const char *word, uint64_t max, uint64_t *ret);  /* also 0x... */
/** "+1d02:03:04.567". */
const char *text_time(uint64_t ms, char ret[32]);
/** The next value of a JSON text at the end of @p path ("records.0.state"; "records.#" is how
 * many), as text; NULL: there is none. */
const char *text_json(const json_t *root, const char *path, char ret[TEXT_MAX]);
/** `=`, `~`, `<`, `>`. */
bool text_is_op(const char *word);
bool text_compare(const char *value, const char *op, const char *with);

/* ---- the play ---- */

enum step {
	STEP_DONE,
	STEP_WAIT, /* play_wake() says until when, at the latest */
	STEP_LIFE, /* the program is to run; only the parent can do that */
};

struct seen_line {
	uint64_t ms;
	const char *text;
};

struct play {
	const struct script *s;
	char dir[64];
	int err_fd; /* stderr, whatever the played program's is */
	bool verbose;

	size_t pc;
	bool begun;    /* the statement */
	uint64_t base; /* when it began */
	uint64_t wake; /* when it must be looked at again */
	size_t from;   /* lines before it are passed over */
	size_t look;   /* lines before it were looked at by this statement */
	uint64_t left; /* what this statement has still to see, or has counted */

	unsigned life;  /* changes at each begin and end of one */
	bool running;   /* the program */
	bool is_daemon; /* it is the daemon, not a command */
	bool soon;      /* the interpreter will be called at this moment */
	bool answered;  /* by the control socket */
	int code;       /* of the last life that ended by itself, or of the last answer */
	bool over;      /* the script is through, and the program told to end */
	bool failed;
	char why[WHY_MAX];

	const char *config;
	struct addr own[OWN_MAX];
	size_t n_own;
	size_t output_len;
	char output[OUTPUT_MAX];
	size_t n_lines, bytes;
	struct seen_line line[LINES_MAX];
	char text[LINES_BYTES];
};

/** A line that is seen, from now on. */
void play_see(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The script has failed here; the first sentence counts. @return STEP_WAIT, which ends it. */
enum step play_fail(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Look again at @p at_ms. @return STEP_WAIT. */
enum step play_wake(struct play *p, uint64_t at_ms);
/** The interpreter is to be called at this moment, once whoever calls has returned. */
void play_soon(struct play *p);
/** @p text with @DIR and @KEY(name) filled in; made anew, never freed. */
char *play_fill(struct play *p, const char *text);
void play_write_file(struct play *p, const char *path, const char *text, unsigned mode);
/** Run it until the program and the script are through. */
void play_run(struct play *p);

/** What a statement does. `check` (may be NULL) has a look at its words when the file is read; on
 * false @p why says what is wrong. */
struct verb {
	const char *name;
	size_t min, max; /* words, with the first; max 0: any number */
	const char *form;
	bool block;
	bool (*check)(const struct stmt *st, char why[WHY_MAX]);
	enum step (*begin)(struct play *p, const struct stmt *st);
	enum step (*more)(struct play *p, const struct stmt *st);
	bool keeps_time; /* it says itself from when on times count, or leaves that as it was */
};
extern const struct verb verbs_scene[], verbs_act[], verbs_see[]; /* the last one has no name */
/** Statements that begin with the name of a server, host or client. */
extern const struct verb verb_server, verb_host, verb_client;
/** `control`, for those that ask the daemon in another form. */
extern const struct verb verb_control;

#endif
