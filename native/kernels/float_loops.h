#pragma once
// Float kernels as templates over a vector type V, included by each table's file. V has: width, Reg, zero, all, load, store, loadHalf,
// loadBf16, loadInt8, half (one half to float), fma, add, mul, sum (of lanes). Everything is private to the including file.
#include <math.h>

#include "kernels/kernels.h"
#include "kernels/q6_panels.h"
#include "kernels/scalar.h"

namespace tritsmith {
namespace {

constexpr size_t kLanes = 16;
constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer, half to even

inline float largestMagnitude(const float* x, size_t count) {
  float lanes[kLanes] = {0};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) {
      const float magnitude = fabsf(x[i + l]);
      lanes[l] = magnitude > lanes[l] ? magnitude : lanes[l];
    }
  for (; i < count; i++) lanes[0] = fabsf(x[i]) > lanes[0] ? fabsf(x[i]) : lanes[0];
  float largest = 0;
  for (size_t l = 0; l < kLanes; l++) largest = lanes[l] > largest ? lanes[l] : largest;
  return largest;
}

inline float meanMagnitude(const float* x, size_t count) {
  float lanes[kLanes] = {0};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) lanes[l] += fabsf(x[i + l]);
  for (; i < count; i++) lanes[i % kLanes] += fabsf(x[i]);
  double sum = 0;
  for (size_t l = 0; l < kLanes; l++) sum += static_cast<double>(lanes[l]);
  return static_cast<float>(sum / static_cast<double>(count));
}

/** One step of the quantiser: clamp(round(x * s), least, most), NaN to 0. */
inline int32_t quantised(float x, float s, float least, float most) {
  float f = x * s;
  f = f > most ? most : f;
  f = f < least ? least : f;
  return static_cast<int8_t>(floatToBits(f + kRoundMagic));
}

inline void quantiseTokens(const float* x, size_t stride, size_t columns, const QuantisedTokens& out, size_t begin, size_t end) {
  const bool eight = out.bits == 8;
  const float units = eight ? 127.0f : 2.6457513f;  // the root of 7
  const float least = eight ? -128.0f : -8.0f, most = eight ? 127.0f : 7.0f;
  for (size_t t = begin; t < end; t++) {
    const float* const row = x + t * stride;
    const float size = eight ? largestMagnitude(row, columns) : meanMagnitude(row, columns);
    const float gamma = size > 1e-5f ? size : 1e-5f;
    const float s = units / gamma;
    const size_t tile = t / out.tile * out.tile;
    const size_t width = out.tokens - tile < out.tile ? out.tokens - tile : out.tile;
    int8_t* const target = out.values + tile * out.padded + (t - tile) * 4;
    int32_t sum = 0;
    alignas(64) int8_t values[256];
    for (size_t base = 0; base < out.padded; base += sizeof values) {
      const size_t room = out.padded - base < sizeof values ? out.padded - base : sizeof values;
      const size_t count = base >= columns ? 0 : columns - base < room ? columns - base : room;
      int32_t part = 0;
      for (size_t i = 0; i < count; i++) {
        const int32_t q = quantised(row[base + i], s, least, most);
        part += q;
        values[i] = static_cast<int8_t>(q);
      }
      sum += part;
      if (out.groupSums != nullptr)
        for (size_t from = 0; from < count; from += out.groupColumns) {
          int32_t run = 0;
          for (size_t i = from; i < from + out.groupColumns; i++) run += values[i];
          out.groupSums[(base + from) / out.groupColumns * out.tokens + t] = run;
        }
      memset(values + count, 0, room - count);
      if (width == 1) memcpy(target + base, values, room);
      else
        for (size_t k = 0; k < room; k += 4) memcpy(target + (base + k) * width, values + k, 4);
    }
    out.scales[t] = gamma / units;
    out.sums[t] = sum;
  }
}

