/* Makes one call of a process fail, end it, or do half: loaded before libc (LD_PRELOAD), told by its
 * environment. Calls on files outside LEADGLASS_FAULT_FOLDER are left alone.
 *
 *   LEADGLASS_FAULT=CALL:N:HOW   the Nth CALL (write, sync, rename, truncate) does HOW:
 *                                kill, eio, enospc, short (half of a write is done)
 *   LEADGLASS_FAULT_COUNTS=FILE  nothing fails; each call appends its letter to FILE
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { GO_ON, KILL, FAIL_EIO, FAIL_ENOSPC, SHORT };

static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
static long seen[256];

static int inside(int fd) {
  const char *folder = getenv("LEADGLASS_FAULT_FOLDER");
  if (folder == NULL) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strncmp(path, folder, strlen(folder)) == 0;
}

static enum how judge(const char *call) {
  const char *counts = getenv("LEADGLASS_FAULT_COUNTS");
  if (counts != NULL) {
    int fd = syscall(SYS_open, counts, O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_write, fd, call, 1);
    syscall(SYS_close, fd);
    return GO_ON;
  }
  const char *fault = getenv("LEADGLASS_FAULT");
  if (fault == NULL) return GO_ON;
  size_t length = strlen(call);
  if (strncmp(fault, call, length) != 0 || fault[length] != ':') return GO_ON;
  char *how;
  long wanted = strtol(fault + length + 1, &how, 10);
  pthread_mutex_lock(&counting);
  long now = ++seen[(unsigned char)call[0]];
  pthread_mutex_unlock(&counting);
  if (now != wanted) return GO_ON;
  if (strcmp(how, ":kill") == 0) return KILL;
  if (strcmp(how, ":eio") == 0) return FAIL_EIO;
  if (strcmp(how, ":enospc") == 0) return FAIL_ENOSPC;
  if (strcmp(how, ":short") == 0) return SHORT;
  return GO_ON;
}

/* Whether the call is to be made at all; errno is set where not. */
static int refused(enum how how) {
  switch (how) {
    case KILL:
      kill(getpid(), SIGKILL);
      pause();
      return 1;
    case FAIL_EIO:
      errno = EIO;
      return 1;
    case FAIL_ENOSPC:
      errno = ENOSPC;
      return 1;
    default:
      return 0;
  }
}

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static size_t half(size_t size) { return size > 1 ? size / 2 : size; }

ssize_t write(int fd, const void *buffer, size_t size) {
  REAL(write);
  if (!inside(fd)) return real(fd, buffer, size);
  enum how how = judge("write");
  if (refused(how)) return -1;
  return real(fd, buffer, how == SHORT ? half(size) : size);
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset) {
  REAL(pwrite);
  if (!inside(fd)) return real(fd, buffer, size, offset);
  enum how how = judge("write");
  if (refused(how)) return -1;
  return real(fd, buffer, how == SHORT ? half(size) : size, offset);
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset) {
  return pwrite(fd, buffer, size, offset);
}

static ssize_t some(int fd, const struct iovec *pieces, int count, off_t offset, enum how how) {
  REAL(pwritev);
  if (how != SHORT || count < 1) return real(fd, pieces, count, offset);
  struct iovec first = {pieces[0].iov_base, half(pieces[0].iov_len)};
  return real(fd, &first, 1, offset);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset) {
  enum how how = inside(fd) ? judge("write") : GO_ON;
  return refused(how) ? -1 : some(fd, pieces, count, offset, how);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset) {
  return pwritev(fd, pieces, count, offset);
}

ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags) {
  (void)flags;
  return pwritev(fd, pieces, count, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec *pieces, int count, off64_t offset, int flags) {
  (void)flags;
  return pwritev(fd, pieces, count, offset);
}

int fsync(int fd) {
  REAL(fsync);
  return refused(inside(fd) ? judge("sync") : GO_ON) ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return refused(inside(fd) ? judge("sync") : GO_ON) ? -1 : real(fd);
}

int ftruncate(int fd, off_t size) {
  REAL(ftruncate);
  return refused(inside(fd) ? judge("truncate") : GO_ON) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

static int named_inside(const char *path, int folder) {
  const char *wanted = getenv("LEADGLASS_FAULT_FOLDER");
  if (wanted == NULL) return 0;
  if (path[0] == '/') return strncmp(path, wanted, strlen(wanted)) == 0;
  return folder != AT_FDCWD && inside(folder);
}

int rename(const char *from, const char *to) {
  REAL(rename);
  return refused(named_inside(to, AT_FDCWD) ? judge("rename") : GO_ON) ? -1 : real(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
  REAL(renameat);
  if (refused(named_inside(to, to_folder) ? judge("rename") : GO_ON)) return -1;
  return real(from_folder, from, to_folder, to);
}
