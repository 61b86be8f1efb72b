#pragma once
// Patterns of the layout threeOfFourSums (kernels.h). Private to each including file (see kernels.h on inline functions).
#include <cstddef>
#include <cstdint>

namespace tritsmith {
namespace {

constexpr size_t kSumFours = 8;    // in half a chunk
constexpr size_t kSumBytes = 160;  // of half a chunk
constexpr size_t kSumPart = 32;

/** Where row r of a panel lies in a part. */
inline size_t sumByte(size_t r) { return r / 4 % 2 * 16 + r / 8 % 2 * 8 + r % 4 * 2 + r / 16; }

/** Writes pattern p (as of `patternOf`) of row r into a chunk, which was 0 there. */
inline void putSumPattern(uint8_t* chunk, size_t r, size_t p, unsigned pattern) {
  uint8_t* const own = chunk + p / kSumFours * kSumBytes + sumByte(r);
  const size_t j = p % kSumFours;
  const unsigned first = pattern & 1, second = pattern >> 1 & 1, third = pattern >> 2 & 1;
  const unsigned place = pattern >> 3 << 2 | (first ^ second) << 1 | (first ^ third);
  own[0] = static_cast<uint8_t>(own[0] | first << (7 - j));
  own[kSumPart * (1 + j / 2)] = static_cast<uint8_t>(own[kSumPart * (1 + j / 2)] | place << 4 * (j % 2));
}

/** Pattern p of row r of a chunk. */
inline unsigned sumPattern(const uint8_t* chunk, size_t r, size_t p) {
  const uint8_t* const own = chunk + p / kSumFours * kSumBytes + sumByte(r);
  const size_t j = p % kSumFours;
  const unsigned first = own[0] >> (7 - j) & 1, place = own[kSumPart * (1 + j / 2)] >> 4 * (j % 2) & 15;
  return place >> 2 << 3 | (first ^ (place & 1)) << 2 | (first ^ (place >> 1 & 1)) << 1 | first;
}

}  // namespace
}  // namespace tritsmith
