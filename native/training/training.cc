/** The training functions of native/index.ts: argument checks, fixed partition over threads, one table of vectorised loops. */
#include "training/training.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "products/product.h"
#include "threads/pool.h"
#include "training/elementwise.h"

namespace tritsmith {

const ElementwiseTable& elementwise() {
  static const ElementwiseTable& best = []() -> const ElementwiseTable& {
#if defined(__x86_64__) || defined(_M_X64)
    // The tables are compiled for the same processors as the kernels.
    const Kernels* available[5];
    const size_t count = availableKernels(available);
    for (size_t i = 0; i < count; i++) {
      if (available[i] == &kernelsAvx512Vnni) return elementwiseAvx512;
      if (available[i] == &kernelsAvx2) return elementwiseAvx2;
    }
#endif
    return elementwisePortable;
  }();
  return best;
}

namespace {

/** Partial sums are taken over this many floats each, whatever the number of threads. */
constexpr size_t kPiece = 1 << 15;
static_assert(kPiece % kMomentBlock == 0, "a piece has whole blocks of moments");

/** The threads of the training functions. Never destroyed: its threads may outlive the static destructors of the process. */
struct TrainingThreads {
  std::mutex mutex;
  std::unique_ptr<Pool> pool = std::make_unique<Pool>(1);
};
TrainingThreads& trainingThreads() {
  static TrainingThreads* const threads = new TrainingThreads();
  return *threads;
}

template <typename Work>
void inPieces(size_t count, size_t piece, const Work& work) {
  TrainingThreads& threads = trainingThreads();
  std::lock_guard<std::mutex> lock(threads.mutex);
  threads.pool->pieces(count, piece, [&](size_t begin, size_t end, int) { work(begin, end); });
}

double pieceSum(double (*sum)(const float*, size_t), const float* values, size_t count) {
  std::vector<double> partial((count + kPiece - 1) / kPiece);
  inPieces(count, kPiece, [&](size_t begin, size_t end) { partial[begin / kPiece] = sum(values + begin, end - begin); });
  double total = 0;
  for (const double part : partial) total += part;
  return total;
}

template <typename Element>
struct View {
  Element* data;
  size_t length;
};

View<float> floatArray(Napi::Env env, const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
    throw Napi::TypeError::New(env, std::string(name) + " must be a Float32Array.");
  auto array = value.As<Napi::Float32Array>();
  return {array.Data(), array.ElementLength()};
}

View<float> floats(const Napi::CallbackInfo& info, size_t index, const char* name) { return floatArray(info.Env(), info[index], name); }

View<uint8_t> byteArray(Napi::Env env, const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Napi::TypeError::New(env, std::string(name) + " must be a Uint8Array.");
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ElementLength()};
}

View<int32_t> integers(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const Napi::Value value = info[index];
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be an Int32Array.");
  auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.ElementLength()};
}

View<int8_t> bytes(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const Napi::Value value = info[index];
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int8_array)
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be an Int8Array.");
  auto array = value.As<Napi::Int8Array>();
  return {array.Data(), array.ElementLength()};
}

double number(Napi::Env env, const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) throw Napi::TypeError::New(env, std::string(name) + " must be a number.");
  return value.As<Napi::Number>().DoubleValue();
}

void sameLength(Napi::Env env, const char* name, size_t length, const char* other, size_t expected) {
  if (length != expected)
    throw Napi::RangeError::New(env, std::string(name) + " holds " + std::to_string(length) + " values, " + other + " " +
                                         std::to_string(expected) + ".");
}

enum class Scale { mean, median, deviation, rowLevels };

/** Lower median of the absolute values of many numbers: of the bits that a float's order follows, first the upper half is found, then the lower. */
float lowerMedian(const float* values, size_t count) {
  constexpr size_t kBins = 1 << 16;
  size_t rank = (count - 1) / 2;
  const auto bits = [&](size_t i) { return floatToBits(values[i]) & 0x7fffffffu; };
  const auto binOf = [&](const std::vector<size_t>& bins) {
    size_t bin = 0;
    while (rank >= bins[bin]) rank -= bins[bin++];
    return static_cast<uint32_t>(bin);
  };
  std::vector<size_t> bins(kBins);
  for (size_t i = 0; i < count; i++) bins[bits(i) >> 16]++;
  const uint32_t upper = binOf(bins);
  std::fill(bins.begin(), bins.end(), 0);
  for (size_t i = 0; i < count; i++)
    if (bits(i) >> 16 == upper) bins[bits(i) & 0xffff]++;
  return bitsToFloat(upper << 16 | binOf(bins));
}

/** The same of few numbers, in memory that the caller keeps. */
float lowerMedian(const float* values, size_t count, std::vector<float>& scratch) {
  scratch.resize(count);
  for (size_t i = 0; i < count; i++) scratch[i] = std::fabs(values[i]);
  const auto middle = scratch.begin() + static_cast<std::ptrdiff_t>((count - 1) / 2);
  std::nth_element(scratch.begin(), middle, scratch.end());
  return *middle;
}

