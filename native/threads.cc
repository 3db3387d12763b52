// Thread-pool backend: for systems without io_uring, and for buffered writes, where one thread calling pwrite is twice as fast
// as io_uring's workers. Jobs start in the order they were handed over; with one worker they also end in it.
//
// Owner: Shared belongs to the pool and its workers together; its mutex guards every member but the descriptor. Workers never
// touch JavaScript or arenas' pins. They are detached, so that a hung device cannot hold up the end of the process.

#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "engine.h"

namespace lvr {

struct Job {
  uint32_t handle;
  Operation operation;
};

// Fixed-size FIFO; the engine's depth bounds what can be in it.
template <typename Item>
class Fifo {
 public:
  explicit Fifo(uint32_t capacity) : items_(capacity) {}
  uint32_t size() const { return count_; }
  void Push(const Item& item) { items_[(head_ + count_++) % items_.size()] = item; }
  Item Pop() {
    const Item item = items_[head_];
    head_ = static_cast<uint32_t>((head_ + 1) % items_.size());
    count_--;
    return item;
  }

 private:
  std::vector<Item> items_;
  uint32_t head_ = 0;
  uint32_t count_ = 0;
};

struct Shared {
  Shared(uint32_t depth, uint32_t worker_count, int event) : jobs(depth), done(depth), workers(worker_count), event_fd(event) {}
  ~Shared() { close(event_fd); }

  std::mutex mutex;
  std::condition_variable work;
  Fifo<Job> jobs;
  Fifo<Completion> done;
  bool stop = false;
  bool signalled = false;  // event_fd is readable or about to be
  uint32_t idle = 0;
  const uint32_t workers;
  const int event_fd;
};

constexpr uint32_t kTakeMax = 64;
constexpr int64_t kPublishNs = 500'000;
constexpr int kAgainMax = 100;

static int64_t NowNs() {
  struct timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{1'000'000'000} * now.tv_sec + now.tv_nsec;
}

// The page cache makes folios as long as the write that first touches them, and ext4 walks the buffer heads of a whole folio for every
// block written into it later, each of them a cache miss while the processor serves requests in between: with pieces of 256 KiB that was
// a fifth of all work for 4 KiB writes with an async site on the same machine, with 1 MiB much more. Pieces of this size make these
// writes a fifth faster (44 to 52 thousand a second), and long writes no slower than the measurement is noisy. They end at multiples of
// it in the file: the long folios stand there, and no block is written in two pieces, for which it would have to be read first.
constexpr size_t kCachedPieceBytes = 32 * 1024;

// The bytes written before the first error, or -1 with errno when there are none, as pwrite would tell.
static ssize_t WriteCached(int fd, const char* memory, size_t length, off_t offset) {
  size_t done = 0;
  while (done < length) {
    const off_t at = offset + static_cast<off_t>(done);
    const size_t piece = kCachedPieceBytes - static_cast<size_t>(at) % kCachedPieceBytes;
    const ssize_t result = pwrite(fd, memory + done, std::min(piece, length - done), at);
    if (result <= 0) return done > 0 ? static_cast<ssize_t>(done) : result;
    done += static_cast<size_t>(result);
  }
  return static_cast<ssize_t>(done);
}

static int64_t Call(const Operation& operation) {
  auto* memory = reinterpret_cast<void*>(operation.address);
  const auto length = static_cast<size_t>(operation.length);
  switch (operation.opcode) {
    case kRead:
    case kReadCached:
      return pread(operation.fd, memory, length, operation.offset);
    case kWrite:
      return pwrite(operation.fd, memory, length, operation.offset);
    case kWriteCached:
      return WriteCached(operation.fd, static_cast<const char*>(memory), length, operation.offset);
    case kWriteDurable: {
      const struct iovec span = {memory, length};
      const bool joined = operation.span_count > 0;
      const int count = joined ? static_cast<int>(operation.span_count) : 1;
      return pwritev2(operation.fd, joined ? operation.spans : &span, count, operation.offset, RWF_DSYNC);
    }
    case kDatasync:
      return fdatasync(operation.fd);
    case kWriteBack:
      return sync_file_range(operation.fd, operation.offset, static_cast<off_t>(operation.length), kWriteBackFlags);
    case kPunchHole:
    case kZeroRange: {
      const int mode = (operation.opcode == kPunchHole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
      return fallocate(operation.fd, mode, operation.offset, static_cast<off_t>(operation.length));
    }
    default:
      return 0;
  }
}

static int64_t Execute(const Operation& operation) {
  for (int again = 0;;) {
    const int64_t result = Call(operation);
    if (result >= 0) return result;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || ++again > kAgainMax) return -errno;
    usleep(1000);
  }
}

// Hands finished work over and wakes the event loop unless a wake-up is already on its way. Clears `results`.
static void Publish(Shared& shared, Completion* results, uint32_t* count) {
  if (*count == 0) return;
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(shared.mutex);
    for (uint32_t i = 0; i < *count; i++) shared.done.Push(results[i]);
    wake = !shared.signalled;
    shared.signalled = true;
  }
  *count = 0;
  if (!wake) return;
  const uint64_t one = 1;
  while (write(shared.event_fd, &one, sizeof(one)) < 0 && errno == EINTR) continue;
}

// A worker takes a fair share of what waits and publishes the results together, so that many completions cost one lock and one
// wake-up; nothing that took long waits for the rest of the share.
static void Work(const std::shared_ptr<Shared>& shared) {
  Job taken[kTakeMax];
  Completion results[kTakeMax];
  for (;;) {
    uint32_t count = 0;
    {
      std::unique_lock<std::mutex> lock(shared->mutex);
      shared->idle++;
      shared->work.wait(lock, [&shared] { return shared->stop || shared->jobs.size() > 0; });
      shared->idle--;
      if (shared->stop) return;
      count = std::clamp(shared->jobs.size() / shared->workers, uint32_t{1}, kTakeMax);
      for (uint32_t i = 0; i < count; i++) taken[i] = shared->jobs.Pop();
    }
    uint32_t ready = 0;
    int64_t published = NowNs();
    for (uint32_t i = 0; i < count; i++) {
      results[ready++] = {taken[i].handle, Execute(taken[i].operation)};
      const int64_t now = NowNs();
      if (now - published < kPublishNs) continue;
      Publish(*shared, results, &ready);
      published = now;
    }
    Publish(*shared, results, &ready);
  }
}

class Threads final : public Backend {
 public:
  Threads(std::shared_ptr<Shared> shared, uint32_t depth) : shared_(std::move(shared)) { fresh_.reserve(depth); }
  ~Threads() override { Shutdown(); }

