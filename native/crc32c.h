// CRC32C (Castagnoli, RFC 3720 B.4; reflected polynomial 0x82f63b78).
//
// The crc32 instruction has a latency of three cycles and a throughput of one per cycle, so three lanes run side by side and are
// combined by a table that advances a CRC over one lane's length of zeroes. The lane lengths fit what lvr sums most: 3 * 1360
// covers a 4 KiB block and 3 * 168 a 512-byte sector, each but a few bytes.
//
// Where there is a carry-less multiplication of 512 bits, long spans are folded first (Gopal et al., Fast CRC Computation for Generic
// Polynomials Using PCLMULQDQ Instruction, Intel 2009): twice as fast.
//
// Header only and free of Node-API, so that it can be tested by itself: crc32c.cc is its face towards JavaScript.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lvr {

static constexpr uint32_t kPolynomial = 0x82f63b78;
static constexpr size_t kLongLane = 1360;
static constexpr size_t kShortLane = 168;

using Table = std::array<std::array<uint32_t, 256>, 8>;
using Shift = std::array<std::array<uint32_t, 256>, 4>;

static Table MakeTable() {
  Table table = {};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ kPolynomial : crc >> 1;
    table[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (size_t slice = 1; slice < 8; slice++) {
      const uint32_t previous = table[slice - 1][byte];
      table[slice][byte] = (previous >> 8) ^ table[0][previous & 0xff];
    }
  }
  return table;
}

static const Table kTable = MakeTable();

// Slicing by 8. `crc` is the raw register (inverted by the callers).
static uint32_t UpdateTable(uint32_t crc, const uint8_t* data, size_t length) {
  while (length >= 8) {
    uint32_t low, high;
    memcpy(&low, data, 4);
    memcpy(&high, data + 4, 4);
    low ^= crc;
    crc = kTable[7][low & 0xff] ^ kTable[6][(low >> 8) & 0xff] ^ kTable[5][(low >> 16) & 0xff] ^ kTable[4][low >> 24] ^
          kTable[3][high & 0xff] ^ kTable[2][(high >> 8) & 0xff] ^ kTable[1][(high >> 16) & 0xff] ^ kTable[0][high >> 24];
    data += 8;
    length -= 8;
  }
  while (length-- > 0) crc = (crc >> 8) ^ kTable[0][(crc ^ *data++) & 0xff];
  return crc;
}

#if defined(__x86_64__)

// Table of "advance the register over `length` zero bytes", which is linear: one entry per byte value of each register byte.
static Shift MakeShift(size_t length) {
  std::array<uint32_t, 32> column = {};
  for (uint32_t bit = 0; bit < 32; bit++) {
    uint32_t crc = uint32_t{1} << bit;
    for (size_t i = 0; i < length; i++) crc = (crc >> 8) ^ kTable[0][crc & 0xff];
    column[bit] = crc;
  }
  Shift shift = {};
  for (size_t byte = 0; byte < 4; byte++) {
    for (uint32_t value = 0; value < 256; value++) {
      for (uint32_t bit = 0; bit < 8; bit++) {
        if ((value >> bit & 1) != 0) shift[byte][value] ^= column[byte * 8 + bit];
      }
    }
  }
  return shift;
}

static const Shift kShiftLong = MakeShift(kLongLane);
static const Shift kShiftShort = MakeShift(kShortLane);

static inline uint32_t Advance(const Shift& shift, uint64_t crc) {
  return shift[0][crc & 0xff] ^ shift[1][crc >> 8 & 0xff] ^ shift[2][crc >> 16 & 0xff] ^ shift[3][crc >> 24 & 0xff];
}

static inline uint64_t Load(const uint8_t* data) {
  uint64_t value;
  memcpy(&value, data, 8);
  return value;
}

