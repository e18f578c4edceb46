/* The calls that can be made to fail. tests/module.mk takes the names from the symbols of this
 * file, and tools/run-tests finds those that the program makes and that stand neither here nor in
 * unwrapped.txt. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <ldns/ldns.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>
#include <yaml.h>

#include "tests/faults/fault.h"

/* What a caller finds in an output that the failed call leaves undefined. */
#define STREAM_ERROR 0x20 /* what ferror() of glibc looks at */

#define POISON ((void *)0x5a5a)

#define CALL(kind, type, name, params, args, on_fault)                                             \
	type fault_call_##name params;                                                             \
	type fault_call_##name params                                                              \
	{                                                                                          \
		if (fault_hit(kind)) {                                                             \
			on_fault;                                                                  \
		}                                                                                  \
		return name args;                                                                  \
	}
#define ALLOC(name, params, args)                                                                  \
	CALL(FAULT_ALLOC, void *, name, params, args, errno = ENOMEM; return NULL)
#define OBJECT(type, name, params, args) CALL(FAULT_ALLOC, type, name, params, args, return NULL)
#define STEP(name, params, args)         CALL(FAULT_ALLOC, int, name, params, args, return 0)
#define UV(name, params, args, err)      CALL(FAULT_UV, int, name, params, args, return err)
#define SQL(name, params, args, err)     CALL(FAULT_SQLITE, int, name, params, args, return err)
#define SYS(name, params, args, no)                                                                \
	CALL(FAULT_SYSTEM, int, name, params, args, errno = no; return -1)
#define DISK(name, params, args)                                                                   \
	int fault_call_##name params;                                                              \
	int fault_call_##name params                                                               \
	{                                                                                          \
		return disk_fails() ? -1 : name args;                                              \
	}

static bool disk_fails(void)
{
	if (fault_hit(FAULT_DISK))
		errno = ENOSPC;
	else if (fault_hit(FAULT_EIO))
		errno = EIO;
	else
		return false;
	return true;
}

/* How much of a write of this size is done. */
static size_t written(size_t len)
{
	return fault_hit(FAULT_SHORT) && len > 1 ? len / 2 : len;
}

/* Memory */

ALLOC(malloc, (size_t size), (size))
ALLOC(calloc, (size_t n, size_t size), (n, size))
ALLOC(realloc, (void *p, size_t size), (p, size))
ALLOC(reallocarray, (void *p, size_t n, size_t size), (p, n, size))
CALL(FAULT_ALLOC, char *, strdup, (const char *s), (s), errno = ENOMEM; return NULL)
CALL(FAULT_ALLOC, char *, strndup, (const char *s, size_t n), (s, n), errno = ENOMEM; return NULL)
CALL(FAULT_ALLOC, FILE *, open_memstream, (char **ret, size_t *ret_len), (ret, ret_len),
     errno = ENOMEM;
     return NULL)

