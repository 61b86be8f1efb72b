#pragma once
// 256-bit kernels. The including file defines kTile and
//   Accumulator: the state of one (8 rows, token) product; add(codes, activations), flush() at least every chunksPerFlush chunks, total: 8 x int32.
//   sumsAtOnce: how many of them one token's product adds to in turn.
#include <immintrin.h>

#include "kernels/float_loops.h"
#include "kernels/ternary_loops.h"
#include "kernels/ymm_sums.h"

namespace tritsmith {
namespace {

struct Vec {
  using Reg = __m256;
  static constexpr size_t width = 8;
  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg all(float x) { return _mm256_set1_ps(x); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static Reg loadHalf(const uint8_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static Reg loadBf16(const uint8_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
  }
  static Reg loadInt8(const int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static float half(const uint8_t* p) { return _cvtsh_ss(readU16(p)); }
  static void store(float* p, Reg x) { _mm256_storeu_ps(p, x); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static float sum(Reg x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  }
};

/** Integers of the Q6_K product; Dot adds 4 products per lane to 32-bit sums. */
template <typename Dot>
struct Ints {
  using Reg = __m256i;
  using Floats = __m256;
  static constexpr size_t lanes = 8;
  static Reg load(const uint8_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
  static Reg spread(uint8_t value) { return _mm256_set1_epi8(static_cast<char>(value)); }
  static Reg all(int32_t value) { return _mm256_set1_epi32(value); }
  static Reg both(Reg a, Reg b) { return _mm256_and_si256(a, b); }
  static Reg either(Reg a, Reg b) { return _mm256_or_si256(a, b); }
  template <int n>
  static Reg right(Reg a) { return _mm256_srli_epi16(a, n); }
  static Reg dot(Reg acc, Reg codes, const int8_t* x) { return Dot::add(acc, codes, _mm256_set1_epi32(readI32(x))); }
  static Reg joined(Reg high, Reg low) { return _mm256_add_epi32(_mm256_slli_epi32(high, 8), low); }
  static Floats floats(Reg a) { return _mm256_cvtepi32_ps(a); }
  static Floats scales(const uint8_t* p) { return Vec::loadInt8(reinterpret_cast<const int8_t*>(p)); }
  static Floats halves(const uint8_t* p) { return Vec::loadHalf(p); }
  static Floats zero() { return _mm256_setzero_ps(); }
  static Floats scaled(Floats a, float number) { return _mm256_mul_ps(a, _mm256_set1_ps(number)); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static void store(float* y, Floats a, size_t count) {
    alignas(32) float results[lanes];
    _mm256_store_ps(results, a);
    memcpy(y, results, count * sizeof(float));
  }
};

/** Writes up to 8 results of one token: sum * (scale * delta). With `more` they are added to y. */
inline void finish(__m256i sum, float scale, const float* deltas, float* y, size_t rows, bool more) {
  alignas(32) float results[8] = {0};
  const size_t count = rows < 8 ? rows : 8;
  __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_loadu_ps(deltas)));
  if (more) {
    memcpy(results, y, count * sizeof(float));
    product = _mm256_add_ps(_mm256_load_ps(results), product);
  }
  _mm256_store_ps(results, product);
  memcpy(y, results, count * sizeof(float));
}

/** 16 rows (half a panel) times T tokens, 2-bit layout. `w` points at the half's first byte of the first chunk. With `more` it is added to y. */
template <typename Accumulator, size_t T>
void halfPanel(const uint8_t* w, size_t chunks, const int8_t* x, size_t rows, const float* scales, const int32_t* sums, const float* deltas,
               float* y, size_t stride, bool more) {
  Accumulator acc[2][T];
  const __m256i mask = _mm256_set1_epi8(3);
  for (size_t c = 0; c < chunks;) {
    const size_t stop = chunks - c < Accumulator::chunksPerFlush ? chunks : c + Accumulator::chunksPerFlush;
    for (; c < stop; c++, w += kChunkBytes) {
      askAhead(w, 64);
      __m256i low = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
      __m256i high = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + 32));
      for (size_t g = 0; g < 4; g++, x += 4 * T) {
        const __m256i a = _mm256_and_si256(low, mask), b = _mm256_and_si256(high, mask);
        for (size_t t = 0; t < T; t++) {
          const __m256i token = _mm256_set1_epi32(readI32(x + 4 * t));
          acc[0][t].add(a, token);
          acc[1][t].add(b, token);
        }
        low = _mm256_srli_epi16(low, 2);
        high = _mm256_srli_epi16(high, 2);
      }
    }
    for (size_t t = 0; t < T; t++) {
      acc[0][t].flush();
      acc[1][t].flush();
    }
  }
  for (size_t half = 0; half < 2 && half * 8 < rows; half++)
    for (size_t t = 0; t < T; t++)
      finish(_mm256_sub_epi32(acc[half][t].total, _mm256_set1_epi32(sums[t])), scales[t], deltas + half * 8, y + t * stride + half * 8,
             rows - half * 8, more);
}

constexpr size_t kTile = 4;

/**
 * One panel times T tokens, 2-bit layout: all 32 rows at once, so that each load of activations serves four products. `acc[t]` has the sums of rows
 * 8 v ... 8 v + 7 in its places v, v + 4, ...: an instruction that takes long gets more than one sum to add to.
 */
template <typename Accumulator, size_t T, size_t S>
inline __attribute__((always_inline)) void wholePanel(const uint8_t* w, size_t chunks, const int8_t* x, Accumulator (&acc)[T][S]) {
  const __m256i mask = _mm256_set1_epi8(3);
  for (size_t c = 0; c < chunks;) {
    const size_t stop = chunks - c < Accumulator::chunksPerFlush ? chunks : c + Accumulator::chunksPerFlush;
    for (; c < stop; c++, w += kChunkBytes) {
      askAhead(w, kChunkBytes);
      __m256i codes[4];
      for (size_t v = 0; v < 4; v++) codes[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + 32 * v));
      for (size_t g = 0; g < 4; g++, x += 4 * T) {
        __m256i tokens[T];
        for (size_t t = 0; t < T; t++) tokens[t] = _mm256_set1_epi32(readI32(x + 4 * t));
        for (size_t v = 0; v < 4; v++) {
          const __m256i four = _mm256_and_si256(codes[v], mask);
          for (size_t t = 0; t < T; t++) acc[t][(4 * g + v) % S].add(four, tokens[t]);
          codes[v] = _mm256_srli_epi16(codes[v], 2);
        }
      }
    }
    for (size_t t = 0; t < T; t++)
      for (size_t s = 0; s < S; s++) acc[t][s].flush();
  }
}

/** The product for T tokens in all, which streams the matrix from memory. */
template <typename Accumulator, size_t T>
void multiplyFew(const PackedTernary& w, size_t begin, size_t end, const QuantisedTokens& x, float* y, size_t stride) {
  constexpr size_t sumsOfToken = T == 1 ? 4 * Accumulator::sumsAtOnce : 4;
  const size_t chunks = w.chunks / w.groups;
  for (size_t panel = begin; panel < end; panel++)
    for (size_t group = 0; group < w.groups; group++) {
      int32_t offsets[T];
      sumsOfGroup(w, x, group, 0, T, offsets);
      Accumulator acc[T][sumsOfToken];
      wholePanel(w.data + (panel * w.chunks + group * chunks) * kChunkBytes, chunks, x.values + group * chunks * kTwoBitColumns * T, acc);
      const float* const deltas = w.scales + (panel * w.groups + group) * kPanelRows;
      const size_t first = panel * kPanelRows, rows = w.rows - first;
      for (size_t t = 0; t < T; t++)
        for (size_t v = 0; v < 4 && v * 8 < rows; v++) {
          __m256i sum = _mm256_sub_epi32(acc[t][v].total, _mm256_set1_epi32(offsets[t]));
          for (size_t s = v + 4; s < sumsOfToken; s += 4) sum = _mm256_add_epi32(sum, acc[t][s].total);
          finish(sum, x.scales[t], deltas + v * 8, y + t * stride + first + v * 8, rows - v * 8, group > 0);
        }
    }
}

/** Panels of the layout threeOfFourSums. A token's tables are larger than a panel, so some panels have them one after the other. */
constexpr size_t kLookUpPanels = 4;
inline void multiplyByLookUp(const PackedTernary& w, size_t begin, size_t end, const QuantisedTokens& x, float* y, size_t stride) {
  const size_t chunks = w.chunks / w.groups;
  for (size_t from = begin; from < end; from += kLookUpPanels)
    for (size_t t = 0; t < x.tokens; t++)
      for (size_t panel = from; panel < end && panel < from + kLookUpPanels; panel++)
        for (size_t group = 0; group < w.groups; group++) {
          __m256i total[4];
          lookUpPanel(w.data + (panel * w.chunks + group * chunks) * kThreeOfFourBytes, chunks,
                      x.fourSums + fourSumsBytes(t, x.padded) + fourSumsBytes(1, group * chunks * kThreeOfFourColumns), total);
          const float* const deltas = w.scales + (panel * w.groups + group) * kPanelRows;
          const size_t first = panel * kPanelRows, rows = w.rows - first;
          for (size_t v = 0; v < 4 && v * 8 < rows; v++)
            finish(total[v], x.scales[t], deltas + v * 8, y + t * stride + first + v * 8, rows - v * 8, group > 0);
        }
}

template <typename Accumulator>
void multiplyTernaryYmm(const PackedTernary& w, size_t begin, size_t end, const QuantisedTokens& x, float* y, size_t stride) {
  if (w.layout == Layout::threeOfFourSums) return multiplyByLookUp(w, begin, end, x, y, stride);
  if (w.layout != Layout::twoBit) return multiplyTernaryPlain(w, begin, end, x, y, stride);
  if (x.tokens == 1) return multiplyFew<Accumulator, 1>(w, begin, end, x, y, stride);
  if (x.tokens == 2) return multiplyFew<Accumulator, 2>(w, begin, end, x, y, stride);
  for (size_t panel = begin; panel < end; panel++)
    for (size_t t = 0; t < x.tokens; t += kTile)
      for (size_t half = 0; half < 2; half++) {
        const size_t first = panel * kPanelRows + half * 16;
        if (first >= w.rows) continue;
        const size_t rows = w.rows - first < 16 ? w.rows - first : 16;
        const size_t tokens = x.tokens - t < kTile ? x.tokens - t : kTile;
        const auto call = tokens == 1   ? halfPanel<Accumulator, 1>
                          : tokens == 2 ? halfPanel<Accumulator, 2>
                          : tokens == 3 ? halfPanel<Accumulator, 3>
                                        : halfPanel<Accumulator, 4>;
        const size_t chunks = w.chunks / w.groups;
        for (size_t group = 0; group < w.groups; group++) {
          int32_t sums[kTile];
          sumsOfGroup(w, x, group, t, tokens, sums);
          call(w.data + (panel * w.chunks + group * chunks) * kChunkBytes + half * 64, chunks,
               x.values + t * x.padded + group * chunks * kTwoBitColumns * tokens, rows, x.scales + t, sums,
               w.scales + (panel * w.groups + group) * kPanelRows + half * 16, y + t * stride + first, stride, group > 0);
        }
      }
}

/** Runs `rounds` times eight independent accumulations; returns the multiply-adds done. */
template <typename Accumulator>
uint64_t integerPeakYmm(size_t rounds) {
  Accumulator acc[8];
  __m256i codes = _mm256_set1_epi8(1);
  const __m256i activations = _mm256_set1_epi8(1);
  for (size_t i = 0; i < rounds; i++) {
    for (Accumulator& a : acc) a.add(codes, activations);
    __asm__ volatile("" : "+x"(codes));
  }
  int32_t lane = 0;
  for (Accumulator& a : acc) {
    a.flush();
    lane ^= _mm256_extract_epi32(a.total, 0);
  }
  return static_cast<uint64_t>(rounds) * 8 * 32 + (lane == 1 ? 1 : 0);
}

/** As quantiseTokens, with the tables of out.fourSums where they are wanted. */
inline void quantiseTokensYmm(const float* x, size_t stride, size_t columns, const QuantisedTokens& out, size_t begin, size_t end) {
  quantiseTokens(x, stride, columns, out, begin, end);
  if (out.fourSums == nullptr) return;
  for (size_t t = begin; t < end; t++) {
    const size_t tile = t / out.tile * out.tile;
    const size_t width = out.tokens - tile < out.tile ? out.tokens - tile : out.tile;
    writeFourSums(out.values + tile * out.padded + (t - tile) * 4, width * 4, out.padded, out.fourSums + fourSumsBytes(t, out.padded));
  }
}

inline void halves(const float* x, uint16_t* out, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  floatsToHalves(x + i, out + i, count - i);
}

}  // namespace
}  // namespace tritsmith
