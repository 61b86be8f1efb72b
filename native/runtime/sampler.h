#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tritsmith {

/** How many of the last tokens a repetition penalty looks at. */
constexpr size_t kPenaltyWindow = 64;

struct SamplingSettings {
  float temperature = 0;  // 0: greedy
  size_t topK = 0;        // 0: all
  float topP = 1;
  float repetitionPenalty = 1;  // logits of recent tokens are divided (positive) or multiplied (negative) by it
};

/** Picks tokens from logits. The same seed and logits give the same tokens. */
class Sampler {
 public:
  explicit Sampler(uint64_t seed) : state_(seed) {}
  /** Changes `logits` in place. `recent` are the tokens of the session so far. */
  int32_t sample(float* logits, size_t count, const SamplingSettings& settings, const std::vector<int32_t>& recent);

 private:
  double uniform();
  uint64_t state_;
  std::vector<int32_t> candidates_;
};

}  // namespace tritsmith