int fault_call_vasprintf(char **ret, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
int fault_call_vasprintf(char **ret, const char *fmt, va_list ap)
{
	if (fault_hit(FAULT_ALLOC)) {
		*ret = POISON;
		return -1;
	}
	return vasprintf(ret, fmt, ap);
}

int fault_call_asprintf(char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fault_call_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fault_call_vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

/* Libraries that make something for us */

OBJECT(ldns_pkt *, ldns_pkt_new, (void), ())
OBJECT(ldns_rr *, ldns_rr_new, (void), ())
OBJECT(ldns_rdf *, ldns_rdf_new_frm_data, (ldns_rdf_type t, size_t n, const void *p), (t, n, p))
OBJECT(ldns_rdf *, ldns_native2rdf_int16, (ldns_rdf_type t, uint16_t v), (t, v))
CALL(FAULT_ALLOC, bool, ldns_rr_push_rdf, (ldns_rr * rr, const ldns_rdf *f), (rr, f), return false)
CALL(FAULT_ALLOC, bool, ldns_pkt_push_rr, (ldns_pkt * p, ldns_pkt_section s, ldns_rr *rr),
     (p, s, rr), return false)
CALL(FAULT_ALLOC, ldns_status, ldns_pkt2wire, (uint8_t * *ret, const ldns_pkt *p, size_t *ret_len),
     (ret, p, ret_len), *ret = NULL;
     return LDNS_STATUS_MEM_ERR)
OBJECT(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), ())
OBJECT(EVP_MAC *, EVP_MAC_fetch, (OSSL_LIB_CTX * c, const char *a, const char *p), (c, a, p))
OBJECT(EVP_MAC_CTX *, EVP_MAC_CTX_new, (EVP_MAC * m), (m))
OBJECT(EVP_MAC_CTX *, EVP_MAC_CTX_dup, (const EVP_MAC_CTX *m), (m))
OBJECT(EVP_KDF *, EVP_KDF_fetch, (OSSL_LIB_CTX * c, const char *a, const char *p), (c, a, p))
OBJECT(EVP_KDF_CTX *, EVP_KDF_CTX_new, (EVP_KDF * k), (k))
STEP(EVP_Digest,
     (const void *p, size_t n, unsigned char *ret, unsigned *ret_len, const EVP_MD *t, ENGINE *e),
     (p, n, ret, ret_len, t, e))
STEP(EVP_MAC_init, (EVP_MAC_CTX * c, const unsigned char *k, size_t n, const OSSL_PARAM p[]),
     (c, k, n, p))
STEP(EVP_MAC_update, (EVP_MAC_CTX * c, const unsigned char *d, size_t n), (c, d, n))
STEP(EVP_MAC_final, (EVP_MAC_CTX * c, unsigned char *out, size_t *ret_len, size_t size),
     (c, out, ret_len, size))
STEP(EVP_KDF_derive, (EVP_KDF_CTX * c, unsigned char *k, size_t n, const OSSL_PARAM p[]),
     (c, k, n, p))
STEP(EVP_EncryptInit_ex,
     (EVP_CIPHER_CTX * c, const EVP_CIPHER *t, ENGINE *e, const unsigned char *k,
      const unsigned char *iv),
     (c, t, e, k, iv))
STEP(EVP_DecryptInit_ex,
     (EVP_CIPHER_CTX * c, const EVP_CIPHER *t, ENGINE *e, const unsigned char *k,
      const unsigned char *iv),
     (c, t, e, k, iv))
STEP(yaml_parser_initialize, (yaml_parser_t * p), (p))

/* libuv */

UV(uv_loop_init, (uv_loop_t * l), (l), UV_EMFILE)
UV(uv_async_init, (uv_loop_t * l, uv_async_t *a, uv_async_cb cb), (l, a, cb), UV_EMFILE)
UV(uv_signal_start, (uv_signal_t * s, uv_signal_cb cb, int n), (s, cb, n), UV_EINVAL)
UV(uv_poll_init, (uv_loop_t * l, uv_poll_t *p, int fd), (l, p, fd), UV_ENOMEM)
UV(uv_poll_start, (uv_poll_t * p, int events, uv_poll_cb cb), (p, events, cb), UV_ENOMEM)
UV(uv_fs_event_start, (uv_fs_event_t * h, uv_fs_event_cb cb, const char *path, unsigned flags),
   (h, cb, path, flags), UV_ENOSPC)
UV(uv_listen, (uv_stream_t * s, int n, uv_connection_cb cb), (s, n, cb), UV_EADDRINUSE)
UV(uv_pipe_bind, (uv_pipe_t * p, const char *name), (p, name), UV_EACCES)
UV(uv_tcp_bind, (uv_tcp_t * t, const struct sockaddr *a, unsigned flags), (t, a, flags),
   UV_EADDRNOTAVAIL)
UV(uv_tcp_connect, (uv_connect_t * c, uv_tcp_t *t, const struct sockaddr *a, uv_connect_cb cb),
   (c, t, a, cb), UV_EMFILE)
UV(uv_tcp_init, (uv_loop_t * l, uv_tcp_t *t), (l, t), UV_ENOMEM)
UV(uv_tcp_nodelay, (uv_tcp_t * t, int on), (t, on), UV_EINVAL)
UV(uv_tcp_open, (uv_tcp_t * t, uv_os_sock_t fd), (t, fd), UV_EEXIST)
UV(uv_read_start, (uv_stream_t * s, uv_alloc_cb alloc, uv_read_cb cb), (s, alloc, cb), UV_ENOTCONN)
UV(uv_udp_bind, (uv_udp_t * u, const struct sockaddr *a, unsigned flags), (u, a, flags), UV_EMFILE)
UV(uv_udp_connect, (uv_udp_t * u, const struct sockaddr *a), (u, a), UV_ENETUNREACH)
UV(uv_udp_recv_start, (uv_udp_t * u, uv_alloc_cb alloc, uv_udp_recv_cb cb), (u, alloc, cb),
   UV_ENOMEM)
UV(uv_udp_try_send, (uv_udp_t * u, const uv_buf_t bufs[], unsigned n, const struct sockaddr *a),
   (u, bufs, n, a), UV_ENOBUFS)
UV(uv_udp_getsockname, (const uv_udp_t *u, struct sockaddr *a, int *len), (u, a, len), UV_ENOBUFS)
UV(uv_fileno, (const uv_handle_t *h, uv_os_fd_t *fd), (h, fd), UV_EBADF)

int fault_call_uv_try_write(uv_stream_t *s, const uv_buf_t bufs[], unsigned n);
int fault_call_uv_try_write(uv_stream_t *s, const uv_buf_t bufs[], unsigned n)
{
	if (fault_hit(FAULT_UV))
		return UV_ECONNRESET;
	return fault_hit(FAULT_SHORT) ? UV_EAGAIN : uv_try_write(s, bufs, n);
}

/* A peer that is gone is told to the callback. */
int fault_call_uv_write(uv_write_t *w, uv_stream_t *s, const uv_buf_t bufs[], unsigned n,
			uv_write_cb cb);
int fault_call_uv_write(uv_write_t *w, uv_stream_t *s, const uv_buf_t bufs[], unsigned n,
			uv_write_cb cb)
{
	uv_os_fd_t fd;

	if (fault_hit(FAULT_UV))
		return UV_ENOMEM;
	if (fault_hit(FAULT_GONE) && uv_fileno((uv_handle_t *)s, &fd) == 0)
		(void)shutdown(fd, SHUT_WR);
	return uv_write(w, s, bufs, n, cb);
}

/* The connection is lost with it, as in libuv itself. */
CALL(FAULT_UV, int, uv_accept, (uv_stream_t * server, uv_stream_t *client), (server, client),
     (void)uv_accept(server, client);
     return UV_EMFILE)

/* SQLite */

CALL(FAULT_SQLITE, int, sqlite3_open_v2,
     (const char *name, sqlite3 **ret, int flags, const char *vfs), (name, ret, flags, vfs),
     *ret = NULL;
     return SQLITE_NOMEM)
CALL(FAULT_SQLITE, int, sqlite3_prepare_v2,
     (sqlite3 * db, const char *sql, int n, sqlite3_stmt **ret, const char **tail),
     (db, sql, n, ret, tail), *ret = NULL;
     return SQLITE_NOMEM)
SQL(sqlite3_step, (sqlite3_stmt * s), (s), SQLITE_FULL)
SQL(sqlite3_bind_int64, (sqlite3_stmt * s, int i, sqlite3_int64 v), (s, i, v), SQLITE_NOMEM)
SQL(sqlite3_bind_text, (sqlite3_stmt * s, int i, const char *t, int n, void (*f)(void *)),
    (s, i, t, n, f), SQLITE_NOMEM)
SQL(sqlite3_bind_blob64,
    (sqlite3_stmt * s, int i, const void *p, sqlite3_uint64 n, void (*f)(void *)), (s, i, p, n, f),
    SQLITE_NOMEM)
SQL(sqlite3_exec,
    (sqlite3 * db, const char *sql, int (*row)(void *, int, char **, char **), void *ctx,
     char **ret),
    (db, sql, row, ctx, ret), SQLITE_FULL)

/* The system */

/* Where a call can fail in several ways: in their turn. */
static int one_of(const int *errnos, unsigned n)
{
	static unsigned turn;

	return errnos[turn++ % n];
}
#define ONE_OF(...)                                                                                \
	one_of((const int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))

SYS(socket, (int family, int type, int protocol), (family, type, protocol),
    ONE_OF(EMFILE, EAFNOSUPPORT))
SYS(bind, (int fd, const struct sockaddr *a, socklen_t len), (fd, a, len),
    ONE_OF(EADDRNOTAVAIL, EACCES, ENOMEM))
SYS(listen, (int fd, int n), (fd, n), EADDRINUSE)
SYS(connect, (int fd, const struct sockaddr *a, socklen_t len), (fd, a, len), ENOBUFS)
SYS(getsockname, (int fd, struct sockaddr *a, socklen_t *len), (fd, a, len), ENOBUFS)
SYS(setsockopt, (int fd, int level, int name, const void *v, socklen_t len),
    (fd, level, name, v, len), ENOBUFS)
SYS(mkostemp, (char *name, int flags), (name, flags), EMFILE)
SYS(dup, (int fd), (fd), EMFILE)
SYS(getifaddrs, (struct ifaddrs * *ret), (ret), ENOBUFS)
CALL(FAULT_SYSTEM, FILE *, fopen, (const char *path, const char *mode), (path, mode),
     errno = EMFILE;
     return NULL)
CALL(FAULT_SYSTEM, DIR *, fdopendir, (int fd), (fd), errno = ENOMEM; return NULL)
CALL(FAULT_SYSTEM, int, pthread_create,
     (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *arg), (t, a, f, arg),
     return EAGAIN)

int fault_call_accept4(int fd, struct sockaddr *a, socklen_t *len, int flags);
int fault_call_accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
	if (fault_hit(FAULT_SYSTEM)) {
		errno = EMFILE;
		return -1;
	}
	fd = accept4(fd, a, len, flags);
	if (fd < 0 || !fault_hit(FAULT_GONE))
		return fd;
	(void)close(fd);
	errno = ECONNABORTED;
	return -1;
}

