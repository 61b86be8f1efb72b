#include "runtime/conversation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "runtime/error.h"

namespace tritsmith {
namespace {

size_t elementBytes(CacheType cache) { return cache == CacheType::int8 ? 1 : cache == CacheType::f16 ? 2 : 4; }

/** The context in whole blocks of keys. */
size_t roomFor(const Model& model, size_t context, CacheType cache) {
  const size_t tokens = (context + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
  const double bytes = static_cast<double>(tokens) * static_cast<double>(Conversation::bytesPerToken(model.shape, cache));
  if (context == 0 || bytes > 1e12)
    throw RuntimeError("bad-input", "A context of " + std::to_string(context) + " tokens is impossible.", "Choose a shorter one.");
  return tokens;
}

}  // namespace

Conversation::Conversation(const Model& model, size_t context, CacheType cache)
    : model_(model),
      context_(context),
      cache_(cache),
      element_(elementBytes(cache)),
      tokensPerHead_(roomFor(model, context, cache)),
      hidden_(model.shape.width) {
  const Shape& s = model.shape;
  const size_t heads = s.layers * s.kvHeads;
  keys_ = Pages(heads * tokensPerHead_ * s.headDim * element_, false);
  values_ = Pages(heads * tokensPerHead_ * s.headDim * element_, false);
  if (cache != CacheType::int8) return;
  keyScales_ = Pages(heads * tokensPerHead_ * sizeof(float), false);
  valueScales_ = Pages(heads * tokensPerHead_ * sizeof(float), false);
}

size_t Conversation::bytesPerToken(const Shape& shape, CacheType cache) {
  return 2 * shape.layers * shape.kvHeads * (shape.headDim * elementBytes(cache) + (cache == CacheType::int8 ? sizeof(float) : 0));
}

void Conversation::truncate(size_t length) {
  if (length > length_) throw RuntimeError("bad-input", "The conversation is shorter than that.");
  length_ = length;
  hasHidden_ = false;
}

float* Conversation::remember() {
  hasHidden_ = true;
  return hidden_.data();
}

const float* Conversation::hidden() const {
  if (!hasHidden_) throw RuntimeError("bad-input", "There are no logits before the first token.");
  return hidden_.data();
}

AttentionHead Conversation::head(size_t layer, size_t kvHead, size_t first) const {
  const Shape& s = model_.shape;
  const size_t start = (layer * s.kvHeads + kvHead) * tokensPerHead_ + first;
  const bool scaled = cache_ == CacheType::int8;
  return {keys_.data() + start * s.headDim * element_, values_.data() + start * s.headDim * element_,
          scaled ? reinterpret_cast<const float*>(keyScales_.data()) + start : nullptr,
          scaled ? reinterpret_cast<const float*>(valueScales_.data()) + start : nullptr, s.headDim};
}

void Conversation::store(size_t layer, size_t kvHead, size_t position, const float* key, const float* value) {
  const Shape& s = model_.shape;
  const size_t start = (layer * s.kvHeads + kvHead) * tokensPerHead_;
  const size_t keyAt = (start + position / kKeyBlock * kKeyBlock) * s.headDim + position % kKeyBlock;
  const size_t valueAt = (start + position) * s.headDim;
  if (cache_ == CacheType::f32) {
    float* const out = reinterpret_cast<float*>(keys_.data()) + keyAt;
    for (size_t d = 0; d < s.headDim; d++) out[d * kKeyBlock] = key[d];
    std::memcpy(reinterpret_cast<float*>(values_.data()) + valueAt, value, s.headDim * sizeof(float));
    return;
  }
  if (cache_ == CacheType::f16) {
    uint16_t* const out = reinterpret_cast<uint16_t*>(keys_.data()) + keyAt;
    uint16_t halves[64];
    for (size_t base = 0; base < s.headDim; base += 64) {
      const size_t run = std::min<size_t>(64, s.headDim - base);
      model_.kernels->floatToHalf(key + base, halves, run);
      for (size_t d = 0; d < run; d++) out[(base + d) * kKeyBlock] = halves[d];
    }
    model_.kernels->floatToHalf(value, reinterpret_cast<uint16_t*>(values_.data()) + valueAt, s.headDim);
    return;
  }
  const auto quantise = [&](const float* in, int8_t* out, size_t step, float* scaleOut) {
    float largest = 1e-10f;
    for (size_t d = 0; d < s.headDim; d++) largest = std::max(largest, std::fabs(in[d]));
    const float inverse = 127.0f / largest;
    for (size_t d = 0; d < s.headDim; d++) out[d * step] = static_cast<int8_t>(std::nearbyint(std::min(std::max(in[d] * inverse, -127.0f), 127.0f)));
    *scaleOut = largest / 127.0f;
  };
  quantise(key, reinterpret_cast<int8_t*>(keys_.data()) + keyAt, kKeyBlock, reinterpret_cast<float*>(keyScales_.data()) + start + position);
  quantise(value, reinterpret_cast<int8_t*>(values_.data()) + valueAt, 1, reinterpret_cast<float*>(valueScales_.data()) + start + position);
}

}  // namespace tritsmith