/** Written so that NaN comes through: the trainer looks at delta to find a diverged matrix. */
float floored(double size) { return size < 1e-5 ? 1e-5f : static_cast<float>(size); }

/** What `quantiseTernary` of index.ts takes besides the arrays. */
struct TernarySettings {
  View<float> scales;
  Scale scale = Scale::mean;
  /** In place of a formula; null: the formula. */
  const float* learned = nullptr;
  /** Of a row; known where the formula asks for it. */
  size_t columns = 0;
  float share = 1;
  SparseMask mask{nullptr, 0, 0, false};
};

/** Ternary values of weights `from` to `from + count`, which have one scale. */
TernaryCounts quantisePart(const TernarySettings& s, const float* weights, float delta, float* out, size_t from, size_t count) {
  if (s.mask.bits == nullptr) return elementwise().quantise(weights + from, delta, s.share, out + from, count);
  const SparseMask mask{s.mask.bits + from / s.mask.of, s.mask.keep, s.mask.of, s.mask.exact};
  return elementwise().quantiseSparse(weights + from, delta, s.share, mask, out + from, count);
}

/** @param count weights @param one takes the scale where no array is given */
TernarySettings ternarySettings(const Napi::Env env, const Napi::Value& value, float* one, size_t count) {
  TernarySettings settings{{one, 1}};
  if (value.IsUndefined()) return settings;
  if (!value.IsObject()) throw Napi::TypeError::New(env, "settings must be an object.");
  const Napi::Object given = value.As<Napi::Object>();
  if (given.Has("scales") && !given.Get("scales").IsUndefined()) settings.scales = floatArray(env, given.Get("scales"), "scales");
  if (given.Has("scale") && !given.Get("scale").IsUndefined()) {
    const std::string name = given.Get("scale").IsString() ? given.Get("scale").As<Napi::String>().Utf8Value() : "";
    if (name == "absmedian") settings.scale = Scale::median;
    else if (name == "deviation") settings.scale = Scale::deviation;
    else if (name == "row-levels") settings.scale = Scale::rowLevels;
    else if (name != "absmean") throw Napi::RangeError::New(env, "scale must be absmean, absmedian, deviation or row-levels.");
  }
  if (given.Has("learned") && !given.Get("learned").IsUndefined()) {
    const View<float> learned = floatArray(env, given.Get("learned"), "learned");
    sameLength(env, "learned", learned.length, "scales", settings.scales.length);
    settings.learned = learned.data;
  }
  if (given.Has("share") && !given.Get("share").IsUndefined()) {
    const double share = number(env, given.Get("share"), "share");
    if (!(share >= 0 && share <= 1)) throw Napi::RangeError::New(env, "share must lie between 0 and 1.");
    settings.share = static_cast<float>(share);
  }
  if (settings.scale == Scale::deviation) {
    const double columns = number(env, given.Get("columns"), "columns");
    if (!(columns >= 1) || std::fmod(static_cast<double>(count), columns) != 0 || settings.scales.length != 1)
      throw Napi::RangeError::New(env, "deviation is one scale of a matrix with that many columns.");
    settings.columns = static_cast<size_t>(columns);
  }
  if (given.Has("sparsity") && !given.Get("sparsity").IsUndefined()) {
    if (!given.Get("sparsity").IsObject()) throw Napi::TypeError::New(env, "sparsity must be an object.");
    const Napi::Object sparsity = given.Get("sparsity").As<Napi::Object>();
    const double keep = number(env, sparsity.Get("keep"), "keep"), of = number(env, sparsity.Get("of"), "of");
    const View<uint8_t> mask = byteArray(env, sparsity.Get("mask"), "mask");
    if ((of != 4 && of != 8) || !(keep >= 1 && keep < of) || keep != std::floor(keep))
      throw Napi::RangeError::New(env, "sparsity keeps some of 4 or 8 weights.");
    const bool exact = sparsity.Has("exact") && sparsity.Get("exact").ToBoolean().Value();
    if (exact && (of != 4 || keep != 3 || settings.scale != Scale::mean)) throw Napi::RangeError::New(env, "exact is of 3 of 4, with absmean.");
    settings.mask = {mask.data, static_cast<size_t>(keep), static_cast<size_t>(of), exact};
    sameLength(env, "mask times of", mask.length * settings.mask.of, "weights", count);
    if (count / settings.scales.length % settings.mask.of != 0) throw Napi::RangeError::New(env, "The weights of a scale are no whole groups.");
  }
  return settings;
}

