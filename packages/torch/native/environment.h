#pragma once

#include <napi.h>

#include <ATen/core/dispatch/Dispatcher.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace aaunet {

class TensorHandle;

/// One argument of an operator, read from its schema once.
struct Argument {
  std::string name;
  c10::TypePtr type;
  std::optional<c10::IValue> fallback;
  std::optional<int32_t> length;  // `int[2] stride` takes 3 as [3, 3]
};

struct Operator {
  c10::OperatorHandle handle;
  std::string name;
  std::vector<Argument> positional;
  std::vector<Argument> keyword;
};

/// What belongs to one JavaScript environment: the main thread and every worker thread have their own. Handles share
/// it, because at the end of a thread they may be finalised after the instance data.
struct Environment {
  Napi::FunctionReference tensorClass;
  std::optional<at::Tensor> pending;  // what the Tensor under construction will hold
  std::unordered_set<const void*> handles;
  std::deque<Operator> operators;  // a deque, so that growing it moves none in use
  int64_t liveTensors = 0;
  int64_t liveBytes = 0;

  static const std::shared_ptr<Environment>& shared(Napi::Env env) {
    return *env.GetInstanceData<std::shared_ptr<Environment>>();
  }
  static Environment& of(Napi::Env env) { return *shared(env); }
};

}  // namespace aaunet
