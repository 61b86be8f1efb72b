#pragma once
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "runtime/conversation.h"
#include "runtime/memory.h"
#include "runtime/model.h"
#include "threads/pool.h"

namespace tritsmith {

/** Most tokens of one tile: four tiles of the widest kernel. Their activations stay in the second-level cache. */
constexpr size_t kTileTokens = 48;

/** Tokens for one conversation. */
struct Turn {
  Conversation* conversation;
  const int32_t* ids;
  size_t count;
  size_t logits;  // of so many of its last tokens logits are wanted
};

/**
 * The forward pass of a model and its buffers. Tokens are computed in tiles that may hold those of several conversations; what a conversation gets does not
 * depend, bit for bit, on the tiles that its tokens lie in, on what lies beside them, or on the number of threads.
 */
class Forward {
 public:
  Forward(const Model& model, Pool& pool);

  /**
   * Appends the tokens of `turns` to their conversations, each of which occurs once; the final hidden state of each turn's last token is kept for
   * `logits`. `out` receives the logits [number wanted, vocabulary], turn by turn. Throws RuntimeError before anything is changed.
   */
  void append(const std::vector<Turn>& turns, float* out);
  /** Logits [conversations, vocabulary] of the last tokens, in one product. */
  void logits(const std::vector<const Conversation*>& conversations, float* out);

 private:
  struct Target {
    const Linear* linear;
    float* out;
    size_t stride;
  };
  /** Consecutive tokens of a tile that belong to one turn. */
  struct Span {
    const Turn* turn;
    size_t done;          // tokens of the turn that lie in earlier tiles
    size_t begin, count;  // in the tile
    size_t position;      // of the first of them in the conversation
    size_t firstTask;     // of the attention
  };
  void check(const std::vector<Turn>& turns) const;
  void reserve(size_t tokens);
  const Span& spanOf(size_t token) const;
  void tile();
  void apply(const float* in, size_t inStride, size_t count, std::initializer_list<Target> targets);
  void applyGroup(const float* in, size_t inStride, size_t count, const Target* targets, size_t targetCount);
  void rotateAndStore(size_t layer);
  void attention(size_t layer);
  void rotate(float* head, size_t position, RopeTable table) const;
  void extendRotations(size_t positions);
  void normaliseForHead(size_t token, float* out) const;
  void multiplyHead(const float* in, size_t count, float* out);
  template <typename Work>
  void perToken(size_t count, const Work& work);

  const Model& model_;
  Pool& pool_;
  const Kernels& kernels_;

  std::vector<Span> spans_;                 // of the tile that is computed
  size_t tokens_ = 0, attentionTasks_ = 0;  // of this tile
  size_t capacity_ = 0;                     // tokens that the buffers hold
  size_t padded_ = 0;
  std::vector<float> x_, normed_, inner_, q_, k_, v_, attended_, gate_, up_, projected_, scales_;
  std::vector<int32_t> sums_, groupSums_;
  Pages quantised_, fourSums_;
  std::vector<std::vector<float>> scratch_;
  std::vector<float> cosines_[2], sines_[2];  // of the global and the local table, [positions][ropeDims / 2]
};

}  // namespace tritsmith
