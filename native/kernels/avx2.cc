/** AVX2: pairs of products in int16, widened to int32 long before they could wrap. */
#include "kernels/ymm_loops.h"

namespace tritsmith {
namespace {

struct PairAccumulator {
  // A pair sum is at most 2 * 2 * 128 = 512 in magnitude; 15 chunks add 60 of them: 30 720 < 32 768.
  static constexpr size_t chunksPerFlush = 15;
  static constexpr size_t sumsAtOnce = 1;
  __m256i pairs = _mm256_setzero_si256();
  __m256i total = _mm256_setzero_si256();
  void add(__m256i codes, __m256i activations) { pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(codes, activations)); }
  void flush() {
    total = _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    pairs = _mm256_setzero_si256();
  }
};

struct PairDot {
  // Codes are below 64, so a pair is at most 2 * 63 * 128 < 32 768.
  static __m256i add(__m256i acc, __m256i codes, __m256i x) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1)));
  }
};

}  // namespace

const Kernels kernelsAvx2 = {"avx2",             kTile,    Layout::twoBit, Layout::threeOfFourSums, quantiseTokensYmm, multiplyTernaryYmm<PairAccumulator>,
                             multiplyDense<Vec, Ints<PairDot>>, denseRow, rmsNorm,        addTo,          siluMultiply,
                             reluSquaredMultiply, geluMultiply, hadamard, attend<Vec>, softmaxRow, halves, integerPeakYmm<PairAccumulator>};

}  // namespace tritsmith
