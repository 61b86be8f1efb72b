/** The calibration functions of native/index.ts (docs/method.md, 3.2), in double. Rows and columns are shared out to threads, never sums: any number of threads gives the same bits. */
#include "training/calibration.h"

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "training/training.h"

namespace tritsmith {
namespace {

struct Matrix {
  double* data;
  size_t size;
  double* row(size_t i) const { return data + i * size; }
};

template <typename Element, typename Array>
Element* arrayOf(Napi::Env env, const Napi::Value& value, napi_typedarray_type type, const char* name, size_t* length) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    throw Napi::TypeError::New(env, std::string(name) + " is no array of the right type.");
  *length = value.As<Napi::TypedArray>().ElementLength();
  return value.As<Array>().Data();
}

double* doubles(const Napi::CallbackInfo& info, size_t index, const char* name, size_t* length) {
  return arrayOf<double, Napi::Float64Array>(info.Env(), info[index], napi_float64_array, name, length);
}

float* floats(const Napi::CallbackInfo& info, size_t index, const char* name, size_t* length) {
  return arrayOf<float, Napi::Float32Array>(info.Env(), info[index], napi_float32_array, name, length);
}

[[noreturn]] void refuse(Napi::Env env, const char* problem) { throw Napi::RangeError::New(env, problem); }

/** A square matrix argument. */
Matrix square(const Napi::CallbackInfo& info, size_t index, const char* name) {
  size_t length = 0;
  double* const data = doubles(info, index, name, &length);
  const size_t size = static_cast<size_t>(std::llround(std::sqrt(static_cast<double>(length))));
  if (size == 0 || size * size != length) refuse(info.Env(), "A square matrix is needed.");
  return {data, size};
}

/** Sum of products in eight partial sums, which compilers turn into vectors without changing a bit. */
double dot(const double* a, const double* b, size_t count) {
  double part[8] = {};
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (size_t lane = 0; lane < 8; lane++) part[lane] += a[i + lane] * b[i + lane];
  for (size_t lane = 0; i < count; i++, lane++) part[lane] += a[i] * b[i];
  return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

void accumulateMoments(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  size_t values = 0, width = 0;
  const float* const inputs = floats(info, 0, "inputs", &values);
  const Matrix hessian = square(info, 1, "hessian");
  double* const sizes = doubles(info, 2, "sizes", &width);
  if (width != hessian.size || values % width != 0) refuse(env, "inputs, hessian and sizes do not fit together.");
  const size_t rows = values / width;
  inTrainingPieces(width, 8, [&](size_t begin, size_t end) {
    for (size_t r = 0; r < rows; r++) {
      const float* const x = inputs + r * width;
      for (size_t i = begin; i < end; i++) {
        const double own = x[i];
        sizes[i] += std::fabs(own);
        double* const sums = hessian.row(i);
        for (size_t j = i; j < width; j++) sums[j] += own * x[j];
      }
    }
  });
}

/** Turns the upper triangle of a symmetric H into the upper triangular R with R R' = H. @returns false where H is not positive definite */
bool decompose(const Matrix& h) {
  for (size_t j = h.size; j-- > 0;) {
    const size_t after = h.size - j - 1;
    double* const own = h.row(j);
    const double left = own[j] - dot(own + j + 1, own + j + 1, after);
    if (!(left > 0)) return false;
    own[j] = std::sqrt(left);
    inTrainingPieces(j, 32, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; i++) h.row(i)[j] = (h.row(i)[j] - dot(h.row(i) + j + 1, own + j + 1, after)) / own[j];
    });
  }
  return true;
}

/** Writes the inverse of an upper triangular matrix into `out`, zeros below its diagonal included. */
void invert(const Matrix& r, const Matrix& out) {
  constexpr size_t kColumns = 64;
  inTrainingPieces(r.size, kColumns, [&](size_t begin, size_t end) {
    const size_t count = end - begin;
    double sums[kColumns];
    for (size_t i = end; i < r.size; i++)
      for (size_t j = begin; j < end; j++) out.row(i)[j] = 0;
    for (size_t i = end; i-- > 0;) {
      for (size_t j = 0; j < count; j++) sums[j] = begin + j == i ? 1 : 0;
      for (size_t k = i + 1; k < end; k++) {
        const double factor = r.row(i)[k];
        const double* const below = out.row(k) + begin;
        for (size_t j = 0; j < count; j++) sums[j] -= factor * below[j];
      }
      for (size_t j = 0; j < count; j++) out.row(i)[begin + j] = sums[j] / r.row(i)[i];
    }
  });
}

void inverseFactor(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Matrix hessian = square(info, 0, "hessian");
  const Matrix out = square(info, 2, "out");
  if (!info[1].IsNumber()) throw Napi::TypeError::New(env, "damping must be a number.");
  const double damping = info[1].As<Napi::Number>().DoubleValue();
  const size_t size = hessian.size;
  if (out.size != size || !(damping > 0)) refuse(env, "hessian, damping and out do not fit together.");
  double mean = 0;
  for (size_t i = 0; i < size; i++) mean += hessian.row(i)[i];
  mean /= static_cast<double>(size);
  std::vector<double> copy(hessian.data, hessian.data + size * size);
  const Matrix damped{copy.data(), size};
  // Inputs that were 0 throughout say nothing: any step towards the mean serves then.
  for (size_t i = 0; i < size; i++) damped.row(i)[i] += mean > 0 ? damping * mean : 1;
  if (!decompose(damped)) refuse(env, "The second moments of the inputs are not finite.");
  invert(damped, out);
}

