/** The forward pass: embedding, layers with KV cache, head. Symbols are those of docs/method.md, 1; layouts are kernels.h's. */
#include "runtime/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/pack.h"
#include "kernels/scalar.h"
#include "runtime/error.h"

namespace tritsmith {
namespace {

/** Most tokens of one prefill tile: four tiles of the widest kernel. Their activations stay in the second-level cache. */
constexpr size_t kTileTokens = 48;

size_t roundUp(size_t value, size_t to) { return (value + to - 1) / to * to; }

void multiply(float* values, float factor, size_t count) {
  if (factor == 1.0f) return;
  for (size_t i = 0; i < count; i++) values[i] *= factor;
}

}  // namespace

Session::Session(const Model& model, Pool& pool, size_t context, CacheType cache)
    : model_(model),
      pool_(pool),
      kernels_(*model.kernels),
      context_(context),
      cache_(cache),
      int8_(cache == CacheType::int8),
      element_(int8_ ? 1 : cache == CacheType::f16 ? 2 : 4),
      scratch_(static_cast<size_t>(pool.threads())) {
  const Shape& s = model.shape;
  const double bytes = 2.0 * static_cast<double>(roundUp(context, kKeyBlock)) * static_cast<double>(s.kvHeads * s.headDim) *
                       static_cast<double>(s.layers) * static_cast<double>(element_);
  if (context == 0 || bytes > 1e12)
    throw RuntimeError("bad-input", "A context of " + std::to_string(context) + " tokens is impossible.", "Choose a shorter one.");
  tokensPerHead_ = roundUp(context, kKeyBlock);
  const size_t heads = s.layers * s.kvHeads;
  keys_ = Pages(heads * tokensPerHead_ * s.headDim * element_, false);
  values_ = Pages(heads * tokensPerHead_ * s.headDim * element_, false);
  if (int8_) {
    keyScales_ = Pages(heads * tokensPerHead_ * sizeof(float), false);
    valueScales_ = Pages(heads * tokensPerHead_ * sizeof(float), false);
  }
  hidden_.resize(s.width);
}

size_t Session::cacheBytes() const {
  const Shape& s = model_.shape;
  const size_t perToken = 2 * s.layers * s.kvHeads * (s.headDim * element_ + (int8_ ? sizeof(float) : 0));
  return perToken * length_;
}

void Session::truncate(size_t length) {
  if (length > length_) throw RuntimeError("bad-input", "The session is shorter than that.");
  length_ = length;
  hasHidden_ = false;
}

void Session::reserve(size_t tokens) {
  if (tokens <= capacity_) return;
  const Shape& s = model_.shape;
  const size_t attentionWidth = s.heads * s.headDim, kvWidth = s.kvHeads * s.headDim;
  const size_t widest = std::max({s.width, attentionWidth, s.ffn});
  padded_ = roundUp(widest, kActivationPadding);
  for (auto* buffer : {&x_, &normed_, &projected_}) buffer->resize(tokens * s.width);
  inner_.resize(tokens * widest);
  q_.resize(tokens * attentionWidth);
  attended_.resize(tokens * attentionWidth);
  k_.resize(tokens * kvWidth);
  v_.resize(tokens * kvWidth);
  gate_.resize(tokens * s.ffn);
  up_.resize(tokens * s.ffn);
  scales_.resize(tokens);
  sums_.resize(tokens);
  quantised_ = Pages(tokens * padded_ + 64, false);
  capacity_ = tokens;
}

template <typename Work>
void Session::perToken(size_t count, const Work& work) {
  if (count == 1) {
    work(size_t{0});
    return;
  }
  pool_.pieces(count, 2, [&](size_t begin, size_t end, int) {
    for (size_t t = begin; t < end; t++) work(t);
  });
}

void Session::append(const int32_t* ids, size_t count, float* eachLogits) {
  const Shape& s = model_.shape;
  if (count == 0) return;
  if (count > context_ - length_)
    throw RuntimeError("bad-input",
                       std::to_string(length_ + count) + " tokens don't fit in the context of " + std::to_string(context_) + ".",
                       "Shorten the prompt or load the model with a longer context.");
  for (size_t i = 0; i < count; i++)
    if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= s.vocabulary)
      throw RuntimeError("bad-input", "Token " + std::to_string(ids[i]) + " is outside the vocabulary of " + std::to_string(s.vocabulary) + ".",
                         "Use the tokenizer that belongs to the model.");
  const size_t size = std::min(count, kTileTokens);
  reserve(size);
  extendRotations(length_ + count);
  for (size_t begin = 0; begin < count; begin += size) {
    const size_t tokens = std::min(size, count - begin);
    tile(ids + begin, tokens);
    if (eachLogits != nullptr) {
      for (size_t t = 0; t < tokens; t++) {
        float* const out = normed_.data() + t * s.width;
        kernels_.rmsNorm(x_.data() + t * s.width, model_.outputNorm, s.normEpsilon, out, s.width);
        multiply(out, s.logitScale, s.width);
      }
      multiplyHead(normed_.data(), tokens, eachLogits + begin * s.vocabulary);
    }
    if (begin + tokens == count) {
      kernels_.rmsNorm(x_.data() + (tokens - 1) * s.width, model_.outputNorm, s.normEpsilon, hidden_.data(), s.width);
      multiply(hidden_.data(), s.logitScale, s.width);
    }
  }
  hasHidden_ = true;
}

