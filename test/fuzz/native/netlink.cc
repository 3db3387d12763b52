// What a netlink socket brought, in one piece or several: only whole messages of our exchange are kept, the verdict is an errno, nothing is
// read behind the end, and the answers have a limit.

#include "input.h"
#include "netlink-replies.h"

// Small, so that it is reached.
static constexpr size_t kLimit = 600;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  Input input(bytes, size);
  const uint8_t times = input.Take<uint8_t>();
  std::vector<uint8_t> data = input.Rest();
  // Lengths that are nearly right, so that more than the first message is reached.
  for (size_t at = 0; at + sizeof(struct nlmsghdr) <= data.size();) {
    struct nlmsghdr header;
    memcpy(&header, data.data() + at, sizeof(header));
    if ((header.nlmsg_flags & 3) != 0) header.nlmsg_len = static_cast<uint32_t>(header.nlmsg_len % (data.size() - at + 2));
    if ((header.nlmsg_flags & 12) != 0) header.nlmsg_seq = 7;
    if ((header.nlmsg_flags & 48) == 48) header.nlmsg_type = NLMSG_ERROR;
    memcpy(data.data() + at, &header, sizeof(header));
    at += header.nlmsg_len < sizeof(header) ? sizeof(header) : (size_t{header.nlmsg_len} + 3) / 4 * 4;
  }
  std::vector<char> replies;
  int error = 0;
  for (int i = 0; i <= times % 8; i++) {
    const size_t before = replies.size();
    const bool over = lvr::TakeReplies(reinterpret_cast<const char*>(data.data()), data.size(), 7, &replies, &error, kLimit);
    Check(error >= 0 && error < 4096);
    Check(over || error == 0);
    Check(replies.size() <= kLimit && replies.size() - before <= data.size() + 3);
    if (over) break;
  }
  // What is kept is a row of whole messages.
  for (size_t at = 0; at < replies.size();) {
    struct nlmsghdr header;
    Check(replies.size() - at >= sizeof(header));
    memcpy(&header, replies.data() + at, sizeof(header));
    Check(header.nlmsg_seq == 7 && header.nlmsg_len >= sizeof(header) && header.nlmsg_type != NLMSG_ERROR);
    at += (size_t{header.nlmsg_len} + 3) / 4 * 4;
    Check(at <= replies.size());
  }
  return 0;
}