/** Weights [O, K], their scales, and where the values go. */
struct Rounding {
  const float* weights;
  const float* scales;
  float* out;
  double* errors;
  size_t rows, columns, run;
  double scaleOf(size_t row, size_t column) const { return scales[(row * columns + column) / run]; }
};

/** Arguments `weights, matrix, scales, out, errors`. */
Rounding roundingOf(const Napi::CallbackInfo& info, const Matrix& matrix) {
  size_t weights = 0, scales = 0, out = 0, rows = 0;
  Rounding found{};
  found.weights = floats(info, 0, "weights", &weights);
  found.scales = floats(info, 2, "scales", &scales);
  found.out = floats(info, 3, "out", &out);
  found.errors = doubles(info, 4, "errors", &rows);
  if (rows == 0 || weights != rows * matrix.size || out != weights || scales == 0 || weights % scales != 0)
    refuse(info.Env(), "weights, scales, out and errors do not fit together.");
  for (size_t i = 0; i < scales; i++)
    if (!(found.scales[i] > 0)) refuse(info.Env(), "Scales must be above 0.");
  found.rows = rows;
  found.columns = matrix.size;
  found.run = weights / scales;
  return found;
}

/** Half to even, as everywhere; a zero has no sign. */
double ternary(double value) {
  const double code = std::nearbyint(value) + 0.0;
  return code > 1 ? 1 : code < -1 ? -1 : code;
}

/** Rows that walk through the factor together, one beside the other. */
constexpr size_t kTile = 8;

void roundInOrder(const Napi::CallbackInfo& info) {
  const Matrix factor = square(info, 1, "factor");
  const Rounding r = roundingOf(info, factor);
  inTrainingPieces(r.rows, kTile, [&](size_t begin, size_t end) {
    const size_t count = end - begin;
    std::vector<double> tile(r.columns * kTile);
    for (size_t k = 0; k < r.columns; k++)
      for (size_t row = 0; row < count; row++) tile[k * kTile + row] = r.weights[(begin + row) * r.columns + k];
    double error[kTile] = {}, squares[kTile] = {};
    for (size_t j = 0; j < r.columns; j++) {
      const double* const after = factor.row(j);
      for (size_t row = 0; row < count; row++) {
        const double weight = tile[j * kTile + row], delta = r.scaleOf(begin + row, j);
        const double code = ternary(weight / delta);
        r.out[(begin + row) * r.columns + j] = static_cast<float>(code);
        error[row] = (weight - delta * code) / after[j];
        squares[row] += error[row] * error[row];
      }
      for (size_t k = j + 1; k < r.columns; k++)
        for (size_t row = 0; row < kTile; row++) tile[k * kTile + row] -= after[k] * error[row];
    }
    for (size_t row = 0; row < count; row++) r.errors[begin + row] = squares[row];
  });
}

void roundNearest(const Napi::CallbackInfo& info) {
  const Matrix hessian = square(info, 1, "hessian");
  const Rounding r = roundingOf(info, hessian);
  inTrainingPieces(r.rows, kTile, [&](size_t begin, size_t end) {
    const size_t count = end - begin;
    std::vector<double> tile(r.columns * kTile);
    for (size_t row = 0; row < count; row++)
      for (size_t k = 0; k < r.columns; k++) {
        const size_t at = (begin + row) * r.columns + k;
        const double delta = r.scaleOf(begin + row, k), code = ternary(r.weights[at] / delta);
        r.out[at] = static_cast<float>(code);
        tile[k * kTile + row] = r.weights[at] - delta * code;
      }
    double total[kTile] = {};
    for (size_t j = 0; j < r.columns; j++) {
      const double* const own = hessian.row(j);
      double sums[kTile] = {};
      for (size_t k = j + 1; k < r.columns; k++)
        for (size_t row = 0; row < kTile; row++) sums[row] += own[k] * tile[k * kTile + row];
      for (size_t row = 0; row < kTile; row++) {
        const double error = tile[j * kTile + row];
        total[row] += error * (own[j] * error + 2 * sums[row]);
      }
    }
    for (size_t row = 0; row < count; row++) r.errors[begin + row] = total[row];
  });
}

}  // namespace

void exportCalibration(Napi::Env env, Napi::Object exports) {
  exports.Set("accumulateMoments", Napi::Function::New(env, accumulateMoments, "accumulateMoments"));
  exports.Set("inverseFactor", Napi::Function::New(env, inverseFactor, "inverseFactor"));
  exports.Set("roundInOrder", Napi::Function::New(env, roundInOrder, "roundInOrder"));
  exports.Set("roundNearest", Napi::Function::New(env, roundNearest, "roundNearest"));
}

}  // namespace tritsmith
