#include "daemon/privileges.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 16384 /* of a passwd entry */

int privileges_find(const char *user, struct privileges *ret, struct err_info *info)
{
	struct passwd pw, *found = NULL;
	char names[NAMES_MAX];
	int n = PRIVILEGES_GROUPS_MAX;

	memset(ret, 0, sizeof(*ret));
	if (user == NULL)
		return 0;
	if (getpwnam_r(user, &pw, names, sizeof(names), &found) != 0 || found == NULL)
		return err_set(info, ERR_CONFIG,
			       "node.user: there is no user '%s' on this machine; `useradd "
			       "--system %s` makes one",
			       user, user);
	if (pw.pw_uid == 0)
		return err_set(info, ERR_CONFIG,
			       "node.user: '%s' is root; name a user without privileges, or leave "
			       "it out",
			       user);
	if (geteuid() == pw.pw_uid && getuid() == pw.pw_uid)
		return 0;
	if (geteuid() != 0)
		return err_set(
			info, ERR_CONFIG,
			"node.user: only root can become '%s'; start the daemon as root or as "
			"that user",
			user);
	if (getgrouplist(user, pw.pw_gid, ret->groups, &n) < 0)
		return err_set(info, ERR_CONFIG, "node.user: '%s' is in more than %d groups", user,
			       PRIVILEGES_GROUPS_MAX);
	ret->n_groups = (size_t)n;
	ret->uid = pw.pw_uid;
	ret->gid = pw.pw_gid;
	ret->wanted = true;
	return 0;
}

static int give_entries(const struct privileges *p, int fd)
{
	DIR *d = fdopendir(fd);
	const struct dirent *e;
	int err = 0;

	if (d == NULL)
		return -errno;
	while (err == 0 && (e = readdir(d)) != NULL) {
		struct stat st;

		/* The lock, the state and what SQLite puts beside it, the lab key. */
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(st.st_mode) || st.st_uid == p->uid)
			continue;
		if (fchownat(dirfd(d), e->d_name, p->uid, p->gid, AT_SYMLINK_NOFOLLOW) != 0)
			err = -errno;
	}
	(void)closedir(d);
	return err;
}

int privileges_give_folder(const struct privileges *p, const char *dir, struct err_info *info)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st = { 0 };
	int err = 0;

	if (fd < 0 || fstat(fd, &st) != 0)
		err = -errno;
	if (err == 0 && st.st_uid != p->uid &&
	    (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
		(void)close(fd);
		return err_set(
			info, ERR_CONFIG,
			"node.state_dir: %s belongs to somebody else, or others may write into "
			"it; `chown` it to node.user",
			dir);
	}
	/* The entries first: once the folder is the user's, he could exchange them under us. */
	if (err == 0) {
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

		err = copy < 0 ? -errno : give_entries(p, copy);
	}
	if (err == 0 && fchown(fd, p->uid, p->gid) != 0)
		err = -errno;
	if (fd >= 0)
		(void)close(fd);
	return err == 0 ? 0
			: err_set(info, err, "node.state_dir: cannot give %s to node.user: %s", dir,
				  err_text(err));
}

int privileges_give_file(const struct privileges *p, const char *path)
{
	return lchown(path, p->uid, (gid_t)-1) == 0 ? 0 : -errno;
}

/** Is there a way back? */
static bool is_dropped(const struct privileges *p)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) != 0 || getresgid(&rg, &eg, &sg) != 0)
		return false;
	if (r != p->uid || e != p->uid || s != p->uid || rg != p->gid || eg != p->gid ||
	    sg != p->gid)
		return false;
	return setuid(0) != 0 && seteuid(0) != 0 && setresuid(0, 0, 0) != 0 &&
	       (p->gid == 0 || setegid(0) != 0);
}

int privileges_drop(const struct privileges *p, struct err_info *info)
{
	const char *what = NULL;

	if (setgroups(p->n_groups, p->groups) != 0)
		what = "setgroups";
	else if (setresgid(p->gid, p->gid, p->gid) != 0)
		what = "setresgid";
	else if (setresuid(p->uid, p->uid, p->uid) != 0)
		what = "setresuid";
	else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		what = "no_new_privs";
	if (what != NULL)
		return err_set(info, -errno, "node.user: cannot give up root: %s: %s", what,
			       err_text(-errno));
	if (!is_dropped(p))
		return err_set(info, ERR_INTERNAL,
			       "node.user: root was given up and could be taken back; not started");
	return 0;
}

size_t privileges_raise_files(size_t wanted)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return 0;
	if (r.rlim_cur < wanted) {
		struct rlimit more = { wanted, r.rlim_max < wanted ? wanted : r.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &more) != 0) { /* past the hard limit only root may */
			more = (struct rlimit){ r.rlim_max, r.rlim_max };
			(void)setrlimit(RLIMIT_NOFILE, &more);
		}
		(void)getrlimit(RLIMIT_NOFILE, &r);
	}
	return r.rlim_cur;
}
