/* Records what a program does to a database, and what it sends, in one order.
 *
 * Preloaded (LD_PRELOAD) into a program, it stands before libc's functions. $RECORDED_DATABASE is the resolved path of an
 * SQLite file; the file, its -wal, its -journal and the folder that they are in are followed. Each operation on them, and
 * each piece of data that goes out on a socket, becomes one record at the end of the file $RECORD.
 *
 * An operation and its record are made under one lock, so the order of the records is the order of the operations. Only a
 * sync takes long, and others go on meanwhile: its record follows its end and names the number of records that there were
 * when it began. Those are what it has made durable.
 *
 * What a program could do in other ways (by memory maps, say) is not recorded. The test that plays a whole record back
 * and compares the outcome with the files would show it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MAX_DESCRIPTORS 65536

enum kind { CREATED = 'C', WRITTEN = 'W', TRUNCATED = 'T', SYNCED = 'S', UNLINKED = 'U', SENT = '>' };
enum file { OTHER, FOLDER, DATABASE, WAL, JOURNAL };

struct header {
    uint8_t kind, file;
    uint16_t unused;
    uint32_t size; /* of the data behind the header */
    int64_t number; /* WRITTEN: the offset; TRUNCATED: the new size; SYNCED: how many records it covers */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_descriptor = -1;
static int64_t records;
static char database[PATH_MAX], folder[PATH_MAX];
static uint8_t files[MAX_DESCRIPTORS]; /* what each descriptor is open for */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("RECORDED_DATABASE"), *record = getenv("RECORD");
    if (!path || !record || strlen(path) >= PATH_MAX || !strrchr(path, '/'))
        abort();
    strcpy(database, path);
    strcpy(folder, path);
    *strrchr(folder, '/') = 0;
    log_descriptor = REAL(open)(record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_descriptor < 0)
        abort();
}

/* Which of the files a path names. */
static enum file file_at(const char *path) {
    size_t length = strlen(database);
    if (log_descriptor < 0 || !path)
        return OTHER;
    if (!strcmp(path, folder))
        return FOLDER;
    if (strncmp(path, database, length))
        return OTHER;
    path += length;
    return !*path ? DATABASE : !strcmp(path, "-wal") ? WAL : !strcmp(path, "-journal") ? JOURNAL : OTHER;
}

/* Which of the files a descriptor is open for. */
static enum file file_of(int descriptor) {
    return descriptor >= 0 && descriptor < MAX_DESCRIPTORS ? files[descriptor] : OTHER;
}

/* Write one record. The lock is held; a record with a hole would be worth nothing, so that ends the program. */
static void record(enum kind kind, enum file file, int64_t number, const void *data, size_t size) {
    struct header header = {kind, file, 0, size, number};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)data, size}};
    int before = errno;
    if (REAL(writev)(log_descriptor, parts, 2) != (ssize_t)(sizeof header + size))
        abort();
    records++;
    errno = before;
}

/* -- files -- */

