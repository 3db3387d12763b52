// CRC32C: every way of summing gives what the definition gives, in one piece and in two, at every alignment, and spans are read only where
// they lie inside.

#include <cstdlib>
#include <memory>
#include <vector>

#include "crc32c.h"
#include "input.h"

static uint32_t ByDefinition(uint32_t crc, const uint8_t* data, size_t length) {
  for (size_t i = 0; i < length; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
  }
  return crc;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  Input input(bytes, size);
  const uint32_t seed = input.Take<uint32_t>();
  const size_t skip = input.Take<uint8_t>() % 16;
  // Longer than what is drawn: the lanes and the folding begin at some hundred bytes.
  const size_t repeats = 1 + input.Take<uint8_t>() % 64;
  const std::vector<uint8_t> drawn = input.Rest();
  std::vector<uint8_t> memory(skip);
  for (size_t i = 0; i < repeats; i++) memory.insert(memory.end(), drawn.begin(), drawn.end());
  memory.shrink_to_fit();
  const uint8_t* data = memory.data() + skip;
  const size_t length = memory.size() - skip;
  const uint32_t expected = ByDefinition(seed, data, length);
  Check(lvr::UpdateTable(seed, data, length) == expected);
  Check(lvr::UpdateHardware(seed, data, length) == expected);
  if (lvr::kFolding) Check(lvr::UpdateFolding(seed, data, length) == expected);
  Check(lvr::kUpdate(seed, data, length) == expected);
  const size_t half = length == 0 ? 0 : seed % (length + 1);
  Check(lvr::kUpdate(lvr::kUpdate(seed, data, half), data + half, length - half) == expected);

  std::vector<uint32_t> spans(drawn.size() / 4 / 2 * 2);
  if (!spans.empty()) memcpy(spans.data(), drawn.data(), spans.size() * 4);
  const auto count = static_cast<uint32_t>(spans.size() / 2);
  // Most of them made possible, so that the sums are reached.
  for (uint32_t i = 0; i < count && length > 0; i++) {
    if ((spans[2 * i] & 7) == 0) continue;
    spans[2 * i] = static_cast<uint32_t>(spans[2 * i] % length);
    spans[2 * i + 1] = static_cast<uint32_t>(spans[2 * i + 1] % (length - spans[2 * i] + 1));
  }
  std::vector<uint32_t> sums(count);
  const bool taken = lvr::SumSpans(data, length, spans.data(), count, sums.data());
  bool possible = true;
  for (uint32_t i = 0; i < count; i++) possible = possible && uint64_t{spans[2 * i]} + spans[2 * i + 1] <= length;
  Check(taken == possible);
  for (uint32_t i = 0; taken && i < count; i++) Check(sums[i] == ~ByDefinition(~uint32_t{0}, data + spans[2 * i], spans[2 * i + 1]));

  double start = 0;
  double wanted = 0;
  if (drawn.size() >= 16) {
    memcpy(&start, drawn.data(), 8);
    memcpy(&wanted, drawn.data() + 8, 8);
  }
  if (lvr::IsInside(start, wanted, length)) Check(static_cast<size_t>(start) + static_cast<size_t>(wanted) <= length);
  return 0;
}