/** How many consecutive weights share a scale. */
size_t runOf(const Napi::Env env, const View<float>& weights, const View<float>& scales) {
  if (scales.length == 0 || weights.length % scales.length != 0)
    throw Napi::RangeError::New(env, std::to_string(scales.length) + " scales don't divide " + std::to_string(weights.length) + " weights.");
  return weights.length / scales.length;
}

TernaryCounts& operator+=(TernaryCounts& sum, const TernaryCounts& part) {
  sum.zeros += part.zeros;
  sum.positives += part.positives;
  sum.flips += part.flips;
  sum.masked += part.masked;
  sum.maskFlips += part.maskFlips;
  return sum;
}

/** Mean over the columns of 1 / sqrt(unbiased variance + 1e-8). */
double meanInverseDeviation(const View<float>& weights, size_t columns) {
  const size_t rows = weights.length / columns;
  std::vector<double> inverse(columns);
  inPieces(columns, 64, [&](size_t begin, size_t end) {
    std::vector<double> means(end - begin), squares(end - begin);
    for (size_t row = 0; row < rows; row++)
      for (size_t j = begin; j < end; j++) means[j - begin] += static_cast<double>(weights.data[row * columns + j]) / static_cast<double>(rows);
    for (size_t row = 0; row < rows; row++)
      for (size_t j = begin; j < end; j++) {
        const double apart = static_cast<double>(weights.data[row * columns + j]) - means[j - begin];
        squares[j - begin] += apart * apart;
      }
    const double degrees = rows > 1 ? static_cast<double>(rows - 1) : 1;
    for (size_t j = begin; j < end; j++) inverse[j] = 1 / std::sqrt(squares[j - begin] / degrees + 1e-8);
  });
  double total = 0;
  for (const double each : inverse) total += each;
  return total / static_cast<double>(columns);
}

/** Of each row one of two sizes: mean / 0.7 of the fifth of the rows whose own means are largest, mean / 1.2 of the others. */
std::vector<double> rowLevels(const View<float>& weights, size_t rows) {
  const size_t columns = weights.length / rows;
  std::vector<double> means(rows);
  inPieces(rows, std::max<size_t>(1, kPiece / columns), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++)
      means[row] = elementwise().sumOfAbsolutes(weights.data + row * columns, columns) / static_cast<double>(columns);
  });
  double mean = 0;
  for (const double each : means) mean += each / static_cast<double>(rows);
  std::vector<double> levels(rows, mean);
  // A matrix that diverged keeps its NaN; numbers that are none can't be sorted.
  if (!std::isfinite(mean)) return levels;
  std::vector<double> sorted = means;
  std::sort(sorted.begin(), sorted.end());
  const double place = 0.8 * static_cast<double>(rows - 1);
  const size_t below = static_cast<size_t>(place);
  const double upper = sorted[std::min(below + 1, rows - 1)];
  const double limit = sorted[below] + (upper - sorted[below]) * (place - static_cast<double>(below));
  for (size_t row = 0; row < rows; row++) levels[row] = mean / (means[row] > limit ? 0.7 : 1.2);
  return levels;
}

