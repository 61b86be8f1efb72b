/** Products of rounded factors for any processor. */
#include "products/product_loops.h"

namespace tritsmith {
namespace {

constexpr size_t kRows = 4;
constexpr size_t kColumns = 16;

void multiply(const RowBlock& a, const uint32_t* b, size_t pairs, float* out, size_t outStride, size_t rowCount, size_t columnCount) {
  const auto* rows = reinterpret_cast<const float*>(a.values);
  const auto* columns = reinterpret_cast<const float*>(b);
  float sums[kRows][kColumns] = {};
  for (size_t step = 0; step < 2 * pairs; step++)
    for (size_t row = 0; row < kRows; row++)
      for (size_t column = 0; column < kColumns; column++)
        sums[row][column] += rows[row * a.rowStride + step * a.stepStride] * columns[step * kColumns + column];
  copyTile<kRows, kColumns>(sums[0], out, outStride, rowCount, columnCount);
}

}  // namespace

const ProductTable productsPortable = {"portable", kRows, kColumns, 2, packRows<Floats, kRows>, packColumns<Floats, kColumns>, multiply};

}  // namespace tritsmith
