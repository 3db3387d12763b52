/* Takes RWF_DSYNC away from every pwritev2(), for LD_PRELOAD beside libeatmydata, which makes fsync and fdatasync do nothing but does not
 * know of this flag. An agent that runs with both believes that its log is durable when it is not: the power cut test must notice. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
  return syscall(SYS_pwritev2, fd, parts, (long)count, (long)offset, 0L, (long)(flags & ~RWF_DSYNC));
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
  return pwritev64v2(fd, parts, count, offset, flags);
}
