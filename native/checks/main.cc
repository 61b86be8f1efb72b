/**
 * A program of its own for the sanitizers (sanitizers.test.ts builds it with ASan and UBSan, arm.test.ts for ARM): `main kernels`, `main names`, or
 * `main fuzz <count> <gguf>...`.
 * It runs the same sources as the addon.
 */
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <vector>

#include "kernels/pack.h"
#include "kernels/scalar.h"
#include "products/product.h"
#include "runtime/error.h"
#include "runtime/forward.h"
#include "runtime/sampler.h"
#include "threads/pool.h"
#include "training/elementwise.h"

namespace {

using namespace tritsmith;

/** Allocation of exactly `count` bytes, so that a read beyond it is caught. */
struct Exact {
  explicit Exact(size_t count) : data(static_cast<uint8_t*>(std::aligned_alloc(64, (count + 63) / 64 * 64))) {}
  ~Exact() { std::free(data); }
  Exact(const Exact&) = delete;
  Exact& operator=(const Exact&) = delete;
  uint8_t* data;
};

struct Source {
  const uint8_t* codes;
  size_t columns;
};

/** The tables that run here; with TRITSMITH_CHECK_AVX_VNNI that file was compiled to AVX-512's encoding of its one instruction, and counts too. */
size_t tablesToCheck(const Kernels* out[6]) {
  size_t count = availableKernels(out);
#if defined(TRITSMITH_CHECK_AVX_VNNI)
  out[count++] = &kernelsAvxVnni;
#endif
  return count;
}

/**
 * Products of one shape by every table and layout, with inputs of 8 or 4 bits, against the scalar definition, with scales for `groups` runs of columns of each row; returns the
 * number of wrong values.
 */
int checkProducts(size_t rows, size_t columns, size_t tokens, size_t groups, int bits, std::mt19937& random) {
  std::vector<uint8_t> codes(rows * columns);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random() % 3);
  std::vector<uint8_t> sparse = codes;
  if (columns % 4 == 0)
    for (size_t four = 0; four < sparse.size(); four += 4) {
      for (size_t i = 0; i < 4; i++) sparse[four + i] = static_cast<uint8_t>(random() % 2 * 2);
      sparse[four + random() % 4] = 1;
    }
  std::vector<float> x(tokens * columns);
  for (float& v : x) v = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 300.0f;
  std::vector<float> deltas(rows * groups);
  for (float& delta : deltas) delta = static_cast<float>(1 + random() % 1000) / 500.0f;
  const Kernels* tables[6];
  const size_t count = tablesToCheck(tables);
  int wrong = 0;
  for (size_t i = 0; i < count; i++)
    for (const Layout layout : {Layout::twoBit, Layout::fiveTrits, Layout::threeOfFour, Layout::threeOfFourSums}) {
      if (isThreeOfFour(layout) && columns % 4 != 0) continue;
      const std::vector<uint8_t>& given = isThreeOfFour(layout) ? sparse : codes;
      const Source source{given.data(), columns};
      PackedTernary packed = planTernary(rows, columns, layout, groups);
      const Exact memory(packedBytes(packed));
      packPanels(
          packed, 0, packed.panels,
          [](const void* context, size_t r, uint8_t* out) {
            const auto* const s = static_cast<const Source*>(context);
            std::memcpy(out, s->codes + r * s->columns, s->columns);
          },
          &source, memory.data);
      packed.data = memory.data;
      const Exact scaleMemory(packedScales(packed) * sizeof(float));
      packScales(packed, reinterpret_cast<float*>(scaleMemory.data), [&](size_t group, size_t row) { return deltas[row * groups + group]; });
      packed.scales = reinterpret_cast<const float*>(scaleMemory.data);
      QuantisedTokens quantised;
      quantised.tokens = tokens;
      quantised.tile = tables[i]->tile;
      quantised.bits = bits;
      quantised.padded = (columns + kActivationPadding - 1) / kActivationPadding * kActivationPadding;
      const Exact values(quantised.padded * tokens);
      std::vector<float> scales(tokens), y(tokens * rows);
      std::vector<int32_t> sums(tokens);
      quantised.values = reinterpret_cast<int8_t*>(values.data);
      quantised.scales = scales.data();
      quantised.sums = sums.data();
      std::vector<int32_t> groupSums;
      if (groups > 1) {
        quantised.groupColumns = sumColumns(packed);
        groupSums.resize(columns / quantised.groupColumns * tokens);
        quantised.groupSums = groupSums.data();
      }
      const Exact fourSums(fourSumsBytes(tokens, quantised.padded));
      if (packed.layout == Layout::threeOfFourSums) quantised.fourSums = fourSums.data;
      tables[i]->quantiseTokens(x.data(), columns, columns, quantised, 0, tokens);
      tables[i]->multiplyTernary(packed, 0, packed.panels, quantised, y.data(), rows);
      for (size_t t = 0; t < tokens; t++) {
        float gamma = 1e-5f, lanes[16] = {0};
        for (size_t k = 0; k < columns; k++) {
          const float size = std::fabs(x[t * columns + k]);
          if (bits == 8) gamma = std::max(gamma, size);
          lanes[k % 16] += size;
        }
        double sizes = 0;
        for (const float lane : lanes) sizes += static_cast<double>(lane);
        if (bits == 4) gamma = std::max(gamma, static_cast<float>(sizes / static_cast<double>(columns)));
        const float units = bits == 8 ? 127.0f : 2.6457513f, s = units / gamma;
        for (size_t r = 0; r < rows; r++) {
          float expected = 0;
          for (size_t group = 0; group < groups; group++) {
            int64_t sum = 0;
            for (size_t k = group * columns / groups; k < (group + 1) * columns / groups; k++)
              sum += std::max<int64_t>(bits == 8 ? -128 : -8, std::min<int64_t>(bits == 8 ? 127 : 7, static_cast<int64_t>(std::nearbyint(x[t * columns + k] * s)))) *
                     (given[r * columns + k] - 1);
            const float value = static_cast<float>(sum) * (gamma / units * deltas[r * groups + group]);
            expected = group == 0 ? value : expected + value;
          }
          wrong += y[t * rows + r] != expected;
          wrong += packedCode(packed, r, columns - 1) != given[r * columns + columns - 1];
        }
      }
    }
  return wrong;
}

