/* Makes the n-th write to a store's files fail, tear or kill; or writes down all of them.

   Loaded before libc (LD_PRELOAD).  Only files whose path begins with the armed prefix
   count, the lock file not.  fault_arm() is called by the test, in the process itself. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { OFF, COUNT, KILL, KILL_AFTER, TORN, ENOSPC_ONCE, ENOSPC_FROM, EIO_ONCE, EIO_FROM, LOG };

static int mode, log_fd = -1;
static long nth, calls;
static char prefix[4096];

void fault_arm(int new_mode, long n, const char *path, int fd) {
    mode = OFF, calls = 0, nth = n, log_fd = fd;
    snprintf(prefix, sizeof prefix, "%s", path);
    mode = new_mode;
}

long fault_calls(void) { return calls; }

static int watched(int fd, char *path, size_t size) {
    char link[64];
    if (mode == OFF || fd == log_fd) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, size - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return !strncmp(path, prefix, strlen(prefix)) && !strstr(path, "-lock") && !strstr(path, "-shm");
}

/* One line for each call: kind, offset, length, path; then the bytes. */
static void note(char kind, off_t offset, const void *bytes, size_t length, const char *path) {
    static ssize_t (*real_write)(int, const void *, size_t);
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    char head[4300];
    int n = snprintf(head, sizeof head, "%c %lld %zu %s\n", kind, (long long)offset, length, path);
    real_write(log_fd, head, n);
    if (bytes) real_write(log_fd, bytes, length);
}

/* Returns the errno to fail with, 0 to go on; -1: tear the write and die; -2: die after it. */
static int fault(void) {
    long n = calls++;
    if (mode == KILL && n == nth) raise(SIGKILL);
    if (mode == TORN && n == nth) return -1;
    if (mode == KILL_AFTER && n == nth) return -2;
    if ((mode == ENOSPC_ONCE && n == nth) || (mode == ENOSPC_FROM && n >= nth)) return ENOSPC;
    if ((mode == EIO_ONCE && n == nth) || (mode == EIO_FROM && n >= nth)) return EIO;
    return 0;
}

static ssize_t writing(ssize_t (*real)(int, const void *, size_t, off_t), int fd,
                       const void *bytes, size_t length, off_t offset) {
    char path[4096];
    int error = 0;
    if (watched(fd, path, sizeof path)) {
        if (mode == LOG) note('w', offset, bytes, length, path);
        error = fault();
    }
    if (error > 0) return errno = error, -1;
    ssize_t done = real(fd, bytes, error == -1 ? length / 2 : length, offset);
    if (error < 0) raise(SIGKILL);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite");
    return writing(real, fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    return writing(real, fd, bytes, length, offset);
}

static int simple(char kind, int (*real)(int), int fd) {
    char path[4096];
    int error = 0;
    if (watched(fd, path, sizeof path)) {
        if (mode == LOG) note(kind, 0, 0, 0, path);
        error = fault();
    }
    if (error > 0) return errno = error, -1;
    if (error == -1) raise(SIGKILL);
    int done = real(fd);
    if (error == -2) raise(SIGKILL);
    return done;
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    return simple('s', real, fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    return simple('s', real, fd);
}

static int truncating(int (*real)(int, off_t), int fd, off_t size) {
    char path[4096];
    int error = 0;
    if (watched(fd, path, sizeof path)) {
        if (mode == LOG) note('t', size, 0, 0, path);
        error = fault();
    }
    if (error > 0) return errno = error, -1;
    if (error == -1) raise(SIGKILL);
    int done = real(fd, size);
    if (error == -2) raise(SIGKILL);
    return done;
}

int ftruncate(int fd, off_t size) {
    static int (*real)(int, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "ftruncate");
    return truncating(real, fd, size);
}

int ftruncate64(int fd, off_t size) {
    static int (*real)(int, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "ftruncate64");
    return truncating(real, fd, size);
}

int unlink(const char *path) {
    static int (*real)(const char *);
    if (!real) real = dlsym(RTLD_NEXT, "unlink");
    int error = 0;
    if (mode != OFF && !strncmp(path, prefix, strlen(prefix)) && !strstr(path, "-shm")) {
        if (mode == LOG) note('u', 0, 0, 0, path);
        error = fault();
    }
    if (error > 0) return errno = error, -1;
    if (error == -1) raise(SIGKILL);
    int done = real(path);
    if (error == -2) raise(SIGKILL);
    return done;
}
