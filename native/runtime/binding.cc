/** The runtime's door to JavaScript. Arrays are allocated by the caller; errors carry `code` and `remedy`. */
#include "runtime/binding.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "kernels/pack.h"
#include "runtime/error.h"
#include "runtime/forward.h"
#include "runtime/sampler.h"

namespace tritsmith {
namespace {

/** Runs `work` and turns a RuntimeError into a JavaScript Error with its code and remedy. */
template <typename Work>
auto guarded(Napi::Env env, const Work& work) {
  try {
    return work();
  } catch (const RuntimeError& error) {
    Napi::Error thrown = Napi::Error::New(env, error.what());
    thrown.Set("code", Napi::String::New(env, error.code));
    thrown.Set("remedy", Napi::String::New(env, error.remedy));
    throw thrown;
  } catch (const std::bad_alloc&) {
    Napi::Error thrown = Napi::Error::New(env, "There is not enough memory.");
    thrown.Set("code", Napi::String::New(env, "out-of-memory"));
    thrown.Set("remedy", Napi::String::New(env, "Close other programs, or choose a shorter context."));
    throw thrown;
  }
}

struct Ids {
  const int32_t* data;
  size_t length;
};

Ids idsOf(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    throw Napi::TypeError::New(value.Env(), "Token ids must be an Int32Array.");
  auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.ElementLength()};
}

float* floatsOf(const Napi::CallbackInfo& info, size_t index, size_t length) {
  if (!info[index].IsTypedArray() || info[index].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
    throw Napi::TypeError::New(info.Env(), "Expected a Float32Array.");
  auto array = info[index].As<Napi::Float32Array>();
  if (array.ElementLength() != length)
    throw Napi::RangeError::New(info.Env(), "The array holds " + std::to_string(array.ElementLength()) + " values instead of " +
                                                std::to_string(length) + ".");
  return array.Data();
}

double option(const Napi::Object& options, const char* name, double otherwise, double least, double most) {
  const Napi::Value value = options.Get(name);
  if (value.IsUndefined() || value.IsNull()) return otherwise;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= least && number <= most))
    throw Napi::RangeError::New(options.Env(), std::string(name) + " must be a number from " + std::to_string(least) + " to " +
                                                   std::to_string(most) + ".");
  return number;
}

std::string text(const Napi::Object& options, const char* name, const char* otherwise) {
  const Napi::Value value = options.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : otherwise;
}

const Kernels* kernelsFor(const Napi::Object& options) {
  const std::string name = text(options, "kernel", "");
  const Kernels* const found = selectKernels(name.c_str());
  if (found == nullptr) unsupported("This processor doesn't run the kernel " + name + ".", "Leave the kernel open.");
  return found;
}

/** The layout that is asked for, or `usual`. */
Layout layoutFor(const Napi::Object& options, const Kernels& kernels, Layout usual) {
  const std::string name = text(options, "layout", "auto");
  if (name == "2bit") return Layout::twoBit;
  if (name == "1.6bit") return Layout::fiveTrits;
  if (name == "1.25bit") return isThreeOfFour(kernels.sparseLayout) ? kernels.sparseLayout : Layout::threeOfFour;
  if (name != "auto") throw RuntimeError("bad-input", "The layout " + name + " is unknown.", "Use auto, 2bit, 1.6bit or 1.25bit.");
  return usual;
}

const char* layoutName(Layout layout) {
  return layout == Layout::twoBit ? "2bit" : layout == Layout::fiveTrits ? "1.6bit" : "1.25bit";
}

