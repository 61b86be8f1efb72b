/** The forward pass: embedding, layers with KV cache, head. Symbols are those of docs/method.md, 1; layouts are kernels.h's. */
#include "runtime/forward.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/pack.h"
#include "runtime/error.h"

namespace tritsmith {
namespace {

size_t roundUp(size_t value, size_t to) { return (value + to - 1) / to * to; }

void multiply(float* values, float factor, size_t count) {
  if (factor == 1.0f) return;
  for (size_t i = 0; i < count; i++) values[i] *= factor;
}

}  // namespace

Forward::Forward(const Model& model, Pool& pool)
    : model_(model), pool_(pool), kernels_(*model.kernels), scratch_(static_cast<size_t>(pool.threads())) {}

void Forward::reserve(size_t tokens) {
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
  if (model_.layout == Layout::threeOfFourSums) fourSums_ = Pages(fourSumsBytes(tokens, padded_), false);
  capacity_ = tokens;
}

const Forward::Span& Forward::spanOf(size_t token) const {
  size_t index = 0;
  while (token - spans_[index].begin >= spans_[index].count) index++;
  return spans_[index];
}

template <typename Work>
void Forward::perToken(size_t count, const Work& work) {
  if (count == 1) {
    work(size_t{0});
    return;
  }
  pool_.pieces(count, 2, [&](size_t begin, size_t end, int) {
    for (size_t t = begin; t < end; t++) work(t);
  });
}

void Forward::check(const std::vector<Turn>& turns) const {
  const size_t vocabulary = model_.shape.vocabulary;
  for (size_t i = 0; i < turns.size(); i++) {
    const Turn& turn = turns[i];
    const size_t length = turn.conversation->length(), context = turn.conversation->context();
    for (size_t other = 0; other < i; other++)
      if (turns[other].conversation == turn.conversation) throw RuntimeError("bad-input", "A conversation has one turn at a time.");
    if (turn.count > context - length)
      throw RuntimeError("bad-input",
                         std::to_string(length + turn.count) + " tokens don't fit in the context of " + std::to_string(context) + ".",
                         "Shorten the prompt or load the model with a longer context.");
    for (size_t t = 0; t < turn.count; t++)
      if (turn.ids[t] < 0 || static_cast<size_t>(turn.ids[t]) >= vocabulary)
        throw RuntimeError("bad-input",
                           "Token " + std::to_string(turn.ids[t]) + " is outside the vocabulary of " + std::to_string(vocabulary) + ".",
                           "Use the tokenizer that belongs to the model.");
  }
}

void Forward::append(const std::vector<Turn>& turns, float* out) {
  const Shape& s = model_.shape;
  check(turns);
  size_t total = 0, positions = 0;
  for (const Turn& turn : turns) {
    total += turn.count;
    if (turn.count > 0) positions = std::max(positions, turn.conversation->length() + turn.count);
  }
  if (total == 0) return;
  reserve(std::min(total, kTileTokens));
  extendRotations(positions);
  auto turn = turns.begin();
  size_t done = 0;  // tokens of this turn that lie in earlier tiles
  while (turn != turns.end()) {
    spans_.clear();
    tokens_ = 0;
    while (turn != turns.end() && tokens_ < kTileTokens) {
      const size_t count = std::min(turn->count - done, kTileTokens - tokens_);
      if (count > 0) spans_.push_back({&*turn, done, tokens_, count, turn->conversation->length(), 0});
      tokens_ += count;
      done += count;
      if (done < turn->count) break;
      turn++;
      done = 0;
    }
    if (tokens_ == 0) break;
    tile();
    size_t wanted = 0;
    for (const Span& span : spans_) {
      const Turn& of = *span.turn;
      for (size_t t = 0; t < span.count; t++)
        if (span.done + t + of.logits >= of.count) normaliseForHead(span.begin + t, normed_.data() + wanted++ * s.width);
      if (span.done + span.count == of.count) normaliseForHead(span.begin + span.count - 1, of.conversation->remember());
    }
    if (wanted > 0) multiplyHead(normed_.data(), wanted, out);
    out += wanted * s.vocabulary;
  }
}

void Forward::normaliseForHead(size_t token, float* out) const {
  const Shape& s = model_.shape;
  kernels_.rmsNorm(x_.data() + token * s.width, model_.outputNorm, s.normEpsilon, out, s.width);
  multiply(out, s.logitScale, s.width);
}

void Forward::tile() {
  const Shape& s = model_.shape;
  const size_t attentionWidth = s.heads * s.headDim, kvWidth = s.kvHeads * s.headDim, count = tokens_;
  const size_t group = s.heads / s.kvHeads;
  size_t tasks = 0;
  for (Span& span : spans_) {
    span.firstTask = tasks;
    tasks += s.kvHeads * ((span.count * group + 7) / 8);
  }
  attentionTasks_ = tasks;
  perToken(count, [&](size_t t) {
    const Span& span = spanOf(t);
    kernels_.denseRow(model_.embedding, static_cast<size_t>(span.turn->ids[span.done + t - span.begin]), x_.data() + t * s.width);
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
    rotateAndStore(i);
    attention(i);
    apply(attended_.data(), attentionWidth, count, {{&layer.o, projected_.data(), s.width}});
    addProjected(layer.attentionPostNorm);
    apply(normalised(layer.ffnNorm), s.width, count, {{&layer.gate, gate_.data(), s.ffn}, {&layer.up, up_.data(), s.ffn}});
    perToken(count, [&](size_t t) { activate(gate_.data() + t * s.ffn, up_.data() + t * s.ffn, s.ffn); });
    apply(gate_.data(), s.ffn, count, {{&layer.down, projected_.data(), s.width}});
    addProjected(layer.ffnPostNorm);
  }
  for (const Span& span : spans_) span.turn->conversation->grow(span.count);
}

void Forward::apply(const float* in, size_t inStride, size_t count, std::initializer_list<Target> targets) {
  const Target* const begin = targets.begin();
  const size_t total = targets.size();
  for (size_t first = 0; first < total;) {
    size_t last = first + 1;
    while (last < total && begin[last].linear->inputNorm == begin[first].linear->inputNorm) last++;
    applyGroup(in, inStride, count, begin + first, last - first);
    first = last;
  }
}

/** Targets that share the input, its norm and its turn: normalised, turned and quantised once, then all rows of all matrices in one parallel pass. */
void Forward::applyGroup(const float* in, size_t inStride, size_t count, const Target* targets, size_t targetCount) {
  const size_t columns = targets[0].linear->columns();
  const float* const norm = targets[0].linear->inputNorm;
  bool anyTernary = false, anySummed = false;
  QuantisedTokens quantised;
  for (size_t i = 0; i < targetCount; i++) {
    const Linear& linear = *targets[i].linear;
    anyTernary = anyTernary || linear.isTernary;
    anySummed = anySummed || (linear.isTernary && linear.ternary.layout == Layout::threeOfFourSums);
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
  quantised.bits = model_.shape.activationBits;
  quantised.values = reinterpret_cast<int8_t*>(quantised_.data());
  quantised.scales = scales_.data();
  quantised.sums = sums_.data();
  if (anySummed) quantised.fourSums = fourSums_.data();
  const size_t block = targets[0].linear->hadamardBlock;
  const bool changed = norm != nullptr || block > 1;
  const float* const source = changed ? inner_.data() : in;
  const size_t stride = changed ? columns : inStride;
  if (changed || anyTernary)
    perToken(count, [&](size_t t) {
      float* const own = inner_.data() + t * columns;
      if (norm != nullptr) kernels_.rmsNorm(in + t * inStride, norm, model_.shape.normEpsilon, own, columns);
      else if (block > 1) std::copy_n(in + t * inStride, columns, own);
      if (block > 1) kernels_.hadamard(own, columns, block);
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

void Forward::extendRotations(size_t positions) {
  const Shape& s = model_.shape;
  const size_t half = s.ropeDims / 2;
  if (half == 0) return;
  const size_t known = cosines_[0].size() / half;
  if (positions <= known) return;
  // Grow by blocks so that decoding doesn't come here for every token.
  positions = roundUp(positions, 256);
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

void Forward::rotate(float* head, size_t position, RopeTable table) const {
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

void Forward::rotateAndStore(size_t layer) {
  const Shape& s = model_.shape;
  const Layer& weights = model_.layerList[layer];
  const float *queryNorm = weights.queryNorm, *keyNorm = weights.keyNorm;
  perToken(tokens_, [&](size_t t) {
    const Span& span = spanOf(t);
    const size_t position = span.position + t - span.begin;
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
      if (keyNorm != nullptr && !s.wideQueryNorm) kernels_.rmsNorm(key, keyNorm, s.normEpsilon, key, s.headDim);
      rotate(key, position, weights.rope);
      span.turn->conversation->store(layer, h, position, key, v_.data() + (t * s.kvHeads + h) * s.headDim);
    }
  });
}

void Forward::attention(size_t layer) {
  const Shape& s = model_.shape;
  const size_t group = s.heads / s.kvHeads, window = model_.layerList[layer].window;
  // One task: one KV head of one conversation and up to 8 of the queries (token, head of the group) that read it.
  pool_.pieces(attentionTasks_, 1, [&](size_t task, size_t, int thread) {
    size_t index = spans_.size() - 1;
    while (spans_[index].firstTask > task) index--;
    const Span& span = spans_[index];
    const size_t queriesPerHead = span.count * group;
    const size_t tasksPerHead = (queriesPerHead + 7) / 8;
    const size_t h = (task - span.firstTask) / tasksPerHead, first = (task - span.firstTask) % tasksPerHead * 8;
    const size_t queries = std::min<size_t>(8, queriesPerHead - first);
    // The first key of a query, and the whole blocks of keys that all of them pass over.
    const auto firstKey = [&](size_t token) {
      return window == 0 || span.position + token < window ? 0 : span.position + token + 1 - window;
    };
    const size_t passed = firstKey(first / group) / kKeyBlock * kKeyBlock;
    const float* rows[8];
    float* out[8];
    size_t starts[8], lengths[8];
    for (size_t i = 0; i < queries; i++) {
      const size_t token = (first + i) / group, inGroup = (first + i) % group;
      const size_t offset = ((span.begin + token) * s.heads + h * group + inGroup) * s.headDim;
      rows[i] = q_.data() + offset;
      out[i] = attended_.data() + offset;
      starts[i] = firstKey(token) - passed;
      lengths[i] = span.position + token + 1 - passed;
    }
    std::vector<float>& scratch = scratch_[static_cast<size_t>(thread)];
    const size_t need = 8 * roundUp(lengths[queries - 1], kKeyBlock);
    if (scratch.size() < need) scratch.resize(roundUp(need, 8 * 256));
    const Conversation& conversation = *span.turn->conversation;
    kernels_.attend(conversation.head(layer, h, passed), conversation.cache(), rows, starts, lengths, queries, out, scratch.data());
  });
}

void Forward::multiplyHead(const float* in, size_t count, float* out) {
  const DenseMatrix& head = model_.head;
  const size_t threads = static_cast<size_t>(pool_.threads());
  const size_t grain = threads == 1 ? head.rows : roundUp(std::max<size_t>(64, head.rows / (threads * 16)), kDensePanelRows);
  pool_.pieces(head.rows, grain, [&](size_t begin, size_t end, int thread) {
    std::vector<float>& scratch = scratch_[static_cast<size_t>(thread)];
    if (scratch.size() < 8 * head.columns) scratch.resize(8 * head.columns);
    kernels_.multiplyDense(head, begin, end, in, head.columns, count, out + begin, head.rows, scratch.data());
  });
}

void Forward::logits(const std::vector<const Conversation*>& conversations, float* out) {
  if (conversations.empty()) return;
  const size_t width = model_.shape.width;
  std::vector<float> last(conversations.size() * width);
  for (size_t i = 0; i < conversations.size(); i++) std::copy_n(conversations[i]->hidden(), width, last.data() + i * width);
  multiplyHead(last.data(), conversations.size(), out);
}

}  // namespace tritsmith
