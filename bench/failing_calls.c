// Counts the calls of a process that change something below one folder, and fails or kills it at one of them.
//
// Loaded by LD_PRELOAD, so that calls made by DuckDB, Polars and NumPy are seen too. `faults_arm` switches it on. Changes
// of files anywhere else, other than devices and what was open at the start as standard output and error, are counted as
// strays, and the first is kept.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING = 0, DIE = -1 };

static char root[PATH_MAX];
static size_t root_length;
static atomic_int armed;
static atomic_long calls, strays;
static long chosen;          // the call that fails, 1 for the first
static int failure;          // its errno, or DIE
static atomic_llong budget;  // bytes that may still be written; the disk is then full. Negative for no limit
static char first_stray[PATH_MAX + 64];

void faults_arm(const char *folder, long call, int error, long long bytes) {
    root_length = (size_t)snprintf(root, sizeof root, "%s", folder);
    chosen = call, failure = error;
    atomic_store(&calls, 0), atomic_store(&strays, 0), atomic_store(&budget, bytes);
    first_stray[0] = 0;
    atomic_store(&armed, 1);
}

void faults_disarm(void) { atomic_store(&armed, 0); }
long faults_calls(void) { return atomic_load(&calls); }
long faults_strays(void) { return atomic_load(&strays); }
const char *faults_first_stray(void) { return first_stray; }

static int inside(const char *path) {
    return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0 || path[root_length] == ' ');
}

static void name_of(int handle, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static void full_name(int folder, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char base[PATH_MAX];
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) base[0] = 0;
    } else {
        name_of(folder, base);
    }
    if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) path[PATH_MAX - 1] = 0;
}

static int may_change(const char *path) {
    return path[0] != '/' || strncmp(path, "/dev/null", 9) == 0 || strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/memfd:", 7) == 0;
}

// Whether this call happens (NOTHING), fails with an errno, or is the last of the process (DIE).
static int fate(const char *call, const char *path, int error_now) {
    if (!atomic_load(&armed)) return NOTHING;
    if (!inside(path)) {
        if (!may_change(path) && atomic_fetch_add(&strays, 1) == 0)
            snprintf(first_stray, sizeof first_stray, "%s %s", call, path);
        return NOTHING;
    }
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (number != chosen) return NOTHING;
    return failure == DIE ? DIE : error_now ? error_now : failure;
}

static int fate_of_handle(const char *call, int handle) {
    if (!atomic_load(&armed) || handle == 1 || handle == 2) return NOTHING;
    char path[PATH_MAX];
    name_of(handle, path);
    return fate(call, path, 0);
}

static int fate_of_name(const char *call, int folder, const char *name, int error_now) {
    if (!atomic_load(&armed)) return NOTHING;
    char path[PATH_MAX];
    full_name(folder, name, path);
    return fate(call, path, error_now);
}

// How many of `wanted` bytes still fit on the disk.
static size_t fitting(int handle, size_t wanted) {
    if (!atomic_load(&armed) || atomic_load(&budget) < 0 || handle == 1 || handle == 2) return wanted;
    char path[PATH_MAX];
    name_of(handle, path);
    if (!inside(path)) return wanted;
    long long left = atomic_load(&budget);
    size_t fits = (long long)wanted < left ? wanted : (size_t)left;
    atomic_fetch_sub(&budget, (long long)fits);
    return fits;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    pause();
}

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define ENDS(decision) \
    { \
        int error = (decision); \
        if (error == DIE) die(); \
        if (error) { \
            errno = error; \
            return -1; \
        } \
    }

// A write that is the last call of the process is torn: its first half arrives.
#define WRITES(handle, length, torn) \
    int error = fate_of_handle(__func__, handle); \
    if (error == DIE) { \
        if ((length) > 1) (void)!(torn); \
        die(); \
    } \
    size_t fits = error ? 0 : fitting(handle, length); \
    if (error || (fits == 0 && (length) > 0)) { \
        errno = error ? error : ENOSPC; \
        return -1; \
    }

ssize_t write(int handle, const void *data, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    WRITES(handle, length, real(handle, data, length / 2));
    return real(handle, data, fits);
}

