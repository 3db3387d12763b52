// An engine executes reads, writes, flushes and fallocates for one JavaScript thread. Two backends do the work: ring.cc (io_uring)
// and threads.cc (a thread pool). engine.cc is everything between them and JavaScript.
//
// Owner: all members of Engine and Backend are touched by the environment's thread only; what a thread pool shares with its
// workers is inside threads.cc. Order: an operation's memory is pinned from submit until its completion has been reaped.
#pragma once

#include <fcntl.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>

namespace lvr {

struct Arena;

// kReadCached and kWriteCached are for descriptors without O_DIRECT: what the page cache holds is copied at once; writes go in pieces.
// kWriteBack ends when what the page cache holds of a range has been written; nothing is durable by it (sync_file_range(2)).
// Operation codes and row layout of the submission array. Keep in sync with src/disk/native.ts.
enum Opcode : uint32_t {
  kNop, kRead, kWrite, kWriteDurable, kDatasync, kPunchHole, kZeroRange, kReadCached, kWriteCached, kWriteBack, kOpcodes
};
constexpr uint32_t kRowOpcode = 0, kRowFd = 1, kRowOffset = 2, kRowAddress = 3, kRowLength = 4, kRowToken = 5, kRowNumbers = 8;

constexpr unsigned kWriteBackFlags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

constexpr uint32_t kNone = UINT32_MAX;  // no handle
constexpr uint32_t kJoinedMax = 8;      // as many as the log has in flight, LOG_WRITES_IN_FLIGHT_MAX

// Durable writes that are submitted together and follow each other in a file are joined: the first does the work of all with `spans`, and
// one flush of the device does for them; they fail together. `next` leads from each to the one behind it.
struct Operation {
  Opcode opcode = kNop;
  int fd = -1;
  int64_t offset = 0;
  uint64_t address = 0;
  uint64_t length = 0;
  uint32_t retries = 0;
  double token = 0;
  Arena* arena = nullptr;
  uint32_t next = kNone;
  uint32_t span_count = 0;  // 0: not joined, `address` and `length` say it all
  struct iovec spans[kJoinedMax] = {};
};

// `result` is the byte count or -errno, as the system call would return.
struct Completion {
  uint32_t handle;
  int64_t result;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // Becomes readable when Reap() has something to return.
  virtual int PollFd() const = 0;
  // Takes an operation over; at most as many at once as the engine's depth. It starts no later than Flush().
  virtual void Enqueue(uint32_t handle, const Operation& operation) = 0;
  virtual void Flush() = 0;
  // Called before Reap() when PollFd() was readable.
  virtual void Acknowledge() = 0;
  // Moves up to `max` completions out; never waits.
  virtual uint32_t Reap(Completion* out, uint32_t max) = 0;
  // Gives everything back without waiting. Operations may still be going on afterwards; their memory stays pinned for ever.
  virtual void Shutdown() = 0;
};

// Both return nullptr and set *error to an errno when the backend cannot be made.
std::unique_ptr<Backend> MakeRing(uint32_t depth, int* error);
std::unique_ptr<Backend> MakeThreads(uint32_t depth, uint32_t workers, int* error);

// 0, or the errno of the first step that fails: set up a ring, find the needed operations, run a no-op.
int ProbeRing();

}  // namespace lvr