/** Q6_K in panels: rows as in the file, and products as of float64 up to the rounding of activations to 16 bits. Returns the number of wrong values. */
int checkQ6(size_t rows, size_t columns, size_t tokens, std::mt19937& random) {
  DenseMatrix file;
  file.rows = rows;
  file.columns = columns;
  file.type = Dense::q6_k;
  file.rowBytes = columns / 256 * 210;
  const Exact source(rows * file.rowBytes);
  for (size_t i = 0; i < rows * file.rowBytes; i++) source.data[i] = static_cast<uint8_t>(random());
  for (size_t block = 0; block < rows * columns / 256; block++) source.data[block * 210 + 209] = 0x21;  // scales near 0.01
  file.data = source.data;
  DenseMatrix panels = file;
  panels.type = Dense::q6Panels;
  panels.panelBytes = q6PanelBytes(columns);
  const size_t count = (rows + kDensePanelRows - 1) / kDensePanelRows;
  const Exact packed(count * panels.panelBytes);
  packQ6Panels(file, 0, count, packed.data);
  panels.data = packed.data;
  std::vector<float> x(tokens * columns), row(columns), other(columns), scratch(8 * columns);
  for (float& v : x) v = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 300.0f;
  const Kernels* tables[6];
  const size_t available = tablesToCheck(tables);
  int wrong = 0;
  for (size_t i = 0; i < available; i++) {
    std::vector<float> y(tokens * rows), last(tokens);
    tables[i]->multiplyDense(panels, 0, rows, x.data(), columns, tokens, y.data(), rows, scratch.data());
    tables[i]->multiplyDense(panels, rows - 1, rows, x.data(), columns, tokens, last.data(), 1, scratch.data());
    for (size_t r = 0; r < rows; r++) {
      tables[i]->denseRow(file, r, row.data());
      tables[i]->denseRow(panels, r, other.data());
      wrong += row != other;
      for (size_t t = 0; t < tokens; t++) {
        double sum = 0, size = 0;
        for (size_t k = 0; k < columns; k++) {
          const double term = static_cast<double>(row[k]) * static_cast<double>(x[t * columns + k]);
          sum += term;
          size += std::fabs(term);
        }
        wrong += !(std::fabs(static_cast<double>(y[t * rows + r]) - sum) <= 2e-5 * size);
        if (r == rows - 1) wrong += last[t] != y[t * rows + r];
      }
    }
  }
  return wrong;
}

