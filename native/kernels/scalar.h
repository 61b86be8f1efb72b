#pragma once
// Scalar conversions, private to each file that includes them (see kernels.h on inline functions).
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tritsmith {
namespace {

inline float bitsToFloat(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

inline uint32_t floatToBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

/** IEEE half to float, exact. */
inline float halfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fff) << 13;
  const uint32_t exponent = magnitude & 0x0f800000;
  if (exponent == 0x0f800000) return bitsToFloat(sign | magnitude | 0x70000000);  // infinity or NaN
  return bitsToFloat(sign | floatToBits(bitsToFloat(magnitude) * bitsToFloat(0x77800000)));  // * 2^112
}

/** Float to IEEE half, round to nearest even. */
inline uint16_t floatToHalf(float value) {
  const uint32_t bits = floatToBits(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000)  // 65536 and above, infinity, NaN
    return static_cast<uint16_t>(sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00));
  if (magnitude < 0x38800000) {  // below the smallest normal half: let the adder round
    const float shifted = bitsToFloat(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (floatToBits(shifted) - 0x3f000000));
  }
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

inline uint16_t readU16(const uint8_t* p) {
  uint16_t value;
  memcpy(&value, p, 2);
  return value;
}

inline int32_t readI32(const int8_t* p) {
  int32_t value;
  memcpy(&value, p, 4);
  return value;
}

/** How far ahead of what is multiplied a matrix is asked for, bytes. One token waits for memory, and processors do not ask for enough of it by themselves. */
constexpr size_t kAhead = 4096;

/** Asks the caches for the lines of the `bytes` bytes that lie kAhead after `p`; they need not exist. */
inline void askAhead(const uint8_t* p, size_t bytes) {
  for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + kAhead + line);
}

}  // namespace
}  // namespace tritsmith
