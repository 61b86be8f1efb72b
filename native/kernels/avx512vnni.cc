/** AVX-512 with VNNI and VBMI: one 512-bit dot-product instruction multiplies 64 codes by 64 activations. */
#include <immintrin.h>

#include "kernels/float_loops.h"
#include "kernels/ternary_loops.h"

namespace tritsmith {
namespace {

struct Vec {
  using Reg = __m512;
  static constexpr size_t width = 16;
  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg all(float x) { return _mm512_set1_ps(x); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static Reg loadHalf(const uint8_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static Reg loadBf16(const uint8_t* p) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
  }
  static Reg loadInt8(const int8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static float half(const uint8_t* p) { return _cvtsh_ss(readU16(p)); }
  static void store(float* p, Reg x) { _mm512_storeu_ps(p, x); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static float sum(Reg x) { return _mm512_reduce_add_ps(x); }
};

constexpr size_t kTile = 12;

inline __m512i broadcast(const int8_t* p) { return _mm512_set1_epi32(readI32(p)); }

/** Codes q -> four 2-bit fields for the three kinds of byte of the fiveTrits layout. */
struct FiveTritTables {
  alignas(64) uint8_t low[64];    // fields c0..c3 of bytes below 192
  alignas(64) uint8_t high[64];   // fields c0..c3 of bytes from 192
  alignas(64) uint8_t fifth[64];  // c4 << 6 of bytes from 192
};

constexpr uint8_t fields(int q) { return static_cast<uint8_t>(q % 3 | q / 3 % 3 << 2 | q / 9 % 3 << 4 | q / 27 << 6); }

constexpr FiveTritTables fiveTritTables() {
  FiveTritTables t{};
  for (int i = 0; i < 64; i++) {
    const int index = i < 51 ? i : 50;
    t.low[i] = fields(i);
    t.high[i] = fields(64 + index / 3);
    t.fifth[i] = static_cast<uint8_t>(index % 3 << 6);
  }
  return t;
}
constexpr FiveTritTables kFiveTrits = fiveTritTables();

struct FiveTritDecoder {
  __m512i low = _mm512_load_si512(kFiveTrits.low);
  __m512i high = _mm512_load_si512(kFiveTrits.high);
  __m512i fifth = _mm512_load_si512(kFiveTrits.fifth);
  __m512i top = _mm512_set1_epi8(static_cast<char>(0xc0));

  /** `four`: c0..c3 in bit pairs; `last`: c4 << 6. */
  void operator()(__m512i bytes, __m512i& four, __m512i& last) const {
    const __mmask64 rare = _mm512_cmpge_epu8_mask(bytes, top);
    four = _mm512_mask_permutexvar_epi8(_mm512_permutexvar_epi8(bytes, low), rare, bytes, high);
    last = _mm512_mask_permutexvar_epi8(_mm512_and_si512(bytes, top), rare, bytes, fifth);
  }
};

/** Codes of patterns, which are the low five bits of each 32-bit number; the bits above don't matter. */
struct PatternDecoder {
  __m512i first = _mm512_load_si512(kPatterns.codes);
  __m512i second = _mm512_load_si512(kPatterns.codes + 16);
  __m512i operator()(__m512i patterns) const { return _mm512_permutex2var_epi32(first, patterns, second); }
};

/** Pattern 15 of 32 rows, gathered word by word from the highest bits: those of rows 0 to 15 in the low halves, of the others in the high halves. */
template <int v>
inline __m512i withLastBit(__m512i last, __m512i words) {
  // last | shifted & bit
  return _mm512_ternarylogic_epi32(last, _mm512_srli_epi16(words, 15 - v), _mm512_set1_epi16(1 << v), 0xf8);
}

template <int v>
struct Index {
  static constexpr int value = v;
};

/** Calls `work` with each of the five words of a chunk. */
template <typename Work>
inline __attribute__((always_inline)) void eachWord(const Work& work) {
  work(Index<0>{});
  work(Index<1>{});
  work(Index<2>{});
  work(Index<3>{});
  work(Index<4>{});
}

/** Writes 16 results of one token: (acc - sum) * (s * delta), with `more` added to what is there. */
inline void finish(__m512i acc, int32_t sum, float scale, const float* deltas, float* y, __mmask16 mask, bool more) {
  const __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(acc, _mm512_set1_epi32(sum)));
  __m512 product = _mm512_mul_ps(value, _mm512_mul_ps(_mm512_set1_ps(scale), _mm512_loadu_ps(deltas)));
  if (more) product = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, y), product);
  _mm512_mask_storeu_ps(y, mask, product);
}

inline __mmask16 rowMask(size_t rows, size_t first) {
  return rows <= first ? 0 : rows - first >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << (rows - first)) - 1);
}

