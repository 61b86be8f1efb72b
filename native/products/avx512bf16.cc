/** Products of rounded factors on AVX512-BF16: two products and sums in each of sixteen places at once. */
#include <immintrin.h>

#include "products/avx512_turn.h"
#include "products/product_loops.h"

namespace tritsmith {
namespace {

constexpr size_t kRows = 6;
constexpr size_t kVectors = 4;
constexpr size_t kColumns = 16 * kVectors;

/** Two times sixteen numbers, rounded: the first ones in the lower half. */
__m512i rounded(__m512 first, __m512 second) { return (__m512i)_mm512_cvtne2ps_pbh(second, first); }

/** Puts number i of the lower half beside number i of the upper one. */
__m512i interleaved(__m512i halves) {
  alignas(64) static const uint16_t order[32] = {0,  16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                 8,  24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(order), halves);
}

/** Two neighbours of each of `lines` lines that lie side by side, at most a vector of them. */
void packStep(const float* first, const float* second, size_t lines, uint32_t* out) {
  const auto mask = static_cast<__mmask16>((1u << lines) - 1);
  const __m512 below = second == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, second);
  _mm512_storeu_si512(out, interleaved(rounded(_mm512_maskz_loadu_ps(mask, first), below)));
}

/** Lines whose elements of one step lie side by side in both; `width` is a multiple of 16. */
void packSide(const float* values, size_t along, size_t lines, size_t width, size_t inner, uint32_t* out) {
  for (size_t step = 0; 2 * step < inner; step++) {
    const float* first = values + 2 * step * along;
    const float* second = 2 * step + 1 < inner ? first + along : nullptr;
    for (size_t line = 0; line < width; line += 16) {
      const size_t count = line < lines ? std::min<size_t>(16, lines - line) : 0;
      packStep(first + (count ? line : 0), second == nullptr || count == 0 ? nullptr : second + line, count, out + step * width + line);
    }
  }
}

/** Up to 32 numbers of a line as sixteen pairs. */
__m512i packLine(const float* line, size_t count) {
  const auto part = [&](size_t begin) {
    const size_t left = begin < count ? std::min<size_t>(16, count - begin) : 0;
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << left) - 1), line + (left ? begin : 0));
  };
  return rounded(part(0), part(16));
}

/** Columns that lie as lines: sixteen of them are turned at once. */
void packTurned(const float* values, size_t across, size_t lines, size_t inner, uint32_t* panel) {
  for (size_t block = 0; block < kColumns; block += 16)
    for (size_t step = 0; 2 * step < inner; step += 16) {
      __m512i v[16];
      for (size_t line = 0; line < 16; line++)
        v[line] = block + line < lines ? packLine(values + (block + line) * across + 2 * step, inner - 2 * step) : _mm512_setzero_si512();
      turn(v);
      const size_t steps = std::min<size_t>(16, (inner + 1) / 2 - step);
      for (size_t i = 0; i < steps; i++) _mm512_storeu_si512(panel + (step + i) * kColumns + block, v[i]);
    }
}

RowBlock packRows(const Strided& a, size_t rowCount, size_t inner, size_t pairs, uint32_t* block) {
  if (a.rowStride == 1) {
    packSide(a.values, a.columnStride, rowCount, kBlockRows, inner, block);
    return {block, 1, kBlockRows};
  }
  for (size_t row = 0; row < rowCount; row++)
    for (size_t step = 0; step < pairs; step += 16) {
      const auto mask = static_cast<__mmask16>((1u << std::min<size_t>(16, pairs - step)) - 1);
      _mm512_mask_storeu_epi32(block + row * pairs + step, mask, packLine(a.values + row * a.rowStride + 2 * step, inner - 2 * step));
    }
  std::memset(block + rowCount * pairs, 0, (roundUp(rowCount, kRows) - rowCount) * pairs * sizeof *block);
  return {block, pairs, 1};
}

void packColumns(const Strided& b, size_t columnCount, size_t inner, size_t, uint32_t* panel) {
  if (b.columnStride == 1) packSide(b.values, b.rowStride, columnCount, kColumns, inner, panel);
  else packTurned(b.values, b.columnStride, columnCount, inner, panel);
}

void multiply(const RowBlock& a, const uint32_t* b, size_t pairs, float* out, size_t outStride, size_t rowCount, size_t columnCount) {
  __m512 sums[kRows][kVectors];
#pragma GCC unroll 6
  for (auto& row : sums)
#pragma GCC unroll 4
    for (auto& sum : row) sum = _mm512_setzero_ps();
  const uint32_t* rows = a.values;
  for (size_t pair = 0; pair < pairs; pair++, rows += a.stepStride) {
    __m512i right[kVectors];
#pragma GCC unroll 4
    for (size_t vector = 0; vector < kVectors; vector++) right[vector] = _mm512_loadu_si512(b + pair * kColumns + 16 * vector);
#pragma GCC unroll 6
    for (size_t row = 0; row < kRows; row++) {
      const __m512i left = _mm512_set1_epi32(static_cast<int>(rows[row * a.rowStride]));
#pragma GCC unroll 4
      for (size_t vector = 0; vector < kVectors; vector++)
        sums[row][vector] = _mm512_dpbf16_ps(sums[row][vector], (__m512bh)left, (__m512bh)right[vector]);
    }
  }
  storeTile<kRows, kVectors>(sums, out, outStride, rowCount, columnCount);
}

}  // namespace

const ProductTable productsAvx512Bf16 = {"avx512-bf16", kRows, kColumns, 1, packRows, packColumns, multiply};

}  // namespace tritsmith
