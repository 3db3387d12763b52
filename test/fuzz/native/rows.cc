// Rows of a submission array: whatever numbers stand in one, what is accepted is a known operation on memory of one arena, and a refusal
// leaves no pin.

#include "input.h"
#include "rows.h"

static constexpr size_t kArenas = 3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  Input input(bytes, size);
  lvr::ArenaRegistry registry;
  lvr::Arena arenas[kArenas];
  // No memory is touched, so addresses are enough: side by side, with a gap, and at the end of what a double can name.
  const uint64_t bases[kArenas] = {0x7f0000000000, 0x7f0000100000, (uint64_t{1} << 53) - 8192};
  const size_t lengths[kArenas] = {0x100000, 4096, 8192};
  for (size_t i = 0; i < kArenas; i++) {
    arenas[i].base = reinterpret_cast<uint8_t*>(bases[i]);
    arenas[i].length = lengths[i];
    registry.Add(&arenas[i]);
  }
  bool isThere[kArenas] = {true, true, true};
  while (input.left() >= 10) {
    double row[lvr::kRowNumbers] = {};
    const uint8_t shape = input.Take<uint8_t>();
    const uint8_t which = input.Take<uint8_t>();
    // Mostly near what is possible, now and then anything at all.
    row[lvr::kRowOpcode] = (shape & 1) != 0 ? input.Take<double>() : which % 12;
    row[lvr::kRowFd] = (shape & 2) != 0 ? input.Take<double>() : input.Take<int8_t>();
    row[lvr::kRowOffset] = (shape & 4) != 0 ? input.Take<double>() : input.Take<uint16_t>() * 512.0;
    const auto near = static_cast<double>(bases[which % kArenas]);
    row[lvr::kRowAddress] = (shape & 8) != 0 ? input.Take<double>() : near + input.Take<int16_t>() * 64.0;
    row[lvr::kRowLength] = (shape & 16) != 0 ? input.Take<double>() : input.Take<uint16_t>() * 64.0;
    row[lvr::kRowToken] = input.Take<uint16_t>();
    if ((shape & 96) == 96 && isThere[which % kArenas]) {
      registry.Remove(&arenas[which % kArenas]);
      isThere[which % kArenas] = false;
    }
    lvr::Operation operation;
    const char* wrong = lvr::DecodeRow(row, registry, &operation);
    for (const lvr::Arena& arena : arenas) Check(arena.pins == 0);
    if (wrong != nullptr) continue;
    Check(operation.opcode < lvr::kOpcodes && operation.fd >= -1 && operation.fd == row[lvr::kRowFd]);
    Check(operation.offset >= 0 && operation.length <= uint64_t{1} << 53);
    const bool isTransfer = operation.arena != nullptr;
    const bool wantsMemory = operation.opcode == lvr::kRead || operation.opcode == lvr::kReadCached || operation.opcode == lvr::kWrite ||
                             operation.opcode == lvr::kWriteDurable || operation.opcode == lvr::kWriteCached;
    Check(isTransfer == wantsMemory);
    if (!isTransfer) continue;
    const auto base = reinterpret_cast<uint64_t>(operation.arena->base);
    Check(isThere[operation.arena - arenas]);
    Check(operation.length <= lvr::kTransferMax && operation.address >= base);
    Check(operation.address + operation.length <= base + operation.arena->length);
  }
  return 0;
}
