// What one recv() of a netlink socket brought, taken apart. Free of Node-API and of the socket, so that it can be tested by itself.
//
// nlmsghdr: length u32 (with these 16 bytes) · type u16 · flags u16 · sequence u32 · port u32; the next one begins at a multiple of 4.
#pragma once

#include <linux/netlink.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace lvr {

// Answers to one request that are kept; the kernel says less about all of its devices.
constexpr size_t kRepliesBytesMax = size_t{1} << 20;

// Adds the messages with this sequence number to `replies`. True when the exchange is over: `error` is the kernel's verdict (0 or an errno),
// or EBADMSG for what is none. Not with the kernel's own macros: given a length that is no multiple of 4, NLMSG_NEXT goes on behind the end.
static inline bool TakeReplies(const char* data, size_t length, uint32_t sequence, std::vector<char>* replies, int* error,
                               size_t limit = kRepliesBytesMax) {
  for (size_t at = 0; length - at >= sizeof(struct nlmsghdr);) {
    struct nlmsghdr header;
    memcpy(&header, data + at, sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > length - at) {
      *error = EBADMSG;
      return true;
    }
    const char* start = data + at;
    const size_t padded = (size_t{header.nlmsg_len} + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO;
    at = padded < length - at ? at + padded : length;
    if (header.nlmsg_seq != sequence) continue;
    if (header.nlmsg_type == NLMSG_ERROR) {
      int32_t verdict = -EBADMSG;
      if (header.nlmsg_len >= sizeof(header) + sizeof(verdict)) memcpy(&verdict, start + sizeof(header), sizeof(verdict));
      *error = verdict > 0 || verdict < -4095 ? EBADMSG : -verdict;
      return true;
    }
    if (replies->size() + padded > limit) {
      *error = EMSGSIZE;
      return true;
    }
    replies->insert(replies->end(), start, start + header.nlmsg_len);
    replies->resize(replies->size() + padded - header.nlmsg_len);
  }
  return false;
}

}  // namespace lvr
