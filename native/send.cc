// Sending beside the environment's thread: one thread copies answers into the sockets and wakes whoever waits for them, which is two fifths
// of the work for short reads, while the environment's thread serves the next requests.
//
// Owner: the queue and the results belong to both threads, under the mutex; an outlet's descriptor lives as long as the last piece for it.
// Order: pieces leave in the order in which they were handed over. The thread never waits for a socket: what one does not take at once, and
// every piece behind it, comes back as not sent until releaseOutlet(), so that a slow client costs the others nothing and no byte overtakes
// another. Memory is not pinned; src/disk/socket-sender.ts keeps it until it is told what became of it.

#include <fcntl.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "addon.h"

namespace lvr {

// How long the thread looks for a next piece before it sleeps, and lets everybody else run meanwhile. To wake it costs the environment's
// thread more than to send a piece would, in a virtual machine at least (10 us and more), and pieces follow each other within this time
// while a client reads as fast as it can.
static constexpr int64_t kLookoutNs = 50'000;

static int64_t NowNs() {
  struct timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{1'000'000'000} * now.tv_sec + now.tv_nsec;
}

struct Outlet {
  explicit Outlet(int descriptor) : fd(descriptor) {}
  Outlet(const Outlet&) = delete;
  ~Outlet() { close(fd); }

  const int fd;
  std::atomic<bool> held{false};  // a piece was not taken whole
};

struct Piece {
  std::shared_ptr<Outlet> outlet;
  const uint8_t* memory;
  size_t length;
};

class Sender {
 public:
  explicit Sender(napi_env env) : env_(env) {}

  // 0, or an errno; the sender deletes itself then. `sent` gets the byte counts of each call of `on_sent`.
  int Start(Napi::Uint32Array sent, Napi::Function on_sent);
  void Send(Piece piece);

 private:
  static void OnAsync(uv_async_t* async) { static_cast<Sender*>(async->data)->Deliver(); }
  static void OnClosed(uv_handle_t* closed);
  static void OnCleanup(napi_async_cleanup_hook_handle, void* data) { static_cast<Sender*>(data)->Close(); }

  void Work();
  void Deliver();
  void KeepAlive();
  void Call(uint32_t count);
  void Close();

  napi_env env_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Piece> pieces_;
  std::vector<uint32_t> results_;       // byte counts, oldest first
  std::atomic<uint32_t> waiting_{0};    // pieces that are not taken, for who looks without the mutex
  bool asleep_ = false;
  std::atomic<bool> stop_{false};
  uint32_t under_way_ = 0;  // not told; the environment's thread alone counts
  uv_async_t async_ = {};
  uint32_t* sent_ = nullptr;
  size_t sent_max_ = 0;
  napi_ref sent_ref_ = nullptr;
  napi_ref on_sent_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
};

int Sender::Start(Napi::Uint32Array sent, Napi::Function on_sent) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  // Signals belong to the main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  uv_async_init(loop, &async_, OnAsync);
  async_.data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
  int error = 0;
  try {
    thread_ = std::thread([this] { Work(); });
    pthread_setname_np(thread_.native_handle(), "lvr-send");
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    uv_close(reinterpret_cast<uv_handle_t*>(&async_), OnClosed);
    return error;
  }
  napi_create_reference(env_, sent, 1, &sent_ref_);
  napi_create_reference(env_, on_sent, 1, &on_sent_);
  sent_ = sent.Data();
  sent_max_ = sent.ElementLength();
  napi_add_async_cleanup_hook(env_, OnCleanup, this, &cleanup_);
  return 0;
}

void Sender::Send(Piece piece) {
  if (++under_way_ == 1) KeepAlive();
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    pieces_.push_back(std::move(piece));
    waiting_.store(static_cast<uint32_t>(pieces_.size()), std::memory_order_release);
    wake = asleep_;
  }
  if (wake) work_.notify_one();
}

