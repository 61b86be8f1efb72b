/** A whole product from blocks and panels, over threads. */
#include <algorithm>
#include <chrono>
#include <utility>
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

/** Least seconds of a few products of a tile that lies in the first cache. */
double secondsOf(const ProductTable& table) {
  constexpr size_t kPairs = 32;
  constexpr int kTries = 8, kProducts = 16;
  const size_t steps = kPairs * table.stepsOfPair;
  // Zeros take as long as other numbers.
  std::vector<uint32_t> a(kBlockRows * steps), b(table.columns * steps);
  std::vector<float> out(table.rows * table.columns);
  double least = 1e9;
  for (int attempt = 0; attempt < kTries; attempt++) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kProducts; i++)
      table.multiply({a.data(), steps, 1}, b.data(), kPairs, out.data(), table.columns, table.rows, table.columns);
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least / static_cast<double>(table.rows * table.columns);
}

}  // namespace

const std::vector<const ProductTable*>& productTables() {
  static const std::vector<const ProductTable*> ordered = [] {
    const ProductTable* found[4];
    std::vector<const ProductTable*> tables(found, found + availableProducts(found));
    // Intel's processors take VDPBF16PS at a quarter of the rate of other sums and products, AMD's at the same.
    if (tables.size() > 1 && secondsOf(*tables[1]) < secondsOf(*tables[0])) std::swap(tables[0], tables[1]);
    return tables;
  }();
  return ordered;
}

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