/** The Hadamard turn of every table against its definition in float64, and the same bits in all; returns the number of wrong values. */
int checkHadamard(size_t block, size_t blocks, std::mt19937& random) {
  std::vector<float> x(block * blocks), first;
  for (float& v : x) v = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 300.0f;
  const Kernels* tables[6];
  const size_t available = tablesToCheck(tables);
  int wrong = 0;
  for (size_t i = 0; i < available; i++) {
    const Exact memory(x.size() * sizeof(float));
    auto* const y = reinterpret_cast<float*>(memory.data);
    std::memcpy(y, x.data(), x.size() * sizeof(float));
    tables[i]->hadamard(y, x.size(), block);
    if (i == 0) first.assign(y, y + x.size());
    wrong += std::memcmp(first.data(), y, x.size() * sizeof(float)) != 0;
    for (size_t at = 0; at < x.size(); at++) {
      double sum = 0;
      for (size_t k = 0; k < block; k++) {
        size_t odd = 0;
        for (size_t both = at % block & k; both != 0; both &= both - 1) odd ^= 1;
        const double term = static_cast<double>(x[at / block * block + k]);
        sum += odd == 0 ? term : -term;
      }
      wrong += !(std::fabs(static_cast<double>(y[at]) - sum / std::sqrt(static_cast<double>(block))) <= 1e-5);
    }
  }
  return wrong;
}

/** A number with the eight significant bits of bfloat16, by its definition. */
float toBfloat16(float value) {
  const uint32_t bits = floatToBits(value);
  const uint32_t below = bits & 0xffffu;
  const uint32_t kept = bits & 0xffff0000u;
  const bool up = below > 0x8000u || (below == 0x8000u && (kept & 0x10000u) != 0);
  return bitsToFloat(up ? kept + 0x10000u : kept);
}

/** Products of rounded factors by every table, on one thread and two, against the order of sums that products.h defines; returns the number of wrong values. */
int checkRounded(size_t rows, size_t columns, size_t inner, bool turnedA, bool turnedB, std::mt19937& random) {
  const auto filled = [&](size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(static_cast<int>(random() % 20001) - 10000) / 3000.0f;
    return values;
  };
  const std::vector<float> a = filled(rows * inner), b = filled(inner * columns);
  const Strided left{a.data(), turnedA ? 1 : inner, turnedA ? rows : 1};
  const Strided right{b.data(), turnedB ? 1 : columns, turnedB ? inner : 1};
  const auto at = [](const Strided& matrix, size_t row, size_t column) {
    return toBfloat16(matrix.values[row * matrix.rowStride + column * matrix.columnStride]);
  };
  std::vector<float> expected(rows * columns);
  for (size_t row = 0; row < rows; row++)
    for (size_t column = 0; column < columns; column++) {
      float sum = 0;
      for (size_t k = 0; k < inner; k += 2) {
        if (k + 1 < inner) sum += at(left, row, k + 1) * at(right, k + 1, column);
        sum += at(left, row, k) * at(right, k, column);
      }
      expected[row * columns + column] = sum;
    }
  int wrong = 0;
  const ProductTable* tables[4];
  const size_t count = availableProducts(tables);
  for (int threads = 1; threads <= 2; threads++) {
    Pool pool(threads);
    for (size_t table = 0; table < count; table++) {
      std::vector<float> out(rows * columns, -1.0f);
      productOfRounded(*tables[table], pool, left, right, rows, columns, inner, out.data());
      for (size_t i = 0; i < out.size(); i++) wrong += floatToBits(out[i]) != floatToBits(expected[i]);
    }
  }
  return wrong;
}