  // Signals belong to the main thread, so workers start with all of them blocked.
  int Start() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    try {
      for (uint32_t i = 0; i < shared_->workers; i++) {
        std::thread worker([shared = shared_] { Work(shared); });
        pthread_setname_np(worker.native_handle(), "lvr-io");
        worker.detach();
      }
    } catch (const std::system_error& failure) {
      error = failure.code().value();
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return error;
  }

  int PollFd() const override { return shared_->event_fd; }

  void Enqueue(uint32_t handle, const Operation& operation) override { fresh_.push_back({handle, operation}); }

  void Flush() override {
    if (fresh_.empty()) return;
    uint32_t wake = 0;
    {
      const std::lock_guard<std::mutex> lock(shared_->mutex);
      for (const Job& job : fresh_) shared_->jobs.Push(job);
      wake = std::min(shared_->idle, shared_->jobs.size());
    }
    fresh_.clear();
    for (uint32_t i = 0; i < wake; i++) shared_->work.notify_one();
  }

  void Acknowledge() override {
    uint64_t value = 0;
    while (read(shared_->event_fd, &value, sizeof(value)) < 0 && errno == EINTR) continue;
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->signalled = false;
  }

  uint32_t Reap(Completion* out, uint32_t max) override {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    const uint32_t count = std::min(shared_->done.size(), max);
    for (uint32_t i = 0; i < count; i++) out[i] = shared_->done.Pop();
    return count;
  }

  // Jobs that no worker has begun are dropped; workers end after the job they are in.
  void Shutdown() override {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->stop = true;
    shared_->work.notify_all();
  }

 private:
  std::shared_ptr<Shared> shared_;
  std::vector<Job> fresh_;
};

std::unique_ptr<Backend> MakeThreads(uint32_t depth, uint32_t workers, int* error) {
  const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) {
    *error = errno;
    return nullptr;
  }
  auto pool = std::make_unique<Threads>(std::make_shared<Shared>(depth, workers, event), depth);
  *error = pool->Start();
  if (*error != 0) return nullptr;
  return pool;
}

}  // namespace lvr