int fault_call_fcntl(int fd, int what, ...);
int fault_call_fcntl(int fd, int what, ...)
{
	va_list ap;
	int v;

	if (fault_hit(FAULT_SYSTEM)) {
		errno = EMFILE;
		return -1;
	}
	va_start(ap, what);
	v = what != F_GETFL ? va_arg(ap, int) : 0;
	va_end(ap);
	return fcntl(fd, what, v);
}

int fault_call_open(const char *path, int flags, ...);
int fault_call_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	if (fault_hit(FAULT_SYSTEM)) {
		errno = EMFILE;
		return -1;
	}
	va_start(ap, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open(path, flags, mode);
}

/* The disk */

DISK(fsync, (int fd), (fd))
DISK(ftruncate, (int fd, off_t len), (fd, len))
DISK(fchmod, (int fd, mode_t mode), (fd, mode))
DISK(rename, (const char *from, const char *to), (from, to))
DISK(mkdir, (const char *path, mode_t mode), (path, mode))

ssize_t fault_call_write(int fd, const void *p, size_t n);
ssize_t fault_call_write(int fd, const void *p, size_t n)
{
	return disk_fails() ? -1 : write(fd, p, written(n));
}

ssize_t fault_call_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t fault_call_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return disk_fails() ? -1 : pwrite(fd, p, written(n), at);
}