/** AdamW with moments in bytes: the same bits from every set of instructions, and on every kind of processor. */
int checkMoments() {
  std::vector<const ElementwiseTable*> tables{&elementwisePortable};
#if defined(__x86_64__)
  const Kernels* available[5];
  const size_t kinds = availableKernels(available);
  for (size_t i = 0; i < kinds; i++) {
    if (available[i] == &kernelsAvx2) tables.push_back(&elementwiseAvx2);
    if (available[i] == &kernelsAvx512Vnni) tables.push_back(&elementwiseAvx512);
  }
#endif
  constexpr size_t count = 3 * kMomentBlock + 77, blocks = 4;
  constexpr uint64_t expected = 0xf447e00d146caf0fu;
  int wrong = 0;
  for (const ElementwiseTable* table : tables) {
    std::mt19937 random(5);
    const auto draw = [&] { return static_cast<float>(random() >> 8) / 8388608.0f - 1.0f; };
    Exact values(4 * count), gradients(4 * count), first(blocks * kMomentBlock), second(blocks * kMomentBlock), scales(8 * blocks);
    std::memset(first.data, 0, blocks * kMomentBlock);
    std::memset(second.data, 0, blocks * kMomentBlock);
    std::memset(scales.data, 0, 8 * blocks);
    auto* p = reinterpret_cast<float*>(values.data);
    auto* g = reinterpret_cast<float*>(gradients.data);
    auto* s = reinterpret_cast<float*>(scales.data);
    for (size_t i = 0; i < count; i++) p[i] = draw();
    for (uint64_t step = 1; step <= 30; step++) {
      for (size_t i = 0; i < count; i++) g[i] = draw() * (i % 7 == 0 ? 1e-5f : i % 11 == step % 11 ? 0.0f : 1.0f);
      const AdamWScalars scalars{0.5f, 0.9999f, 0.9f, 0.1f, 0.999f, 0.001f, 0.25f, 1e-8f, 0.002f};
      table->adamWBytes(p, g, {first.data, second.data, s, s + blocks}, scalars, step, 3, count);
    }
    uint64_t hash = 0xcbf29ce484222325u;
    const auto add = [&](const uint8_t* bytes, size_t length) {
      for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    };
    add(values.data, 4 * count);
    add(first.data, count);
    add(second.data, count);
    add(scales.data, 8 * blocks);
    if (hash != expected) {
      std::printf("moments in bytes: %llx\n", static_cast<unsigned long long>(hash));
      wrong++;
    }
  }
  return wrong;
}

int kernels() {
  std::mt19937 random(7);
  int wrong = 0;
  for (const size_t rows : {1, 16, 31, 33, 70})
    for (const size_t columns : {1, 5, 16, 20, 79, 80, 81, 128, 260})
      for (const size_t tokens : {1, 2, 3, 5, 12, 14})
        for (const int bits : {8, 4}) wrong += checkProducts(rows, columns, tokens, 1, bits, random);
  for (const size_t rows : {1, 31, 33, 70})
    for (const size_t columns : {48, 192, 512})
      for (const size_t groups : {3, 2, 1})
        for (const size_t tokens : {1, 3, 14})
          if (columns / groups % kGroupColumns == 0) wrong += checkProducts(rows, columns, tokens, groups, 8, random);
  // So long that sums of 16 bits are widened on the way.
  for (const size_t tokens : {1, 3}) wrong += checkProducts(33, 4160, tokens, 1, 8, random);
  for (const size_t rows : {1, 15, 16, 17, 40})
    for (const size_t columns : {256, 768})
      for (const size_t tokens : {1, 3, 15}) wrong += checkQ6(rows, columns, tokens, random);
  for (const size_t block : {1, 2, 8, 32, 512})
    for (const size_t blocks : {1, 3}) wrong += checkHadamard(block, blocks, random);
  for (const size_t rows : {1, 6, 17, 50})
    for (const size_t columns : {1, 16, 63, 65, 130})
      for (const size_t inner : {1, 2, 31, 33, 70})
        for (const bool turnedA : {false, true})
          for (const bool turnedB : {false, true}) wrong += checkRounded(rows, columns, inner, turnedA, turnedB, random);
  wrong += checkMoments();
  std::printf("%d wrong products\n", wrong);
  return wrong == 0 ? 0 : 1;
}

/** Prints the tables that run here, best first. */
int names() {
  const Kernels* tables[5];
  const size_t count = availableKernels(tables);
  for (size_t i = 0; i < count; i++) std::printf("%s%s", tables[i]->name, i + 1 < count ? " " : "\n");
  return 0;
}

using Bytes = std::vector<uint8_t>;