/** Mean of the absolute values that count for the scale, by the sum `sum` of these. */
double meanOf(const TernarySettings& settings, double sum, size_t count) {
  if (settings.mask.exact) count = count / 4 * 3;
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

/** The size of a whole matrix's weights. */
double wholeSize(const View<float>& weights, const TernarySettings& settings) {
  if (settings.learned != nullptr) return static_cast<double>(settings.learned[0]);
  const size_t count = weights.length;
  const auto sum = settings.mask.exact ? elementwise().sumOfThree : elementwise().sumOfAbsolutes;
  const double size = meanOf(settings, pieceSum(sum, weights.data, count), count);
  if (settings.scale == Scale::median && std::isfinite(size) && count > 0) return static_cast<double>(lowerMedian(weights.data, count));
  if (settings.scale == Scale::deviation) return size / meanInverseDeviation(weights, settings.columns);
  if (settings.scale == Scale::rowLevels && count > 0) return rowLevels(weights, 1)[0];
  return size;
}

/** One scale for all: the pieces are shared out. */
TernaryCounts quantiseWhole(const View<float>& weights, const View<float>& out, const TernarySettings& settings) {
  const size_t count = weights.length;
  const float delta = settings.scales.data[0] = floored(wholeSize(weights, settings));
  std::vector<TernaryCounts> partial((count + kPiece - 1) / kPiece);
  inPieces(count, kPiece, [&](size_t begin, size_t end) {
    partial[begin / kPiece] = quantisePart(settings, weights.data, delta, out.data, begin, end - begin);
  });
  TernaryCounts total{0, 0, 0, 0, 0};
  for (const TernaryCounts& part : partial) total += part;
  return total;
}

/** Several scales: the runs of weights are shared out. */
TernaryCounts quantiseRuns(const View<float>& weights, const View<float>& out, const TernarySettings& settings, size_t run) {
  const size_t grain = std::max<size_t>(1, kPiece / run);
  const auto sum = settings.mask.exact ? elementwise().sumOfThree : elementwise().sumOfAbsolutes;
  const std::vector<double> levels =
      settings.scale == Scale::rowLevels ? rowLevels(weights, settings.scales.length) : std::vector<double>();
  std::vector<TernaryCounts> partial((settings.scales.length + grain - 1) / grain);
  inPieces(settings.scales.length, grain, [&](size_t begin, size_t end) {
    TernaryCounts part{0, 0, 0, 0, 0};
    std::vector<float> scratch;
    for (size_t i = begin; i < end; i++) {
      const float* const values = weights.data + i * run;
      double size = settings.learned != nullptr ? static_cast<double>(settings.learned[i])
                    : levels.empty()            ? meanOf(settings, sum(values, run), run)
                                                : levels[i];
      if (settings.scale == Scale::median && std::isfinite(size)) size = static_cast<double>(lowerMedian(values, run, scratch));
      const float delta = settings.scales.data[i] = halfToFloat(floatToHalf(floored(size)));
      part += quantisePart(settings, weights.data, delta, out.data, i * run, run);
    }
    partial[begin / grain] = part;
  });
  TernaryCounts total{0, 0, 0, 0, 0};
  for (const TernaryCounts& part : partial) total += part;
  return total;
}

Napi::Value quantiseTernary(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const View<float> weights = floats(info, 0, "weights");
  const View<float> out = floats(info, 1, "out");
  sameLength(env, "out", out.length, "weights", weights.length);
  float one = 0;
  const TernarySettings settings = ternarySettings(env, info[2], &one, weights.length);
  const size_t run = runOf(env, weights, settings.scales);
  const TernaryCounts counts =
      settings.scales.length == 1 ? quantiseWhole(weights, out, settings) : quantiseRuns(weights, out, settings, run);
  double sum = 0;
  for (size_t i = 0; i < settings.scales.length; i++) sum += static_cast<double>(settings.scales.data[i]);
  Napi::Object result = Napi::Object::New(env);
  result.Set("delta", Napi::Number::New(env, sum / static_cast<double>(settings.scales.length)));
  result.Set("zeros", Napi::Number::New(env, static_cast<double>(counts.zeros)));
  result.Set("positives", Napi::Number::New(env, static_cast<double>(counts.positives)));
  result.Set("flips", Napi::Number::New(env, static_cast<double>(counts.flips)));
  result.Set("masked", Napi::Number::New(env, static_cast<double>(counts.masked)));
  result.Set("maskFlips", Napi::Number::New(env, static_cast<double>(counts.maskFlips)));
  return result;
}

constexpr size_t kBlock = 8;

/** Transposes 8 x 8 bytes: exchanges bytes, then pairs, then fours, across the diagonal. */
void transposeBytes(uint64_t (&rows)[kBlock]) {
  const uint64_t masks[] = {0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF, 0x00000000FFFFFFFF};
  for (size_t level = 0; level < 3; level++) {
    const size_t apart = size_t{1} << level;
    const unsigned shift = 8u << level;
    for (size_t i = 0; i < kBlock; i++) {
      if ((i & apart) != 0) continue;
      const uint64_t exchanged = ((rows[i] >> shift) ^ rows[i + apart]) & masks[level];
      rows[i + apart] ^= exchanged;
      rows[i] ^= exchanged << shift;
    }
  }
}

void transposeTernary(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const View<float> values = floats(info, 0, "values");
  const double columnsNumber = number(env, info[1], "columns");
  const View<int8_t> out = bytes(info, 2, "out");
  sameLength(env, "out", out.length, "values", values.length);
  if (!(columnsNumber >= 1) || std::fmod(static_cast<double>(values.length), columnsNumber) != 0)
    throw Napi::RangeError::New(env, "values is no whole number of rows of that many columns.");
  const size_t columns = static_cast<size_t>(columnsNumber);
  const size_t rows = values.length / columns;
  // In tiles: both sides are touched in whole cache lines.
  constexpr size_t kTile = 64;
  inPieces(columns, kTile, [&](size_t left, size_t right) {
    int8_t tile[kTile][kTile] = {};
    for (size_t top = 0; top < rows; top += kTile) {
      const size_t height = std::min(kTile, rows - top);
      for (size_t row = 0; row < height; row++) {
        const float* const source = values.data + (top + row) * columns + left;
        for (size_t column = 0; column < right - left; column++)
          tile[row][column] = static_cast<int8_t>((source[column] > 0.5f) - (source[column] < -0.5f));
      }
      for (size_t row = 0; row < height; row += kBlock)
        for (size_t column = 0; column < right - left; column += kBlock) {
          uint64_t block[kBlock];
          for (size_t i = 0; i < kBlock; i++) std::memcpy(&block[i], &tile[row + i][column], kBlock);
          transposeBytes(block);
          const size_t width = std::min(kBlock, right - left - column);
          for (size_t i = 0; i < width; i++)
            std::memcpy(&out.data[(left + column + i) * rows + top + row], &block[i], std::min(kBlock, height - row));
        }
    }
  });
}

/** Weights, their scales and the sharpness of their softened values; `values` are as many. */
struct SoftArguments {
  View<float> weights;
  View<float> values;
  View<float> scales;
  float sharpness;
  size_t run;
};

SoftArguments softArguments(const Napi::CallbackInfo& info, const char* values) {
  const Napi::Env env = info.Env();
  SoftArguments found = {floats(info, 0, "weights"), floats(info, 3, values), floats(info, 1, "scales"),
                         static_cast<float>(number(env, info[2], "sharpness")), 0};
  sameLength(env, values, found.values.length, "weights", found.weights.length);
  found.run = runOf(env, found.weights, found.scales);
  for (size_t i = 0; i < found.scales.length; i++)
    if (!(found.scales.data[i] > 0)) throw Napi::RangeError::New(env, "scales must be above 0.");
  if (!(found.sharpness > 0)) throw Napi::RangeError::New(env, "sharpness must be above 0.");
  return found;
}

/** Calls `loop(first, count, delta)` for every stretch of weights under one scale, side by side. */
template <typename Loop>
void inRuns(const SoftArguments& a, const Loop& loop) {
  inPieces(a.weights.length, kPiece, [&](size_t begin, size_t end) {
    while (begin < end) {
      const size_t count = std::min(end, (begin / a.run + 1) * a.run) - begin;
      loop(begin, count, a.scales.data[begin / a.run]);
      begin += count;
    }
  });
}

void softenTernary(const Napi::CallbackInfo& info) {
  const SoftArguments a = softArguments(info, "out");
  inRuns(a, [&](size_t first, size_t count, float delta) {
    elementwise().soften(a.weights.data + first, delta, a.sharpness, a.values.data + first, count);
  });
}

void chainSoftTernary(const Napi::CallbackInfo& info) {
  const SoftArguments a = softArguments(info, "gradient");
  inRuns(a, [&](size_t first, size_t count, float delta) {
    elementwise().chainSoft(a.weights.data + first, delta, a.sharpness, a.values.data + first, count);
  });
}

void learnedScaleGradient(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const View<float> weights = floats(info, 0, "weights"), scales = floats(info, 1, "scales"), gradient = floats(info, 2, "gradient"),
                    out = floats(info, 3, "out");
  const double share = number(env, info[4], "share"), sharpness = number(env, info[5], "sharpness");
  sameLength(env, "gradient", gradient.length, "weights", weights.length);
  sameLength(env, "out", out.length, "scales", scales.length);
  const size_t run = runOf(env, weights, scales);
  if (!(share >= 0 && share <= 1)) throw Napi::RangeError::New(env, "share must lie between 0 and 1.");
  if (!(sharpness > 0)) throw Napi::RangeError::New(env, "sharpness must be above 0.");
  const float soft = static_cast<float>(sharpness);
  const auto sum = [&](size_t from, size_t count, float delta) {
    const float *const values = weights.data + from, *const slopes = gradient.data + from;
    return std::isinf(sharpness) ? elementwise().scaleGradient(values, slopes, delta, count)
                                 : elementwise().softScaleGradient(values, slopes, delta, soft, count);
  };
  // A run's sums are of its own pieces, one after the other, so neither threads nor other runs change them.
  const size_t perRun = (run + kPiece - 1) / kPiece;
  std::vector<double> partial(scales.length * perRun);
  inPieces(partial.size(), std::max<size_t>(1, kPiece / std::max<size_t>(1, run)), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      const size_t from = i % perRun * kPiece;
      partial[i] = sum(i / perRun * run + from, std::min(kPiece, run - from), scales.data[i / perRun]);
    }
  });
  const double factor = share / std::sqrt(static_cast<double>(weights.length));
  for (size_t i = 0; i < scales.length; i++) {
    double total = 0;
    for (size_t piece = 0; piece < perRun; piece++) total += partial[i * perRun + piece];
    out.data[i] = static_cast<float>(total * factor);
  }
}

