#pragma once
// Q6_K rows regrouped by pack.cc (Dense::q6Panels), times float tokens. Private to each including file (see kernels.h on inline functions).
//
// A panel holds 16 rows as a sequence of blocks of 256 columns. A block: 16 groups x 16 int8 scales ([group][row]), 16 half scales ([row]), 32 zeros; then
// 16 groups of 16 columns, each 3 x 64 bytes [v][row][b] with b = 0..3: bits 0-5 of byte v are the code of column 4 v + b; bits 6-7 are bits 2 v and
// 2 v + 1 of the code of column 12 + b. It is read from front to back without a gap: after a jump the processor has to find the stream anew.
#include "kernels/kernels.h"
#include "kernels/scalar.h"

namespace tritsmith {
namespace {

constexpr size_t kQ6Columns = 256;
constexpr size_t kQ6ScaleBytes = 320;
constexpr size_t kQ6BlockBytes = kQ6ScaleBytes + 16 * 192;

/** The 256 codes of a Q6_K block: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales, one half scale. */
inline void q6Codes(const uint8_t* block, uint8_t* codes) {
  for (size_t half = 0; half < 2; half++) {
    const uint8_t* const low = block + half * 64;
    const uint8_t* const high = block + 128 + half * 32;
    uint8_t* const target = codes + half * 128;
    for (size_t i = 0; i < 32; i++) target[i] = static_cast<uint8_t>((low[i] & 15) | (high[i] & 3) << 4);
    for (size_t i = 0; i < 32; i++) target[32 + i] = static_cast<uint8_t>((low[32 + i] & 15) | (high[i] >> 2 & 3) << 4);
    for (size_t i = 0; i < 32; i++) target[64 + i] = static_cast<uint8_t>(low[i] >> 4 | (high[i] >> 4 & 3) << 4);
    for (size_t i = 0; i < 32; i++) target[96 + i] = static_cast<uint8_t>(low[32 + i] >> 4 | high[i] >> 6 << 4);
  }
}

/** Row `row` as floats. */
inline void q6PanelRow(const DenseMatrix& w, size_t row, float* out) {
  const size_t r = row % kDensePanelRows;
  const uint8_t* block = w.data + row / kDensePanelRows * w.panelBytes;
  for (size_t first = 0; first < w.columns; first += kQ6Columns, block += kQ6BlockBytes) {
    const float d = halfToFloat(readU16(block + 256 + 2 * r));
    const uint8_t* codes = block + kQ6ScaleBytes + 4 * r;
    for (size_t group = 0; group < 16; group++, codes += 192, out += 16) {
      const float scale = d * static_cast<float>(static_cast<int8_t>(block[group * 16 + r]));
      for (size_t b = 0; b < 4; b++) {
        const unsigned v0 = codes[b], v1 = codes[64 + b], v2 = codes[128 + b];
        const unsigned values[4] = {v0 & 63, v1 & 63, v2 & 63, v0 >> 6 | (v1 >> 6) << 2 | (v2 >> 6) << 4};
        for (size_t v = 0; v < 4; v++) out[4 * v + b] = scale * static_cast<float>(static_cast<int>(values[v]) - 32);
      }
    }
  }
}

/** One block of 256 activations as 16-bit integers in two int8 planes: x = scale * (256 * high + low). */
struct WideBlock {
  int8_t high[256];
  int8_t low[256];
  int32_t offsets[16];  // -32 * sum of each 16 integers: takes the codes' offset out
  float scale;
};

inline void widen(const float* x, WideBlock& out) {
  float lanes[16] = {0};
  for (size_t i = 0; i < kQ6Columns; i += 16)
    for (size_t l = 0; l < 16; l++) {
      const float magnitude = x[i + l] < 0 ? -x[i + l] : x[i + l];
      lanes[l] = magnitude > lanes[l] ? magnitude : lanes[l];
    }
  float largest = 0;
  for (size_t l = 0; l < 16; l++) largest = lanes[l] > largest ? lanes[l] : largest;
  const float inverse = largest > 1e-30f ? 32512.0f / largest : 0.0f;  // 32512 = 127 * 256
  out.scale = largest / 32512.0f;
  int16_t q[kQ6Columns];
  // 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  for (size_t i = 0; i < kQ6Columns; i++) q[i] = static_cast<int16_t>(floatToBits(x[i] * inverse + 12582912.0f));
  for (size_t i = 0; i < kQ6Columns; i++) {
    const int16_t high = static_cast<int16_t>((q[i] + 128) >> 8);
    out.high[i] = static_cast<int8_t>(high);
    out.low[i] = static_cast<int8_t>(q[i] - high * 256);
  }
  for (size_t group = 0; group < 16; group++) {
    int32_t sum = 0;
    for (size_t i = 0; i < 16; i++) sum += q[group * 16 + i];
    out.offsets[group] = -32 * sum;
  }
}

/**
 * One panel times one token: y[row] for `rows` rows. I is a policy over vectors of I::lanes 32-bit integers (one per row): Reg, Floats, load, spread (a
 * byte everywhere), all (an integer everywhere), both (and), either (or), right<n> (of 16-bit pieces), dot (acc + 4 codes . 4 activations per
 * lane), joined (256 * high + low), floats, scales (int8 to float), halves (half to float), zero, scaled (x * number), fma, store.
 */
template <typename I>
inline void q6PanelProduct(const uint8_t* panel, size_t blocks, const WideBlock* x, size_t rows, float* y) {
  using Reg = typename I::Reg;
  using Floats = typename I::Floats;
  const Reg six = I::spread(0x3f), two = I::spread(0x03), four = I::spread(0x0c), top = I::spread(0x30);
  for (size_t first = 0; first < rows; first += I::lanes) {
    const uint8_t* block = panel;
    Floats total = I::zero();
    for (size_t b = 0; b < blocks; b++, block += kQ6BlockBytes) {
      const WideBlock& token = x[b];
      const uint8_t* codes = block + kQ6ScaleBytes + first * 4;
      Floats sum = I::zero();
      for (size_t group = 0; group < 16; group++, codes += 192) {
        if (first == 0) askAhead(codes, 192);
        const Reg v0 = I::load(codes), v1 = I::load(codes + 64), v2 = I::load(codes + 128);
        const Reg c0 = I::both(v0, six), c1 = I::both(v1, six), c2 = I::both(v2, six);
        const Reg c3 = I::either(I::either(I::both(I::template right<6>(v0), two), I::both(I::template right<4>(v1), four)),
                                 I::both(I::template right<2>(v2), top));
        const int8_t* const high = token.high + group * 16;
        const int8_t* const low = token.low + group * 16;
        Reg upper = I::dot(I::all(0), c0, high), lower = I::dot(I::all(token.offsets[group]), c0, low);
        upper = I::dot(upper, c1, high + 4);
        lower = I::dot(lower, c1, low + 4);
        upper = I::dot(upper, c2, high + 8);
        lower = I::dot(lower, c2, low + 8);
        upper = I::dot(upper, c3, high + 12);
        lower = I::dot(lower, c3, low + 12);
        // At most 16 * 32 * 32512 < 2^24: exact as a float.
        sum = I::fma(I::floats(I::joined(upper, lower)), I::scales(block + group * 16 + first), sum);
      }
      total = I::fma(I::scaled(I::halves(block + 256 + first * 2), token.scale), sum, total);
    }
    I::store(y + first, total, rows - first < I::lanes ? rows - first : I::lanes);
  }
}

/** y[t][r - begin] for rows [begin, end); `scratch` holds 8 * columns floats. */
template <typename I>
inline void multiplyQ6Panels(const DenseMatrix& w, size_t begin, size_t end, const float* x, size_t xStride, size_t tokens, float* y,
                             size_t yStride, float* scratch) {
  const size_t blocks = w.columns / kQ6Columns;
  auto* const wide = reinterpret_cast<WideBlock*>(scratch);
  constexpr size_t kAtOnce = 8 * kQ6Columns * sizeof(float) / sizeof(WideBlock);
  static_assert(kAtOnce >= 8, "the tokens that share a panel in the cache");
  for (size_t t = 0; t < tokens; t += kAtOnce) {
    const size_t count = tokens - t < kAtOnce ? tokens - t : kAtOnce;
    for (size_t i = 0; i < count; i++)
      for (size_t b = 0; b < blocks; b++) widen(x + (t + i) * xStride + b * kQ6Columns, wide[i * blocks + b]);
    for (size_t first = begin / kDensePanelRows * kDensePanelRows; first < end; first += kDensePanelRows) {
      const uint8_t* const panel = w.data + first / kDensePanelRows * w.panelBytes;
      const size_t rows = end - first < kDensePanelRows ? end - first : kDensePanelRows;
      for (size_t i = 0; i < count; i++) {
        float* const out = y + (t + i) * yStride;
        if (first >= begin) {
          q6PanelProduct<I>(panel, blocks, wide + i * blocks, rows, out + (first - begin));
          continue;
        }
        float results[kDensePanelRows];
        q6PanelProduct<I>(panel, blocks, wide + i * blocks, rows, results);
        memcpy(out, results + (begin - first), (first + rows - begin) * sizeof(float));
      }
    }
  }
}

}  // namespace
}  // namespace tritsmith