// As much of a piece as the socket takes at once.
static uint32_t SendNow(const Piece& piece) {
  size_t sent = 0;
  while (sent < piece.length) {
    const ssize_t count = send(piece.outlet->fd, piece.memory + sent, piece.length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;  // full, or failed: whoever sends the rest is told which
    sent += static_cast<size_t>(count);
  }
  return static_cast<uint32_t>(sent);
}

void Sender::Work() {
  for (;;) {
    const int64_t until = NowNs() + kLookoutNs;
    while (waiting_.load(std::memory_order_acquire) == 0 && !stop_.load() && NowNs() < until) sched_yield();
    Piece piece;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      asleep_ = true;
      work_.wait(lock, [this] { return stop_.load() || !pieces_.empty(); });
      asleep_ = false;
      if (stop_) return;
      piece = std::move(pieces_.front());
      pieces_.pop_front();
      waiting_.store(static_cast<uint32_t>(pieces_.size()), std::memory_order_release);
    }
    uint32_t sent = 0;
    if (!piece.outlet->held.load()) {
      sent = SendNow(piece);
      if (sent < piece.length) piece.outlet->held.store(true);
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      results_.push_back(sent);
    }
    uv_async_send(&async_);
  }
}

// One call per wake-up, so that pieces that are given in it do not keep the loop.
void Sender::Deliver() {
  uint32_t count = 0;
  bool more = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    count = static_cast<uint32_t>(std::min(results_.size(), sent_max_));
    std::copy_n(results_.begin(), count, sent_);
    results_.erase(results_.begin(), results_.begin() + count);
    more = !results_.empty();
  }
  if (more) uv_async_send(&async_);
  if (count == 0) return;
  under_way_ -= count;
  KeepAlive();
  Call(count);
}

// The process may end when nothing is under way.
void Sender::KeepAlive() {
  auto* handle = reinterpret_cast<uv_handle_t*>(&async_);
  if (under_way_ > 0) uv_ref(handle);
  else uv_unref(handle);
}

void Sender::Call(uint32_t count) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value on_sent = nullptr;
  napi_value receiver = nullptr;
  napi_value argument = nullptr;
  napi_value ignored = nullptr;
  napi_get_reference_value(env_, on_sent_, &on_sent);
  napi_get_global(env_, &receiver);
  napi_create_uint32(env_, count, &argument);
  if (napi_make_callback(env_, nullptr, receiver, on_sent, 1, &argument, &ignored) == napi_pending_exception) {
    napi_value exception = nullptr;
    if (napi_get_and_clear_last_exception(env_, &exception) == napi_ok) napi_fatal_exception(env_, exception);
  }
  napi_close_handle_scope(env_, scope);
}

// The environment ends. The thread never waits for anybody, so it is gone at once; the handle goes when the loop has let go of it.
void Sender::Close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  work_.notify_one();
  thread_.join();
  napi_delete_reference(env_, sent_ref_);
  napi_delete_reference(env_, on_sent_);
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), OnClosed);
}

void Sender::OnClosed(uv_handle_t* closed) {
  auto* sender = static_cast<Sender*>(closed->data);
  if (sender->cleanup_ != nullptr) napi_remove_async_cleanup_hook(sender->cleanup_);
  delete sender;
}

// openSender(sent: Uint32Array, onSent: (count: number) => void): sender, which lives as long as the environment.
static Napi::Value OpenSender(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array ||
      info[0].As<Napi::TypedArray>().ElementLength() == 0 || !info[1].IsFunction()) {
    throw Napi::TypeError::New(env, "openSender(sent: Uint32Array, onSent: function)");
  }
  auto* sender = new Sender(env);
  const int error = sender->Start(info[0].As<Napi::Uint32Array>(), info[1].As<Napi::Function>());
  if (error != 0) throw SystemError(env, error, "pthread_create");
  return Napi::External<Sender>::New(env, sender);
}

using OutletHolder = Napi::External<std::shared_ptr<Outlet>>;

