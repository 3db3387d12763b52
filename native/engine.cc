// Engines as JavaScript sees them: openEngine, submit, closeEngine. Operations come in rows of a Float64Array and go back as pairs
// of another, so that a turn of the event loop crosses the language border once each way.

#include "engine.h"

#include <uv.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "addon.h"
#include "arena.h"
#include "rows.h"

namespace lvr {

static constexpr uint32_t kDepthMax = 4096;
static constexpr uint32_t kWorkersMax = 64;
static constexpr uint32_t kRetriesMax = 100;

class Engine {
 public:
  Engine(napi_env env, std::unique_ptr<Backend> backend, uint32_t depth)
      : env_(env), backend_(std::move(backend)), operations_(depth), free_(depth), reaped_(depth) {
    for (uint32_t i = 0; i < depth; i++) free_[i] = depth - 1 - i;
    fresh_.reserve(depth);
  }

  int Start(Napi::Float64Array sq, Napi::Float64Array cq, Napi::Function on_done, const std::shared_ptr<Engine>& self);
  // Takes `count` rows of sq over, or throws and takes none. Returns the pairs written to cq.
  uint32_t Submit(Napi::Env env, uint32_t count);
  void Close();
  bool closed() const { return closed_; }

 private:
  // The event loop's handle outlives Close() until the loop has let go of it, and keeps the engine alive until then.
  struct Handle {
    uv_poll_t poll;
    std::shared_ptr<Engine> engine;
  };

  static void OnReadable(uv_poll_t* poll, int status, int events);
  static void OnClosed(uv_handle_t* handle);
  static void OnCleanup(napi_async_cleanup_hook_handle handle, void* data);

  void EnqueueFresh();
  uint32_t Reap();
  uint32_t Settle(uint32_t handle, int64_t result, uint32_t pairs, bool* again);
  void Deliver();
  void Call(uint32_t count);
  uint32_t InFlight() const { return static_cast<uint32_t>(operations_.size() - free_.size()); }
  void KeepAlive();

  napi_env env_;
  std::unique_ptr<Backend> backend_;
  std::vector<Operation> operations_;  // by handle
  std::vector<uint32_t> free_;         // handles without an operation
  std::vector<uint32_t> fresh_;        // handles of the rows being submitted
  std::vector<Completion> reaped_;
  const double* sq_ = nullptr;
  double* cq_ = nullptr;
  napi_ref refs_[3] = {nullptr, nullptr, nullptr};  // sq, cq, onDone
  Handle* handle_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool referenced_ = false;
  bool closed_ = false;
};

int Engine::Start(Napi::Float64Array sq, Napi::Float64Array cq, Napi::Function on_done, const std::shared_ptr<Engine>& self) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  handle_ = new Handle();
  handle_->engine = self;
  handle_->poll.data = handle_;
  const int error = uv_poll_init(loop, &handle_->poll, backend_->PollFd());
  if (error != 0) {
    delete handle_;
    handle_ = nullptr;
    closed_ = true;
    return -error;
  }
  napi_create_reference(env_, sq, 1, &refs_[0]);
  napi_create_reference(env_, cq, 1, &refs_[1]);
  napi_create_reference(env_, on_done, 1, &refs_[2]);
  sq_ = sq.Data();
  cq_ = cq.Data();
  // A plain cleanup hook could not wait for uv_close, and a handle that is open at the end of a worker aborts it.
  napi_add_async_cleanup_hook(env_, OnCleanup, this, &cleanup_);
  uv_poll_start(&handle_->poll, UV_READABLE, OnReadable);
  uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
  return 0;
}

uint32_t Engine::Submit(Napi::Env env, uint32_t count) {
  const char* wrong = count > free_.size() ? "submit: more operations than the depth" : nullptr;
  ArenaRegistry& arenas = *InstanceOf(env).arenas;
  for (uint32_t i = 0; i < count && wrong == nullptr; i++) {
    const uint32_t handle = free_.back();
    wrong = DecodeRow(sq_ + static_cast<size_t>(i) * kRowNumbers, arenas, &operations_[handle]);
    if (wrong != nullptr) break;
    free_.pop_back();
    fresh_.push_back(handle);
  }
  if (wrong != nullptr) {
    while (!fresh_.empty()) {
      free_.push_back(fresh_.back());
      fresh_.pop_back();
    }
    throw Napi::RangeError::New(env, wrong);
  }
  EnqueueFresh();
  backend_->Flush();
  const uint32_t reaped = Reap();
  KeepAlive();
  return reaped;
}