void maskWeights(const Napi::CallbackInfo& info) {
  const View<float> values = floats(info, 0, "values");
  const View<uint8_t> mask = byteArray(info.Env(), info[1], "mask");
  if (mask.length == 0 || (values.length != 4 * mask.length && values.length != 8 * mask.length))
    throw Napi::RangeError::New(info.Env(), "A byte of the mask stands for 4 or 8 values.");
  const size_t of = values.length / mask.length;
  inPieces(values.length, kPiece, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
      if ((mask.data[i / of] >> i % of & 1) == 0) values.data[i] = 0;
  });
}

/** Two bits of a ternary value: 0, 1 or 2. */
unsigned codeOf(float value) { return 1u + (value > 0.5f) - (value < -0.5f); }

/** Values and four codes to a byte for them. */
std::pair<View<float>, View<uint8_t>> packedCodes(const Napi::CallbackInfo& info) {
  const View<float> values = floats(info, 0, "values");
  const View<uint8_t> packed = byteArray(info.Env(), info[1], "packed");
  sameLength(info.Env(), "packed", packed.length, "a quarter of values", (values.length + 3) / 4);
  return {values, packed};
}

uint8_t fourCodes(const View<float>& values, size_t byte) {
  unsigned codes = 0;
  for (size_t i = 4 * byte; i < std::min(values.length, 4 * byte + 4); i++) codes |= codeOf(values.data[i]) << 2 * (i % 4);
  return static_cast<uint8_t>(codes);
}