static int opened(const char *path, int flags, mode_t mode, int (*real)(const char *, int, ...)) {
    enum file file = file_at(path);
    pthread_mutex_lock(&lock);
    int is_new = file != OTHER && (flags & O_CREAT) && access(path, F_OK);
    int descriptor = real(path, flags, mode);
    if (descriptor >= MAX_DESCRIPTORS)
        abort();
    if (descriptor >= 0)
        files[descriptor] = file;
    if (descriptor >= 0 && is_new)
        record(CREATED, file, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return descriptor;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opened(path, flags, mode, REAL(open));
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opened(path, flags, mode, REAL(open64));
}

int close(int descriptor) {
    pthread_mutex_lock(&lock);
    if (file_of(descriptor) != OTHER)
        files[descriptor] = OTHER;
    int outcome = REAL(close)(descriptor);
    pthread_mutex_unlock(&lock);
    return outcome;
}

static ssize_t written(int descriptor, const void *data, size_t size, int64_t offset,
                       ssize_t (*real)(int, const void *, size_t, __off64_t)) {
    enum file file = file_of(descriptor);
    if (file == OTHER)
        return real(descriptor, data, size, offset);
    pthread_mutex_lock(&lock);
    ssize_t done = real(descriptor, data, size, offset);
    if (done > 0)
        record(WRITTEN, file, offset, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
    return written(descriptor, data, size, offset, REAL(pwrite));
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, __off64_t offset) {
    return written(descriptor, data, size, offset, REAL(pwrite64));
}

static int truncated(int descriptor, int64_t size, int (*real)(int, __off64_t)) {
    enum file file = file_of(descriptor);
    if (file == OTHER)
        return real(descriptor, size);
    pthread_mutex_lock(&lock);
    int outcome = real(descriptor, size);
    if (!outcome)
        record(TRUNCATED, file, size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return outcome;
}

int ftruncate(int descriptor, off_t size) {
    return truncated(descriptor, size, REAL(ftruncate));
}

int ftruncate64(int descriptor, __off64_t size) {
    return truncated(descriptor, size, REAL(ftruncate64));
}

static int synced(int descriptor, int (*real)(int)) {
    enum file file = file_of(descriptor);
    if (file == OTHER)
        return real(descriptor);
    pthread_mutex_lock(&lock);
    int64_t covered = records;
    pthread_mutex_unlock(&lock);
    int outcome = real(descriptor);
    pthread_mutex_lock(&lock);
    if (!outcome)
        record(SYNCED, file, covered, NULL, 0);
    pthread_mutex_unlock(&lock);
    return outcome;
}

int fsync(int descriptor) {
    return synced(descriptor, REAL(fsync));
}

int fdatasync(int descriptor) {
    return synced(descriptor, REAL(fdatasync));
}

int unlink(const char *path) {
    enum file file = file_at(path);
    if (file == OTHER)
        return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    int outcome = REAL(unlink)(path);
    if (!outcome)
        record(UNLINKED, file, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return outcome;
}

/* -- sockets; the server's do not block, so the lock is held for a moment only -- */

static int is_socket(int descriptor) {
    struct stat status;
    return log_descriptor >= 0 && !fstat(descriptor, &status) && S_ISSOCK(status.st_mode);
}

/* Note what has gone out in one piece, which may be less than what was given. The lock is held. */
static void note_sent(const struct iovec *parts, size_t count, ssize_t size) {
    if (size <= 0)
        return;
    char *data = malloc(size), *end = data;
    if (!data)
        abort();
    for (size_t at = 0; at < count && end < data + size; at++) {
        size_t left = data + size - end, taken = parts[at].iov_len < left ? parts[at].iov_len : left;
        memcpy(end, parts[at].iov_base, taken);
        end += taken;
    }
    record(SENT, OTHER, 0, data, size);
    free(data);
}

ssize_t sendto(int descriptor, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    struct iovec part = {(void *)data, size};
    pthread_mutex_lock(&lock);
    ssize_t done = REAL(sendto)(descriptor, data, size, flags, to, length);
    note_sent(&part, 1, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t send(int descriptor, const void *data, size_t size, int flags) {
    return sendto(descriptor, data, size, flags, NULL, 0);
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
    pthread_mutex_lock(&lock);
    ssize_t done = REAL(sendmsg)(descriptor, message, flags);
    note_sent(message->msg_iov, message->msg_iovlen, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (!is_socket(descriptor))
        return REAL(writev)(descriptor, parts, count);
    pthread_mutex_lock(&lock);
    ssize_t done = REAL(writev)(descriptor, parts, count);
    note_sent(parts, count, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int descriptor, const void *data, size_t size) {
    if (!is_socket(descriptor))
        return REAL(write)(descriptor, data, size);
    struct iovec part = {(void *)data, size};
    return writev(descriptor, &part, 1);
}