void Session::tile(const int32_t* ids, size_t count) {
  const Shape& s = model_.shape;
  const size_t attentionWidth = s.heads * s.headDim, kvWidth = s.kvHeads * s.headDim;
  perToken(count, [&](size_t t) {
    kernels_.denseRow(model_.embedding, static_cast<size_t>(ids[t]), x_.data() + t * s.width);
    multiply(x_.data() + t * s.width, s.embeddingScale, s.width);
  });
  // What the projections of a layer read: the hidden state, normalised where the family has a norm there.
  const auto normalised = [&](const float* weight) -> const float* {
    if (weight == nullptr) return x_.data();
    perToken(count, [&](size_t t) { kernels_.rmsNorm(x_.data() + t * s.width, weight, s.normEpsilon, normed_.data() + t * s.width, s.width); });
    return normed_.data();
  };
  const auto addProjected = [&](const float* postNorm) {
    perToken(count, [&](size_t t) {
      float* const added = projected_.data() + t * s.width;
      if (postNorm != nullptr) kernels_.rmsNorm(added, postNorm, s.normEpsilon, added, s.width);
      multiply(added, s.residualScale, s.width);
      kernels_.add(x_.data() + t * s.width, added, s.width);
    });
  };
  const auto activate = s.activation == Activation::silu          ? kernels_.siluMultiply
                        : s.activation == Activation::reluSquared ? kernels_.reluSquaredMultiply
                                                                  : kernels_.geluMultiply;
  for (size_t i = 0; i < s.layers; i++) {
    const Layer& layer = model_.layerList[i];
    apply(normalised(layer.attentionNorm), s.width, count,
          {{&layer.q, q_.data(), attentionWidth}, {&layer.k, k_.data(), kvWidth}, {&layer.v, v_.data(), kvWidth}});
    rotateAndStore(i, count);
    attention(i, count);
    apply(attended_.data(), attentionWidth, count, {{&layer.o, projected_.data(), s.width}});
    addProjected(layer.attentionPostNorm);
    apply(normalised(layer.ffnNorm), s.width, count, {{&layer.gate, gate_.data(), s.ffn}, {&layer.up, up_.data(), s.ffn}});
    perToken(count, [&](size_t t) { activate(gate_.data() + t * s.ffn, up_.data() + t * s.ffn, s.ffn); });
    apply(gate_.data(), s.ffn, count, {{&layer.down, projected_.data(), s.width}});
    addProjected(layer.ffnPostNorm);
  }
  length_ += count;
}

void Session::apply(const float* in, size_t inStride, size_t count, std::initializer_list<Target> targets) {
  const Target* const begin = targets.begin();
  const size_t total = targets.size();
  for (size_t first = 0; first < total;) {
    size_t last = first + 1;
    while (last < total && begin[last].linear->inputNorm == begin[first].linear->inputNorm) last++;
    applyGroup(in, inStride, count, begin + first, last - first);
    first = last;
  }
}

