#pragma once
#include <cstddef>
#include <cstdint>

namespace tritsmith {

/**
 * Matrix products of factors rounded to bfloat16, summed in float32. Every set of instructions gives the same bits: a product of two bfloat16 numbers is
 * a float32 number, and each sum adds its terms one by one in one order, of every two neighbours the second first, as the instruction VDPBF16PS does. Numbers
 * below 2^-126 count as 0 in the factors; sums that small may differ between sets.
 */

/** A matrix and the distance of its neighbours down a column and along a row; one of them is 1. */
struct Strided {
  const float* values;
  size_t rowStride;
  size_t columnStride;
};

/** Rows of A that are multiplied together at most; a multiple of the rows of every table. */
constexpr size_t kBlockRows = 48;

/** Rounded rows of A. An element (32 bits) holds two neighbours along the sum, or one; `steps` of them are summed up. */
struct RowBlock {
  const uint32_t* values;
  size_t rowStride;
  size_t stepStride;
};

/** How one set of instructions multiplies: a few rows of a block by a panel of columns of B, in which what is summed lies step by step. */
struct ProductTable {
  const char* name;
  /** Rows that are multiplied at once, columns of a panel. */
  size_t rows;
  size_t columns;
  /** Elements (32 bits) of a row or column for two neighbours along the sum. */
  size_t stepsOfPair;
  /** Fills a block (kBlockRows * steps elements) with `rowCount` rows; what lies beyond them, up to a multiple of `rows`, and beyond `inner` becomes 0. */
  RowBlock (*packRows)(const Strided& a, size_t rowCount, size_t inner, size_t pairs, uint32_t* block);
  /** Fills a panel (columns * steps elements), padded with 0. */
  void (*packColumns)(const Strided& b, size_t columnCount, size_t inner, size_t pairs, uint32_t* panel);
  /** Writes the product of `rows` rows of a block with a panel, of which `rowCount` rows and `columnCount` columns are wanted. */
  void (*multiply)(const RowBlock& a, const uint32_t* b, size_t pairs, float* out, size_t outStride, size_t rowCount, size_t columnCount);
};

extern const ProductTable productsPortable;
extern const ProductTable productsAvx2;
extern const ProductTable productsAvx512;
extern const ProductTable productsAvx512Bf16;

/** Tables that this processor runs, those with the widest instructions first. */
size_t availableProducts(const ProductTable* out[4]);

}  // namespace tritsmith
