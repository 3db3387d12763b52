// io_uring backend. The ring's descriptor is polled by the event loop; what completes during submission (reads from the page
// cache) is reaped by the same call.

#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "engine.h"

namespace lvr {

// Newest set-up first: one submitting thread, and completions that do not interrupt it. Older kernels answer EINVAL.
static int SetUp(unsigned entries, struct io_uring* ring) {
  static const unsigned kFlags[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,  // Linux 6.0
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,                               // Linux 5.19
      0,
  };
  int result = -EINVAL;
  for (const unsigned flags : kFlags) {
    result = io_uring_queue_init(entries, ring, flags);
    if (result != -EINVAL) return result;
  }
  return result;
}

class Ring final : public Backend {
 public:
  explicit Ring(uint32_t depth) : error_(SetUp(depth, &ring_)) {}
  ~Ring() override { Shutdown(); }

  int error() const { return error_; }
  int PollFd() const override { return ring_.ring_fd; }
  void Acknowledge() override {}

  void Enqueue(uint32_t handle, const Operation& operation) override {
    // Not when it starts again: what ends here is reaped by the call that submitted it, and there is none any more.
    if (operation.opcode == kReadCached && operation.retries == 0 && ReadFromCache(handle, operation)) return;
    struct io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      Flush();
      sqe = io_uring_get_sqe(&ring_);
    }
    Prepare(sqe, operation);
    io_uring_sqe_set_data64(sqe, handle);
  }

  void Flush() override {
    // EAGAIN: no memory for a request now. EBUSY: completions must be reaped first, which cannot be since at most half a
    // completion queue is in flight. Entries stay in the queue, so trying again loses nothing.
    for (int attempt = 0; io_uring_sq_ready(&ring_) > 0; attempt++) {
      const int result = io_uring_submit(&ring_);
      if (result >= 0 || result == -EINTR) continue;
      if ((result != -EAGAIN && result != -EBUSY) || attempt > kSubmitAttempts) {
        fprintf(stderr, "lvr: io_uring_submit failed: errno %d\n", -result);
        abort();  // operations would be lost: fail-stop
      }
      usleep(1000);
    }
  }

  uint32_t Reap(Completion* out, uint32_t max) override {
    struct io_uring_cqe* cqes[kReapBatch];
    uint32_t count = 0;
    while (count < max && !cached_.empty()) {
      out[count++] = cached_.back();
      cached_.pop_back();
    }
    while (count < max) {
      const unsigned want = max - count < kReapBatch ? max - count : kReapBatch;
      const unsigned got = io_uring_peek_batch_cqe(&ring_, cqes, want);
      for (unsigned i = 0; i < got; i++) out[count++] = {static_cast<uint32_t>(cqes[i]->user_data), cqes[i]->res};
      io_uring_cq_advance(&ring_, got);
      if (got < want) break;
    }
    return count;
  }

  void Shutdown() override {
    if (error_ != 0) return;
    error_ = ESHUTDOWN;
    io_uring_queue_exit(&ring_);
  }

 private:
  static constexpr unsigned kReapBatch = 64;
  static constexpr int kSubmitAttempts = 5000;

  // A page cache hit costs half of what it costs through the ring. What is not there (EAGAIN), or any doubt, goes through the ring.
  bool ReadFromCache(uint32_t handle, const Operation& operation) {
    const struct iovec span = {reinterpret_cast<void*>(operation.address), static_cast<size_t>(operation.length)};
    const ssize_t got = preadv2(operation.fd, &span, 1, operation.offset, RWF_NOWAIT);
    if (got <= 0) return false;
    cached_.push_back({handle, got});
    return true;
  }

  static void Prepare(struct io_uring_sqe* sqe, const Operation& operation) {
    auto* memory = reinterpret_cast<void*>(operation.address);
    const auto length = static_cast<unsigned>(operation.length);
    const auto offset = static_cast<uint64_t>(operation.offset);
    switch (operation.opcode) {
      case kRead:
      case kReadCached:
        return io_uring_prep_read(sqe, operation.fd, memory, length, offset);
      case kWrite:
      case kWriteCached:
        return io_uring_prep_write(sqe, operation.fd, memory, length, offset);
      case kWriteDurable:
        if (operation.span_count == 0) io_uring_prep_write(sqe, operation.fd, memory, length, offset);
        else io_uring_prep_writev(sqe, operation.fd, operation.spans, operation.span_count, offset);
        sqe->rw_flags = RWF_DSYNC;
        return;
      case kDatasync:
        return io_uring_prep_fsync(sqe, operation.fd, IORING_FSYNC_DATASYNC);
      case kWriteBack:
        return io_uring_prep_sync_file_range(sqe, operation.fd, length, offset, kWriteBackFlags);
      case kPunchHole:
      case kZeroRange: {
        const int mode = (operation.opcode == kPunchHole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
        return io_uring_prep_fallocate(sqe, operation.fd, mode, operation.offset, static_cast<off_t>(operation.length));
      }
      default:
        return io_uring_prep_nop(sqe);
    }
  }

  struct io_uring ring_ = {};
  std::vector<Completion> cached_;  // done, not yet reaped: at most what one submission brought
  int error_;
};

std::unique_ptr<Backend> MakeRing(uint32_t depth, int* error) {
  auto ring = std::make_unique<Ring>(depth);
  *error = -ring->error();
  if (*error != 0) return nullptr;
  return ring;
}

static int ProbeOperations(struct io_uring* ring) {
  struct io_uring_probe* probe = io_uring_get_probe_ring(ring);
  if (probe == nullptr) return EOPNOTSUPP;  // before Linux 5.6, which also lacks plain read and write
  int error = 0;
  const int needed[] = {IORING_OP_NOP,   IORING_OP_READ,      IORING_OP_WRITE,          IORING_OP_WRITEV,
                        IORING_OP_FSYNC, IORING_OP_FALLOCATE, IORING_OP_SYNC_FILE_RANGE};
  for (const int opcode : needed) {
    if (io_uring_opcode_supported(probe, opcode) == 0) error = EOPNOTSUPP;
  }
  io_uring_free_probe(probe);
  return error;
}

int ProbeRing() {
  struct io_uring ring = {};
  int error = -SetUp(4, &ring);
  if (error != 0) return error;
  error = ProbeOperations(&ring);
  if (error == 0) {
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    const int submitted = io_uring_submit(&ring);
    struct io_uring_cqe* cqe = nullptr;
    if (submitted < 0) error = -submitted;
    else error = -io_uring_wait_cqe(&ring, &cqe);
  }
  io_uring_queue_exit(&ring);
  return error;
}

}  // namespace lvr