// openOutlet(fd): outlet. It has a descriptor of its own for the socket.
static Napi::Value OpenOutlet(const Napi::CallbackInfo& info) {
  const int fd = fcntl(Int32Arg(info, 0), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) throw SystemError(info.Env(), errno, "fcntl");
  auto* outlet = new std::shared_ptr<Outlet>(std::make_shared<Outlet>(fd));
  return OutletHolder::New(info.Env(), outlet, [](Napi::Env, std::shared_ptr<Outlet>* holder) { delete holder; });
}

static std::shared_ptr<Outlet>* OutletArg(napi_env env, napi_value value) {
  void* data = nullptr;
  auto* outlet = napi_get_value_external(env, value, &data) == napi_ok ? static_cast<std::shared_ptr<Outlet>*>(data) : nullptr;
  if (outlet != nullptr && *outlet != nullptr) return outlet;
  napi_throw_type_error(env, nullptr, "argument must be an open outlet");
  return nullptr;
}

// sendPiece(sender, outlet, memory: Uint8Array): on the data path, so plain Node-API.
static napi_value SendPiece(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  size_t argc = 3;
  napi_typedarray_type type;
  void* sender = nullptr;
  void* memory = nullptr;
  size_t length = 0;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc < 3 ||
      napi_get_value_external(env, argv[0], &sender) != napi_ok ||
      napi_get_typedarray_info(env, argv[2], &type, &length, &memory, nullptr, nullptr) != napi_ok || type != napi_uint8_array ||
      length == 0 || length > UINT32_MAX) {
    napi_throw_type_error(env, nullptr, "sendPiece(sender, outlet, memory: Uint8Array)");
    return nullptr;
  }
  if (auto* outlet = OutletArg(env, argv[1])) static_cast<Sender*>(sender)->Send({*outlet, static_cast<const uint8_t*>(memory), length});
  return nullptr;
}

// isOutletDrained(outlet): whether the other end has read (of a unix socket; acknowledged, of TCP) everything sent to it so far.
static napi_value IsOutletDrained(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  napi_value result = nullptr;
  int unread = 0;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) return nullptr;
  auto* outlet = OutletArg(env, argv[0]);
  if (outlet == nullptr) return nullptr;
  const bool drained = ioctl((*outlet)->fd, SIOCOUTQ, &unread) == 0 && unread == 0;
  napi_get_boolean(env, drained, &result);
  return result;
}

// releaseOutlet(outlet): all of its pieces are told, and what they left has gone another way or will before the next one.
static Napi::Value ReleaseOutlet(const Napi::CallbackInfo& info) {
  if (auto* outlet = OutletArg(info.Env(), info[0])) (*outlet)->held.store(false);
  return info.Env().Undefined();
}

// closeOutlet(outlet): its descriptor is closed when the thread is done with the pieces under way.
static Napi::Value CloseOutlet(const Napi::CallbackInfo& info) {
  if (auto* outlet = OutletArg(info.Env(), info[0])) {
    (*outlet)->held.store(true);
    outlet->reset();
  }
  return info.Env().Undefined();
}

void InitSend(Napi::Env env, Napi::Object exports) {
  exports.Set("openSender", Napi::Function::New(env, OpenSender, "openSender"));
  exports.Set("openOutlet", Napi::Function::New(env, OpenOutlet, "openOutlet"));
  napi_value send_piece = nullptr;
  napi_create_function(env, "sendPiece", NAPI_AUTO_LENGTH, SendPiece, nullptr, &send_piece);
  napi_set_named_property(env, exports, "sendPiece", send_piece);
  napi_value is_drained = nullptr;
  napi_create_function(env, "isOutletDrained", NAPI_AUTO_LENGTH, IsOutletDrained, nullptr, &is_drained);
  napi_set_named_property(env, exports, "isOutletDrained", is_drained);
  exports.Set("releaseOutlet", Napi::Function::New(env, ReleaseOutlet, "releaseOutlet"));
  exports.Set("closeOutlet", Napi::Function::New(env, CloseOutlet, "closeOutlet"));
}

}  // namespace lvr
