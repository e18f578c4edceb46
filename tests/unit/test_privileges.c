/* Giving up root for good, in a child of this process: it cannot be undone. Where the tests do not
 * run as root, only what needs no root is tested, and that is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/privileges.h"

#define USER "nobody"

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("not root: not tested here\n");
		skip();
	}
}

/** Run @p fn in a child; it ends with 0 where all was as it should be, else with a line number. */
static void in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/** In a child, where cmocka's asserts do not work. */
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			(void)fprintf(stderr, "line %d: not so: %s\n", __LINE__, #x);              \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int drop_for_good(void)
{
	struct privileges p;
	struct err_info info = { "" };
	gid_t groups[8] = { 0 };

	CHECK(privileges_find(USER, &p, &info) == 0 && p.wanted && p.uid != 0);
	CHECK(setgroups(1, groups) == 0); /* root's group, which must not stay */
	CHECK(privileges_drop(&p, &info) == 0);
	CHECK(getuid() == p.uid && geteuid() == p.uid && getgid() == p.gid);
	CHECK(setuid(0) != 0 && setresuid(0, 0, 0) != 0 && setgid(0) != 0);
	for (int i = 0, n = getgroups(8, groups); i < n; i++)
		CHECK(groups[i] != 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	/* Again, as that user: nothing is left to be given up. */
	CHECK(privileges_find(USER, &p, &info) == 0 && !p.wanted);
	CHECK(privileges_find("daemon", &p, &info) == ERR_CONFIG);
	CHECK(strstr(info.text, "only root can become 'daemon'") != NULL);
	return 0;
}

static void t_root_is_given_up_for_good(void **state)
{
	(void)state;
	need_root();
	in_child(drop_for_good);
}

/* What cannot be verified is no success: here the kernel is asked for nobody and a way back stays.
 */
static int refuse_half_a_drop(void)
{
	struct privileges p;
	struct err_info info = { "" };

	CHECK(privileges_find(USER, &p, &info) == 0);
	p.uid = 0; /* as if setresuid had not done what it says */
	CHECK(privileges_drop(&p, &info) == ERR_INTERNAL);
	CHECK(strstr(info.text, "could be taken back") != NULL);
	return 0;
}

static void t_half_a_drop_is_refused(void **state)
{
	(void)state;
	need_root();
	in_child(refuse_half_a_drop);
}

static void t_users(void **state)
{
	struct err_info info = { "" };
	struct privileges p;

	(void)state;
	assert_int_equal(privileges_find(NULL, &p, &info), 0);
	assert_false(p.wanted);
	assert_int_equal(privileges_find("no-such-user-here", &p, &info), ERR_CONFIG);
	assert_non_null(strstr(info.text, "useradd --system"));
	assert_int_equal(privileges_find("root", &p, &info), ERR_CONFIG);
	assert_non_null(strstr(info.text, "is root"));
}

static void make_file(const char *dir, const char *name)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
}

static uid_t owner(const char *dir, const char *name)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(lstat(path, &st), 0);
	return st.st_uid;
}

static void t_state_folder_is_given(void **state)
{
	char dir[] = "/tmp/kmsbeacon-priv-XXXXXX", path[128];
	struct err_info info = { "" };
	struct privileges p;

	(void)state;
	need_root();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(privileges_find(USER, &p, &info), 0);
	make_file(dir, "lock");
	make_file(dir, "state.db");
	(void)snprintf(path, sizeof(path), "%s/link", dir);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(chmod(dir, 0777), 0); /* anybody may have put things here */
	assert_int_equal(privileges_give_folder(&p, dir, &info), ERR_CONFIG);
	assert_int_equal(owner(dir, "lock"), 0);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(privileges_give_folder(&p, dir, &info), 0);
	assert_int_equal(owner(dir, "."), p.uid);
	assert_int_equal(owner(dir, "lock"), p.uid);
	assert_int_equal(owner(dir, "state.db"), p.uid);
	assert_int_equal(owner(dir, "link"), 0); /* and what it points to was not touched */
	assert_int_equal(owner("/etc", "passwd"), 0);
	make_file(dir, "lab.key"); /* made by root later: it is given too */
	assert_int_equal(privileges_give_folder(&p, dir, &info), 0);
	assert_int_equal(owner(dir, "lab.key"), p.uid);
	assert_int_equal(chown(dir, p.uid + 1, 0), 0);
	assert_int_equal(privileges_give_folder(&p, dir, &info), ERR_CONFIG);
	assert_non_null(strstr(info.text, "belongs to somebody else"));
	assert_int_equal(unlink(path), 0);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = { "lock", "state.db", "lab.key" };

		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

static void t_open_files(void **state)
{
	struct rlimit before, low;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){ 64, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(privileges_raise_files(32), 64); /* never fewer */
	assert_int_equal(privileges_raise_files(100), 100);
	assert_true(privileges_raise_files(before.rlim_max) >= before.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_users),
		cmocka_unit_test(t_root_is_given_up_for_good),
		cmocka_unit_test(t_half_a_drop_is_refused),
		cmocka_unit_test(t_state_folder_is_given),
		cmocka_unit_test(t_open_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