/** A loaded model and its conversations, each known by a number. The first, 0, is there from the beginning. */
class StudentRuntime : public Napi::ObjectWrap<StudentRuntime> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "StudentRuntime",
                       {InstanceMethod<&StudentRuntime::info>("info"), InstanceMethod<&StudentRuntime::open>("open"),
                        InstanceMethod<&StudentRuntime::append>("append"), InstanceMethod<&StudentRuntime::logits>("logits"),
                        InstanceMethod<&StudentRuntime::sample>("sample"), InstanceMethod<&StudentRuntime::seed>("seed"),
                        InstanceMethod<&StudentRuntime::truncate>("truncate"), InstanceMethod<&StudentRuntime::state>("state"),
                        InstanceMethod<&StudentRuntime::closeConversation>("closeConversation"),
                        InstanceMethod<&StudentRuntime::close>("close")});
  }

  explicit StudentRuntime(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StudentRuntime>(info) {
    if (!info[0].IsString() || !info[1].IsObject()) throw Napi::TypeError::New(info.Env(), "Expected a path and options.");
    const std::string path = info[0].As<Napi::String>().Utf8Value();
    const Napi::Object options = info[1].As<Napi::Object>();
    const int threads = static_cast<int>(option(options, "threads", 1, 1, 256));
    const double context = option(options, "contextLength", 0, 0, 1 << 24);
    const std::string kv = text(options, "kvType", "f16");
    guarded(info.Env(), [&] {
      if (kv != "f32" && kv != "f16" && kv != "int8")
        throw RuntimeError("bad-input", "The KV cache type " + kv + " is unknown.", "Use f32, f16 or int8.");
      LoadOptions load;
      load.kernels = kernelsFor(options);
      load.sparseLayout = layoutFor(options, *load.kernels, load.kernels->sparseLayout);
      load.layout = layoutFor(options, *load.kernels, load.kernels->layout);
      // Weights that need not have three of four can't lie so.
      if (isThreeOfFour(load.layout)) load.layout = load.kernels->layout;
      pool_ = std::make_unique<Pool>(threads);
      model_ = loadModel(std::make_unique<FileMap>(path), load, *pool_);
      context_ = context == 0 ? std::min<size_t>(model_->shape.trainedContext, 4096) : static_cast<size_t>(context);
      cache_ = kv == "int8" ? CacheType::int8 : kv == "f16" ? CacheType::f16 : CacheType::f32;
      forward_ = std::make_unique<Forward>(*model_, *pool_);
      talks_.push_back(std::make_unique<Talk>(*model_, context_, cache_));
    });
  }

 private:
  /** A conversation with what sampling needs of it. */
  struct Talk {
    Talk(const Model& model, size_t context, CacheType cache) : conversation(model, context, cache) {}
    Conversation conversation;
    Sampler sampler{0};
    std::vector<int32_t> recent;
  };

  void checkOpen(Napi::Env env) const {
    if (model_ == nullptr) throw Napi::Error::New(env, "The model is closed.");
  }

  Talk& talk(const Napi::Value& number) {
    checkOpen(number.Env());
    const double index = number.IsNumber() ? number.As<Napi::Number>().DoubleValue() : -1;
    if (!(index >= 0 && index < static_cast<double>(talks_.size())) || talks_[static_cast<size_t>(index)] == nullptr)
      throw Napi::RangeError::New(number.Env(), "There is no such conversation.");
    return *talks_[static_cast<size_t>(index)];
  }

  std::vector<Talk*> talks(const Napi::CallbackInfo& info, size_t index) {
    checkOpen(info.Env());
    const Ids numbers = idsOf(info[index]);
    std::vector<Talk*> found;
    for (size_t i = 0; i < numbers.length; i++) found.push_back(&talk(Napi::Number::New(info.Env(), numbers.data[i])));
    return found;
  }

  static std::vector<const Conversation*> conversations(const std::vector<Talk*>& talks) {
    std::vector<const Conversation*> found;
    for (const Talk* each : talks) found.push_back(&each->conversation);
    return found;
  }

  Napi::Value info(const Napi::CallbackInfo& call) {
    const Napi::Env env = call.Env();
    checkOpen(env);
    const Shape& s = model_->shape;
    Napi::Object out = Napi::Object::New(env);
    const auto set = [&](const char* name, double value) { out.Set(name, Napi::Number::New(env, value)); };
    out.Set("architecture", Napi::String::New(env, s.architecture));
    out.Set("kernel", Napi::String::New(env, model_->kernels->name));
    out.Set("layout", Napi::String::New(env, layoutName(model_->layout)));
    out.Set("tied", Napi::Boolean::New(env, model_->tied));
    set("threads", pool_->threads());
    set("vocabularySize", static_cast<double>(s.vocabulary));
    set("hiddenSize", static_cast<double>(s.width));
    set("layers", static_cast<double>(s.layers));
    set("heads", static_cast<double>(s.heads));
    set("kvHeads", static_cast<double>(s.kvHeads));
    set("headDim", static_cast<double>(s.headDim));
    set("ffnSize", static_cast<double>(s.ffn));
    set("trainedContextLength", static_cast<double>(s.trainedContext));
    set("contextLength", static_cast<double>(context_));
    set("ternaryParameters", static_cast<double>(model_->ternaryParameters));
    set("denseParameters", static_cast<double>(model_->denseParameters));
    set("fileBytes", static_cast<double>(model_->fileBytes));
    set("weightBytes", static_cast<double>(model_->weightBytes + model_->mappedBytes));
    set("bytesPerToken", static_cast<double>(model_->bytesPerToken));
    set("cacheBytesPerToken", static_cast<double>(Conversation::bytesPerToken(s, cache_)));
    set("tileTokens", static_cast<double>(kTileTokens));
    return out;
  }

  /** `open()`: the number of a new conversation. */
  Napi::Value open(const Napi::CallbackInfo& info) {
    checkOpen(info.Env());
    return guarded(info.Env(), [&] {
      size_t number = 0;
      while (number < talks_.size() && talks_[number] != nullptr) number++;
      auto opened = std::make_unique<Talk>(*model_, context_, cache_);
      if (number == talks_.size()) talks_.push_back(std::move(opened));
      else talks_[number] = std::move(opened);
      return Napi::Number::New(info.Env(), static_cast<double>(number));
    });
  }

  /** `append(turns, out?)`: turns of {conversation, ids, logits?}; `out` holds the logits wanted. */
  void append(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    checkOpen(env);
    if (!info[0].IsArray()) throw Napi::TypeError::New(env, "Expected turns.");
    const Napi::Array list = info[0].As<Napi::Array>();
    std::vector<Talk*> at;
    std::vector<Turn> turns;
    size_t wanted = 0;
    for (uint32_t i = 0; i < list.Length(); i++) {
      if (!list.Get(i).IsObject()) throw Napi::TypeError::New(env, "Expected turns.");
      const Napi::Object turn = list.Get(i).As<Napi::Object>();
      const Ids tokens = idsOf(turn.Get("ids"));
      at.push_back(&talk(turn.Get("conversation")));
      const size_t logits = static_cast<size_t>(option(turn, "logits", 0, 0, static_cast<double>(tokens.length)));
      turns.push_back({&at.back()->conversation, tokens.data, tokens.length, logits});
      wanted += logits;
    }
    float* const out = wanted == 0 ? nullptr : floatsOf(info, 1, wanted * model_->shape.vocabulary);
    guarded(env, [&] {
      forward_->append(turns, out);
      for (size_t i = 0; i < turns.size(); i++) at[i]->recent.insert(at[i]->recent.end(), turns[i].ids, turns[i].ids + turns[i].count);
    });
  }

  /** `logits(numbers, out)`: logits of the last token of each conversation. */
  void logits(const Napi::CallbackInfo& info) {
    const std::vector<Talk*> of = talks(info, 0);
    float* const out = floatsOf(info, 1, of.size() * model_->shape.vocabulary);
    guarded(info.Env(), [&] { forward_->logits(conversations(of), out); });
  }

  /** `sample(numbers, settings)`: a token for each conversation, with settings of its own. */
  Napi::Value sample(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const std::vector<Talk*> of = talks(info, 0);
    if (!info[1].IsArray() || info[1].As<Napi::Array>().Length() != of.size()) throw Napi::TypeError::New(env, "Expected sampling options.");
    const Napi::Array list = info[1].As<Napi::Array>();
    std::vector<SamplingSettings> settings(of.size());
    for (uint32_t i = 0; i < list.Length(); i++) {
      if (!list.Get(i).IsObject()) throw Napi::TypeError::New(env, "Expected sampling options.");
      const Napi::Object options = list.Get(i).As<Napi::Object>();
      settings[i].temperature = static_cast<float>(option(options, "temperature", 0, 0, 100));
      settings[i].topK = static_cast<size_t>(option(options, "topK", 0, 0, 1 << 24));
      settings[i].topP = static_cast<float>(option(options, "topP", 1, 0, 1));
      settings[i].repetitionPenalty = static_cast<float>(option(options, "repetitionPenalty", 1, 0.01, 100));
    }
    Napi::Int32Array out = Napi::Int32Array::New(env, of.size());
    return guarded(env, [&] {
      const size_t vocabulary = model_->shape.vocabulary;
      logits_.resize(std::max(logits_.size(), of.size() * vocabulary));
      forward_->logits(conversations(of), logits_.data());
      int32_t* const tokens = out.Data();
      pool_->pieces(of.size(), 1, [&](size_t i, size_t, int) {
        tokens[i] = of[i]->sampler.sample(logits_.data() + i * vocabulary, vocabulary, settings[i], of[i]->recent);
      });
      return out;
    });
  }

  void seed(const Napi::CallbackInfo& info) {
    talk(info[0]).sampler = Sampler(static_cast<uint64_t>(info[1].ToNumber().DoubleValue()));
  }

  void truncate(const Napi::CallbackInfo& info) {
    Talk& of = talk(info[0]);
    const double length = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : -1;
    if (!(length >= 0 && length <= static_cast<double>(of.conversation.length())))
      throw Napi::RangeError::New(info.Env(), "The conversation is shorter than that.");
    guarded(info.Env(), [&] { of.conversation.truncate(static_cast<size_t>(length)); });
    of.recent.resize(static_cast<size_t>(length));
  }

  Napi::Value state(const Napi::CallbackInfo& info) {
    const Conversation& of = talk(info[0]).conversation;
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("length", Napi::Number::New(info.Env(), static_cast<double>(of.length())));
    out.Set("cacheBytes", Napi::Number::New(info.Env(), static_cast<double>(of.cacheBytes())));
    return out;
  }

  void closeConversation(const Napi::CallbackInfo& info) {
    talk(info[0]);
    talks_[info[0].As<Napi::Number>().Uint32Value()].reset();
  }

  void close(const Napi::CallbackInfo&) {
    talks_.clear();
    forward_.reset();
    model_.reset();
    pool_.reset();
  }

  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Forward> forward_;
  size_t context_ = 0;
  CacheType cache_ = CacheType::f16;
  std::vector<std::unique_ptr<Talk>> talks_;  // null: closed, its number is free
  std::vector<float> logits_;
};

