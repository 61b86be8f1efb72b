/** AVX-VNNI: the 256-bit dot-product instruction of processors without AVX-512. */
#include "kernels/ymm_loops.h"

namespace tritsmith {
namespace {

inline __m256i dotProduct(__m256i acc, __m256i codes, __m256i x) {
#if defined(__AVX512VNNI__)
  // The same instruction in AVX-512's encoding: the sanitizer check runs this file on processors that have only that.
  return _mm256_dpbusd_epi32(acc, codes, x);
#else
  return _mm256_dpbusd_avx_epi32(acc, codes, x);
#endif
}

struct QuadAccumulator {
  static constexpr size_t chunksPerFlush = static_cast<size_t>(-1);
  // The next addition to a sum waits five cycles, and two can begin in each.
  static constexpr size_t sumsAtOnce = 2;
  __m256i total = _mm256_setzero_si256();
  void add(__m256i codes, __m256i activations) { total = dotProduct(total, codes, activations); }
  void flush() {}
};

struct QuadDot {
  static __m256i add(__m256i acc, __m256i codes, __m256i x) { return dotProduct(acc, codes, x); }
};

}  // namespace

const Kernels kernelsAvxVnni = {"avx-vnni",         kTile,    Layout::twoBit, Layout::threeOfFourSums, quantiseTokensYmm, multiplyTernaryYmm<QuadAccumulator>,
                                multiplyDense<Vec, Ints<QuadDot>>, denseRow, rmsNorm,        addTo,          siluMultiply,
                                reluSquaredMultiply, geluMultiply, hadamard, attend<Vec>, softmaxRow, halves, integerPeakYmm<QuadAccumulator>};

}  // namespace tritsmith