static bool Joins(const Operation& head, const Operation& tail, const Operation& next) {
  return head.opcode == kWriteDurable && next.opcode == kWriteDurable && head.fd == next.fd && head.span_count < kJoinedMax &&
         tail.offset + static_cast<int64_t>(tail.length) == next.offset &&
         static_cast<uint64_t>(next.offset - head.offset) + next.length <= kTransferMax;
}

static void Join(Operation* head, const Operation& next) {
  const auto span = [](const Operation& operation) {
    return iovec{reinterpret_cast<void*>(operation.address), static_cast<size_t>(operation.length)};
  };
  if (head->span_count == 0) head->spans[head->span_count++] = span(*head);
  head->spans[head->span_count++] = span(next);
}

// Hands the new operations over, the ones that can be joined as one.
void Engine::EnqueueFresh() {
  uint32_t head = kNone;
  uint32_t tail = kNone;
  for (const uint32_t handle : fresh_) {
    Operation& operation = operations_[handle];
    if (operation.arena != nullptr) Pin(operation.arena);
    if (head != kNone && Joins(operations_[head], operations_[tail], operation)) {
      Join(&operations_[head], operation);
      operations_[tail].next = handle;
    } else {
      if (head != kNone) backend_->Enqueue(head, operations_[head]);
      head = handle;
    }
    tail = handle;
  }
  if (head != kNone) backend_->Enqueue(head, operations_[head]);
  fresh_.clear();
}

// Moves completions to cq, which has room for as many as can be in flight. Interrupted operations start again instead.
uint32_t Engine::Reap() {
  uint32_t pairs = 0;
  bool again = false;
  const uint32_t count = backend_->Reap(reaped_.data(), static_cast<uint32_t>(reaped_.size()));
  for (uint32_t i = 0; i < count; i++) {
    const Completion& completion = reaped_[i];
    Operation& operation = operations_[completion.handle];
    if ((completion.result == -EAGAIN || completion.result == -EINTR) && operation.retries < kRetriesMax) {
      operation.retries++;
      backend_->Enqueue(completion.handle, operation);
      again = true;
      continue;
    }
    pairs = Settle(completion.handle, completion.result, pairs, &again);
  }
  if (again) backend_->Flush();
  return pairs;
}

// Reports an operation and each that was joined to it. What a transfer that ended early did not reach starts again by itself, as the rest of
// a short one does. A failure is that of all of them and nothing is tried again: a flush that failed may have lost data of others, and the
// next one would not know.
uint32_t Engine::Settle(uint32_t handle, int64_t result, uint32_t pairs, bool* again) {
  const bool failed = result < 0;
  for (bool first = true; handle != kNone; first = false) {
    Operation& operation = operations_[handle];
    const uint32_t next = operation.next;
    const bool alone = first && next == kNone;
    const int64_t part = alone || failed ? result : std::min(result, static_cast<int64_t>(operation.length));
    operation.next = kNone;
    operation.span_count = 0;
    if (!first && part == 0) {
      backend_->Enqueue(handle, operation);
      *again = true;
    } else {
      cq_[pairs * 2] = operation.token;
      cq_[pairs * 2 + 1] = static_cast<double>(part);
      pairs++;
      if (operation.arena != nullptr) Unpin(operation.arena);
      operation.arena = nullptr;
      free_.push_back(handle);
      if (!failed) result -= part;
    }
    handle = next;
  }
  return pairs;
}

// The process may end when nothing is in flight.
void Engine::KeepAlive() {
  const bool wanted = InFlight() > 0;
  if (wanted == referenced_ || closed_) return;
  referenced_ = wanted;
  auto* handle = reinterpret_cast<uv_handle_t*>(&handle_->poll);
  if (wanted) uv_ref(handle);
  else uv_unref(handle);
}

void Engine::OnReadable(uv_poll_t* poll, int, int) { static_cast<Handle*>(poll->data)->engine->Deliver(); }

void Engine::Deliver() {
  backend_->Acknowledge();
  const uint32_t pairs = Reap();
  KeepAlive();
  // One call per wake-up. If more completed meanwhile, the descriptor is readable still or again.
  if (pairs > 0) Call(pairs);
}

void Engine::Call(uint32_t count) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value on_done = nullptr;
  napi_value receiver = nullptr;
  napi_value argument = nullptr;
  napi_value ignored = nullptr;
  napi_get_reference_value(env_, refs_[2], &on_done);
  napi_get_global(env_, &receiver);
  napi_create_uint32(env_, count, &argument);
  if (napi_make_callback(env_, nullptr, receiver, on_done, 1, &argument, &ignored) == napi_pending_exception) {
    napi_value exception = nullptr;
    if (napi_get_and_clear_last_exception(env_, &exception) == napi_ok) napi_fatal_exception(env_, exception);
  }
  napi_close_handle_scope(env_, scope);
}