/** Targets that share the input and its norm: normalised and quantised once, then all rows of all matrices in one parallel pass. */
void Session::applyGroup(const float* in, size_t inStride, size_t count, const Target* targets, size_t targetCount) {
  const size_t columns = targets[0].linear->columns();
  const float* const norm = targets[0].linear->inputNorm;
  bool anyTernary = false;
  QuantisedTokens quantised;
  for (size_t i = 0; i < targetCount; i++) {
    const Linear& linear = *targets[i].linear;
    anyTernary = anyTernary || linear.isTernary;
    if (!linear.isTernary || linear.ternary.groups == 1) continue;
    const size_t run = sumColumns(linear.ternary);
    quantised.groupColumns = quantised.groupColumns == 0 ? run : std::min(quantised.groupColumns, run);
  }
  if (quantised.groupColumns > 0) {
    groupSums_.resize(std::max(groupSums_.size(), columns / quantised.groupColumns * count));
    quantised.groupSums = groupSums_.data();
  }
  quantised.tokens = count;
  quantised.tile = kernels_.tile;
  quantised.padded = roundUp(columns, kActivationPadding);
  quantised.values = reinterpret_cast<int8_t*>(quantised_.data());
  quantised.scales = scales_.data();
  quantised.sums = sums_.data();
  const float* const source = norm == nullptr ? in : inner_.data();
  const size_t stride = norm == nullptr ? inStride : columns;
  if (norm != nullptr || anyTernary)
    perToken(count, [&](size_t t) {
      if (norm != nullptr) kernels_.rmsNorm(in + t * inStride, norm, model_.shape.normEpsilon, inner_.data() + t * columns, columns);
      if (anyTernary) kernels_.quantiseTokens(source, stride, columns, quantised, t, t + 1);
    });

  // A unit is one panel of 32 rows of one of the matrices.
  size_t units = 0;
  for (size_t i = 0; i < targetCount; i++) units += (targets[i].linear->rows() + kPanelRows - 1) / kPanelRows;
  const size_t grain = std::max<size_t>(1, units / (static_cast<size_t>(pool_.threads()) * 8));
  pool_.pieces(units, pool_.threads() == 1 ? units : grain, [&](size_t begin, size_t end, int thread) {
    for (size_t i = 0; i < targetCount && begin < end; i++) {
      const Linear& linear = *targets[i].linear;
      const size_t panels = (linear.rows() + kPanelRows - 1) / kPanelRows;
      if (begin < panels) {
        const size_t stop = std::min(end, panels);
        const size_t firstRow = begin * kPanelRows, lastRow = std::min(stop * kPanelRows, linear.rows());
        float* const out = targets[i].out;
        if (linear.isTernary) {
          kernels_.multiplyTernary(linear.ternary, begin, stop, quantised, out, targets[i].stride);
        } else {
          std::vector<float>& scratch = scratch_[static_cast<size_t>(thread)];
          if (scratch.size() < 8 * columns) scratch.resize(8 * columns);
          kernels_.multiplyDense(linear.dense, firstRow, lastRow, source, stride, count, out + firstRow, targets[i].stride, scratch.data());
        }
        if (linear.bias != nullptr)
          for (size_t t = 0; t < count; t++)
            kernels_.add(out + t * targets[i].stride + firstRow, linear.bias + firstRow, lastRow - firstRow);
        begin = stop;
      }
      begin -= panels < begin ? panels : begin;
      end -= panels < end ? panels : end;
    }
  });
}

void Session::extendRotations(size_t positions) {
  const Shape& s = model_.shape;
  const size_t half = s.ropeDims / 2;
  if (half == 0) return;
  const size_t known = cosines_[0].size() / half;
  if (positions <= known) return;
  // Grow by blocks so that decoding doesn't come here for every token.
  positions = std::min(roundUp(positions, 256), context_);
  for (size_t table = 0; table < 2; table++) {
    const bool global = table == 0;
    const double base = static_cast<double>(global ? s.ropeBase : s.localRopeBase);
    const double scale = global ? static_cast<double>(s.ropeScale) : 1.0, magnitude = global ? static_cast<double>(s.ropeMagnitude) : 1.0;
    cosines_[table].resize(positions * half);
    sines_[table].resize(positions * half);
    for (size_t position = known; position < positions; position++)
      for (size_t i = 0; i < half; i++) {
        const double factor = !global || model_.ropeFactors == nullptr ? 1.0 : static_cast<double>(model_.ropeFactors[i]);
        const double frequency = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(s.ropeDims)) / factor;
        const double angle = static_cast<double>(position) / scale * frequency;
        cosines_[table][position * half + i] = static_cast<float>(magnitude * std::cos(angle));
        sines_[table][position * half + i] = static_cast<float>(magnitude * std::sin(angle));
      }
  }
}

