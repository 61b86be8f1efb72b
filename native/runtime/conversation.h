#pragma once
#include <cstdint>
#include <vector>

#include "runtime/memory.h"
#include "runtime/model.h"

namespace tritsmith {

/** One conversation with a model: the KV cache, how many tokens it holds, and the last token's final hidden state. */
class Conversation {
 public:
  /** Throws RuntimeError for a context that no memory holds. Memory is used as tokens come. */
  Conversation(const Model& model, size_t context, CacheType cache);

  size_t length() const { return length_; }
  size_t context() const { return context_; }
  CacheType cache() const { return cache_; }
  /** Bytes of the KV cache that hold tokens. */
  size_t cacheBytes() const { return length_ * bytesPerToken(model_.shape, cache_); }
  /** Forgets everything after the first `length` tokens. */
  void truncate(size_t length);

  /** Bytes that one token takes in a cache of this type. */
  static size_t bytesPerToken(const Shape& shape, CacheType cache);

  /** Keeps key and value [headDim] of the token at `position`, which is not counted before `grow`. */
  void store(size_t layer, size_t kvHead, size_t position, const float* key, const float* value);
  /** The cache of one head from the token `first` on, a multiple of kKeyBlock. */
  AttentionHead head(size_t layer, size_t kvHead, size_t first) const;
  void grow(size_t tokens) { length_ += tokens; }

  /** Where the last token's hidden state [width], normalised for the head, is written. */
  float* remember();
  /** What was written there. Throws RuntimeError before the first token and after `truncate`. */
  const float* hidden() const;

 private:
  const Model& model_;
  const size_t context_;
  const CacheType cache_;
  const size_t element_;        // bytes of a cached value
  const size_t tokensPerHead_;  // the context, rounded up to whole blocks
  size_t length_ = 0;
  bool hasHidden_ = false;
  std::vector<float> hidden_;
  // Per layer and head: keys [blocks of 16 tokens][headDim][16], values [tokens][headDim], int8: scales [tokens].
  Pages keys_, values_, keyScales_, valueScales_;
};

}  // namespace tritsmith
