/** AVX-VNNI: the 256-bit dot-product instruction of processors without AVX-512. */
#include "kernels/ymm_loops.h"

namespace tritsmith {
namespace {

struct QuadAccumulator {
  static constexpr size_t chunksPerFlush = static_cast<size_t>(-1);
  __m256i total = _mm256_setzero_si256();
  void add(__m256i codes, __m256i activations) { total = _mm256_dpbusd_avx_epi32(total, codes, activations); }
  void flush() {}
};

}  // namespace

const Kernels kernelsAvxVnni = {"avx-vnni",         kTile,    Layout::twoBit, quantiseTokens, multiplyTernaryYmm<QuadAccumulator>,
                                multiplyDense<Vec>, denseRow, rmsNorm,        addTo,          siluMultiply,
                                reluSquaredMultiply, attend<Vec>, softmaxRow, halves, integerPeakYmm<QuadAccumulator>};

}  // namespace tritsmith