size_t fault_call_fwrite(const void *p, size_t size, size_t n, FILE *f);
size_t fault_call_fwrite(const void *p, size_t size, size_t n, FILE *f)
{
	/* stderr is how the rest is told: fputs() of a constant comes here, too */
	if (f == stderr || !disk_fails())
		return fwrite(p, size, n, f);
	f->_flags |= STREAM_ERROR;
	return 0;
}

int fault_call_fflush(FILE *f);
int fault_call_fflush(FILE *f)
{
	if (__fpending(f) == 0 || !disk_fails())
		return fflush(f);
	f->_flags |= STREAM_ERROR;
	return EOF;
}

/* It is closed all the same. */
int fault_call_close(int fd);
int fault_call_close(int fd)
{
	if (!fault_hit(FAULT_EIO))
		return close(fd);
	(void)close(fd);
	errno = EIO;
	return -1;
}

static int full; /* open before any life, which may leave nothing open */

__attribute__((constructor)) static void open_full(void)
{
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
}

/* What goes wrong in the thread that writes is told to the callback. */
int fault_call_uv_fs_write(uv_loop_t *l, uv_fs_t *rq, uv_file fd, const uv_buf_t bufs[], unsigned n,
			   int64_t at, uv_fs_cb cb);
int fault_call_uv_fs_write(uv_loop_t *l, uv_fs_t *rq, uv_file fd, const uv_buf_t bufs[], unsigned n,
			   int64_t at, uv_fs_cb cb)
{
	uv_buf_t half;

	if (fault_hit(FAULT_UV))
		return UV_ENOMEM;
	if (disk_fails())
		return uv_fs_write(l, rq, full, bufs, n, at, cb);
	half = uv_buf_init(bufs[0].base, (unsigned)written(bufs[0].len));
	return half.len < bufs[0].len ? uv_fs_write(l, rq, fd, &half, 1, at, cb)
				      : uv_fs_write(l, rq, fd, bufs, n, at, cb);
}