void packTernary(const Napi::CallbackInfo& info) {
  const auto [values, packed] = packedCodes(info);
  inPieces(packed.length, kPiece / 4, [&, &values = values, &packed = packed](size_t begin, size_t end) {
    for (size_t byte = begin; byte < end; byte++) packed.data[byte] = fourCodes(values, byte);
  });
}

Napi::Value countMoved(const Napi::CallbackInfo& info) {
  const auto [values, packed] = packedCodes(info);
  static_assert(kPiece % 4 == 0, "pieces begin at whole bytes");
  std::vector<int64_t> partial((values.length + kPiece - 1) / kPiece);
  inPieces(values.length, kPiece, [&, &values = values, &packed = packed](size_t begin, size_t end) {
    partial[begin / kPiece] = elementwise().moved(values.data + begin, packed.data + begin / 4, end - begin);
  });
  int64_t total = 0;
  for (const int64_t part : partial) total += part;
  return Napi::Number::New(info.Env(), static_cast<double>(total));
}

void keepFreedMemory(const Napi::CallbackInfo&) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
}

void accumulate(const Napi::CallbackInfo& info) {
  const View<float> target = floats(info, 0, "target");
  const View<float> source = floats(info, 1, "source");
  sameLength(info.Env(), "source", source.length, "target", target.length);
  inPieces(target.length, kPiece,
           [&](size_t begin, size_t end) { elementwise().add(target.data + begin, source.data + begin, end - begin); });
}

void roundWithRest(const Napi::CallbackInfo& info) {
  const View<float> values = floats(info, 0, "values");
  const View<float> rest = floats(info, 1, "rest");
  sameLength(info.Env(), "rest", rest.length, "values", values.length);
  inPieces(values.length, kPiece,
           [&](size_t begin, size_t end) { elementwise().roundWithRest(values.data + begin, rest.data + begin, end - begin); });
}

/** Checks a table [V, width], its ids and rows [n, width]; returns width. */
size_t checkRows(Napi::Env env, const View<float>& table, const View<int32_t>& ids, double widthNumber, const View<float>& rows,
                 const char* rowsName) {
  if (!(widthNumber >= 1) || widthNumber > 1e9 || widthNumber != std::floor(widthNumber))
    throw Napi::RangeError::New(env, "width must be a whole number of at least 1.");
  const size_t width = static_cast<size_t>(widthNumber);
  if (table.length % width != 0) throw Napi::RangeError::New(env, "table does not hold a whole number of rows.");
  sameLength(env, rowsName, rows.length, "ids times width", ids.length * width);
  const int64_t count = static_cast<int64_t>(table.length / width);
  for (size_t i = 0; i < ids.length; i++)
    if (ids.data[i] < 0 || ids.data[i] >= count)
      throw Napi::RangeError::New(env, "Id " + std::to_string(ids.data[i]) + " at position " + std::to_string(i) +
                                           " lies outside the table of " + std::to_string(count) + " rows.");
  return width;
}

void gatherRows(const Napi::CallbackInfo& info) {
  const View<float> table = floats(info, 0, "table");
  const View<int32_t> ids = integers(info, 1, "ids");
  const View<float> out = floats(info, 3, "out");
  const size_t width = checkRows(info.Env(), table, ids, number(info.Env(), info[2], "width"), out, "out");
  const size_t grain = std::max<size_t>(1, kPiece / width);
  inPieces(ids.length, grain, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
      std::memcpy(out.data + i * width, table.data + static_cast<size_t>(ids.data[i]) * width, width * sizeof(float));
  });
}

