/** What the tables with vectors of 512 bits share; included by the file of each set of instructions. */
#pragma once
#include <immintrin.h>

#include "products/product_loops.h"

namespace tritsmith {
namespace {

/** Turns a matrix of 16 x 16 elements, in four rounds. */
inline void turn(__m512i (&v)[16]) {
  __m512i w[16];
  for (size_t i = 0; i < 16; i += 2) {
    w[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    w[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (size_t i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(w[i], w[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(w[i], w[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(w[i + 1], w[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(w[i + 1], w[i + 3]);
  }
  for (size_t i = 0; i < 16; i += 8)
    for (size_t j = i; j < i + 4; j++) {
      w[j] = _mm512_shuffle_i32x4(v[j], v[j + 4], 0x88);
      w[j + 4] = _mm512_shuffle_i32x4(v[j], v[j + 4], 0xdd);
    }
  for (size_t j = 0; j < 8; j++) {
    v[j] = _mm512_shuffle_i32x4(w[j], w[j + 8], 0x88);
    v[j + 8] = _mm512_shuffle_i32x4(w[j], w[j + 8], 0xdd);
  }
}

/** Writes the wanted part of the sums. */
template <size_t rows, size_t vectors>
inline void storeTile(const __m512 (&sums)[rows][vectors], float* out, size_t outStride, size_t rowCount, size_t columnCount) {
  const bool whole = rowCount == rows && columnCount == 16 * vectors;
  float tile[rows * 16 * vectors];
  float* const target = whole ? out : tile;
  const size_t stride = whole ? outStride : 16 * vectors;
#pragma GCC unroll 6
  for (size_t row = 0; row < rows; row++)
#pragma GCC unroll 4
    for (size_t vector = 0; vector < vectors; vector++) _mm512_storeu_ps(target + row * stride + 16 * vector, sums[row][vector]);
  if (!whole) copyTile<rows, 16 * vectors>(tile, out, outStride, rowCount, columnCount);
}

}  // namespace
}  // namespace tritsmith
