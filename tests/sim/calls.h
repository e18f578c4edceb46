/**
 * The calls that the program makes and this folder takes: sim_call_NAME() for NAME, by the names of
 * its symbols (tests/module.mk). Each does as its man page says, within what is played here; what
 * is not played ends the test.
 */
#ifndef KMSBEACON_TESTS_SIM_CALLS_H
#define KMSBEACON_TESTS_SIM_CALLS_H

#include <ifaddrs.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

/* sockets.c */
int sim_call_socket(int family, int type, int protocol);
int sim_call_bind(int fd, const struct sockaddr *sa, socklen_t len);
int sim_call_connect(int fd, const struct sockaddr *sa, socklen_t len);
int sim_call_listen(int fd, int n);
int sim_call_accept(int fd, struct sockaddr *sa, socklen_t *len);
int sim_call_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int sim_call_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int sim_call_getpeername(int fd, struct sockaddr *sa, socklen_t *len);
int sim_call_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int sim_call_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int sim_call_shutdown(int fd, int how);
int sim_call_close(int fd);
int sim_call_dup(int fd);
int sim_call_fcntl(int fd, int cmd, ...);
int sim_call_fcntl64(int fd, int cmd, ...);
int sim_call_ioctl(int fd, unsigned long request, ...);

/* inout.c */
ssize_t sim_call_read(int fd, void *buf, size_t size);
ssize_t sim_call_readv(int fd, const struct iovec *iov, int n);
ssize_t sim_call_recv(int fd, void *buf, size_t size, int flags);
ssize_t sim_call_recvfrom(int fd, void *buf, size_t size, int flags, struct sockaddr *sa,
			  socklen_t *len);
ssize_t sim_call_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t sim_call_write(int fd, const void *data, size_t len);
ssize_t sim_call_writev(int fd, const struct iovec *iov, int n);
ssize_t sim_call_send(int fd, const void *data, size_t len, int flags);
ssize_t sim_call_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *sa,
			socklen_t sa_len);
ssize_t sim_call_sendmsg(int fd, const struct msghdr *m, int flags);

/* epoll.c */
int sim_call_epoll_create(int size);
int sim_call_epoll_create1(int flags);
int sim_call_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int sim_call_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
int sim_call_epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout,
			 const sigset_t *mask);
int sim_call_poll(struct pollfd *fds, nfds_t n, int timeout);

/* threads.c */
int sim_call_nanosleep(const struct timespec *ts, struct timespec *left);
int sim_call_sched_yield(void);
int sim_call_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
			    void *arg);
int sim_call_pthread_join(pthread_t id, void **ret);
int sim_call_pthread_mutex_lock(pthread_mutex_t *m);
int sim_call_pthread_mutex_unlock(pthread_mutex_t *m);
int sim_call_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int sim_call_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
				    const struct timespec *until);
int sim_call_pthread_cond_signal(pthread_cond_t *c);
int sim_call_pthread_cond_broadcast(pthread_cond_t *c);
int sim_call_sem_wait(sem_t *s);
int sim_call_sem_post(sem_t *s);

/* system.c */
int sim_call_clock_gettime(clockid_t id, struct timespec *ret);
int sim_call_gettimeofday(struct timeval *ret, void *zone);
time_t sim_call_time(time_t *ret);
ssize_t sim_call_getrandom(void *buf, size_t size, unsigned flags);
pid_t sim_call_getpid(void);
int sim_call_gethostname(char *ret, size_t size);
int sim_call_getrlimit(int what, struct rlimit *ret);
int sim_call_setrlimit(int what, const struct rlimit *to);
int sim_call_isatty(int fd);
int sim_call_stat(const char *path, struct stat *ret);
int sim_call_getifaddrs(struct ifaddrs **ret);
void sim_call_freeifaddrs(struct ifaddrs *list);
long sim_call_syscall(long number, ...);
extern FILE *sim_call_stdout, *sim_call_stderr;
int sim_call_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
int sim_call_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int sim_call___printf_chk(int flag, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int sim_call_puts(const char *text);
int sim_call_putchar(int c);

/* life.c */
void sim_call_exit(int code) __attribute__((noreturn));

#endif
