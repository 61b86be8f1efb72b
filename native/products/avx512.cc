/** Products of rounded factors in float32 on AVX-512: the bits of AVX512-BF16, whose own instruction some processors take for four times as long as this one. */
#include <immintrin.h>

#include "products/avx512_turn.h"
#include "products/product_loops.h"

namespace tritsmith {
namespace {

constexpr size_t kRows = 6;
constexpr size_t kVectors = 4;
constexpr size_t kColumns = 16 * kVectors;

/** `roundedBits` of sixteen numbers, as float32. */
__m512i rounded(__m512 values) {
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i even = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  const __mmask16 tiny = _mm512_cmplt_epu32_mask(magnitude, _mm512_set1_epi32(0x00800000));
  const __mmask16 nan = _mm512_cmpgt_epu32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
  const __m512i kept = _mm512_mask_and_epi32(even, tiny, bits, _mm512_set1_epi32(static_cast<int>(0x80000000u)));
  return _mm512_and_si512(_mm512_mask_or_epi32(kept, nan, bits, _mm512_set1_epi32(0x00400000)), upper);
}

/** Up to sixteen numbers; a count of 0 reads nothing. */
__m512i packed(const float* values, size_t count) {
  return rounded(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), values));
}

/** The part of `count` numbers that a vector from `begin` on holds. */
size_t partOf(size_t count, size_t begin) { return begin < count ? std::min<size_t>(16, count - begin) : 0; }

/** Lines whose elements of one step lie side by side in both; `width` is a multiple of 16. */
void packSide(const float* values, size_t along, size_t lines, size_t width, size_t inner, uint32_t* out) {
  for (size_t step = 0; step < roundUp(inner, 2); step++) {
    // The second of two neighbours comes first.
    uint32_t* const target = out + (step ^ 1) * width;
    for (size_t line = 0; line < width; line += 16) {
      const size_t count = step < inner ? partOf(lines, line) : 0;
      _mm512_storeu_si512(target + line, packed(count == 0 ? values : values + step * along + line, count));
    }
  }
}

/** Up to sixteen numbers of a line from `begin` on, of two neighbours the second first. */
__m512i packLine(const float* line, size_t inner, size_t begin) {
  const size_t count = partOf(inner, begin);
  return _mm512_shuffle_epi32(packed(count == 0 ? line : line + begin, count), _MM_PERM_CDAB);
}

/** Columns that lie as lines: sixteen of them are turned at once. */
void packTurned(const float* values, size_t across, size_t lines, size_t inner, uint32_t* panel) {
  const size_t steps = roundUp(inner, 2);
  for (size_t block = 0; block < kColumns; block += 16)
    for (size_t step = 0; step < steps; step += 16) {
      __m512i v[16];
      for (size_t line = 0; line < 16; line++)
        v[line] = block + line < lines ? packLine(values + (block + line) * across, inner, step) : _mm512_setzero_si512();
      turn(v);
      for (size_t i = 0; i < std::min<size_t>(16, steps - step); i++) _mm512_storeu_si512(panel + (step + i) * kColumns + block, v[i]);
    }
}

RowBlock packRows(const Strided& a, size_t rowCount, size_t inner, size_t pairs, uint32_t* block) {
  if (a.rowStride == 1) {
    packSide(a.values, a.columnStride, rowCount, kBlockRows, inner, block);
    return {block, 1, kBlockRows};
  }
  const size_t steps = 2 * pairs;
  for (size_t row = 0; row < rowCount; row++)
    for (size_t step = 0; step < steps; step += 16)
      _mm512_mask_storeu_epi32(block + row * steps + step, static_cast<__mmask16>((1u << partOf(steps, step)) - 1),
                               packLine(a.values + row * a.rowStride, inner, step));
  std::memset(block + rowCount * steps, 0, (roundUp(rowCount, kRows) - rowCount) * steps * sizeof *block);
  return {block, steps, 1};
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
  const auto* rows = reinterpret_cast<const float*>(a.values);
  const auto* columns = reinterpret_cast<const float*>(b);
  for (size_t step = 0; step < 2 * pairs; step++, rows += a.stepStride, columns += kColumns) {
    __m512 right[kVectors];
#pragma GCC unroll 4
    for (size_t vector = 0; vector < kVectors; vector++) right[vector] = _mm512_loadu_ps(columns + 16 * vector);
#pragma GCC unroll 6
    for (size_t row = 0; row < kRows; row++) {
      const __m512 left = _mm512_set1_ps(rows[row * a.rowStride]);
#pragma GCC unroll 4
      for (size_t vector = 0; vector < kVectors; vector++) sums[row][vector] = _mm512_fmadd_ps(left, right[vector], sums[row][vector]);
    }
  }
  storeTile<kRows, kVectors>(sums, out, outStride, rowCount, columnCount);
}

}  // namespace

const ProductTable productsAvx512 = {"avx512", kRows, kColumns, 2, packRows, packColumns, multiply};

}  // namespace tritsmith
