#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/memory.h"
#include "runtime/model.h"
#include "threads/pool.h"

namespace tritsmith {

/** One conversation with a model: the KV cache, the position, and the buffers of the forward pass. */
class Session {
 public:
  Session(const Model& model, Pool& pool, size_t context, CacheType cache);

  size_t length() const { return length_; }
  size_t context() const { return context_; }
  /** Bytes of the KV cache that hold tokens. */
  size_t cacheBytes() const;
  /** Forgets everything after the first `length` tokens. */
  void truncate(size_t length);

  /**
   * Appends tokens, in tiles. `eachLogits`, if given, receives the logits [count, vocabulary] of every token; otherwise only the last token's final
   * hidden state is kept, for `logits`.
   */
  void append(const int32_t* ids, size_t count, float* eachLogits);
  /** Logits [vocabulary] of the last token. */
  void logits(float* out);

 private:
  struct Target {
    const Linear* linear;
    float* out;
    size_t stride;
  };
  void reserve(size_t tokens);
  void tile(const int32_t* ids, size_t count);
  void apply(const float* in, size_t inStride, size_t count, std::initializer_list<Target> targets);
  void applyGroup(const float* in, size_t inStride, size_t count, const Target* targets, size_t targetCount);
  void attention(size_t layer, size_t count);
  void rotateAndStore(size_t layer, size_t count);
  void rotate(float* head, size_t position, RopeTable table) const;
  void extendRotations(size_t positions);
  void multiplyHead(const float* in, size_t count, float* out);
  template <typename Work>
  void perToken(size_t count, const Work& work);

  const Model& model_;
  Pool& pool_;
  const Kernels& kernels_;
  const size_t context_;
  const CacheType cache_;
  const bool int8_;
  const size_t element_;  // bytes of a cached value
  size_t length_ = 0;
  bool hasHidden_ = false;

  // Cache, per layer and head: keys [blocks of 16 tokens][headDim][16], values [tokens][headDim], int8: scales [tokens].
  Pages keys_, values_, keyScales_, valueScales_;
  size_t tokensPerHead_ = 0;

  size_t capacity_ = 0;  // tokens that the buffers hold
  size_t padded_ = 0;
  std::vector<float> x_, normed_, inner_, q_, k_, v_, attended_, gate_, up_, projected_, scales_, hidden_;
  std::vector<int32_t> sums_, groupSums_;
  Pages quantised_;
  std::vector<std::vector<float>> scratch_;
  std::vector<float> cosines_[2], sines_[2];  // of the global and the local table, [positions][ropeDims / 2]
};

}  // namespace tritsmith
