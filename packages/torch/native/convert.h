#pragma once

#include "environment.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Scalar.h>

namespace aaunet {

/// For messages: `float32[2, 3, 64, 96]`, `[1, 1]`, `undefined`, `"text"`.
std::string describe(const at::Tensor& tensor);
std::string describe(const Napi::Value& value, int depth = 3);

std::string dtypeName(at::ScalarType type);
at::ScalarType dtype(const Napi::Value& value, const std::string& role);
c10::Device device(const Napi::Value& value, const std::string& role);
at::MemoryFormat memoryFormat(const Napi::Value& value, const std::string& role);
int64_t integer(const Napi::Value& value, const std::string& role);
std::vector<int64_t> integers(const Napi::Value& value, const std::string& role);

/// A number without a fraction becomes an integer scalar, so that `add(intTensor, 1)` keeps its type.
c10::Scalar toScalar(const Napi::Value& value, const std::string& role);
Napi::Value fromScalar(Napi::Env env, const c10::Scalar& scalar);

c10::IValue toIValue(const Napi::Value& value, const Argument& argument);
Napi::Value fromIValue(Napi::Env env, const c10::IValue& value);

}  // namespace aaunet
