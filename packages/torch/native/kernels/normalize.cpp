#define AAUNET_ISA baseline
#include "normalize-loops.h"

#include "dispatch.h"

namespace aaunet {

namespace avx2 {
template <typename T>
struct NormalizeKernelsOf {
  static const NormalizeKernels<T> table;
};
}  // namespace avx2
namespace avx512 {
template <typename T>
struct NormalizeKernelsOf {
  static const NormalizeKernels<T> table;
};
}  // namespace avx512

template <typename T>
const NormalizeKernels<T>& normalizeKernels() {
  return forThisMachine(baseline::NormalizeKernelsOf<T>::table, avx2::NormalizeKernelsOf<T>::table, avx512::NormalizeKernelsOf<T>::table);
}

template const NormalizeKernels<double>& normalizeKernels();
template const NormalizeKernels<float>& normalizeKernels();
template const NormalizeKernels<Bf16>& normalizeKernels();

}  // namespace aaunet
