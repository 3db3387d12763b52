// Receiving from sockets into memory that JavaScript names. It is called when as much has come as it waits for: a long payload comes in
// many pieces, from a unix socket at least, and nothing can be done before the last of them.
//
// Owner: the environment's thread alone touches a receiver. Order: the memory named is the receiver's until it has told what is there, or
// is closed. It is not pinned; src/disk/socket-reader.ts keeps it.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <memory>

#include "addon.h"

namespace lvr {

static constexpr int kRoundsMax = 16;         // of one wake-up, so that one sender does not keep the loop for itself
static constexpr uint64_t kPatienceMs = 1000;  // what comes later than this after the memory was named is told at once, with all before it

class Receiver {
 public:
  Receiver(napi_env env, int fd) : env_(env), fd_(fd) {}

  // 0, or an errno; the descriptor, which is the receiver's, is closed then.
  int Start(Napi::Function on_received, const std::shared_ptr<Receiver>& self);
  // Fills [memory, memory + length), the receiver's until it has told what is there: at least `least` bytes, if the other end sends them.
  void Receive(uint8_t* memory, size_t length, size_t least);
  void Pause();
  void Resume();
  void Close();

 private:
  // The event loop's handle outlives Close() until the loop has let go of it, and keeps the receiver alive until then.
  struct Handle {
    uv_poll_t poll;
    std::shared_ptr<Receiver> receiver;
  };

  static void OnReadable(uv_poll_t* poll, int status, int events);
  static void OnClosed(uv_handle_t* handle);
  static void OnCleanup(napi_async_cleanup_hook_handle handle, void* data);

  void Drain();
  void Poll();
  void Tell(size_t length, int error);

  napi_env env_;
  int fd_;
  uint8_t* memory_ = nullptr;
  size_t length_ = 0;
  size_t least_ = 0;
  size_t filled_ = 0;
  uint64_t named_ms_ = 0;
  int error_ = 0;  // of the socket, told when everything before it was
  bool wanted_ = false;  // there is memory, and JavaScript has not paused
  bool polling_ = false;
  bool draining_ = false;
  bool closed_ = false;
  napi_ref on_received_ = nullptr;
  Handle* handle_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
};

int Receiver::Start(Napi::Function on_received, const std::shared_ptr<Receiver>& self) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  handle_ = new Handle();
  handle_->receiver = self;
  handle_->poll.data = handle_;
  const int error = uv_poll_init(loop, &handle_->poll, fd_);
  if (error != 0) {
    delete handle_;
    close(fd_);
    closed_ = true;
    return -error;
  }
  napi_create_reference(env_, on_received, 1, &on_received_);
  napi_add_async_cleanup_hook(env_, OnCleanup, this, &cleanup_);
  return 0;
}

void Receiver::Receive(uint8_t* memory, size_t length, size_t least) {
  if (closed_) return;
  memory_ = memory;
  length_ = length;
  least_ = least;
  filled_ = 0;
  named_ms_ = uv_now(handle_->poll.loop);
  Resume();
}

void Receiver::Resume() {
  if (closed_ || memory_ == nullptr) return;
  wanted_ = true;
  if (!draining_) Poll();
}

void Receiver::Pause() {
  wanted_ = false;
  if (!draining_) Poll();
}

// Lets the event loop look at the socket exactly while something is wanted.
void Receiver::Poll() {
  if (closed_ || wanted_ == polling_) return;
  polling_ = wanted_;
  if (wanted_) uv_poll_start(&handle_->poll, UV_READABLE, OnReadable);
  else uv_poll_stop(&handle_->poll);
}

void Receiver::OnReadable(uv_poll_t* poll, int status, int) {
  const std::shared_ptr<Receiver> receiver = static_cast<Handle*>(poll->data)->receiver;  // stays although a call closes it
  // Of a socket that has failed: libuv has stopped looking at it, and what came before can still be read.
  if (status < 0) receiver->polling_ = false;
  receiver->Drain();
}

