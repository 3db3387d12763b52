// Control data of a message: the first descriptor is taken, every other one is dropped once, nothing is read behind the end.

#include "descriptors.h"
#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  Input input(bytes, size);
  std::vector<uint8_t> data = input.Rest();
  size_t whole = 0;
  for (size_t at = 0; at + sizeof(struct cmsghdr) <= data.size();) {
    struct cmsghdr header;
    memcpy(&header, data.data() + at, sizeof(header));
    // Mostly what the kernel would say, or nearly.
    if ((header.cmsg_level & 3) != 0) header.cmsg_len = CMSG_LEN(0) + header.cmsg_len % 40;
    if ((header.cmsg_level & 12) != 0) header.cmsg_type = SCM_RIGHTS;
    if ((header.cmsg_level & 48) != 0) header.cmsg_level = SOL_SOCKET;
    memcpy(data.data() + at, &header, sizeof(header));
    if (header.cmsg_len > data.size() - at) break;
    at += header.cmsg_len < sizeof(header) ? sizeof(header) : CMSG_ALIGN(header.cmsg_len);
    whole++;
  }
  struct msghdr message = {};
  message.msg_control = data.data();
  message.msg_controllen = data.size();
  size_t dropped = 0;
  const int first = lvr::TakeDescriptor(&message, [&dropped](int) { dropped++; });
  Check(dropped <= data.size() / sizeof(int));
  if (whole == 0) Check(first == -1 && dropped == 0);
  return 0;
}
