#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace tritsmith {

/**
 * Fills in panels and chunks for a matrix [rows, columns] with scales for `groups` runs of columns of each row; data and scales stay null. Several groups
 * of kGroupColumns or a multiple are laid out as twoBit, where threeOfFour is asked for and its chunks fit the groups as that.
 */
PackedTernary planTernary(size_t rows, size_t columns, Layout layout, size_t groups = 1);
/** Number of scales of a packed matrix. */
size_t packedScales(const PackedTernary& plan);
/** Writes the scales of a packed matrix: `scaleAt(group, row)` for its rows. */
template <typename ScaleAt>
void packScales(const PackedTernary& plan, float* out, const ScaleAt& scaleAt) {
  for (size_t panel = 0; panel < plan.panels; panel++)
    for (size_t group = 0; group < plan.groups; group++)
      for (size_t r = 0; r < kPanelRows; r++) {
        const size_t row = panel * kPanelRows + r;
        out[(panel * plan.groups + group) * kPanelRows + r] = row < plan.rows ? scaleAt(group, row) : 0.0f;
      }
}
/** Largest run of columns, up to 256, whose sums serve a matrix with several groups (QuantisedTokens::groupColumns). */
size_t sumColumns(const PackedTernary& plan);
/** Bytes of the packed matrix. */
size_t packedBytes(const PackedTernary& plan);

/**
 * Packs panels [begin, end) into `out` (the start of the whole packed matrix). `row(r, codes)` writes the `columns` codes 0, 1, 2 of row r.
 */
void packPanels(const PackedTernary& plan, size_t begin, size_t end, void (*row)(const void* context, size_t r, uint8_t* codes),
                const void* context, uint8_t* out);

/** Bytes of one panel of 16 rows in the layout Dense::q6Panels. `columns` is a multiple of 256. */
size_t q6PanelBytes(size_t columns);

/** Packs panels [begin, end) of a Q6_K matrix (rows as in the file) into `out` (the start of the whole packed matrix). */
void packQ6Panels(const DenseMatrix& rows, size_t begin, size_t end, uint8_t* out);

/** The low two bits; 3, which no ternary file has, reads as a weight of 0. Without a table, so that the compiler makes many of them at once. */
inline uint8_t ternaryCode(unsigned bits) {
  const unsigned code = bits & 3;
  return static_cast<uint8_t>(code ^ (code & code >> 1) << 1);
}

/** Codes (weight + 1) of `count` weights of an I2_S tensor from flat index `first` (docs/formats.md, 2.1; code 3 reads as a weight of 0). */
void readI2S(const uint8_t* data, size_t first, size_t count, uint8_t* codes);

/** Bytes of `count` weights in the file type T3_4 without its scale, and codes of such weights from flat index `first`, a multiple of 4 (docs/formats.md, 2.7). */
constexpr uint64_t patternBytes(uint64_t count) { return (count / 32 + (count % 32 != 0)) * 5; }
void readT34(const uint8_t* data, size_t first, size_t count, uint8_t* codes);
/** Pattern of four codes of which one is 1: its place in bits 3 and 4, and in bits 0 to 2 whether the others are 2, in their order. */
uint8_t patternOf(const uint8_t codes[4]);

/** Code of row r, column c in a packed matrix. */
uint8_t packedCode(const PackedTernary& w, size_t r, size_t c);

/** Byte of five codes in the fiveTrits layout, and the five codes of a byte (two bits each, c0 lowest). */
uint8_t encodeFiveTrits(const uint8_t codes[5]);
uint16_t decodeFiveTrits(uint8_t byte);

}  // namespace tritsmith