void Session::rotate(float* head, size_t position, RopeTable table) const {
  if (table == RopeTable::none) return;
  const size_t half = model_.shape.ropeDims / 2, which = table == RopeTable::global ? 0 : 1;
  const float* const cosine = cosines_[which].data() + position * half;
  const float* const sine = sines_[which].data() + position * half;
  if (model_.shape.rope == RopeStyle::halves) {
    float* const other = head + half;
    for (size_t i = 0; i < half; i++) {
      const float a = head[i], b = other[i];
      head[i] = a * cosine[i] - b * sine[i];
      other[i] = b * cosine[i] + a * sine[i];
    }
  } else {
    for (size_t i = 0; i < half; i++) {
      const float a = head[2 * i], b = head[2 * i + 1];
      head[2 * i] = a * cosine[i] - b * sine[i];
      head[2 * i + 1] = b * cosine[i] + a * sine[i];
    }
  }
}

void Session::rotateAndStore(size_t layer, size_t count) {
  const Shape& s = model_.shape;
  const Layer& weights = model_.layerList[layer];
  const float *queryNorm = weights.queryNorm, *keyNorm = weights.keyNorm;
  // Tokens of one block of 16 write into the same cache lines, so a thread takes whole rows of one head of them; rows are cheap either way.
  perToken(count, [&](size_t t) {
    const size_t position = length_ + t;
    if (s.wideQueryNorm) {
      const size_t queryWidth = s.heads * s.headDim, keyWidth = s.kvHeads * s.headDim;
      kernels_.rmsNorm(q_.data() + t * queryWidth, queryNorm, s.normEpsilon, q_.data() + t * queryWidth, queryWidth);
      kernels_.rmsNorm(k_.data() + t * keyWidth, keyNorm, s.normEpsilon, k_.data() + t * keyWidth, keyWidth);
    }
    for (size_t h = 0; h < s.heads; h++) {
      float* const head = q_.data() + (t * s.heads + h) * s.headDim;
      if (queryNorm != nullptr && !s.wideQueryNorm) kernels_.rmsNorm(head, queryNorm, s.normEpsilon, head, s.headDim);
      rotate(head, position, weights.rope);
      for (size_t d = 0; d < s.headDim; d++) head[d] *= s.attentionScale;
    }
    for (size_t h = 0; h < s.kvHeads; h++) {
      float* const key = k_.data() + (t * s.kvHeads + h) * s.headDim;
      const float* const value = v_.data() + (t * s.kvHeads + h) * s.headDim;
      if (keyNorm != nullptr && !s.wideQueryNorm) kernels_.rmsNorm(key, keyNorm, s.normEpsilon, key, s.headDim);
      rotate(key, position, weights.rope);
      const size_t headStart = (layer * s.kvHeads + h) * tokensPerHead_;
      const size_t keyAt = (headStart + position / kKeyBlock * kKeyBlock) * s.headDim + position % kKeyBlock;
      const size_t valueAt = (headStart + position) * s.headDim;
      if (cache_ == CacheType::f32) {
        float* const keyOut = reinterpret_cast<float*>(keys_.data()) + keyAt;
        for (size_t d = 0; d < s.headDim; d++) keyOut[d * kKeyBlock] = key[d];
        std::memcpy(reinterpret_cast<float*>(values_.data()) + valueAt, value, s.headDim * sizeof(float));
        continue;
      }
      if (cache_ == CacheType::f16) {
        uint16_t* const keyOut = reinterpret_cast<uint16_t*>(keys_.data()) + keyAt;
        uint16_t halves[64];
        for (size_t base = 0; base < s.headDim; base += 64) {
          const size_t run = std::min<size_t>(64, s.headDim - base);
          kernels_.floatToHalf(key + base, halves, run);
          for (size_t d = 0; d < run; d++) keyOut[(base + d) * kKeyBlock] = halves[d];
        }
        kernels_.floatToHalf(value, reinterpret_cast<uint16_t*>(values_.data()) + valueAt, s.headDim);
        continue;
      }
      const auto quantise = [&](const float* in, int8_t* out, size_t step, float* scaleOut) {
        float largest = 1e-10f;
        for (size_t d = 0; d < s.headDim; d++) largest = std::max(largest, std::fabs(in[d]));
        const float inverse = 127.0f / largest;
        for (size_t d = 0; d < s.headDim; d++) out[d * step] = static_cast<int8_t>(std::nearbyint(std::min(std::max(in[d] * inverse, -127.0f), 127.0f)));
        *scaleOut = largest / 127.0f;
      };
      const size_t scaleAt = headStart + position;
      quantise(key, reinterpret_cast<int8_t*>(keys_.data()) + keyAt, kKeyBlock, reinterpret_cast<float*>(keyScales_.data()) + scaleAt);
      quantise(value, reinterpret_cast<int8_t*>(values_.data()) + valueAt, 1, reinterpret_cast<float*>(valueScales_.data()) + scaleAt);
    }
  });
}