void Engine::Close() {
  if (closed_) return;
  closed_ = true;
  uv_poll_stop(&handle_->poll);
  backend_->Shutdown();
  for (napi_ref ref : refs_) napi_delete_reference(env_, ref);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll), OnClosed);
}

void Engine::OnClosed(uv_handle_t* closed) {
  auto* handle = static_cast<Handle*>(closed->data);
  napi_remove_async_cleanup_hook(handle->engine->cleanup_);
  delete handle;
}

void Engine::OnCleanup(napi_async_cleanup_hook_handle, void* data) { static_cast<Engine*>(data)->Close(); }

using EngineHolder = Napi::External<std::shared_ptr<Engine>>;

// openEngine(kind: 'io_uring' | 'threads', depth, workers, sq: Float64Array, cq: Float64Array, onDone: (pairs: number) => void)
static Napi::Value OpenEngine(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string kind = StringArg(info, 0);
  const int depth = Int32Arg(info, 1);
  const int workers = Int32Arg(info, 2);
  if (depth < 1 || depth > static_cast<int>(kDepthMax)) throw Napi::RangeError::New(env, "depth out of range");
  if (workers < 1 || workers > static_cast<int>(kWorkersMax)) throw Napi::RangeError::New(env, "workers out of range");
  if (info.Length() < 6 || !info[3].IsTypedArray() || !info[4].IsTypedArray() || !info[5].IsFunction() ||
      info[3].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
      info[4].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    throw Napi::TypeError::New(env, "openEngine(kind, depth, workers, sq: Float64Array, cq: Float64Array, onDone: function)");
  }
  auto sq = info[3].As<Napi::Float64Array>();
  auto cq = info[4].As<Napi::Float64Array>();
  const auto entries = static_cast<uint32_t>(depth);
  if (sq.ElementLength() < size_t{entries} * kRowNumbers || cq.ElementLength() < size_t{entries} * 2) {
    throw Napi::RangeError::New(env, "sq or cq is too small for the depth");
  }
  int error = 0;
  std::unique_ptr<Backend> backend;
  if (kind == "io_uring") backend = MakeRing(entries, &error);
  else if (kind == "threads") backend = MakeThreads(entries, static_cast<uint32_t>(workers), &error);
  else throw Napi::TypeError::New(env, "kind must be 'io_uring' or 'threads'");
  if (backend == nullptr) throw SystemError(env, error, kind == "io_uring" ? "io_uring_setup" : "pthread_create");
  auto engine = std::make_shared<Engine>(env, std::move(backend), entries);
  error = engine->Start(sq, cq, info[5].As<Napi::Function>(), engine);
  if (error != 0) throw SystemError(env, error, "epoll_ctl");
  return EngineHolder::New(env, new std::shared_ptr<Engine>(engine), [](Napi::Env, std::shared_ptr<Engine>* holder) { delete holder; });
}

static Engine& EngineArg(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "argument 0 must be an engine");
  return **info[0].As<EngineHolder>().Data();
}

// submit(engine, count): pairs. Pairs [token, byte count or -errno] stand in cq until the next submit or callback.
static Napi::Value Submit(const Napi::CallbackInfo& info) {
  Engine& engine = EngineArg(info);
  const int count = Int32Arg(info, 1);
  if (engine.closed() || count < 0) throw Napi::Error::New(info.Env(), "submit: the engine is closed or the count is negative");
  return Napi::Number::New(info.Env(), engine.Submit(info.Env(), static_cast<uint32_t>(count)));
}

// closeEngine(engine). What is in flight goes on or not, and is not reported.
static Napi::Value CloseEngine(const Napi::CallbackInfo& info) {
  EngineArg(info).Close();
  return info.Env().Undefined();
}

// probeIoUring(): '' when it works, else the name of the error and its likely reason.
static Napi::Value ProbeIoUring(const Napi::CallbackInfo& info) {
  const int error = ProbeRing();
  std::string reason;
  if (error != 0) reason = std::string(uv_err_name(-error)) + ": " + uv_strerror(-error);
  if (error == EPERM) reason += " (a seccomp filter or kernel.io_uring_disabled forbids it)";
  if (error == ENOSYS) reason += " (the kernel or a seccomp filter does not have it)";
  return Napi::String::New(info.Env(), reason);
}

void InitEngine(Napi::Env env, Napi::Object exports) {
  exports.Set("openEngine", Napi::Function::New(env, OpenEngine, "openEngine"));
  exports.Set("submit", Napi::Function::New(env, Submit, "submit"));
  exports.Set("closeEngine", Napi::Function::New(env, CloseEngine, "closeEngine"));
  exports.Set("probeIoUring", Napi::Function::New(env, ProbeIoUring, "probeIoUring"));
}

}  // namespace lvr
