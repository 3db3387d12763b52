// Generic netlink as bytes: what the messages mean is known in src/attach/netlink-message.ts. The kernel carries a command out inside
// sendmsg(), where it may wait for a device for as long as it likes, so every exchange has a thread of its own: not JavaScript's, which
// may be the one that the device waits for, and not one of libuv's few. Whoever stops waiting for an answer leaves the thread and the
// socket behind.
//
// Owner: a thread owns its Exchange until it hands it to JavaScript; the descriptor belongs to the caller and must stay open meanwhile.

#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "addon.h"
#include "netlink-replies.h"

namespace lvr {

constexpr size_t kMessageBytesMax = 64 * 1024;

// Our signals belong to the main thread.
static void StartThread(Napi::Env env, std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  try {
    std::thread(std::move(body)).detach();
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) throw SystemError(env, error, "pthread_create");
}

static int OpenSocket(Napi::Env env) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd < 0) throw SystemError(env, errno, "socket");
  struct sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  if (bind(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0) return fd;
  const int error = errno;
  close(fd);
  throw SystemError(env, error, "bind");
}

// Calls back with `error` unless it is negative, and `bytes`. Plain Node-API: in an environment that is being taken down every call fails,
// which is no reason to end the process, as an exception of the C++ wrappers would. One of JavaScript's stays pending, and is reported.
static void Tell(napi_env env, napi_value callback, int error, const std::vector<char>& bytes) {
  napi_value receiver = nullptr;
  napi_value arguments[2] = {nullptr, nullptr};
  napi_value ignored = nullptr;
  size_t count = 0;
  if (napi_get_undefined(env, &receiver) != napi_ok) return;
  if (error >= 0 && napi_create_int32(env, error, &arguments[count++]) != napi_ok) return;
  if (napi_create_buffer_copy(env, bytes.size(), bytes.data(), nullptr, &arguments[count++]) != napi_ok) return;
  napi_call_function(env, receiver, callback, count, arguments, &ignored);
}

// The way of a thread back to JavaScript, until the environment ends: then Node frees the function, whoever still holds it (Node 20 does), so
// from its clean-up hook on, which runs before that, a thread calls nothing any more.
class Way {
 public:
  static std::shared_ptr<Way> Make(Napi::Env env, Napi::Function callback) {
    auto way = std::make_shared<Way>();
    auto* held = new std::shared_ptr<Way>(way);
    way->function_ = Napi::ThreadSafeFunction::New(env, callback, "netlink", 0, 1, [held](Napi::Env inner) {
      napi_remove_env_cleanup_hook(inner, Ended, held->get());
      delete held;
    });
    // A thread that was left behind must not keep the process.
    way->function_.Unref(env);
    napi_add_env_cleanup_hook(env, Ended, way.get());
    return way;
  }

  // False when nobody listens any more.
  template <typename Body>
  bool Call(Body body) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return !ended_ && function_.BlockingCall(body) == napi_ok;
  }

  void Release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ended_) function_.Release();
    ended_ = true;
  }

 private:
  static void Ended(void* data) {
    auto* way = static_cast<Way*>(data);
    const std::lock_guard<std::mutex> lock(way->mutex_);
    way->ended_ = true;
  }

  std::mutex mutex_;
  Napi::ThreadSafeFunction function_;
  bool ended_ = false;
};

// netlinkOpen(): a descriptor for netlinkExchange().
static Napi::Value NetlinkOpen(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), OpenSocket(info.Env())); }

struct Exchange {
  int fd;
  std::vector<char> request;
  std::vector<char> replies;
  int error = 0;
};

// Sends the request and collects replies until the kernel's verdict on it, which the request asks for (NLM_F_ACK).
static void Run(Exchange& exchange) {
  struct nlmsghdr sent;
  memcpy(&sent, exchange.request.data(), sizeof(sent));
  if (send(exchange.fd, exchange.request.data(), exchange.request.size(), 0) < 0) {
    exchange.error = errno;
    return;
  }
  std::vector<char> buffer(kMessageBytesMax);
  for (;;) {
    const ssize_t length = recv(exchange.fd, buffer.data(), buffer.size(), 0);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) {
      exchange.error = errno;
      return;
    }
    if (TakeReplies(buffer.data(), static_cast<size_t>(length), sent.nlmsg_seq, &exchange.replies, &exchange.error)) return;
  }
}

// netlinkExchange(fd, request, onDone): onDone(errno, replies) runs once, unless the environment ends first.
static Napi::Value NetlinkExchange(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = Int32Arg(info, 0);
  if (info.Length() < 3 || !info[1].IsTypedArray() || !info[2].IsFunction()) {
    throw Napi::TypeError::New(env, "expected (fd, Uint8Array, function)");
  }
  auto bytes = info[1].As<Napi::Uint8Array>();
  if (bytes.ByteLength() < sizeof(struct nlmsghdr) || bytes.ByteLength() > kMessageBytesMax) {
    throw Napi::RangeError::New(env, "a message has between 16 bytes and 64 KiB");
  }
  auto exchange = std::make_shared<Exchange>();
  exchange->fd = fd;
  exchange->request.assign(bytes.Data(), bytes.Data() + bytes.ByteLength());
  const auto way = Way::Make(env, info[2].As<Napi::Function>());
  StartThread(env, [exchange, way] {
    Run(*exchange);
    way->Call([exchange](Napi::Env inner, Napi::Function callback) {
      Tell(inner, callback, exchange->error, exchange->replies);
    });
    way->Release();
  });
  return env.Undefined();
}

// netlinkListen(group, onMessage): onMessage(bytes) runs for every message of the multicast group until the environment ends.
static Napi::Value NetlinkListen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int group = Int32Arg(info, 0);
  if (info.Length() < 2 || !info[1].IsFunction()) throw Napi::TypeError::New(env, "expected (group, function)");
  const int fd = OpenSocket(env);
  if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) {
    const int error = errno;
    close(fd);
    throw SystemError(env, error, "setsockopt");
  }
  const auto way = Way::Make(env, info[1].As<Napi::Function>());
  StartThread(env, [fd, way] {
    std::vector<char> buffer(kMessageBytesMax);
    for (;;) {
      const ssize_t length = recv(fd, buffer.data(), buffer.size(), 0);
      // ENOBUFS: messages were lost; the listener is told nothing, it looks at the devices anyway.
      if (length < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
      if (length <= 0) break;
      auto message = std::make_shared<std::vector<char>>(buffer.begin(), buffer.begin() + length);
      const bool isHeard = way->Call([message](Napi::Env inner, Napi::Function callback) {
        Tell(inner, callback, -1, *message);
      });
      if (!isHeard) break;
    }
    close(fd);
    way->Release();
  });
  return env.Undefined();
}

void InitNetlink(Napi::Env env, Napi::Object exports) {
  exports.Set("netlinkOpen", Napi::Function::New(env, NetlinkOpen, "netlinkOpen"));
  exports.Set("netlinkExchange", Napi::Function::New(env, NetlinkExchange, "netlinkExchange"));
  exports.Set("netlinkListen", Napi::Function::New(env, NetlinkListen, "netlinkListen"));
}

}  // namespace lvr
