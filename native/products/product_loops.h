/** Rounding and packing of product tables; included once by the file of each set of instructions. */
#pragma once
#include <algorithm>
#include <cstring>

#include "products/products.h"

namespace tritsmith {
namespace {

/** Upper 16 bits of a float32 number after rounding to bfloat16, half to even; what is below 2^-126 becomes 0 and NaN stays NaN. */
inline uint32_t roundedBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
  const uint32_t kept = magnitude < 0x00800000u ? bits >> 16 & 0x8000u : rounded;
  return magnitude > 0x7f800000u ? (bits >> 16 | 0x40u) : kept;
}

/** Two neighbours along the sum in one element: the first in the lower half. */
struct Pairs {
  static constexpr size_t stepsOfPair = 1;
  static void put(uint32_t* at, size_t, float first, float second) { *at = roundedBits(first) | roundedBits(second) << 16; }
};

/** Each in an element of its own, as float32: the second of two neighbours first, the order in which they are summed. */
struct Floats {
  static constexpr size_t stepsOfPair = 2;
  static void put(uint32_t* at, size_t stepStride, float first, float second) {
    at[0] = roundedBits(second) << 16;
    at[stepStride] = roundedBits(first) << 16;
  }
};

size_t roundUp(size_t count, size_t to) { return (count + to - 1) / to * to; }

/** Lines (rows of A, columns of B) whose elements of one step lie side by side, `width` apart from the next step's. */
template <typename Layout>
void packAcross(const float* values, size_t along, size_t across, size_t lines, size_t width, size_t inner, uint32_t* out) {
  constexpr size_t steps = Layout::stepsOfPair;
  // Of lines that are contiguous themselves some steps are read before the next line's, so that both sides of the turn stay in the first cache.
  const size_t atOnce = across == 1 ? 1 : 16;
  const size_t whole = inner / 2;
  for (size_t begin = 0; begin < whole; begin += atOnce)
    if (across == 1) {
      const float* first = values + 2 * begin * along;
      for (size_t line = 0; line < lines; line++)
        Layout::put(out + begin * steps * width + line, width, first[line], first[along + line]);
    } else {
      const size_t end = std::min(whole, begin + atOnce);
      for (size_t line = 0; line < lines; line++)
        for (size_t pair = begin; pair < end; pair++) {
          const float* first = values + line * across + 2 * pair * along;
          Layout::put(out + pair * steps * width + line, width, first[0], first[along]);
        }
    }
  if (inner % 2 == 1)
    for (size_t line = 0; line < lines; line++)
      Layout::put(out + whole * steps * width + line, width, values[line * across + (inner - 1) * along], 0.0f);
  if (lines < width)
    for (size_t step = 0; step < steps * ((inner + 1) / 2); step++)
      std::memset(out + step * width + lines, 0, (width - lines) * sizeof *out);
}

/** Rows as they lie: turned ones with the rows of a step side by side, others one after the other. */
template <typename Layout, size_t rows>
RowBlock packRows(const Strided& a, size_t rowCount, size_t inner, size_t pairs, uint32_t* block) {
  if (a.rowStride == 1) {
    packAcross<Layout>(a.values, a.columnStride, 1, rowCount, kBlockRows, inner, block);
    return {block, 1, kBlockRows};
  }
  const size_t steps = Layout::stepsOfPair * pairs;
  for (size_t row = 0; row < rowCount; row++) {
    const float* line = a.values + row * a.rowStride;
    uint32_t* out = block + row * steps;
    for (size_t pair = 0; pair < inner / 2; pair++) Layout::put(out + Layout::stepsOfPair * pair, 1, line[2 * pair], line[2 * pair + 1]);
    if (inner % 2 == 1) Layout::put(out + steps - Layout::stepsOfPair, 1, line[inner - 1], 0.0f);
  }
  std::memset(block + rowCount * steps, 0, (roundUp(rowCount, rows) - rowCount) * steps * sizeof *block);
  return {block, steps, 1};
}

template <typename Layout, size_t columns>
void packColumns(const Strided& b, size_t columnCount, size_t inner, size_t, uint32_t* panel) {
  packAcross<Layout>(b.values, b.rowStride, b.columnStride, columnCount, columns, inner, panel);
}

/** Copies the wanted part of a whole tile. */
template <size_t rows, size_t columns>
void copyTile(const float* tile, float* out, size_t outStride, size_t rowCount, size_t columnCount) {
  for (size_t row = 0; row < rowCount; row++) std::memcpy(out + row * outStride, tile + row * columns, columnCount * sizeof(float));
}

}  // namespace
}  // namespace tritsmith
