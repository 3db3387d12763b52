// One row of a submission array as an operation: the only place where numbers of JavaScript become addresses. Whatever stands in the row,
// an operation that is accepted touches memory of one arena only. Free of Node-API, so that it can be tested by itself.
#pragma once

#include <cstdint>

#include "arena.h"
#include "engine.h"

namespace lvr {

constexpr uint64_t kTransferMax = 0x7ffff000;  // the kernel's own limit of one read or write

// nullptr, or what is wrong with the row.
static inline const char* DecodeRow(const double* row, ArenaRegistry& arenas, Operation* out) {
  const double opcode = row[kRowOpcode];
  const double length = row[kRowLength];
  const double offset = row[kRowOffset];
  if (!(opcode >= 0 && opcode < kOpcodes)) return "submit: unknown operation";
  if (!(offset >= 0 && offset <= 9007199254740991.0 && length >= 0 && length <= 9007199254740991.0)) return "submit: bad offset or length";
  const double fd = row[kRowFd];
  if (!(fd >= -1 && fd <= 2147483647.0) || fd != static_cast<int>(fd)) return "submit: bad descriptor";
  out->opcode = static_cast<Opcode>(static_cast<uint32_t>(opcode));
  out->fd = static_cast<int>(fd);
  out->offset = static_cast<int64_t>(offset);
  out->length = static_cast<uint64_t>(length);
  out->address = 0;
  out->retries = 0;
  out->token = row[kRowToken];
  out->arena = nullptr;
  out->next = kNone;
  out->span_count = 0;
  if (out->opcode != kRead && out->opcode != kReadCached && out->opcode != kWrite && out->opcode != kWriteDurable &&
      out->opcode != kWriteCached) return nullptr;
  if (out->length > kTransferMax) return "submit: transfer too long";
  const double address = row[kRowAddress];
  if (!(address > 0 && address <= 9007199254740991.0)) return "submit: bad address";
  out->address = static_cast<uint64_t>(address);
  out->arena = arenas.Find(out->address, out->length);
  return out->arena == nullptr ? "submit: memory outside every arena" : nullptr;
}

}  // namespace lvr