inline void rmsNorm(const float* x, const float* weight, float epsilon, float* out, size_t count) {
  float lanes[kLanes] = {0};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) lanes[l] += x[i + l] * x[i + l];
  for (; i < count; i++) lanes[i % kLanes] += x[i] * x[i];
  double sum = 0;
  for (size_t l = 0; l < kLanes; l++) sum += static_cast<double>(lanes[l]);
  const float scale = 1.0f / sqrtf(static_cast<float>(sum / static_cast<double>(count)) + epsilon);
  for (size_t k = 0; k < count; k++) out[k] = x[k] * scale * weight[k];
}

inline void addTo(float* target, const float* source, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] += source[i];
}

/** e^x with a relative error below 3e-7 for x in [-87, 87]; clamped outside (Cephes' polynomial on [-ln2/2, ln2/2]). */
inline float exponential(float x) {
  x = x > 87.0f ? 87.0f : x;
  x = x < -87.0f ? -87.0f : x;
  const float shifted = x * 1.44269504f + kRoundMagic;
  const float n = shifted - kRoundMagic;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  return p * bitsToFloat((floatToBits(shifted) - 0x4b400000u + 127u) << 23);
}

inline void siluMultiply(float* gate, const float* up, size_t count) {
  for (size_t i = 0; i < count; i++) gate[i] = gate[i] / (1.0f + exponential(-gate[i])) * up[i];
}

inline void reluSquaredMultiply(float* gate, const float* up, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float positive = gate[i] > 0.0f ? gate[i] : 0.0f;
    gate[i] = positive * positive * up[i];
  }
}

/** x/2 (1 + tanh(y)) = x / (1 + e^(-2y)), y = sqrt(2/pi) (x + 0.044715 x^3). */
inline void geluMultiply(float* gate, const float* up, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float x = gate[i];
    gate[i] = x / (1.0f + exponential(-1.59576912f * (x + 0.044715f * x * x * x))) * up[i];
  }
}

inline void hadamard(float* x, size_t count, size_t block) {
  const float factor = 1.0f / sqrtf(static_cast<float>(block));
  for (size_t start = 0; start < count; start += block) {
    float* const values = x + start;
    for (size_t half = 1; half < block; half *= 2)
      for (size_t first = 0; first < block; first += 2 * half) {
        float* const a = values + first;
        float* const b = a + half;
        for (size_t i = 0; i < half; i++) {
          const float sum = a[i] + b[i], difference = a[i] - b[i];
          a[i] = sum;
          b[i] = difference;
        }
      }
    for (size_t i = 0; i < block; i++) values[i] *= factor;
  }
}

inline float exponentials(float* x, size_t count, float largest) {
  float lanes[kLanes] = {0};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) {
      x[i + l] = exponential(x[i + l] - largest);
      lanes[l] += x[i + l];
    }
  for (; i < count; i++) {
    x[i] = exponential(x[i] - largest);
    lanes[i % kLanes] += x[i];
  }
  double sum = 0;
  for (size_t l = 0; l < kLanes; l++) sum += static_cast<double>(lanes[l]);
  return static_cast<float>(sum);
}

