/** Packing of ternary codes into the layouts of kernels.h, and reading of the I2_S file layout. */
#include "kernels/pack.h"

#include <cstring>
#include <vector>

#include "kernels/q6_panels.h"
#include "kernels/three_of_four.h"

namespace tritsmith {

PackedTernary planTernary(size_t rows, size_t columns, Layout layout, size_t groups) {
  if (groups > 1 && (!isThreeOfFour(layout) || columns / groups % kThreeOfFourColumns != 0)) layout = Layout::twoBit;
  PackedTernary plan;
  plan.rows = rows;
  plan.columns = columns;
  plan.layout = layout;
  plan.groups = groups;
  plan.panels = (rows + kPanelRows - 1) / kPanelRows;
  const size_t width = chunkColumns(layout);
  plan.chunks = (columns + width - 1) / width;
  return plan;
}

size_t packedBytes(const PackedTernary& plan) { return plan.panels * plan.chunks * chunkBytes(plan.layout); }

size_t packedScales(const PackedTernary& plan) { return plan.panels * plan.groups * kPanelRows; }

size_t sumColumns(const PackedTernary& plan) {
  size_t run = 256;
  while (plan.columns / plan.groups % run != 0) run /= 2;
  return run;
}

uint8_t encodeFiveTrits(const uint8_t codes[5]) {
  const int low = codes[0] + 3 * codes[1] + 9 * codes[2] + 27 * codes[3];
  return static_cast<uint8_t>(low < 64 ? codes[4] << 6 | low : 192 | (3 * (low - 64) + codes[4]));
}

uint16_t decodeFiveTrits(uint8_t byte) {
  int low, high;
  if (byte < 192) {
    low = byte & 63;
    high = byte >> 6;
  } else {
    // The encoder never writes 192 + 51 and above; they read as the last valid value.
    const int index = (byte & 63) < 51 ? byte & 63 : 50;
    low = 64 + index / 3;
    high = index % 3;
  }
  return static_cast<uint16_t>(low % 3 | low / 3 % 3 << 2 | low / 9 % 3 << 4 | low / 27 << 6 | high << 8);
}

uint8_t patternOf(const uint8_t codes[4]) {
  unsigned zero = 0, signs = 0;
  while (zero < 3 && codes[zero] != 1) zero++;
  for (unsigned i = 0, bit = 0; i < 4; i++)
    if (i != zero) signs |= static_cast<unsigned>(codes[i] == 2) << bit++;
  return static_cast<uint8_t>(zero << 3 | signs);
}

namespace {

/** Code of column `inside` (0 ... 3) of a pattern. */
uint8_t codeOfPattern(unsigned pattern, unsigned inside) {
  const unsigned zero = pattern >> 3;
  return inside == zero ? 1 : static_cast<uint8_t>((pattern >> (inside - (inside > zero)) & 1) * 2);
}

/** The 16 patterns of 64 columns into the words of a row. `target` is the row's word of the first part; the next one is 64 bytes on. */
void packPatterns(const uint8_t* codes, uint8_t* target) {
  uint16_t words[5] = {0};
  for (size_t p = 0; p < 15; p++) words[p / 3] = static_cast<uint16_t>(words[p / 3] | patternOf(codes + 4 * p) << 5 * (p % 3));
  const unsigned last = patternOf(codes + 60);
  for (size_t v = 0; v < 5; v++) {
    words[v] = static_cast<uint16_t>(words[v] | (last >> v & 1) << 15);
    std::memcpy(target + 64 * v, &words[v], 2);
  }
}

/** Where the words of row r of a panel begin in a chunk. */
size_t wordsAt(size_t r) { return r % 16 * 4 + r / 16 * 2; }

}  // namespace

void packPanels(const PackedTernary& plan, size_t begin, size_t end, void (*row)(const void*, size_t, uint8_t*), const void* context,
                uint8_t* out) {
  const size_t width = chunkColumns(plan.layout), bytes = chunkBytes(plan.layout);
  std::vector<uint8_t> codes(plan.chunks * width);
  uint8_t fiveTrits[243];
  for (int i = 0; i < 243; i++) {
    const uint8_t c[5] = {static_cast<uint8_t>(i % 3), static_cast<uint8_t>(i / 3 % 3), static_cast<uint8_t>(i / 9 % 3),
                          static_cast<uint8_t>(i / 27 % 3), static_cast<uint8_t>(i / 81)};
    fiveTrits[i] = encodeFiveTrits(c);
  }
  for (size_t panel = begin; panel < end; panel++) {
    uint8_t* const base = out + panel * plan.chunks * bytes;
    for (size_t r = 0; r < kPanelRows; r++) {
      const size_t index = panel * kPanelRows + r;
      std::memset(codes.data(), 0, codes.size());
      if (index < plan.rows) row(context, index, codes.data());
      const uint8_t* c = codes.data();
      uint8_t* target = base + r * 4;
      if (plan.layout == Layout::threeOfFour) {
        target = base + wordsAt(r);
        for (size_t chunk = 0; chunk < plan.chunks; chunk++, c += width, target += bytes) packPatterns(c, target);
      } else if (plan.layout == Layout::threeOfFourSums) {
        target = base;
        if (r == 0) std::memset(base, 0, plan.chunks * bytes);
        for (size_t chunk = 0; chunk < plan.chunks; chunk++, c += width, target += bytes)
          for (size_t p = 0; p < width / 4; p++) putSumPattern(target, r, p, patternOf(c + 4 * p));
      } else if (plan.layout == Layout::twoBit) {
        for (size_t chunk = 0; chunk < plan.chunks; chunk++, c += kTwoBitColumns, target += kChunkBytes) {
          // Four codes at once: none is above 2, so no shift reaches the next byte.
          uint32_t fours[4];
          std::memcpy(fours, c, sizeof fours);
          const uint32_t word = fours[0] | fours[1] << 2 | fours[2] << 4 | fours[3] << 6;
          std::memcpy(target, &word, sizeof word);
        }
      } else {
        for (size_t chunk = 0; chunk < plan.chunks; chunk++, c += kFiveTritColumns, target += kChunkBytes)
          for (int b = 0; b < 4; b++) target[b] = fiveTrits[c[b] + 3 * c[4 + b] + 9 * c[8 + b] + 27 * c[12 + b] + 81 * c[16 + b]];
      }
    }
  }
}

void readI2S(const uint8_t* data, size_t first, size_t count, uint8_t* codes) {
  for (size_t i = 0; i < count;) {
    const size_t flat = first + i, block = flat / 128, inside = flat % 128;
    const uint8_t* const source = data + block * 32;
    if (inside == 0 && count - i >= 128) {
      for (size_t group = 0; group < 4; group++)
        for (size_t k = 0; k < 32; k++) codes[i + 32 * group + k] = ternaryCode(source[k] >> (6 - 2 * group));
      i += 128;
    } else {
      codes[i++] = ternaryCode(source[inside % 32] >> (6 - inside / 32 * 2));
    }
  }
}

size_t q6PanelBytes(size_t columns) { return columns / kQ6Columns * kQ6BlockBytes; }

void packQ6Panels(const DenseMatrix& rows, size_t begin, size_t end, uint8_t* out) {
  const size_t size = q6PanelBytes(rows.columns);
  for (size_t panel = begin; panel < end; panel++) {
    uint8_t* const target = out + panel * size;
    std::memset(target, 0, size);
    for (size_t r = 0; r < kDensePanelRows && panel * kDensePanelRows + r < rows.rows; r++) {
      const uint8_t* source = rows.data + (panel * kDensePanelRows + r) * rows.rowBytes;
      uint8_t* block = target;
      for (size_t first = 0; first < rows.columns; first += kQ6Columns, source += 210, block += kQ6BlockBytes) {
        for (size_t group = 0; group < 16; group++) block[group * 16 + r] = source[192 + group];
        std::memcpy(block + 256 + 2 * r, source + 208, 2);
        uint8_t* to = block + kQ6ScaleBytes + 4 * r;
        uint8_t codes[kQ6Columns];
        q6Codes(source, codes);
        for (size_t group = 0; group < 16; group++, to += 192)
          for (size_t b = 0; b < 4; b++) {
            const uint8_t* const c = codes + group * 16 + b;
            for (size_t v = 0; v < 3; v++) to[v * 64 + b] = static_cast<uint8_t>(c[4 * v] | (c[12] >> 2 * v & 3) << 6);
          }
      }
    }
  }
}

void readT34(const uint8_t* data, size_t first, size_t count, uint8_t* codes) {
  for (size_t i = 0; i < count; i += 4) {
    const size_t bit = (first + i) / 4 * 5;
    // The scale follows the last pattern, so the byte after it is there.
    const unsigned pattern = (data[bit / 8] | static_cast<unsigned>(data[bit / 8 + 1]) << 8) >> bit % 8 & 31;
    for (unsigned k = 0; k < 4; k++) codes[i + k] = codeOfPattern(pattern, k);
  }
}

uint8_t packedCode(const PackedTernary& w, size_t r, size_t c) {
  const size_t width = chunkColumns(w.layout);
  const size_t inside = c % width;
  if (w.layout == Layout::threeOfFourSums) {
    const uint8_t* const chunk = w.data + ((r / kPanelRows) * w.chunks + c / width) * kThreeOfFourBytes;
    return codeOfPattern(sumPattern(chunk, r % kPanelRows, inside / 4), inside % 4);
  }
  if (w.layout == Layout::threeOfFour) {
    const uint8_t* const chunk = w.data + ((r / kPanelRows) * w.chunks + c / width) * kThreeOfFourBytes + wordsAt(r % kPanelRows);
    unsigned words[5], last = 0;
    for (size_t v = 0; v < 5; v++) {
      words[v] = chunk[64 * v] | static_cast<unsigned>(chunk[64 * v + 1]) << 8;
      last |= words[v] >> 15 << v;
    }
    const size_t p = inside / 4;
    return codeOfPattern(p == 15 ? last : words[p / 3] >> 5 * (p % 3) & 31, inside % 4);
  }
  const uint8_t byte =
      w.data[((r / kPanelRows) * w.chunks + c / width) * kChunkBytes + (r % kPanelRows) * 4 + inside % 4];
  const unsigned fields = w.layout == Layout::twoBit ? byte : decodeFiveTrits(byte);
  return static_cast<uint8_t>(fields >> (2 * (inside / 4)) & 3);
}

}  // namespace tritsmith