#define POSITIONED(name, offset_type) \
    ssize_t name(int handle, const void *data, size_t length, offset_type at) { \
        REAL(ssize_t, name, int, const void *, size_t, offset_type); \
        WRITES(handle, length, real(handle, data, length / 2, at)); \
        return real(handle, data, fits, at); \
    }
POSITIONED(pwrite, off_t)
POSITIONED(pwrite64, off64_t)

ssize_t writev(int handle, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    size_t length = 0;
    for (int part = 0; part < count; part++) length += parts[part].iov_len;
    WRITES(handle, length, real(handle, parts, count / 2));
    return real(handle, parts, count);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    REAL(size_t, fwrite, const void *, size_t, size_t, FILE *);
    int handle = fileno(file), error = fate_of_handle("fwrite", handle);
    if (error == DIE) {
        real(data, size, count / 2, file);
        fflush(file);
        die();
    }
    if (error || fitting(handle, size * count) < size * count) {
        errno = error ? error : ENOSPC;
        return 0;
    }
    return real(data, size, count, file);
}

ssize_t sendfile(int to, int from, off_t *at, size_t length) {
    REAL(ssize_t, sendfile, int, int, off_t *, size_t);
    WRITES(to, length, real(to, from, at, length / 2));
    return real(to, from, at, fits);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
    REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
    WRITES(to, length, real(to, from, at, length / 2));
    return real(to, from, at, fits);
}

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *to_at, size_t length, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    WRITES(to, length, real(from, at, to, to_at, length / 2, flags));
    return real(from, at, to, to_at, fits, flags);
}

#define ON_HANDLE(name) \
    int name(int handle) { \
        REAL(int, name, int); \
        ENDS(fate_of_handle(#name, handle)); \
        return real(handle); \
    }
ON_HANDLE(fsync)
ON_HANDLE(fdatasync)

#define TRUNCATES(name, offset_type) \
    int name(int handle, offset_type length) { \
        REAL(int, name, int, offset_type); \
        ENDS(fate_of_handle(#name, handle)); \
        return real(handle, length); \
    }
TRUNCATES(ftruncate, off_t)
TRUNCATES(ftruncate64, off64_t)

// Allocation gives its error as its result.
#define ALLOCATES(name, offset_type) \
    int name(int handle, offset_type at, offset_type length) { \
        REAL(int, name, int, offset_type, offset_type); \
        int error = fate_of_handle(#name, handle); \
        if (error == DIE) die(); \
        if (error) return error; \
        if (fitting(handle, (size_t)length) < (size_t)length) return ENOSPC; \
        return real(handle, at, length); \
    }
ALLOCATES(posix_fallocate, off_t)
ALLOCATES(posix_fallocate64, off64_t)

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    ENDS(fate_of_name("rename", AT_FDCWD, to, 0));
    return real(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    ENDS(fate_of_name("renameat", to_folder, to, 0));
    return real(from_folder, from, to_folder, to);
}

int mkdir(const char *name, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    ENDS(fate_of_name("mkdir", AT_FDCWD, name, 0));
    return real(name, mode);
}

int unlink(const char *name) {
    REAL(int, unlink, const char *);
    ENDS(fate_of_name("unlink", AT_FDCWD, name, EIO));
    return real(name);
}

int unlinkat(int folder, const char *name, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    ENDS(fate_of_name("unlinkat", folder, name, EIO));
    return real(folder, name, flags);
}

int rmdir(const char *name) {
    REAL(int, rmdir, const char *);
    ENDS(fate_of_name("rmdir", AT_FDCWD, name, EIO));
    return real(name);
}

// Only a call that may create or empty a file counts.
#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (flags & (O_CREAT | O_TRUNC)) ENDS(fate_of_name(#name, AT_FDCWD, path, 0)); \
        return real(path, flags, mode); \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(int, name, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (flags & (O_CREAT | O_TRUNC)) ENDS(fate_of_name(#name, folder, path, 0)); \
        return real(folder, path, flags, mode); \
    }
OPENS_AT(openat)
OPENS_AT(openat64)