inline float largestOf(const float* x, size_t count) {
  float lanes[kLanes];
  for (size_t l = 0; l < kLanes; l++) lanes[l] = x[0];
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  for (; i < count; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  float largest = lanes[0];
  for (size_t l = 1; l < kLanes; l++) largest = lanes[l] > largest ? lanes[l] : largest;
  return largest;
}

inline void softmaxRow(float* x, size_t count) {
  if (count == 0) return;
  const float inverse = 1.0f / exponentials(x, count, largestOf(x, count));
  for (size_t i = 0; i < count; i++) x[i] *= inverse;
}

inline void floatsToHalves(const float* x, uint16_t* out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = floatToHalf(x[i]);
}

// ---- dense rows ----

/** Q4_0: blocks of 32 as a half scale and 16 bytes, the low nibble for the first half of the block. */
inline void q4Row(const uint8_t* row, size_t columns, float* out) {
  for (size_t block = 0; block * 32 < columns; block++, row += 18, out += 32) {
    const float d = halfToFloat(readU16(row));
    for (size_t i = 0; i < 16; i++) out[i] = d * static_cast<float>((row[2 + i] & 15) - 8);
    for (size_t i = 0; i < 16; i++) out[16 + i] = d * static_cast<float>((row[2 + i] >> 4) - 8);
  }
}

inline void q8Row(const uint8_t* row, size_t columns, float* out) {
  for (size_t block = 0; block * 32 < columns; block++, row += 34) {
    const float d = halfToFloat(readU16(row));
    for (size_t i = 0; i < 32; i++) out[block * 32 + i] = d * static_cast<float>(static_cast<int8_t>(row[2 + i]));
  }
}

inline void q6Row(const uint8_t* row, size_t columns, float* out) {
  for (size_t block = 0; block * kQ6Columns < columns; block++, row += 210, out += kQ6Columns) {
    uint8_t codes[kQ6Columns];
    q6Codes(row, codes);
    const float d = halfToFloat(readU16(row + 208));
    for (size_t group = 0; group < 16; group++) {
      const float scale = d * static_cast<float>(static_cast<int8_t>(row[192 + group]));
      for (size_t i = group * 16; i < group * 16 + 16; i++) out[i] = scale * static_cast<float>(static_cast<int32_t>(codes[i]) - 32);
    }
  }
}

inline void denseRow(const DenseMatrix& w, size_t row, float* out) {
  const uint8_t* const data = w.data + row * w.rowBytes;
  switch (w.type) {
    case Dense::f32: memcpy(out, data, w.columns * 4); break;
    case Dense::f16:
      for (size_t i = 0; i < w.columns; i++) out[i] = halfToFloat(readU16(data + 2 * i));
      break;
    case Dense::bf16:
      for (size_t i = 0; i < w.columns; i++) out[i] = bitsToFloat(static_cast<uint32_t>(readU16(data + 2 * i)) << 16);
      break;
    case Dense::q4_0: q4Row(data, w.columns, out); break;
    case Dense::q8_0: q8Row(data, w.columns, out); break;
    case Dense::q6_k: q6Row(data, w.columns, out); break;
    case Dense::q6Panels: q6PanelRow(w, row, out); break;
  }
}

struct FromF32 {
  template <typename V>
  static typename V::Reg at(const uint8_t* row, size_t k) { return V::load(reinterpret_cast<const float*>(row) + k); }
  static float one(const uint8_t* row, size_t k) { float v; memcpy(&v, row + 4 * k, 4); return v; }
};
struct FromF16 {
  template <typename V>
  static typename V::Reg at(const uint8_t* row, size_t k) { return V::loadHalf(row + 2 * k); }
  static float one(const uint8_t* row, size_t k) { return halfToFloat(readU16(row + 2 * k)); }
};
struct FromBf16 {
  template <typename V>
  static typename V::Reg at(const uint8_t* row, size_t k) { return V::loadBf16(row + 2 * k); }
  static float one(const uint8_t* row, size_t k) { return bitsToFloat(static_cast<uint32_t>(readU16(row + 2 * k)) << 16); }
};
struct FromQ8 {
  template <typename V>
  static typename V::Reg at(const uint8_t* row, size_t k) {
    const uint8_t* const block = row + k / 32 * 34;
    return V::mul(V::all(V::half(block)), V::loadInt8(reinterpret_cast<const int8_t*>(block + 2 + k % 32)));
  }
  static float one(const uint8_t* row, size_t k) {
    const uint8_t* const block = row + k / 32 * 34;
    return halfToFloat(readU16(block)) * static_cast<float>(static_cast<int8_t>(block[2 + k % 32]));
  }
};

/** A tile of R rows by T tokens; `rows[r]` and `x[t]` are row starts. */
template <typename V, typename From, size_t R, size_t T>
inline void denseTile(const uint8_t* const* rows, const float* x, size_t xStride, size_t columns, float* y, size_t yStride) {
  typename V::Reg sums[R][T];
  for (size_t r = 0; r < R; r++)
    for (size_t t = 0; t < T; t++) sums[r][t] = V::zero();
  size_t k = 0;
  for (; k + V::width <= columns; k += V::width) {
    typename V::Reg tokens[T];
    for (size_t t = 0; t < T; t++) tokens[t] = V::load(x + t * xStride + k);
    for (size_t r = 0; r < R; r++) {
      const typename V::Reg weights = From::template at<V>(rows[r], k);
      for (size_t t = 0; t < T; t++) sums[r][t] = V::fma(weights, tokens[t], sums[r][t]);
    }
  }
  for (size_t r = 0; r < R; r++)
    for (size_t t = 0; t < T; t++) {
      float sum = V::sum(sums[r][t]);
      for (size_t rest = k; rest < columns; rest++) sum += From::one(rows[r], rest) * x[t * xStride + rest];
      y[t * yStride + r] = sum;
    }
}

template <typename V, typename From>
inline void denseRows(const uint8_t* data, size_t rowBytes, size_t count, size_t columns, const float* x, size_t xStride, size_t tokens,
                      float* y, size_t yStride) {
  for (size_t r = 0; r < count; r += 4) {
    const size_t height = count - r < 4 ? count - r : 4;
    const uint8_t* rows[4];
    for (size_t i = 0; i < 4; i++) rows[i] = data + (r + (i < height ? i : 0)) * rowBytes;
    size_t t = 0;
    if (height == 4) {
      // As many sums as the registers hold.
      if constexpr (V::width == 16)
        for (; t + 6 <= tokens; t += 6) denseTile<V, From, 4, 6>(rows, x + t * xStride, xStride, columns, y + t * yStride + r, yStride);
      for (; t + 4 <= tokens; t += 4) denseTile<V, From, 4, 4>(rows, x + t * xStride, xStride, columns, y + t * yStride + r, yStride);
      for (; t < tokens; t++) denseTile<V, From, 4, 1>(rows, x + t * xStride, xStride, columns, y + t * yStride + r, yStride);
    } else {
      for (; t < tokens; t++)
        for (size_t i = 0; i < height; i++)
          denseTile<V, From, 1, 1>(rows + i, x + t * xStride, xStride, columns, y + t * yStride + r + i, yStride);
    }
  }
}

template <typename V, typename I>
inline void multiplyDense(const DenseMatrix& w, size_t begin, size_t end, const float* x, size_t xStride, size_t tokens, float* y,
                          size_t yStride, float* scratch) {
  const uint8_t* const data = w.data + begin * w.rowBytes;
  const size_t count = end - begin;
  switch (w.type) {
    case Dense::f32: denseRows<V, FromF32>(data, w.rowBytes, count, w.columns, x, xStride, tokens, y, yStride); break;
    case Dense::f16: denseRows<V, FromF16>(data, w.rowBytes, count, w.columns, x, xStride, tokens, y, yStride); break;
    case Dense::bf16: denseRows<V, FromBf16>(data, w.rowBytes, count, w.columns, x, xStride, tokens, y, yStride); break;
    case Dense::q8_0: denseRows<V, FromQ8>(data, w.rowBytes, count, w.columns, x, xStride, tokens, y, yStride); break;
    case Dense::q4_0:
      for (size_t r = 0; r < count; r += 4) {
        const size_t height = count - r < 4 ? count - r : 4;
        for (size_t i = 0; i < height; i++) q4Row(data + (r + i) * w.rowBytes, w.columns, scratch + i * w.columns);
        denseRows<V, FromF32>(reinterpret_cast<const uint8_t*>(scratch), w.columns * 4, height, w.columns, x, xStride, tokens, y + r,
                              yStride);
      }
      break;
    case Dense::q6Panels: multiplyQ6Panels<I>(w, begin, end, x, xStride, tokens, y, yStride, scratch); break;
    case Dense::q6_k: break;  // the loader puts every Q6_K matrix into panels
  }
}

// ---- attention ----

struct FloatCache {
  using Element = float;
  template <typename V>
  static typename V::Reg at(const Element* p) { return V::load(p); }
  static float one(Element e) { return e; }
};
struct HalfCache {
  using Element = uint16_t;
  template <typename V>
  static typename V::Reg at(const Element* p) { return V::loadHalf(reinterpret_cast<const uint8_t*>(p)); }
  static float one(Element e) { return halfToFloat(e); }
};
struct Int8Cache {
  using Element = int8_t;
  template <typename V>
  static typename V::Reg at(const Element* p) { return V::loadInt8(p); }
  static float one(Element e) { return static_cast<float>(e); }
};

/**
 * scores[q][key] for Q queries and the key blocks up to `keys`. A score is the sum of four partial sums, over every fourth value of the head, however many
 * queries there are: few take several parts at once, to keep the adders busy; many take one part after the other, as they fill the registers.
 */
template <typename V, typename Cache, size_t Q>
inline void attentionScores(const AttentionHead& head, const float* const* queries, size_t keys, float* scores, size_t stride) {
  constexpr size_t kRegs = kKeyBlock / V::width;
  constexpr size_t kParts = 4;
  constexpr size_t kAtOnce = Q == 1 ? 4 : Q == 2 ? 2 : 1;
  const size_t whole = head.headDim / kParts * kParts;
  const auto* const base = static_cast<const typename Cache::Element*>(head.keys);
  for (size_t block = 0; block * kKeyBlock < keys; block++) {
    const typename Cache::Element* const p = base + block * kKeyBlock * head.headDim;
    for (size_t first = 0; first < kParts; first += kAtOnce) {
      typename V::Reg sums[kAtOnce][Q][kRegs];
      for (size_t part = 0; part < kAtOnce; part++)
        for (size_t q = 0; q < Q; q++)
          for (size_t v = 0; v < kRegs; v++) sums[part][q][v] = V::zero();
      const auto accumulate = [&](size_t part, size_t d) {
        for (size_t v = 0; v < kRegs; v++) {
          const typename V::Reg key = Cache::template at<V>(p + d * kKeyBlock + v * V::width);
          for (size_t q = 0; q < Q; q++) sums[part][q][v] = V::fma(key, V::all(queries[q][d]), sums[part][q][v]);
        }
      };
      for (size_t d = first; d < whole; d += kParts)
        for (size_t part = 0; part < kAtOnce; part++) accumulate(part, d + part);
      if (first == 0)
        for (size_t d = whole; d < head.headDim; d++) accumulate(0, d);
      for (size_t q = 0; q < Q; q++)
        for (size_t v = 0; v < kRegs; v++) {
          float* const score = scores + q * stride + block * kKeyBlock + v * V::width;
          typename V::Reg sum = first == 0 ? sums[0][q][v] : V::add(V::load(score), sums[0][q][v]);
          for (size_t part = 1; part < kAtOnce; part++) sum = V::add(sum, sums[part][q][v]);
          V::store(score, sum);
        }
    }
  }
}

/** out[q] = sum over keys of p[q][key] * value[key]; D vector registers of the head at a time. */
template <typename V, typename Cache, size_t Q, size_t D>
inline void attentionValues(const AttentionHead& head, size_t from, const float* p, size_t stride, size_t keys, float* const* out) {
  const auto* const base = static_cast<const typename Cache::Element*>(head.values) + from;
  typename V::Reg sums[Q][D];
  for (size_t q = 0; q < Q; q++)
    for (size_t d = 0; d < D; d++) sums[q][d] = V::zero();
  for (size_t key = 0; key < keys; key++) {
    const typename Cache::Element* const row = base + key * head.headDim;
    typename V::Reg value[D];
    for (size_t d = 0; d < D; d++) value[d] = Cache::template at<V>(row + d * V::width);
    for (size_t q = 0; q < Q; q++) {
      const typename V::Reg weight = V::all(p[q * stride + key]);
      for (size_t d = 0; d < D; d++) sums[q][d] = V::fma(weight, value[d], sums[q][d]);
    }
  }
  for (size_t q = 0; q < Q; q++)
    for (size_t d = 0; d < D; d++) V::store(out[q] + from + d * V::width, sums[q][d]);
}

template <typename V, typename Cache, size_t Q>
inline void attendQueries(const AttentionHead& head, const float* const* queries, const size_t* starts, const size_t* lengths,
                          float* const* out, float* scratch) {
  size_t keys = 0;
  for (size_t q = 0; q < Q; q++) keys = lengths[q] > keys ? lengths[q] : keys;
  const size_t stride = (keys + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
  attentionScores<V, Cache, Q>(head, queries, keys, scratch, stride);
  for (size_t q = 0; q < Q; q++) {
    float* const row = scratch + q * stride;
    if (head.keyScales != nullptr)
      for (size_t key = 0; key < lengths[q]; key++) row[key] *= head.keyScales[key];
    softmaxRow(row + starts[q], lengths[q] - starts[q]);
    for (size_t key = 0; key < starts[q]; key++) row[key] = 0;
    if (head.valueScales != nullptr)
      for (size_t key = 0; key < lengths[q]; key++) row[key] *= head.valueScales[key];
    for (size_t key = lengths[q]; key < keys; key++) row[key] = 0;
  }
  size_t d = 0;
  if constexpr (Q <= 2)
    for (; d + 8 * V::width <= head.headDim; d += 8 * V::width) attentionValues<V, Cache, Q, 8>(head, d, scratch, stride, keys, out);
  if constexpr (Q <= 2)
    for (; d + 6 * V::width <= head.headDim; d += 6 * V::width) attentionValues<V, Cache, Q, 6>(head, d, scratch, stride, keys, out);
  if constexpr (Q <= 4)
    for (; d + 4 * V::width <= head.headDim; d += 4 * V::width) attentionValues<V, Cache, Q, 4>(head, d, scratch, stride, keys, out);
  for (; d + 2 * V::width <= head.headDim; d += 2 * V::width) attentionValues<V, Cache, Q, 2>(head, d, scratch, stride, keys, out);
  for (; d + V::width <= head.headDim; d += V::width) attentionValues<V, Cache, Q, 1>(head, d, scratch, stride, keys, out);
  if (d == head.headDim) return;
  const auto* const base = static_cast<const typename Cache::Element*>(head.values);
  for (size_t q = 0; q < Q; q++)
    for (size_t rest = d; rest < head.headDim; rest++) {
      float sum = 0;
      for (size_t key = 0; key < keys; key++) sum += scratch[q * stride + key] * Cache::one(base[key * head.headDim + rest]);
      out[q][rest] = sum;
    }
}

template <typename V, typename Cache>
inline void attendCache(const AttentionHead& head, const float* const* queries, const size_t* starts, const size_t* lengths, size_t count,
                        float* const* out, float* scratch) {
  size_t q = 0;
  for (; q + 8 <= count; q += 8) attendQueries<V, Cache, 8>(head, queries + q, starts + q, lengths + q, out + q, scratch);
  for (; q + 4 <= count; q += 4) attendQueries<V, Cache, 4>(head, queries + q, starts + q, lengths + q, out + q, scratch);
  for (; q + 2 <= count; q += 2) attendQueries<V, Cache, 2>(head, queries + q, starts + q, lengths + q, out + q, scratch);
  for (; q < count; q++) attendQueries<V, Cache, 1>(head, queries + q, starts + q, lengths + q, out + q, scratch);
}

template <typename V>
inline void attend(const AttentionHead& head, CacheType type, const float* const* queries, const size_t* starts, const size_t* lengths,
                   size_t count, float* const* out, float* scratch) {
  switch (type) {
    case CacheType::f32: return attendCache<V, FloatCache>(head, queries, starts, lengths, count, out, scratch);
    case CacheType::f16: return attendCache<V, HalfCache>(head, queries, starts, lengths, count, out, scratch);
    case CacheType::int8: return attendCache<V, Int8Cache>(head, queries, starts, lengths, count, out, scratch);
  }
}

}  // namespace
}  // namespace tritsmith