/** One ternary matrix, for tests and for the kernel benchmark: exactly the code that the runtime calls. */
class TernaryMatrix : public Napi::ObjectWrap<TernaryMatrix> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TernaryMatrix", {InstanceMethod<&TernaryMatrix::multiply>("multiply"), InstanceMethod<&TernaryMatrix::bytes>("bytes")});
  }

  explicit TernaryMatrix(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TernaryMatrix>(info) {
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_int8_array || !info[1].IsObject())
      throw Napi::TypeError::New(info.Env(), "Expected an Int8Array of weights -1, 0, 1 and options.");
    auto weights = info[0].As<Napi::Int8Array>();
    const Napi::Object options = info[1].As<Napi::Object>();
    const size_t rows = static_cast<size_t>(option(options, "rows", 0, 1, 1 << 24));
    const size_t columns = static_cast<size_t>(option(options, "columns", 0, 1, 1 << 24));
    if (weights.ElementLength() != rows * columns) throw Napi::RangeError::New(info.Env(), "rows * columns is not the number of weights.");
    guarded(info.Env(), [&] {
      kernels_ = kernelsFor(options);
      const float delta = static_cast<float>(option(options, "delta", 1, 0, 3e38));
      const Napi::Value given = options.Get("scales");
      const bool several = given.IsTypedArray() && given.As<Napi::TypedArray>().TypedArrayType() == napi_float32_array;
      const size_t count = several ? given.As<Napi::Float32Array>().ElementLength() : rows;
      const float* const scales = several ? given.As<Napi::Float32Array>().Data() : nullptr;
      const size_t groups = count / rows;
      if (groups == 0 || count % rows != 0 || columns % groups != 0 || (groups > 1 && columns / groups % kGroupColumns != 0))
        throw Napi::RangeError::New(info.Env(), "The scales don't fit the rows and columns.");
      const Layout layout = layoutFor(options, *kernels_, kernels_->layout);
      if (isThreeOfFour(layout)) {
        if (columns % 4 != 0) throw Napi::RangeError::New(info.Env(), "1.25bit needs rows of whole fours.");
        for (size_t k = 0; k < rows * columns; k += 4) {
          int zeros = 0;
          for (size_t i = 0; i < 4; i++) zeros += weights[k + i] == 0;
          if (zeros != 1) throw Napi::RangeError::New(info.Env(), "1.25bit needs exactly one 0 in each four weights.");
        }
      }
      packed_ = planTernary(rows, columns, layout, groups);
      deltas_.resize(packedScales(packed_));
      packScales(packed_, deltas_.data(), [&](size_t group, size_t row) { return scales == nullptr ? delta : scales[row * groups + group]; });
      packed_.scales = deltas_.data();
      bits_ = static_cast<int>(option(options, "bits", 8, 4, 8));
      if (bits_ != 8 && bits_ != 4) throw Napi::RangeError::New(info.Env(), "Inputs have 8 or 4 bits.");
      pool_ = std::make_unique<Pool>(static_cast<int>(option(options, "threads", 1, 1, 256)));
      pages_ = Pages(packedBytes(packed_), true);
      struct Source {
        const int8_t* weights;
        size_t columns;
      } source{weights.Data(), columns};
      packPanels(
          packed_, 0, packed_.panels,
          [](const void* context, size_t r, uint8_t* codes) {
            const auto* const s = static_cast<const Source*>(context);
            for (size_t k = 0; k < s->columns; k++) {
              const int8_t w = s->weights[r * s->columns + k];
              codes[k] = static_cast<uint8_t>(w < 0 ? 0 : w > 0 ? 2 : 1);
            }
          },
          &source, pages_.data());
      packed_.data = pages_.data();
    });
  }

 private:
  void multiply(const Napi::CallbackInfo& info) {
    if (!info[2].IsNumber()) throw Napi::TypeError::New(info.Env(), "Expected the number of tokens.");
    const int64_t tokensNumber = info[2].As<Napi::Number>().Int64Value();
    if (tokensNumber < 1 || tokensNumber > 1 << 20) throw Napi::RangeError::New(info.Env(), "tokens must be from 1 to 2^20.");
    const size_t tokens = static_cast<size_t>(tokensNumber);
    const float* const x = floatsOf(info, 0, tokens * packed_.columns);
    float* const y = floatsOf(info, 1, tokens * packed_.rows);
    QuantisedTokens quantised;
    quantised.tokens = tokens;
    quantised.tile = kernels_->tile;
    quantised.padded = (packed_.columns + kActivationPadding - 1) / kActivationPadding * kActivationPadding;
    if (activations_.size() < tokens * quantised.padded + 64) activations_ = Pages(tokens * quantised.padded + 64, false);
    scales_.resize(tokens);
    sums_.resize(tokens);
    quantised.bits = bits_;
    quantised.values = reinterpret_cast<int8_t*>(activations_.data());
    quantised.scales = scales_.data();
    quantised.sums = sums_.data();
    if (packed_.groups > 1) {
      quantised.groupColumns = sumColumns(packed_);
      groupSums_.resize(packed_.columns / quantised.groupColumns * tokens);
      quantised.groupSums = groupSums_.data();
    }
    if (packed_.layout == Layout::threeOfFourSums) {
      const size_t bytes = fourSumsBytes(tokens, quantised.padded);
      if (fourSums_.size() < bytes) fourSums_ = Pages(bytes, false);
      quantised.fourSums = fourSums_.data();
    }
    kernels_->quantiseTokens(x, packed_.columns, packed_.columns, quantised, 0, tokens);
    pool_->pieces(packed_.panels, std::max<size_t>(1, packed_.panels / (static_cast<size_t>(pool_->threads()) * 8)),
                  [&](size_t begin, size_t end, int) { kernels_->multiplyTernary(packed_, begin, end, quantised, y, packed_.rows); });
  }

  Napi::Value bytes(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(packedBytes(packed_))); }

  const Kernels* kernels_ = nullptr;
  int bits_ = 8;
  PackedTernary packed_;
  std::unique_ptr<Pool> pool_;
  Pages pages_, activations_, fourSums_;
  std::vector<float> scales_, deltas_;
  std::vector<int32_t> sums_, groupSums_;
};