/** One panel times one token. Codes stay where they are in the byte (weight 1, 4, 16, 64); the exact powers are shifted out at the end. */
inline void panelTwoBit(const uint8_t* w, size_t chunks, const int8_t* x, __m512i& lowRows, __m512i& highRows) {
  const __m512i m0 = _mm512_set1_epi8(0x03), m1 = _mm512_set1_epi8(0x0c), m2 = _mm512_set1_epi8(0x30),
                m3 = _mm512_set1_epi8(static_cast<char>(0xc0));
  __m512i a0 = _mm512_setzero_si512(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (size_t c = 0; c < chunks; c++, w += kChunkBytes, x += kTwoBitColumns) {
    askAhead(w, kChunkBytes);
    const __m512i p = _mm512_load_si512(w), q = _mm512_load_si512(w + 64);
    const __m512i x0 = broadcast(x), x1 = broadcast(x + 4), x2 = broadcast(x + 8), x3 = broadcast(x + 12);
    a0 = _mm512_dpbusd_epi32(a0, _mm512_and_si512(p, m0), x0);
    b0 = _mm512_dpbusd_epi32(b0, _mm512_and_si512(q, m0), x0);
    a1 = _mm512_dpbusd_epi32(a1, _mm512_and_si512(p, m1), x1);
    b1 = _mm512_dpbusd_epi32(b1, _mm512_and_si512(q, m1), x1);
    a2 = _mm512_dpbusd_epi32(a2, _mm512_and_si512(p, m2), x2);
    b2 = _mm512_dpbusd_epi32(b2, _mm512_and_si512(q, m2), x2);
    a3 = _mm512_dpbusd_epi32(a3, _mm512_and_si512(p, m3), x3);
    b3 = _mm512_dpbusd_epi32(b3, _mm512_and_si512(q, m3), x3);
  }
  lowRows = _mm512_add_epi32(_mm512_add_epi32(a0, _mm512_srai_epi32(a1, 2)),
                             _mm512_add_epi32(_mm512_srai_epi32(a2, 4), _mm512_srai_epi32(a3, 6)));
  highRows = _mm512_add_epi32(_mm512_add_epi32(b0, _mm512_srai_epi32(b1, 2)),
                              _mm512_add_epi32(_mm512_srai_epi32(b2, 4), _mm512_srai_epi32(b3, 6)));
}

inline void panelFiveTrits(const uint8_t* w, size_t chunks, const int8_t* x, __m512i& lowRows, __m512i& highRows) {
  const FiveTritDecoder decode;
  const __m512i m0 = _mm512_set1_epi8(0x03), m1 = _mm512_set1_epi8(0x0c), m2 = _mm512_set1_epi8(0x30);
  __m512i a0 = _mm512_setzero_si512(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (size_t c = 0; c < chunks; c++, w += kChunkBytes, x += kFiveTritColumns) {
    askAhead(w, kChunkBytes);
    __m512i p, q, p4, q4;
    decode(_mm512_load_si512(w), p, p4);
    decode(_mm512_load_si512(w + 64), q, q4);
    const __m512i x0 = broadcast(x), x1 = broadcast(x + 4), x2 = broadcast(x + 8), x3 = broadcast(x + 12), x4 = broadcast(x + 16);
    a0 = _mm512_dpbusd_epi32(a0, _mm512_and_si512(p, m0), x0);
    b0 = _mm512_dpbusd_epi32(b0, _mm512_and_si512(q, m0), x0);
    a1 = _mm512_dpbusd_epi32(a1, _mm512_and_si512(p, m1), x1);
    b1 = _mm512_dpbusd_epi32(b1, _mm512_and_si512(q, m1), x1);
    a2 = _mm512_dpbusd_epi32(a2, _mm512_and_si512(p, m2), x2);
    b2 = _mm512_dpbusd_epi32(b2, _mm512_and_si512(q, m2), x2);
    a3 = _mm512_dpbusd_epi32(a3, _mm512_and_si512(p, decode.top), x3);
    b3 = _mm512_dpbusd_epi32(b3, _mm512_and_si512(q, decode.top), x3);
    a3 = _mm512_dpbusd_epi32(a3, p4, x4);
    b3 = _mm512_dpbusd_epi32(b3, q4, x4);
  }
  lowRows = _mm512_add_epi32(_mm512_add_epi32(a0, _mm512_srai_epi32(a1, 2)),
                             _mm512_add_epi32(_mm512_srai_epi32(a2, 4), _mm512_srai_epi32(a3, 6)));
  highRows = _mm512_add_epi32(_mm512_add_epi32(b0, _mm512_srai_epi32(b1, 2)),
                              _mm512_add_epi32(_mm512_srai_epi32(b2, 4), _mm512_srai_epi32(b3, 6)));
}

inline void panelThreeOfFour(const uint8_t* w, size_t chunks, const int8_t* x, __m512i& lowRows, __m512i& highRows) {
  const PatternDecoder decode;
  __m512i a0 = _mm512_setzero_si512(), a1 = a0, a2 = a0, b0 = a0, b1 = a0, b2 = a0;
  for (size_t c = 0; c < chunks; c++, w += kThreeOfFourBytes) {
    __m512i last = _mm512_setzero_si512();
    const auto word = [&](auto index) __attribute__((always_inline)) {
      constexpr int v = decltype(index)::value;
      askAhead(w + 64 * v, 64);
      const __m512i words = _mm512_load_si512(w + 64 * v);
      const __m512i x0 = broadcast(x), x1 = broadcast(x + 4), x2 = broadcast(x + 8);
      a0 = _mm512_dpbusd_epi32(a0, decode(words), x0);
      b0 = _mm512_dpbusd_epi32(b0, decode(_mm512_srli_epi32(words, 16)), x0);
      a1 = _mm512_dpbusd_epi32(a1, decode(_mm512_srli_epi32(words, 5)), x1);
      b1 = _mm512_dpbusd_epi32(b1, decode(_mm512_srli_epi32(words, 21)), x1);
      a2 = _mm512_dpbusd_epi32(a2, decode(_mm512_srli_epi32(words, 10)), x2);
      b2 = _mm512_dpbusd_epi32(b2, decode(_mm512_srli_epi32(words, 26)), x2);
      last = withLastBit<v>(last, words);
      x += 12;
    };
    eachWord(word);
    const __m512i x3 = broadcast(x);
    a0 = _mm512_dpbusd_epi32(a0, decode(last), x3);
    b0 = _mm512_dpbusd_epi32(b0, decode(_mm512_srli_epi32(last, 16)), x3);
    x += 4;
  }
  lowRows = _mm512_add_epi32(_mm512_add_epi32(a0, a1), a2);
  highRows = _mm512_add_epi32(_mm512_add_epi32(b0, b1), b2);
}

/** One group of 4 columns: codes of both row halves times T tokens. */
template <size_t T>
inline __attribute__((always_inline)) void step(__m512i low, __m512i high, const int8_t* x, __m512i (&acc)[2][T]) {
  for (size_t t = 0; t < T; t++) {
    const __m512i token = broadcast(x + 4 * t);
    acc[0][t] = _mm512_dpbusd_epi32(acc[0][t], low, token);
    acc[1][t] = _mm512_dpbusd_epi32(acc[1][t], high, token);
  }
}

/** Adds one panel of the layouts of bit pairs, times T tokens. */
template <Layout layout, size_t T>
inline __attribute__((always_inline)) void addFieldTiles(const uint8_t* w, size_t chunks, const int8_t* x, __m512i (&acc)[2][T]) {
  const __m512i mask = _mm512_set1_epi8(3);
  const FiveTritDecoder decode;
  for (size_t c = 0; c < chunks; c++, w += kChunkBytes) {
    askAhead(w, kChunkBytes);
    __m512i p = _mm512_load_si512(w), q = _mm512_load_si512(w + 64), p4 = p, q4 = q;
    if (layout == Layout::fiveTrits) {
      decode(p, p, p4);
      decode(q, q, q4);
    }
    step<T>(_mm512_and_si512(p, mask), _mm512_and_si512(q, mask), x, acc);
    x += 4 * T;
    step<T>(_mm512_and_si512(_mm512_srli_epi16(p, 2), mask), _mm512_and_si512(_mm512_srli_epi16(q, 2), mask), x, acc);
    x += 4 * T;
    step<T>(_mm512_and_si512(_mm512_srli_epi16(p, 4), mask), _mm512_and_si512(_mm512_srli_epi16(q, 4), mask), x, acc);
    x += 4 * T;
    step<T>(_mm512_and_si512(_mm512_srli_epi16(p, 6), mask), _mm512_and_si512(_mm512_srli_epi16(q, 6), mask), x, acc);
    x += 4 * T;
    if (layout == Layout::fiveTrits) {
      step<T>(_mm512_srli_epi16(p4, 6), _mm512_srli_epi16(q4, 6), x, acc);
      x += 4 * T;
    }
  }
}

/** The same of the layout threeOfFour. */
template <size_t T>
inline __attribute__((always_inline)) void addPatternTiles(const uint8_t* w, size_t chunks, const int8_t* x, __m512i (&acc)[2][T]) {
  const PatternDecoder decode;
  for (size_t c = 0; c < chunks; c++, w += kThreeOfFourBytes) {
    askAhead(w, kThreeOfFourBytes);
    __m512i last = _mm512_setzero_si512();
    const auto four = [&](__m512i low, __m512i high) __attribute__((always_inline)) {
      step<T>(decode(low), decode(high), x, acc);
      x += 4 * T;
    };
    const auto word = [&](auto index) __attribute__((always_inline)) {
      constexpr int v = decltype(index)::value;
      const __m512i words = _mm512_load_si512(w + 64 * v);
      four(words, _mm512_srli_epi32(words, 16));
      four(_mm512_srli_epi32(words, 5), _mm512_srli_epi32(words, 21));
      four(_mm512_srli_epi32(words, 10), _mm512_srli_epi32(words, 26));
      last = withLastBit<v>(last, words);
    };
    eachWord(word);
    four(last, _mm512_srli_epi32(last, 16));
  }
}

/** One panel times a tile of T tokens. */
template <Layout layout, size_t T>
void panelTile(const uint8_t* w, size_t chunks, const int8_t* x, size_t rows, const float* scales, const int32_t* sums,
               const float* deltas, float* y, size_t stride, bool more) {
  __m512i acc[2][T];
  for (size_t t = 0; t < T; t++) acc[0][t] = acc[1][t] = _mm512_setzero_si512();
  if constexpr (layout == Layout::threeOfFour) {
    addPatternTiles<T>(w, chunks, x, acc);
  } else {
    addFieldTiles<layout, T>(w, chunks, x, acc);
  }
  const __mmask16 lowMask = rowMask(rows, 0), highMask = rowMask(rows, 16);
  for (size_t t = 0; t < T; t++) {
    finish(acc[0][t], sums[t], scales[t], deltas, y + t * stride, lowMask, more);
    finish(acc[1][t], sums[t], scales[t], deltas + 16, y + t * stride + 16, highMask, more);
  }
}

template <Layout layout>
void tileOfAnyWidth(size_t tokens, const uint8_t* w, size_t chunks, const int8_t* x, size_t rows, const float* scales,
                    const int32_t* sums, const float* deltas, float* y, size_t stride, bool more) {
  switch (tokens) {
    case 1: return panelTile<layout, 1>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 2: return panelTile<layout, 2>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 3: return panelTile<layout, 3>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 4: return panelTile<layout, 4>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 5: return panelTile<layout, 5>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 6: return panelTile<layout, 6>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 7: return panelTile<layout, 7>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 8: return panelTile<layout, 8>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 9: return panelTile<layout, 9>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 10: return panelTile<layout, 10>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    case 11: return panelTile<layout, 11>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
    default: return panelTile<layout, 12>(w, chunks, x, rows, scales, sums, deltas, y, stride, more);
  }
}

void multiplyTernary(const PackedTernary& w, size_t begin, size_t end, const QuantisedTokens& x, float* y, size_t stride) {
  if (w.layout == Layout::threeOfFourSums) return multiplyTernaryPlain(w, begin, end, x, y, stride);
  const size_t chunks = w.chunks / w.groups;
  const size_t groupColumns = chunks * chunkColumns(w.layout), bytes = chunkBytes(w.layout);
  const auto tile = w.layout == Layout::threeOfFour ? tileOfAnyWidth<Layout::threeOfFour>
                    : w.layout == Layout::twoBit    ? tileOfAnyWidth<Layout::twoBit>
                                                    : tileOfAnyWidth<Layout::fiveTrits>;
  const auto panelOfOne = w.layout == Layout::threeOfFour ? panelThreeOfFour : w.layout == Layout::twoBit ? panelTwoBit : panelFiveTrits;
  for (size_t panel = begin; panel < end; panel++) {
    const size_t first = panel * kPanelRows;
    const size_t rows = w.rows - first < kPanelRows ? w.rows - first : kPanelRows;
    for (size_t t = 0; t < x.tokens; t += kTile)
      for (size_t group = 0; group < w.groups; group++) {
        const uint8_t* const data = w.data + (panel * w.chunks + group * chunks) * bytes;
        const float* const deltas = w.scales + (panel * w.groups + group) * kPanelRows;
        const size_t tokens = x.tokens - t < kTile ? x.tokens - t : kTile;
        const int8_t* const values = x.values + t * x.padded + group * groupColumns * tokens;
        int32_t sums[kTile];
        sumsOfGroup(w, x, group, t, tokens, sums);
        if (x.tokens == 1) {
          __m512i low, high;
          panelOfOne(data, chunks, values, low, high);
          finish(low, sums[0], x.scales[0], deltas, y + first, rowMask(rows, 0), group > 0);
          finish(high, sums[0], x.scales[0], deltas + 16, y + first + 16, rowMask(rows, 16), group > 0);
          continue;
        }
        tile(tokens, data, chunks, values, rows, x.scales + t, sums, deltas, y + t * stride + first, stride, group > 0);
      }
  }
}

struct Ints {
  using Reg = __m512i;
  using Floats = __m512;
  static constexpr size_t lanes = 16;
  static Reg load(const uint8_t* p) { return _mm512_load_si512(p); }
  static Reg spread(uint8_t value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  static Reg all(int32_t value) { return _mm512_set1_epi32(value); }
  static Reg both(Reg a, Reg b) { return _mm512_and_si512(a, b); }
  static Reg either(Reg a, Reg b) { return _mm512_or_si512(a, b); }
  template <int n>
  static Reg right(Reg a) { return _mm512_srli_epi16(a, n); }
  static Reg dot(Reg acc, Reg codes, const int8_t* x) { return _mm512_dpbusd_epi32(acc, codes, broadcast(x)); }
  static Reg joined(Reg high, Reg low) { return _mm512_add_epi32(_mm512_slli_epi32(high, 8), low); }
  static Floats floats(Reg a) { return _mm512_cvtepi32_ps(a); }
  static Floats scales(const uint8_t* p) {
    return floats(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static Floats halves(const uint8_t* p) { return Vec::loadHalf(p); }
  static Floats zero() { return _mm512_setzero_ps(); }
  static Floats scaled(Floats a, float number) { return _mm512_mul_ps(a, _mm512_set1_ps(number)); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static void store(float* y, Floats a, size_t count) { _mm512_mask_storeu_ps(y, rowMask(count, 0), a); }
};

void halves(const float* x, uint16_t* out, size_t count) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm512_cvtps_ph(_mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  floatsToHalves(x + i, out + i, count - i);
}

/** Runs `rounds` times twelve independent dot-product instructions; returns the multiply-adds done. */
uint64_t integerPeak(size_t rounds) {
  __m512i acc[12], codes = _mm512_set1_epi8(1);
  const __m512i activations = _mm512_set1_epi8(1);
  for (__m512i& a : acc) a = _mm512_setzero_si512();
  for (size_t i = 0; i < rounds; i++) {
    for (__m512i& a : acc) a = _mm512_dpbusd_epi32(a, codes, activations);
    __asm__ volatile("" : "+v"(codes));
  }
  __m512i sum = acc[0];
  for (size_t i = 1; i < 12; i++) sum = _mm512_add_epi32(sum, acc[i]);
  // The sum is known; adding its excess keeps the loop alive.
  return static_cast<uint64_t>(rounds) * 12 * 64 + (static_cast<uint32_t>(_mm512_reduce_add_epi32(sum)) == 1 ? 1 : 0);
}

}  // namespace

const Kernels kernelsAvx512Vnni = {"avx512-vnni", kTile,        Layout::fiveTrits, Layout::threeOfFour, quantiseTokens,       multiplyTernary,
                                   multiplyDense<Vec, Ints>, denseRow, rmsNorm,          addTo,                siluMultiply,
                                   reluSquaredMultiply, geluMultiply, hadamard, attend<Vec>, softmaxRow,   halves, integerPeak};

}  // namespace tritsmith