void Receiver::Drain() {
  draining_ = true;
  for (int round = 0; wanted_ && round < kRoundsMax; round++) {
    const size_t asked = length_ - filled_;
    const ssize_t count = recv(fd_, memory_ + filled_, asked, MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (count <= 0) {
      if (count < 0) error_ = errno;
      if (filled_ > 0) {
        Tell(filled_, 0);
        continue;
      }
      Tell(0, error_);
      break;
    }
    filled_ += static_cast<size_t>(count);
    if (filled_ >= least_ || uv_now(handle_->poll.loop) - named_ms_ >= kPatienceMs) Tell(filled_, 0);
    if (static_cast<size_t>(count) < asked) break;
  }
  draining_ = false;
  Poll();
}

// The memory is JavaScript's from here on. It may name some again in this call, or close the receiver.
void Receiver::Tell(size_t length, int error) {
  wanted_ = false;
  memory_ = nullptr;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value on_received = nullptr;
  napi_value receiver = nullptr;
  napi_value arguments[2];
  napi_value ignored = nullptr;
  napi_get_reference_value(env_, on_received_, &on_received);
  napi_get_global(env_, &receiver);
  napi_create_uint32(env_, static_cast<uint32_t>(length), &arguments[0]);
  napi_create_uint32(env_, static_cast<uint32_t>(error), &arguments[1]);
  if (napi_make_callback(env_, nullptr, receiver, on_received, 2, arguments, &ignored) == napi_pending_exception) {
    napi_value exception = nullptr;
    if (napi_get_and_clear_last_exception(env_, &exception) == napi_ok) napi_fatal_exception(env_, exception);
  }
  napi_close_handle_scope(env_, scope);
}

void Receiver::Close() {
  if (closed_) return;
  closed_ = true;
  wanted_ = false;
  uv_poll_stop(&handle_->poll);
  napi_delete_reference(env_, on_received_);
  close(fd_);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll), OnClosed);
}

void Receiver::OnClosed(uv_handle_t* closed) {
  auto* handle = static_cast<Handle*>(closed->data);
  napi_remove_async_cleanup_hook(handle->receiver->cleanup_);
  delete handle;
}

void Receiver::OnCleanup(napi_async_cleanup_hook_handle, void* data) { static_cast<Receiver*>(data)->Close(); }

using Holder = Napi::External<std::shared_ptr<Receiver>>;

// openReceiver(fd, onReceived: (length, errno) => void): receiver. It has a descriptor of its own for the socket.
static Napi::Value OpenReceiver(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[1].IsFunction()) throw Napi::TypeError::New(env, "openReceiver(fd: number, onReceived: function)");
  const int fd = fcntl(Int32Arg(info, 0), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) throw SystemError(env, errno, "fcntl");
  auto receiver = std::make_shared<Receiver>(env, fd);
  const int error = receiver->Start(info[1].As<Napi::Function>(), receiver);
  if (error != 0) throw SystemError(env, error, "epoll_ctl");
  return Holder::New(env, new std::shared_ptr<Receiver>(receiver), [](Napi::Env, std::shared_ptr<Receiver>* holder) { delete holder; });
}

static std::shared_ptr<Receiver>* ReceiverArg(napi_env env, napi_value value) {
  void* data = nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok) napi_throw_type_error(env, nullptr, "argument 0 must be a receiver");
  return static_cast<std::shared_ptr<Receiver>*>(data);
}

// receive(receiver, memory: Uint8Array, least): on the data path, so plain Node-API.
static napi_value Receive(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  size_t argc = 3;
  napi_typedarray_type type;
  void* memory = nullptr;
  size_t length = 0;
  uint32_t least = 0;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc < 3 ||
      napi_get_typedarray_info(env, argv[1], &type, &length, &memory, nullptr, nullptr) != napi_ok || type != napi_uint8_array ||
      length == 0 || napi_get_value_uint32(env, argv[2], &least) != napi_ok || least == 0 || least > length) {
    napi_throw_type_error(env, nullptr, "receive(receiver, memory: Uint8Array, least: number)");
    return nullptr;
  }
  if (auto* receiver = ReceiverArg(env, argv[0])) (*receiver)->Receive(static_cast<uint8_t*>(memory), length, least);
  return nullptr;
}

// pauseReceiver(receiver), resumeReceiver(receiver): the memory stays named.
static Napi::Value PauseReceiver(const Napi::CallbackInfo& info) {
  if (auto* receiver = ReceiverArg(info.Env(), info[0])) (*receiver)->Pause();
  return info.Env().Undefined();
}

static Napi::Value ResumeReceiver(const Napi::CallbackInfo& info) {
  if (auto* receiver = ReceiverArg(info.Env(), info[0])) (*receiver)->Resume();
  return info.Env().Undefined();
}

// closeReceiver(receiver): the memory named last is touched no more.
static Napi::Value CloseReceiver(const Napi::CallbackInfo& info) {
  if (auto* receiver = ReceiverArg(info.Env(), info[0])) (*receiver)->Close();
  return info.Env().Undefined();
}

void InitReceive(Napi::Env env, Napi::Object exports) {
  exports.Set("openReceiver", Napi::Function::New(env, OpenReceiver, "openReceiver"));
  napi_value receive = nullptr;
  napi_create_function(env, "receive", NAPI_AUTO_LENGTH, Receive, nullptr, &receive);
  napi_set_named_property(env, exports, "receive", receive);
  exports.Set("pauseReceiver", Napi::Function::New(env, PauseReceiver, "pauseReceiver"));
  exports.Set("resumeReceiver", Napi::Function::New(env, ResumeReceiver, "resumeReceiver"));
  exports.Set("closeReceiver", Napi::Function::New(env, CloseReceiver, "closeReceiver"));
}

}  // namespace lvr