/** `hadamard(x, block, {kernel?})`: turns each block of x in place. */
void hadamardOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array || !info[1].IsNumber() || !info[2].IsObject())
    throw Napi::TypeError::New(info.Env(), "Expected a Float32Array, a block and options.");
  auto x = info[0].As<Napi::Float32Array>();
  const int64_t block = info[1].As<Napi::Number>().Int64Value();
  if (block < 1 || (block & (block - 1)) != 0 || static_cast<int64_t>(x.ElementLength()) % block != 0)
    throw Napi::RangeError::New(info.Env(), "The block must be a power of two that divides the values.");
  guarded(info.Env(), [&] { kernelsFor(info[2].As<Napi::Object>())->hadamard(x.Data(), x.ElementLength(), static_cast<size_t>(block)); });
}

/** Names of the kernels that this processor runs, best first. */
Napi::Value kernels(const Napi::CallbackInfo& info) {
  const Kernels* found[5];
  const size_t count = availableKernels(found);
  Napi::Array names = Napi::Array::New(info.Env(), count);
  for (size_t i = 0; i < count; i++) names.Set(static_cast<uint32_t>(i), Napi::String::New(info.Env(), found[i]->name));
  return names;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/** `measureMachine({threads, kernel?})`: bytes per second of sequential reads from memory, and integer multiply-adds per second. */
Napi::Value measureMachine(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "Expected options.");
  const Napi::Object options = info[0].As<Napi::Object>();
  const int threads = static_cast<int>(option(options, "threads", 1, 1, 256));
  return guarded(info.Env(), [&] {
    const Kernels* const table = kernelsFor(options);
    Pool pool(threads);
    constexpr size_t kBytes = size_t{256} << 20, kPiece = size_t{1} << 20;
    Pages pages(kBytes, true);
    std::memset(pages.data(), 1, kBytes);
    std::atomic<uint64_t> sum{0};
    double bestRead = 1e30, bestPeak = 1e30;
    for (int round = 0; round < 5; round++) {
      const double started = seconds();
      pool.pieces(kBytes, kPiece, [&](size_t begin, size_t end, int) {
        const auto* const words = reinterpret_cast<const uint64_t*>(pages.data());
        uint64_t parts[16] = {0};
        for (size_t i = begin / 8; i < end / 8; i += 16)
          for (size_t k = 0; k < 16; k++) parts[k] ^= words[i + k];
        uint64_t part = 0;
        for (const uint64_t p : parts) part += p;
        sum.fetch_add(part, std::memory_order_relaxed);
      });
      bestRead = std::min(bestRead, seconds() - started);
    }
    std::atomic<uint64_t> products{0};
    for (int round = 0; round < 3; round++) {
      products.store(0);
      const double started = seconds();
      pool.run([&](int, int) { products.fetch_add(table->integerPeak(2000000), std::memory_order_relaxed); });
      bestPeak = std::min(bestPeak, seconds() - started);
    }
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("memoryBandwidthBytesPerSecond", Napi::Number::New(info.Env(), static_cast<double>(kBytes + (sum.load() == 1 ? 1 : 0)) / bestRead));
    out.Set("integerMultiplyAddsPerSecond", Napi::Number::New(info.Env(), static_cast<double>(products.load()) / bestPeak));
    return out;
  });
}

}  // namespace

void exportRuntime(Napi::Env env, Napi::Object exports) {
  exports.Set("StudentRuntime", StudentRuntime::define(env));
  exports.Set("TernaryMatrix", TernaryMatrix::define(env));
  exports.Set("measureMachine", Napi::Function::New(env, measureMachine, "measureMachine"));
  exports.Set("hadamard", Napi::Function::New(env, hadamardOf, "hadamard"));
  exports.Set("kernels", Napi::Function::New(env, kernels, "kernels"));
}

}  // namespace tritsmith