void Session::attention(size_t layer, size_t count) {
  const Shape& s = model_.shape;
  const size_t group = s.heads / s.kvHeads, window = model_.layerList[layer].window;
  // One task: one KV head and up to 8 of the queries (token, head of the group) that read it.
  const size_t queriesPerHead = count * group;
  const size_t tasksPerHead = (queriesPerHead + 7) / 8;
  pool_.pieces(s.kvHeads * tasksPerHead, 1, [&](size_t task, size_t, int thread) {
    const size_t h = task / tasksPerHead, first = task % tasksPerHead * 8;
    const size_t queries = std::min<size_t>(8, queriesPerHead - first);
    // The first key of a query, and the whole blocks of keys that all of them pass over.
    const auto firstKey = [&](size_t token) { return window == 0 || length_ + token < window ? 0 : length_ + token + 1 - window; };
    const size_t passed = firstKey(first / group) / kKeyBlock * kKeyBlock;
    AttentionHead head;
    const size_t headStart = (layer * s.kvHeads + h) * tokensPerHead_ + passed;
    head.keys = keys_.data() + headStart * s.headDim * element_;
    head.values = values_.data() + headStart * s.headDim * element_;
    head.keyScales = int8_ ? reinterpret_cast<const float*>(keyScales_.data()) + headStart : nullptr;
    head.valueScales = int8_ ? reinterpret_cast<const float*>(valueScales_.data()) + headStart : nullptr;
    head.headDim = s.headDim;
    const float* rows[8];
    float* out[8];
    size_t starts[8], lengths[8];
    for (size_t i = 0; i < queries; i++) {
      const size_t token = (first + i) / group, inGroup = (first + i) % group;
      const size_t offset = (token * s.heads + h * group + inGroup) * s.headDim;
      rows[i] = q_.data() + offset;
      out[i] = attended_.data() + offset;
      starts[i] = firstKey(token) - passed;
      lengths[i] = length_ + token + 1 - passed;
    }
    std::vector<float>& scratch = scratch_[static_cast<size_t>(thread)];
    const size_t need = 8 * roundUp(lengths[queries - 1], kKeyBlock);
    if (scratch.size() < need) scratch.resize(roundUp(need, 8 * 256));
    kernels_.attend(head, cache_, rows, starts, lengths, queries, out, scratch.data());
  });
}

void Session::multiplyHead(const float* in, size_t count, float* out) {
  const DenseMatrix& head = model_.head;
  const size_t threads = static_cast<size_t>(pool_.threads());
  const size_t grain = threads == 1 ? head.rows : roundUp(std::max<size_t>(64, head.rows / (threads * 16)), kDensePanelRows);
  pool_.pieces(head.rows, grain, [&](size_t begin, size_t end, int thread) {
    std::vector<float>& scratch = scratch_[static_cast<size_t>(thread)];
    if (scratch.size() < 8 * head.columns) scratch.resize(8 * head.columns);
    kernels_.multiplyDense(head, begin, end, in, head.columns, count, out + begin, head.rows, scratch.data());
  });
}

void Session::logits(float* out) {
  if (!hasHidden_) throw RuntimeError("bad-input", "There are no logits before the first token.");
  multiplyHead(hidden_.data(), 1, out);
}

}  // namespace tritsmith