void scatterAddRows(const Napi::CallbackInfo& info) {
  const View<float> table = floats(info, 0, "table");
  const View<int32_t> ids = integers(info, 1, "ids");
  const View<float> rows = floats(info, 3, "rows");
  const float scale = static_cast<float>(number(info.Env(), info[4], "scale"));
  const size_t width = checkRows(info.Env(), table, ids, number(info.Env(), info[2], "width"), rows, "rows");
  // Threads share the columns, so that each element receives its rows in the order of i.
  const size_t columns = std::max<size_t>(64, (width + 15) / 16);
  inPieces(width, columns, [&](size_t begin, size_t end) {
    for (size_t i = 0; i < ids.length; i++)
      elementwise().addScaled(table.data + static_cast<size_t>(ids.data[i]) * width + begin, rows.data + i * width + begin, scale,
                              end - begin);
  });
}

Napi::Value squaredNorm(const Napi::CallbackInfo& info) {
  const View<float> values = floats(info, 0, "values");
  return Napi::Number::New(info.Env(), pieceSum(elementwise().sumOfSquares, values.data, values.length));
}

AdamWScalars adamWScalars(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject()) throw Napi::TypeError::New(env, "settings must be an object.");
  const Napi::Object settings = value.As<Napi::Object>();
  const auto get = [&](const char* name) { return number(env, settings.Get(name), name); };
  const double step = get("step"), learningRate = get("learningRate"), beta1 = get("beta1"), beta2 = get("beta2");
  if (!(step >= 1)) throw Napi::RangeError::New(env, "step starts at 1.");
  AdamWScalars s;
  s.gradientScale = static_cast<float>(get("gradientScale"));
  s.keep = static_cast<float>(1 - learningRate * get("weightDecay"));
  s.beta1 = static_cast<float>(beta1);
  s.oneMinusBeta1 = static_cast<float>(1 - beta1);
  s.beta2 = static_cast<float>(beta2);
  s.oneMinusBeta2 = static_cast<float>(1 - beta2);
  s.rootCorrection2 = static_cast<float>(std::sqrt(1 - std::pow(beta2, step)));
  s.epsilon = static_cast<float>(get("epsilon"));
  s.stepSize = static_cast<float>(learningRate / (1 - std::pow(beta1, step)));
  return s;
}

void adamW(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const View<float> parameters = floats(info, 0, "parameters");
  const View<float> gradients = floats(info, 1, "gradients");
  const View<float> first = floats(info, 2, "firstMoment");
  const View<float> second = floats(info, 3, "secondMoment");
  sameLength(env, "gradients", gradients.length, "parameters", parameters.length);
  sameLength(env, "firstMoment", first.length, "parameters", parameters.length);
  sameLength(env, "secondMoment", second.length, "parameters", parameters.length);
  const AdamWScalars scalars = adamWScalars(env, info[4]);
  inPieces(parameters.length, kPiece, [&](size_t begin, size_t end) {
    elementwise().adamW(parameters.data + begin, gradients.data + begin, first.data + begin, second.data + begin, scalars, end - begin);
  });
}

void adamWBytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const View<float> parameters = floats(info, 0, "parameters");
  const View<float> gradients = floats(info, 1, "gradients");
  if (!info[2].IsObject()) throw Napi::TypeError::New(env, "moments must be an object.");
  const Napi::Object moments = info[2].As<Napi::Object>();
  const View<uint8_t> first = byteArray(env, moments.Get("first"), "first"), second = byteArray(env, moments.Get("second"), "second");
  const View<float> firstScales = floatArray(env, moments.Get("firstScales"), "firstScales");
  const View<float> secondScales = floatArray(env, moments.Get("secondScales"), "secondScales");
  const size_t blocks = (parameters.length + kMomentBlock - 1) / kMomentBlock;
  sameLength(env, "gradients", gradients.length, "parameters", parameters.length);
  sameLength(env, "first", first.length, "whole blocks of parameters", blocks * kMomentBlock);
  sameLength(env, "second", second.length, "whole blocks of parameters", blocks * kMomentBlock);
  sameLength(env, "firstScales", firstScales.length, "blocks", blocks);
  sameLength(env, "secondScales", secondScales.length, "blocks", blocks);
  const AdamWScalars scalars = adamWScalars(env, info[3]);
  const double step = number(env, info[3].As<Napi::Object>().Get("step"), "step"), block = number(env, info[4], "block");
  if (!(block >= 0 && block < 9e15) || block != std::floor(block)) throw Napi::RangeError::New(env, "block must be a whole number from 0 on.");
  inPieces(parameters.length, kPiece, [&](size_t begin, size_t end) {
    const size_t at = begin / kMomentBlock;
    const ByteMoments part{first.data + begin, second.data + begin, firstScales.data + at, secondScales.data + at};
    elementwise().adamWBytes(parameters.data + begin, gradients.data + begin, part, scalars, static_cast<uint64_t>(step),
                             static_cast<uint64_t>(block) + at, end - begin);
  });
}