/** Where the tensor data starts, roughly: past the last tensor name. */
size_t headerEnd(const Bytes& file) {
  const char name[] = "ffn_down.weight";
  size_t end = 64;
  for (size_t i = 0; i + sizeof name < file.size(); i++)
    if (std::memcmp(file.data() + i, name, sizeof name - 1) == 0) end = i + 64;
  return std::min(end, file.size());
}

void mutate(Bytes& file, size_t header, std::mt19937& random) {
  static const uint64_t interesting[] = {0, 1, 2, 3, 31, 127, 255, 4096, 65535, 1u << 24, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 40, 1ull << 62, ~0ull};
  const int times = 1 + static_cast<int>(random() % 3);
  for (int i = 0; i < times; i++) {
    const size_t range = random() % 5 == 0 ? file.size() : header;
    const size_t at = random() % range;
    switch (random() % 6) {
      case 0: file[at] = static_cast<uint8_t>(random()); break;
      case 1: file[at] ^= static_cast<uint8_t>(1u << random() % 8); break;
      case 2:
      case 3: {
        const size_t width = random() % 2 == 0 ? 4 : 8;
        if (at + width <= file.size()) std::memcpy(file.data() + at, &interesting[random() % 16], width);
        break;
      }
      case 4: file.resize(1 + random() % file.size()); return;
      default: {
        const size_t count = std::min<size_t>(1 + random() % 40, file.size() - at);
        if (random() % 2 == 0) file.erase(file.begin() + static_cast<std::ptrdiff_t>(at), file.begin() + static_cast<std::ptrdiff_t>(at + count));
        else file.insert(file.begin() + static_cast<std::ptrdiff_t>(at), count, static_cast<uint8_t>(random()));
        if (file.empty()) file.push_back(0);
        return;
      }
    }
  }
}

/** Loads the bytes and, where that works, runs a few tokens. Returns whether it loaded. */
bool exercise(const Bytes& file, Layout layout, Pool& pool) {
  auto bytes = std::make_unique<uint8_t[]>(file.size());
  std::memcpy(bytes.get(), file.data(), file.size());
  try {
    const auto model = loadModel(std::make_unique<FileMap>(std::move(bytes), file.size()), {selectKernels(""), layout, layout == Layout::twoBit ? Layout::threeOfFour : Layout::threeOfFourSums}, pool);
    Conversation first(*model, 32, CacheType::f16), second(*model, 32, CacheType::int8);
    Forward forward(*model, pool);
    const int32_t ids[3] = {0, 1, 2};
    const size_t count = model->shape.vocabulary > 2 ? 3 : 1;
    std::vector<float> logits(2 * model->shape.vocabulary);
    forward.append({{&first, ids, count, 0}}, nullptr);
    forward.append({{&second, ids, count, 1}, {&first, ids, 1, 1}}, logits.data());
    forward.logits({&first, &second}, logits.data());
    logits.resize(model->shape.vocabulary);
    Sampler sampler(1);
    sampler.sample(logits.data(), logits.size(), {0.8f, 5, 0.9f, 1.1f}, {0, 0, 0});
    return true;
  } catch (const RuntimeError&) {
    return false;
  }
}

int fuzz(int count, int files, char** paths) {
  Pool pool(1);
  std::mt19937 random(11);
  int loaded = 0, tried = 0;
  for (int f = 0; f < files; f++) {
    std::ifstream stream(paths[f], std::ios::binary);
    const Bytes original((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (!exercise(original, Layout::twoBit, pool)) {
      std::printf("%s does not load\n", paths[f]);
      return 1;
    }
    const size_t header = headerEnd(original);
    for (int i = 0; i < count / files; i++, tried++) {
      Bytes file = original;
      mutate(file, header, random);
      loaded += exercise(file, i % 2 == 0 ? Layout::twoBit : Layout::fiveTrits, pool);
    }
  }
  std::printf("%d mutated files, %d of them loaded\n", tried, loaded);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count >= 2 && std::strcmp(arguments[1], "kernels") == 0) return kernels();
  if (count >= 2 && std::strcmp(arguments[1], "names") == 0) return names();
  if (count >= 4 && std::strcmp(arguments[1], "fuzz") == 0) return fuzz(std::atoi(arguments[2]), count - 3, arguments + 3);
  std::printf("usage: main kernels | main names | main fuzz <count> <gguf>...\n");
  return 2;
}
