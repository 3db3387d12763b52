// See arena.h.

#include "arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"

namespace lvr {

int ArenaRegistry::LockAll() {
  for (const Arena* arena : arenas_) {
    if (mlock2(arena->base, arena->length, MLOCK_ONFAULT) != 0) return errno;
  }
  locks_ = true;
  return 0;
}

constexpr size_t kHugePageWorth = size_t{4} << 20;

static void FreeIfUnused(Arena* arena) {
  if (!arena->dropped || arena->pins > 0) return;
  munmap(arena->base, arena->length);
  delete arena;
}

void Unpin(Arena* arena) {
  arena->pins--;
  FreeIfUnused(arena);
}

static void Drop(Arena* arena) {
  arena->registry->Remove(arena);
  arena->dropped = true;
  FreeIfUnused(arena);
}

// createArena(lengthBytes): { buffer: ArrayBuffer, address: number }. Zeroed; pages cost nothing until they are touched.
static Napi::Value CreateArena(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int64_t asked = Int64Arg(info, 0);
  // Offsets inside an arena are uint32 in the CRC interface.
  if (asked <= 0 || asked >= (int64_t{1} << 32)) throw Napi::RangeError::New(env, "an arena has 1 byte to 4 GiB - 1");
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t length = (static_cast<size_t>(asked) + page - 1) / page * page;
  void* base = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw SystemError(env, errno, "mmap");
  // Long transfers: fewer pages to pin, fewer segments a request, fewer TLB misses in every copy. A refusal changes nothing else.
  if (length >= kHugePageWorth) madvise(base, length, MADV_HUGEPAGE);
  const auto& registry = InstanceOf(env).arenas;
  if (registry->locks() && mlock2(base, length, MLOCK_ONFAULT) != 0) {
    const int error = errno;
    munmap(base, length);
    throw SystemError(env, error, "mlock2");
  }
  auto* arena = new Arena();
  arena->base = static_cast<uint8_t*>(base);
  arena->length = length;
  arena->registry = registry;
  arena->registry->Add(arena);
  Napi::Object result = Napi::Object::New(env);
  result.Set("buffer", Napi::ArrayBuffer::New(
                           env, base, static_cast<size_t>(asked), [](Napi::Env, void*, Arena* dropped) { Drop(dropped); }, arena));
  result.Set("address", Napi::Number::New(env, static_cast<double>(reinterpret_cast<uint64_t>(base))));
  return result;
}

void InitArena(Napi::Env env, Napi::Object exports) { exports.Set("createArena", Napi::Function::New(env, CreateArena, "createArena")); }

}  // namespace lvr
