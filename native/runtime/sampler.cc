#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_set>

namespace tritsmith {

/** SplitMix64 (Steele, Lea, Flood 2014), upper 53 bits. */
double Sampler::uniform() {
  state_ += 0x9e3779b97f4a7c15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

int32_t Sampler::sample(float* logits, size_t count, const SamplingSettings& settings, const std::vector<int32_t>& recent) {
  // A NaN has no place in an order; it can only come from a broken model, and is never picked.
  for (size_t i = 0; i < count; i++)
    if (std::isnan(logits[i])) logits[i] = -std::numeric_limits<float>::infinity();
  if (settings.repetitionPenalty != 1.0f) {
    const size_t window = std::min(kPenaltyWindow, recent.size());
    const std::unordered_set<int32_t> seen(recent.end() - static_cast<std::ptrdiff_t>(window), recent.end());
    for (const int32_t id : seen) {
      float& logit = logits[id];
      logit = logit > 0 ? logit / settings.repetitionPenalty : logit * settings.repetitionPenalty;
    }
  }
  if (!(settings.temperature > 0) || settings.topK == 1)
    return static_cast<int32_t>(std::max_element(logits, logits + count) - logits);

  // Highest logits first; ties by id, so that the order is the same everywhere.
  const auto higher = [&](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
  candidates_.resize(count);
  std::iota(candidates_.begin(), candidates_.end(), 0);
  size_t kept = settings.topK == 0 ? count : std::min(settings.topK, count);
  if (kept < count) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept), candidates_.end(), higher);
    candidates_.resize(kept);
  }
  if (settings.topP < 1.0f || kept < count) std::sort(candidates_.begin(), candidates_.end(), higher);
  float largest = logits[candidates_[0]];
  for (const int32_t id : candidates_) largest = std::max(largest, logits[id]);
  std::vector<double> weights(kept);
  double total = 0;
  for (size_t i = 0; i < kept; i++)
    total += weights[i] = std::exp(static_cast<double>(logits[candidates_[i]] - largest) / static_cast<double>(settings.temperature));
  if (settings.topP < 1.0f) {
    double sum = 0;
    size_t i = 0;
    // At least one candidate stays.
    do sum += weights[i++];
    while (i < kept && sum < static_cast<double>(settings.topP) * total);
    kept = i;
    total = sum;
  }
  double left = uniform() * total;
  for (size_t i = 0; i + 1 < kept; i++) {
    left -= weights[i];
    if (left < 0) return candidates_[i];
  }
  return candidates_[kept - 1];
}

}  // namespace tritsmith
