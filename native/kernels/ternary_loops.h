#pragma once
// The ternary product in plain C++, for the portable table and for layouts that a table has no own code for.
#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "kernels/three_of_four.h"

namespace tritsmith {
namespace {

/** The 2-bit fields of a byte, the lowest field first. */
inline uint32_t fieldsOf(Layout layout, uint8_t byte) {
  if (layout == Layout::twoBit) return byte;
  const uint32_t index = (byte & 63u) < 51u ? byte & 63u : 50u;
  const uint32_t q = byte < 192 ? byte & 63u : 64u + index / 3u;
  const uint32_t last = byte < 192 ? byte >> 6 : index % 3u;
  return q % 3u | q / 3u % 3u << 2 | q / 9u % 3u << 4 | q / 27u << 6 | last << 8;
}

/** Of `width` tokens from `first`: the sums that make products of codes products of weights, over the columns of group `group`. */
inline void sumsOfGroup(const PackedTernary& w, const QuantisedTokens& x, size_t group, size_t first, size_t width, int32_t* sums) {
  if (w.groups == 1) {
    memcpy(sums, x.sums + first, width * sizeof(int32_t));
    return;
  }
  const size_t runs = w.columns / w.groups / x.groupColumns;
  memset(sums, 0, width * sizeof(int32_t));
  for (size_t run = group * runs; run < (group + 1) * runs; run++)
    for (size_t t = 0; t < width; t++) sums[t] += x.groupSums[run * x.tokens + first + t];
}

/** The four codes of each pattern, the first in the lowest byte. */
struct PatternCodes {
  alignas(64) uint32_t codes[32];
};

constexpr PatternCodes patternCodes() {
  PatternCodes table{};
  for (uint32_t pattern = 0; pattern < 32; pattern++) {
    uint32_t bit = 0;
    for (uint32_t i = 0; i < 4; i++) {
      uint32_t code = 1;
      if (i != pattern >> 3) code = (pattern >> bit++ & 1) * 2;
      table.codes[pattern] |= code << 8 * i;
    }
  }
  return table;
}
constexpr PatternCodes kPatterns = patternCodes();

/** The 16 patterns of row r of a chunk of the layout threeOfFour. */
inline void patternsOfWords(const uint8_t* chunk, size_t r, uint32_t* patterns) {
  patterns[15] = 0;
  for (size_t v = 0; v < 5; v++) {
    const uint32_t word = readU16(chunk + r % 16 * 4 + r / 16 * 2 + 64 * v);
    for (size_t n = 0; n < 3; n++) patterns[3 * v + n] = word >> 5 * n & 31;
    patterns[15] |= word >> 15 << v;
  }
}

/** Of row r of a chunk with patterns: codes times activations of `width` tokens, added to `acc`. */
inline void addPatterns(Layout layout, const uint8_t* chunk, size_t r, const int8_t* values, size_t width, int32_t* acc) {
  uint32_t patterns[16];
  if (layout == Layout::threeOfFour) patternsOfWords(chunk, r, patterns);
  else
    for (size_t p = 0; p < 16; p++) patterns[p] = sumPattern(chunk, r, p);
  for (size_t p = 0; p < 16; p++) {
    const uint32_t codes = kPatterns.codes[patterns[p]];
    const int32_t c0 = codes & 3, c1 = codes >> 8 & 3, c2 = codes >> 16 & 3, c3 = static_cast<int32_t>(codes >> 24);
    const int8_t* const a = values + p * width * 4;
    for (size_t t = 0; t < width; t++) acc[t] += c0 * a[4 * t] + c1 * a[4 * t + 1] + c2 * a[4 * t + 2] + c3 * a[4 * t + 3];
  }
}

inline void multiplyTernaryPlain(const PackedTernary& w, size_t begin, size_t end, const QuantisedTokens& x, float* y, size_t stride) {
  const size_t fields = chunkColumns(w.layout) / 4, bytes = chunkBytes(w.layout);
  const size_t chunks = w.chunks / w.groups;
  for (size_t panel = begin; panel < end; panel++) {
    const size_t first = panel * kPanelRows;
    const size_t rows = w.rows - first < kPanelRows ? w.rows - first : kPanelRows;
    for (size_t tile = 0; tile < x.tokens; tile += x.tile) {
      const size_t width = x.tokens - tile < x.tile ? x.tokens - tile : x.tile;
      for (size_t group = 0; group < w.groups; group++) {
        const uint8_t* const data = w.data + (panel * w.chunks + group * chunks) * bytes;
        const float* const scales = w.scales + (panel * w.groups + group) * kPanelRows;
        const int8_t* const values = x.values + tile * x.padded + group * chunks * fields * width * 4;
        int32_t sums[16];
        sumsOfGroup(w, x, group, tile, width, sums);
        for (size_t r = 0; r < rows; r++) {
          int32_t acc[16] = {0};
          for (size_t c = 0; c < chunks; c++) {
            if (isThreeOfFour(w.layout)) {
              addPatterns(w.layout, data + c * bytes, r, values + c * fields * width * 4, width, acc);
              continue;
            }
            const uint8_t* const four = data + c * bytes + r * 4;
            const uint32_t f[4] = {fieldsOf(w.layout, four[0]), fieldsOf(w.layout, four[1]), fieldsOf(w.layout, four[2]),
                                   fieldsOf(w.layout, four[3])};
            for (size_t g = 0; g < fields; g++) {
              const int8_t* const a = values + (c * fields + g) * width * 4;
              const int32_t c0 = f[0] >> 2 * g & 3, c1 = f[1] >> 2 * g & 3, c2 = f[2] >> 2 * g & 3, c3 = f[3] >> 2 * g & 3;
              for (size_t t = 0; t < width; t++) acc[t] += c0 * a[4 * t] + c1 * a[4 * t + 1] + c2 * a[4 * t + 2] + c3 * a[4 * t + 3];
            }
          }
          for (size_t t = 0; t < width; t++) {
            float* const out = y + (tile + t) * stride + first + r;
            const float value = static_cast<float>(acc[t] - sums[t]) * (x.scales[tile + t] * scales[r]);
            *out = group == 0 ? value : *out + value;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tritsmith