template <size_t Lane>
__attribute__((target("sse4.2"))) static inline uint64_t ThreeLanes(uint64_t crc, const uint8_t* data, const Shift& shift) {
  uint64_t second = 0;
  uint64_t third = 0;
  for (size_t i = 0; i < Lane; i += 8) {
    crc = __builtin_ia32_crc32di(crc, Load(data + i));
    second = __builtin_ia32_crc32di(second, Load(data + Lane + i));
    third = __builtin_ia32_crc32di(third, Load(data + 2 * Lane + i));
  }
  crc = Advance(shift, crc) ^ second;
  return Advance(shift, crc) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t UpdateHardware(uint32_t start, const uint8_t* data, size_t length) {
  uint64_t crc = start;
  while (length >= 3 * kLongLane) {
    crc = ThreeLanes<kLongLane>(crc, data, kShiftLong);
    data += 3 * kLongLane;
    length -= 3 * kLongLane;
  }
  while (length >= 3 * kShortLane) {
    crc = ThreeLanes<kShortLane>(crc, data, kShiftShort);
    data += 3 * kShortLane;
    length -= 3 * kShortLane;
  }
  while (length >= 8) {
    crc = __builtin_ia32_crc32di(crc, Load(data));
    data += 8;
    length -= 8;
  }
  auto narrow = static_cast<uint32_t>(crc);
  while (length-- > 0) narrow = __builtin_ia32_crc32qi(narrow, *data++);
  return narrow;
}

static const bool kHardware = __builtin_cpu_supports("sse4.2");
static const bool kFolding = kHardware && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");

static constexpr size_t kFoldBytes = 256;
static constexpr size_t kFoldWorth = 1024;

// x^n modulo the polynomial, reflected, one place further left: what a reflected 64 x 64 bit product needs.
static int64_t PowerOfX(uint32_t n) {
  uint32_t power = uint32_t{1} << 31;
  while (n-- > 0) power = (power & 1) != 0 ? (power >> 1) ^ kPolynomial : power >> 1;
  return int64_t{power} << 1;
}

// Moves 128-bit lanes over the 2048 bits of one round: low halves by 2048 + 32, high halves by 2048 - 32.
static const int64_t kFoldLow = PowerOfX(8 * kFoldBytes + 32);
static const int64_t kFoldHigh = PowerOfX(8 * kFoldBytes - 32);

// The register after a multiple of kFoldBytes is that of a message of kFoldBytes, to which everything before is folded.
__attribute__((target("avx512f,vpclmulqdq,sse4.2"))) static uint32_t UpdateFolding(uint32_t crc, const uint8_t* data, size_t length) {
  if (length < kFoldWorth) return UpdateHardware(crc, data, length);
  const __m512i factors = _mm512_set_epi64(kFoldHigh, kFoldLow, kFoldHigh, kFoldLow, kFoldHigh, kFoldLow, kFoldHigh, kFoldLow);
  __m512i lanes[4];
  for (size_t i = 0; i < 4; i++) lanes[i] = _mm512_loadu_si512(data + 64 * i);
  lanes[0] = _mm512_xor_si512(lanes[0], _mm512_set_epi64(0, 0, 0, 0, 0, 0, 0, int64_t{crc}));
  data += kFoldBytes;
  length -= kFoldBytes;
  for (; length >= kFoldBytes; data += kFoldBytes, length -= kFoldBytes) {
    for (size_t i = 0; i < 4; i++) {
      const __m512i low = _mm512_clmulepi64_epi128(lanes[i], factors, 0x00);
      const __m512i high = _mm512_clmulepi64_epi128(lanes[i], factors, 0x11);
      lanes[i] = _mm512_ternarylogic_epi64(low, high, _mm512_loadu_si512(data + 64 * i), 0x96);  // xor of the three
    }
  }
  uint8_t folded[kFoldBytes];
  for (size_t i = 0; i < 4; i++) _mm512_storeu_si512(folded + 64 * i, lanes[i]);
  return UpdateHardware(UpdateHardware(0, folded, kFoldBytes), data, length);
}

#else

static const bool kHardware = false;
static const bool kFolding = false;
static uint32_t UpdateHardware(uint32_t crc, const uint8_t* data, size_t length) { return UpdateTable(crc, data, length); }
static uint32_t UpdateFolding(uint32_t crc, const uint8_t* data, size_t length) { return UpdateTable(crc, data, length); }

#endif

using Update = uint32_t (*)(uint32_t, const uint8_t*, size_t);
static const Update kUpdate = kFolding ? UpdateFolding : kHardware ? UpdateHardware : UpdateTable;

// Whether [start, start + length) lies inside `available` bytes. Numbers of JavaScript: they may be anything, NaN among it.
static inline bool IsInside(double start, double length, size_t available) {
  return start >= 0 && length >= 0 && start + length <= static_cast<double>(available);
}

// The sums of `count` spans [start, length] of data[0, available); false at the first that does not lie inside.
static inline bool SumSpans(const uint8_t* data, size_t available, const uint32_t* spans, uint32_t count, uint32_t* out) {
  for (uint32_t i = 0; i < count; i++) {
    const size_t start = spans[i * 2];
    const size_t length = spans[i * 2 + 1];
    if (start > available || length > available - start) return false;
    out[i] = ~kUpdate(~uint32_t{0}, data + start, length);
  }
  return true;
}

}  // namespace lvr
