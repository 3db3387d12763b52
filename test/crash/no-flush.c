// Preloaded beside libeatmydata, which knows fsync and fdatasync but not RWF_DSYNC: takes that flag away, so that no write is durable either.
// For the negative control of the crash images only.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

typedef ssize_t (*write_call)(int, const struct iovec *, int, off64_t, int);

static ssize_t without_dsync(const char *name, int fd, const struct iovec *spans, int count, off64_t offset, int flags) {
  const write_call next = (write_call)dlsym(RTLD_NEXT, name);
  return next(fd, spans, count, offset, flags & ~(RWF_DSYNC | RWF_SYNC));
}

ssize_t pwritev2(int fd, const struct iovec *spans, int count, off_t offset, int flags) {
  return without_dsync("pwritev2", fd, spans, count, offset, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *spans, int count, off64_t offset, int flags) {
  return without_dsync("pwritev64v2", fd, spans, count, offset, flags);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
  (void)fd, (void)offset, (void)length, (void)flags;
  return 0;
}
