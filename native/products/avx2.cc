/** Products of rounded factors in float32 on AVX2: a product is exact, so that a fused sum rounds as one after it would. */
#include <immintrin.h>

#include "products/product_loops.h"

namespace tritsmith {
namespace {

constexpr size_t kRows = 6;
constexpr size_t kColumns = 16;

void multiply(const RowBlock& a, const uint32_t* b, size_t pairs, float* out, size_t outStride, size_t rowCount, size_t columnCount) {
  const auto* rows = reinterpret_cast<const float*>(a.values);
  const auto* columns = reinterpret_cast<const float*>(b);
  __m256 sums[kRows][2];
#pragma GCC unroll 6
  for (auto& row : sums) row[0] = row[1] = _mm256_setzero_ps();
  for (size_t step = 0; step < 2 * pairs; step++) {
    const __m256 left = _mm256_loadu_ps(columns + step * kColumns);
    const __m256 right = _mm256_loadu_ps(columns + step * kColumns + 8);
#pragma GCC unroll 6
    for (size_t row = 0; row < kRows; row++) {
      const __m256 factor = _mm256_broadcast_ss(rows + row * a.rowStride + step * a.stepStride);
      sums[row][0] = _mm256_fmadd_ps(factor, left, sums[row][0]);
      sums[row][1] = _mm256_fmadd_ps(factor, right, sums[row][1]);
    }
  }
  const bool whole = rowCount == kRows && columnCount == kColumns;
  float tile[kRows * kColumns];
  float* const target = whole ? out : tile;
  const size_t stride = whole ? outStride : kColumns;
#pragma GCC unroll 6
  for (size_t row = 0; row < kRows; row++) {
    _mm256_storeu_ps(target + row * stride, sums[row][0]);
    _mm256_storeu_ps(target + row * stride + 8, sums[row][1]);
  }
  if (!whole) copyTile<kRows, kColumns>(tile, out, outStride, rowCount, columnCount);
}

}  // namespace

const ProductTable productsAvx2 = {"avx2", kRows, kColumns, 2, packRows<Floats, kRows>, packColumns<Floats, kColumns>, multiply};

}  // namespace tritsmith