void multiplyRounded(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const View<float> a = floats(info, 0, "a");
  const View<float> b = floats(info, 1, "b");
  const View<float> out = floats(info, 2, "out");
  if (!info[3].IsObject()) throw Napi::TypeError::New(env, "shape must be an object.");
  const auto shape = info[3].As<Napi::Object>();
  const auto size = [&](const char* name) {
    const double value = number(env, shape.Get(name), name);
    if (!(value >= 1 && value < 1e9) || value != std::floor(value))
      throw Napi::RangeError::New(env, std::string(name) + " must be a whole number from 1 on.");
    return static_cast<size_t>(value);
  };
  const size_t rows = size("rows"), columns = size("columns"), inner = size("inner");
  const auto turned = [&](const char* name) { return shape.Get(name).ToBoolean().Value(); };
  sameLength(env, "a", a.length, "rows * inner", rows * inner);
  sameLength(env, "b", b.length, "inner * columns", inner * columns);
  sameLength(env, "out", out.length, "rows * columns", rows * columns);
  const ProductTable* table = productTables().front();
  if (const Napi::Value wanted = shape.Get("set"); !wanted.IsUndefined()) {
    const std::string name = wanted.ToString();
    table = nullptr;
    for (const ProductTable* each : productTables())
      if (name == each->name) table = each;
    if (table == nullptr) throw Napi::RangeError::New(env, "this processor cannot run " + name + ".");
  }
  const Strided left = turned("turnedA") ? Strided{a.data, 1, rows} : Strided{a.data, inner, 1};
  const Strided right = turned("turnedB") ? Strided{b.data, 1, inner} : Strided{b.data, columns, 1};
  TrainingThreads& threads = trainingThreads();
  std::lock_guard<std::mutex> lock(threads.mutex);
  productOfRounded(*table, *threads.pool, left, right, rows, columns, inner, out.data);
}

Napi::Value productSets(const Napi::CallbackInfo& info) {
  const std::vector<const ProductTable*>& tables = productTables();
  Napi::Array names = Napi::Array::New(info.Env(), tables.size());
  for (uint32_t i = 0; i < tables.size(); i++) names.Set(i, Napi::String::New(info.Env(), tables[i]->name));
  return names;
}

void setThreads(const Napi::CallbackInfo& info) {
  const double count = number(info.Env(), info[0], "threads");
  if (!(count >= 1 && count <= 256) || count != std::floor(count))
    throw Napi::RangeError::New(info.Env(), "threads must be a whole number from 1 to 256.");
  TrainingThreads& threads = trainingThreads();
  std::lock_guard<std::mutex> lock(threads.mutex);
  if (threads.pool->threads() != static_cast<int>(count)) threads.pool = std::make_unique<Pool>(static_cast<int>(count));
}

}  // namespace

void inTrainingPieces(size_t count, size_t piece, const std::function<void(size_t, size_t)>& work) { inPieces(count, piece, work); }

void exportTraining(Napi::Env env, Napi::Object exports) {
  exports.Set("quantiseTernary", Napi::Function::New(env, quantiseTernary, "quantiseTernary"));
  exports.Set("keepFreedMemory", Napi::Function::New(env, keepFreedMemory, "keepFreedMemory"));
  exports.Set("transposeTernary", Napi::Function::New(env, transposeTernary, "transposeTernary"));
  exports.Set("softenTernary", Napi::Function::New(env, softenTernary, "softenTernary"));
  exports.Set("chainSoftTernary", Napi::Function::New(env, chainSoftTernary, "chainSoftTernary"));
  exports.Set("learnedScaleGradient", Napi::Function::New(env, learnedScaleGradient, "learnedScaleGradient"));
  exports.Set("maskWeights", Napi::Function::New(env, maskWeights, "maskWeights"));
  exports.Set("packTernary", Napi::Function::New(env, packTernary, "packTernary"));
  exports.Set("countMoved", Napi::Function::New(env, countMoved, "countMoved"));
  exports.Set("accumulate", Napi::Function::New(env, accumulate, "accumulate"));
  exports.Set("roundWithRest", Napi::Function::New(env, roundWithRest, "roundWithRest"));
  exports.Set("gatherRows", Napi::Function::New(env, gatherRows, "gatherRows"));
  exports.Set("scatterAddRows", Napi::Function::New(env, scatterAddRows, "scatterAddRows"));
  exports.Set("squaredNorm", Napi::Function::New(env, squaredNorm, "squaredNorm"));
  exports.Set("adamW", Napi::Function::New(env, adamW, "adamW"));
  exports.Set("adamWBytes", Napi::Function::New(env, adamWBytes, "adamWBytes"));
  exports.Set("multiplyRounded", Napi::Function::New(env, multiplyRounded, "multiplyRounded"));
  exports.Set("productSets", Napi::Function::New(env, productSets, "productSets"));
  exports.Set("setThreads", Napi::Function::New(env, setThreads, "setThreads"));
}

}  // namespace tritsmith