/* Time, which runs faster where a test says so: all of it, or deadlines and timers would part. */

static unsigned speed = 1;
static struct timespec began[2];
static const clockid_t clocks[2] = { CLOCK_MONOTONIC, CLOCK_REALTIME };

void fault_time(unsigned times)
{
	for (size_t i = 0; i < 2; i++)
		(void)clock_gettime(clocks[i], &began[i]);
	speed = times;
}

static int64_t since(const struct timespec *from, const struct timespec *to)
{
	return (int64_t)(to->tv_sec - from->tv_sec) * 1000000000 + (to->tv_nsec - from->tv_nsec);
}

int fault_call_clock_gettime(clockid_t id, struct timespec *ret);
int fault_call_clock_gettime(clockid_t id, struct timespec *ret)
{
	const struct timespec *from = &began[id == CLOCK_REALTIME];
	int err = clock_gettime(id, ret);
	int64_t ns;

	if (err != 0 || speed == 1 || (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC))
		return err;
	ns = from->tv_nsec + since(from, ret) * speed;
	*ret = (struct timespec){ from->tv_sec + ns / 1000000000, ns % 1000000000 };
	return 0;
}

time_t fault_call_time(time_t *ret);
time_t fault_call_time(time_t *ret)
{
	struct timespec now;

	(void)fault_call_clock_gettime(CLOCK_REALTIME, &now);
	if (ret != NULL)
		*ret = now.tv_sec;
	return now.tv_sec;
}

static uint64_t faster(uint64_t now, uint64_t per_second)
{
	uint64_t from = (uint64_t)began[0].tv_sec * per_second +
			(uint64_t)began[0].tv_nsec / (1000000000 / per_second);

	return speed == 1 || now < from ? now : from + (now - from) * speed;
}

uint64_t fault_call_uv_now(const uv_loop_t *l);
uint64_t fault_call_uv_now(const uv_loop_t *l)
{
	return faster(uv_now(l), 1000);
}

uint64_t fault_call_uv_hrtime(void);
uint64_t fault_call_uv_hrtime(void)
{
	return faster(uv_hrtime(), 1000000000);
}

int fault_call_uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t ms, uint64_t repeat);
int fault_call_uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t ms, uint64_t repeat)
{
	return uv_timer_start(t, cb, ms / speed + (ms % speed != 0),
			      repeat / speed + (repeat % speed != 0));
}

int fault_call_poll(struct pollfd *fds, nfds_t n, int ms);
int fault_call_poll(struct pollfd *fds, nfds_t n, int ms)
{
	return poll(fds, n, ms < 0 ? ms : ms / (int)speed + (ms % (int)speed != 0));
}
