// Page-aligned memory shared with JavaScript, and the register of it that keeps I/O inside it.
//
// Owner: the environment's thread alone creates, finds, pins and drops arenas, so there are no locks. Order: memory is unmapped
// when its ArrayBuffer was collected AND no operation in flight uses it; the kernel may write to it until then.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace lvr {

class ArenaRegistry;

struct Arena {
  uint8_t* base = nullptr;
  size_t length = 0;
  uint32_t pins = 0;         // operations in flight
  bool dropped = false;      // the ArrayBuffer is gone
  std::shared_ptr<ArenaRegistry> registry;
};

class ArenaRegistry {
 public:
  void Add(Arena* arena) { arenas_.push_back(arena); }

  // The arena that holds [address, address + length) completely, or nullptr.
  Arena* Find(uint64_t address, uint64_t length) {
    const auto holds = [address, length](const Arena* arena) {
      const uint64_t base = reinterpret_cast<uint64_t>(arena->base);
      return address >= base && length <= arena->length && address - base <= arena->length - length;
    };
    if (last_ != nullptr && holds(last_)) return last_;
    for (Arena* arena : arenas_) {
      if (holds(arena)) return last_ = arena;
    }
    return nullptr;
  }

  void Remove(Arena* arena) {
    arenas_.erase(std::remove(arenas_.begin(), arenas_.end(), arena), arenas_.end());
    if (last_ == arena) last_ = nullptr;
  }

  // Keeps the arenas of now and later resident from the first touch of a page; 0 or errno.
  int LockAll();
  bool locks() const { return locks_; }

 private:
  std::vector<Arena*> arenas_;
  Arena* last_ = nullptr;
  bool locks_ = false;
};

inline void Pin(Arena* arena) { arena->pins++; }
// Gives a pin back; frees the arena if that was the last use.
void Unpin(Arena* arena);

}  // namespace lvr
