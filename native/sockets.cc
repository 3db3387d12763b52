// Sockets between this process and the kernel's nbd, between an agent and its successor, and between two agents.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "addon.h"
#include "descriptors.h"

namespace lvr {

// Beyond the system's limit for root; up to it for everybody else.
static void SetSendBuffer(int fd, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

// socketPair(bufferBytes): [fd, fd], connected unix stream sockets whose buffers hold that much in each direction.
static Napi::Value SocketPair(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int bytes = Int32Arg(info, 0);
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) throw SystemError(env, errno, "socketpair");
  SetSendBuffer(fds[0], bytes);
  SetSendBuffer(fds[1], bytes);
  Napi::Array result = Napi::Array::New(env, 2);
  result.Set(uint32_t{0}, Napi::Number::New(env, fds[0]));
  result.Set(uint32_t{1}, Napi::Number::New(env, fds[1]));
  return result;
}

// hungUp(fd): the other end has closed or shut down, although bytes it sent before may still be there.
static Napi::Value HungUp(const Napi::CallbackInfo& info) {
  struct pollfd one = {Int32Arg(info, 0), POLLRDHUP, 0};
  int found;
  do found = poll(&one, 1, 0);
  while (found < 0 && errno == EINTR);
  if (found < 0) throw SystemError(info.Env(), errno, "poll");
  return Napi::Boolean::New(info.Env(), (one.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0);
}

// sendDescriptor(channel, fd): the process at the other end of the unix socket gets a descriptor for the same file. Never waits.
static Napi::Value SendDescriptor(const Napi::CallbackInfo& info) {
  const int channel = Int32Arg(info, 0);
  const int fd = Int32Arg(info, 1);
  char byte = 0;
  struct iovec span = {&byte, 1};
  Control control = {};
  struct msghdr message = {};
  message.msg_iov = &span;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof(control.space);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof(int));
  if (sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) throw SystemError(info.Env(), errno, "sendmsg");
  return info.Env().Undefined();
}

// receiveDescriptor(channel): the next descriptor that was sent; EAGAIN when there is none. Never waits.
static Napi::Value ReceiveDescriptor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  char byte = 0;
  struct iovec span = {&byte, 1};
  Control control = {};
  struct msghdr message = {};
  message.msg_iov = &span;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof(control.space);
  const ssize_t length = recvmsg(Int32Arg(info, 0), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) throw SystemError(env, errno, "recvmsg");
  const int fd = length == 0 ? -1 : TakeDescriptor(&message, [](int extra) { close(extra); });
  if (fd < 0) throw SystemError(env, ENODATA, "recvmsg");
  return Napi::Number::New(env, fd);
}

// duplicate(fd): another descriptor for the same file.
static Napi::Value Duplicate(const Napi::CallbackInfo& info) {
  const int fd = fcntl(Int32Arg(info, 0), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) throw SystemError(info.Env(), errno, "fcntl");
  return Napi::Number::New(info.Env(), fd);
}

// setCongestionControl(fd, name): false when the kernel refuses, and the socket is as before. Never throws: it is called where peers come
// and go, and a refusal costs only speed.
static Napi::Value SetCongestionControl(const Napi::CallbackInfo& info) {
  const std::string name = StringArg(info, 1);
  const int result = setsockopt(Int32Arg(info, 0), IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size()));
  return Napi::Boolean::New(info.Env(), result == 0);
}

void InitSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("socketPair", Napi::Function::New(env, SocketPair, "socketPair"));
  exports.Set("duplicate", Napi::Function::New(env, Duplicate, "duplicate"));
  exports.Set("hungUp", Napi::Function::New(env, HungUp, "hungUp"));
  exports.Set("sendDescriptor", Napi::Function::New(env, SendDescriptor, "sendDescriptor"));
  exports.Set("receiveDescriptor", Napi::Function::New(env, ReceiveDescriptor, "receiveDescriptor"));
  exports.Set("setCongestionControl", Napi::Function::New(env, SetCongestionControl, "setCongestionControl"));
}

}  // namespace lvr
