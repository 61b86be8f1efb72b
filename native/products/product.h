#pragma once
#include <vector>

#include "products/products.h"

namespace tritsmith {

class Pool;

/** Tables that this processor runs, the fastest first: the first two are timed once, in less than a millisecond. */
const std::vector<const ProductTable*>& productTables();

/**
 * out [rows, columns] = A [rows, inner] B [inner, columns] with factors rounded to bfloat16 and float32 sums; the same bits for any number of threads.
 * One call at a time.
 */
void productOfRounded(const ProductTable& table, Pool& pool, const Strided& a, const Strided& b, size_t rows, size_t columns, size_t inner,
                      float* out);

}  // namespace tritsmith
