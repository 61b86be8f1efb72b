/** A whole product from blocks and panels, over threads. */
#include <algorithm>
#include <vector>

#include "products/product.h"
#include "threads/pool.h"

namespace tritsmith {
namespace {

/** Columns of B that a block of rows is multiplied with before it is packed again. */
constexpr size_t kBlockColumns = 1024;

size_t ceilDivide(size_t count, size_t by) { return (count + by - 1) / by; }

/** Memory that is kept from one product to the next and begins where a vector does. */
class Elements {
 public:
  uint32_t* atLeast(size_t count) {
    if (memory_.size() < count + kAlignment) memory_.resize(count + kAlignment);
    const uintptr_t misplaced = reinterpret_cast<uintptr_t>(memory_.data()) / sizeof(uint32_t) % kAlignment;
    return memory_.data() + (kAlignment - misplaced) % kAlignment;
  }

 private:
  static constexpr size_t kAlignment = 16;
  std::vector<uint32_t> memory_;
};

}  // namespace

void productOfRounded(const ProductTable& table, Pool& pool, const Strided& a, const Strided& b, size_t rows, size_t columns, size_t inner,
                      float* out) {
  const size_t pairs = ceilDivide(inner, 2);
  const size_t steps = pairs * table.stepsOfPair;
  const size_t panels = ceilDivide(columns, table.columns);
  static Elements allPanels;
  uint32_t* const packed = allPanels.atLeast(panels * table.columns * steps);
  pool.pieces(panels, 1, [&](size_t panel, size_t, int) {
    const size_t first = panel * table.columns;
    const Strided own{b.values + first * b.columnStride, b.rowStride, b.columnStride};
    table.packColumns(own, std::min(table.columns, columns - first), inner, pairs, packed + first * steps);
  });
  const size_t panelsAtOnce = kBlockColumns / table.columns;
  const size_t columnBlocks = ceilDivide(panels, panelsAtOnce);
  pool.pieces(ceilDivide(rows, kBlockRows) * columnBlocks, 1, [&](size_t piece, size_t, int) {
    static thread_local Elements ownRows;
    const size_t firstRow = piece / columnBlocks * kBlockRows;
    const size_t rowCount = std::min(rows - firstRow, kBlockRows);
    const Strided own{a.values + firstRow * a.rowStride, a.rowStride, a.columnStride};
    const RowBlock block = table.packRows(own, rowCount, inner, pairs, ownRows.atLeast(kBlockRows * steps));
    const size_t firstPanel = piece % columnBlocks * panelsAtOnce;
    for (size_t panel = firstPanel; panel < std::min(panels, firstPanel + panelsAtOnce); panel++) {
      const size_t column = panel * table.columns;
      for (size_t row = 0; row < rowCount; row += table.rows)
        table.multiply({block.values + row * block.rowStride, block.rowStride, block.stepStride}, packed + column * steps, pairs,
                       out + (firstRow + row) * columns + column, columns, std::min(table.rows, rowCount - row),
                       std::min(table.columns, columns - column));
    }
  });
}

}  // namespace tritsmith
