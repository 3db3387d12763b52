// Descriptors in the control data of a message (unix(7), SCM_RIGHTS). Free of Node-API, so that it can be tested by itself.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstring>

namespace lvr {

// Room for one descriptor; because of the padding the kernel finds room for two.
union Control {
  struct cmsghdr header;
  char space[CMSG_SPACE(sizeof(int))];
};

// The first descriptor that came with a message, or -1. Every further one is given to `drop`: it is ours, and nobody else would close it.
template <typename Drop>
static inline int TakeDescriptor(struct msghdr* message, Drop drop) {
  int first = -1;
  auto* data = static_cast<const char*>(message->msg_control);
  size_t left = message->msg_controllen;
  while (left >= sizeof(struct cmsghdr)) {
    struct cmsghdr header;
    memcpy(&header, data, sizeof(header));
    if (header.cmsg_len < sizeof(header) || header.cmsg_len > left) break;
    const bool isRights = header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS;
    for (size_t at = CMSG_LEN(0); isRights && at + sizeof(int) <= header.cmsg_len; at += sizeof(int)) {
      int fd = -1;
      memcpy(&fd, data + at, sizeof(fd));
      if (first < 0) first = fd;
      else drop(fd);
    }
    const size_t padded = CMSG_ALIGN(header.cmsg_len);
    if (padded >= left) break;
    data += padded;
    left -= padded;
  }
  return first;
}

}  // namespace lvr
