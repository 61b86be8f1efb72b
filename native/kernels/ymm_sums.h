#pragma once
// The layout threeOfFourSums on 256-bit registers: rows of which each four columns have three weights that are not 0.
//
// A four's sum of products is looked up: of its 32 patterns 16 begin with +1 and are the places of a table, the others are their negatives. A
// sum v of three values of 8 bits is 15 H + L with H and L of two tables that add up a_h and a_l of the values a = 15 a_h + a_l, |a_l| <= 7. Tables hold H + 32 and
// L + 24, both below 64, and all ones of six bits less that where the pattern begins with -1: 63 - (H + 32) = -H + 31 and 63 - (L + 24) = -L + 39, together
// 15 * 31 + 39 = 15 * 32 + 24 more than -v, as it is more than v of the others. So the sum of n fours is 15 times the first numbers plus the second, less 504 n.
// Four of them fit into a byte, 512 of them into 16 bits.
#include <immintrin.h>

#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "kernels/three_of_four.h"

namespace tritsmith {
namespace {

constexpr int kSumFactor = 15, kHighBias = 32, kLowBias = 24;
/** Chunks whose sums fit into 16 bits. */
constexpr size_t kSumChunks = 32;

inline __m256i loadYmm(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline void storeYmm(void* p, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }

/** Which of a four's values a place takes as its first, second and third, and the signs of the last two; once for each table. */
struct PlaceBytes {
  alignas(32) int8_t values[3][32];
  alignas(32) int8_t signs[2][32];
};

constexpr PlaceBytes placeBytes() {
  PlaceBytes bytes{};
  for (int i = 0; i < 32; i++) {
    const int place = i & 15, zero = place >> 2;
    for (int k = 0, n = 0; k < 4; k++)
      if (k != zero) bytes.values[n++][i] = static_cast<int8_t>(k);
    bytes.signs[0][i] = (place & 2) != 0 ? -1 : 1;
    bytes.signs[1][i] = (place & 1) != 0 ? -1 : 1;
  }
  return bytes;
}
constexpr PlaceBytes kPlaces = placeBytes();

/** The tables of one token: for each four columns 16 sums H + 32 and 16 sums L + 24. `step` is how far a token's fours lie apart. */
inline void writeFourSums(const int8_t* values, size_t step, size_t padded, uint8_t* out) {
  const auto part = [](const int8_t* bytes) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes)); };
  const __m256i first = part(kPlaces.values[0]), second = part(kPlaces.values[1]), third = part(kPlaces.values[2]);
  const __m256i secondSigns = part(kPlaces.signs[0]), thirdSigns = part(kPlaces.signs[1]);
  const __m256i bias = _mm256_set_m128i(_mm_set1_epi8(kLowBias), _mm_set1_epi8(kHighBias));
  for (size_t k = 0; k < padded; k += 16, values += 4 * step, out += 128) {
    const __m256i a = _mm256_cvtepi8_epi16(_mm_setr_epi32(readI32(values), readI32(values + step), readI32(values + 2 * step), readI32(values + 3 * step)));
    const __m256i high = _mm256_mulhrs_epi16(a, _mm256_set1_epi16(2185));  // rounded a / 15
    const __m256i low = _mm256_sub_epi16(a, _mm256_mullo_epi16(high, _mm256_set1_epi16(kSumFactor)));
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi16(high, low), 0xd8);
    const auto table = [&](__m256i four, uint8_t* target) {
      __m256i sum = _mm256_add_epi8(bias, _mm256_shuffle_epi8(four, first));
      sum = _mm256_add_epi8(sum, _mm256_sign_epi8(_mm256_shuffle_epi8(four, second), secondSigns));
      storeYmm(target, _mm256_add_epi8(sum, _mm256_sign_epi8(_mm256_shuffle_epi8(four, third), thirdSigns)));
    };
    table(_mm256_shuffle_epi32(both, 0x00), out);
    table(_mm256_shuffle_epi32(both, 0x55), out + 32);
    table(_mm256_shuffle_epi32(both, 0xaa), out + 64);
    table(_mm256_shuffle_epi32(both, 0xff), out + 96);
  }
}

/** Sums of bytes in 16 bits: of neighbours as one number, and of the upper ones of each pair. */
struct ByteSums {
  __m256i pairs = _mm256_setzero_si256(), upper = _mm256_setzero_si256();
  void add(__m256i bytes) {
    pairs = _mm256_add_epi16(pairs, bytes);
    upper = _mm256_add_epi16(upper, _mm256_srli_epi16(bytes, 8));
  }
  __m256i lower() const { return _mm256_sub_epi16(pairs, _mm256_slli_epi16(upper, 8)); }
};

/** A panel of 32 rows times one token; total[v] has the sums of rows 8 v ... 8 v + 7. */
inline void lookUpPanel(const uint8_t* w, size_t chunks, const uint8_t* tables, __m256i (&total)[4]) {
  const __m256i half = _mm256_set1_epi8(15), ones = _mm256_set1_epi8(63), factors = _mm256_set1_epi32(1 << 16 | kSumFactor);
  for (__m256i& rows : total) rows = _mm256_setzero_si256();
  while (chunks > 0) {
    const size_t now = chunks < kSumChunks ? chunks : kSumChunks;
    ByteSums high, low;
    for (size_t h = 0; h < 2 * now; h++, w += kSumBytes, tables += kSumFours * 32) {
      askAhead(w, kSumBytes);
      __m256i signs = loadYmm(w);
      for (size_t four = 0; four < kSumFours; four += 4) {
        __m256i highBytes = _mm256_setzero_si256(), lowBytes = highBytes;
        for (size_t j = four; j < four + 4; j++) {
          const __m256i places = loadYmm(w + kSumPart * (1 + j / 2));
          const __m256i place = _mm256_and_si256(j % 2 == 0 ? places : _mm256_srli_epi16(places, 4), half);
          // A look-up gives 0 where the highest bit is set: nothing to turn where the pattern begins with +1.
          const __m256i turned = _mm256_shuffle_epi8(ones, signs);
          signs = _mm256_add_epi8(signs, signs);
          const auto* const table = reinterpret_cast<const __m128i*>(tables + 32 * j);
          const __m256i h = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(table)), place);
          const __m256i l = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(table + 1)), place);
          highBytes = _mm256_add_epi8(highBytes, _mm256_xor_si256(h, turned));
          lowBytes = _mm256_add_epi8(lowBytes, _mm256_xor_si256(l, turned));
        }
        high.add(highBytes);
        low.add(lowBytes);
      }
    }
    const int fours = static_cast<int>(now * 2 * kSumFours);
    const __m256i highBias = _mm256_set1_epi16(static_cast<int16_t>(kHighBias * fours)), lowBias = _mm256_set1_epi16(static_cast<int16_t>(kLowBias * fours));
    const __m256i sums[2][2] = {{_mm256_sub_epi16(high.lower(), highBias), _mm256_sub_epi16(low.lower(), lowBias)},
                                {_mm256_sub_epi16(high.upper, highBias), _mm256_sub_epi16(low.upper, lowBias)}};
    for (size_t v = 0; v < 4; v++) {
      const __m256i(&of)[2] = sums[v / 2];
      const __m256i pairs = v % 2 == 0 ? _mm256_unpacklo_epi16(of[0], of[1]) : _mm256_unpackhi_epi16(of[0], of[1]);
      total[v] = _mm256_add_epi32(total[v], _mm256_madd_epi16(pairs, factors));
    }
    chunks -= now;
  }
}

}  // namespace
}  // namespace tritsmith
