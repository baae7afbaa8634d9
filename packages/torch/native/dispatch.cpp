// The one door to LibTorch: any operator by its name, through the boxed dispatcher.

#include "convert.h"
#include "errors.h"
#include "module.h"
#include "tensor.h"

#include <torch/library.h>

#include <algorithm>

namespace aaunet {

namespace {

Argument readArgument(const c10::Argument& argument) {
  return {argument.name(), argument.real_type(), argument.default_value(), argument.N()};
}

Operator readOperator(const c10::OperatorHandle& handle) {
  Operator op{handle, c10::toString(handle.operator_name()), {}, {}};
  for (const c10::Argument& argument : handle.schema().arguments()) {
    (argument.kwarg_only() ? op.keyword : op.positional).push_back(readArgument(argument));
  }
  return op;
}

/// lookup(name, overload): the number that `call` knows the operator by, or null when there is none.
Napi::Value lookup(const Napi::CallbackInfo& info) {
  const std::string name = info[0].ToString();
  const std::string overload = info[1].ToString();
  const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!handle) return info.Env().Null();
  auto& operators = Environment::of(info.Env()).operators;
  operators.push_back(readOperator(*handle));
  return Napi::Number::New(info.Env(), static_cast<double>(operators.size() - 1));
}

std::string describeCall(const Operator& op, const Napi::CallbackInfo& info) {
  std::string out = op.name + "(";
  for (size_t i = 1; i < info.Length() && i <= op.positional.size(); i++) {
    out += (i > 1 ? ", " : "") + op.positional[i - 1].name + " " + describe(info[i]);
  }
  return out + ")";
}

c10::IValue argumentOrDefault(const Napi::Value& value, const Argument& argument) {
  if (!value.IsUndefined()) return toIValue(value, argument);
  if (argument.fallback) return *argument.fallback;
  if (argument.type->kind() == c10::TypeKind::OptionalType) return {};
  throw makeError(value.Env(), "ERR_TORCH_ARGUMENT", "argument '" + argument.name + "' is missing");
}

/// The object of options; a misspelt one would otherwise be ignored in silence.
std::optional<Napi::Object> readOptions(const Operator& op, const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const size_t positional = op.positional.size();
  const Napi::Value value = positional + 1 < info.Length() ? info[positional + 1] : env.Undefined();
  const bool plain = value.IsObject() && !value.IsArray() && !value.IsFunction() && TensorHandle::peek(value) == nullptr;
  if ((!plain && !value.IsUndefined()) || info.Length() > positional + 2) {
    throw makeError(env, "ERR_TORCH_ARGUMENT", "expected at most " + std::to_string(positional) + " arguments and an object of options");
  }
  if (!plain) return std::nullopt;
  const Napi::Object options = value.As<Napi::Object>();
  const Napi::Array names = options.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); i++) {
    const std::string name = names.Get(i).ToString();
    const auto known = [&](const Argument& argument) { return argument.name == name; };
    if (!std::any_of(op.keyword.begin(), op.keyword.end(), known)) {
      throw makeError(env, "ERR_TORCH_ARGUMENT", "there is no option '" + name + "'");
    }
  }
  return options;
}

/// call(op, ...positional, keywords?): what the operator returns; undefined, a value, or an array of values.
Napi::Value call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto& operators = Environment::of(env).operators;
  const size_t id = info[0].As<Napi::Number>().Uint32Value();
  if (id >= operators.size()) throw makeError(env, "ERR_TORCH_ARGUMENT", "no operator has the number " + std::to_string(id));
  const Operator& op = operators[id];
  return guarded(env, [&] { return describeCall(op, info); }, [&]() -> Napi::Value {
    torch::jit::Stack stack;
    stack.reserve(op.positional.size() + op.keyword.size());
    const size_t positional = op.positional.size();
    try {
      for (size_t i = 0; i < positional; i++) {
        stack.push_back(argumentOrDefault(i + 1 < info.Length() ? info[i + 1] : env.Undefined(), op.positional[i]));
      }
      const auto options = readOptions(op, info);
      for (const Argument& argument : op.keyword) {
        stack.push_back(argumentOrDefault(options ? options->Get(argument.name) : env.Undefined(), argument));
      }
    } catch (const Napi::Error& error) {
      throw makeError(env, "ERR_TORCH_ARGUMENT", describeCall(op, info) + ": " + error.Message());
    }
    op.handle.callBoxed(stack);
    if (stack.empty()) return env.Undefined();
    if (stack.size() == 1) return fromIValue(env, stack[0]);
    Napi::Array results = Napi::Array::New(env, stack.size());
    for (size_t i = 0; i < stack.size(); i++) results[static_cast<uint32_t>(i)] = fromIValue(env, stack[i]);
    return results;
  });
}

Napi::Object describeArgument(Napi::Env env, const c10::Argument& argument) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("name", argument.name());
  out.Set("type", argument.real_type()->str());
  out.Set("keyword", argument.kwarg_only());
  out.Set("optional", argument.default_value().has_value());
  if (argument.N()) out.Set("length", *argument.N());
  return out;
}

/// schemas(): every operator LibTorch has, as {name, overload, arguments, returns}; what the types are generated from.
Napi::Value schemas(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array out = Napi::Array::New(env);
  uint32_t count = 0;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    const auto handle = c10::Dispatcher::singleton().findSchema(name);
    if (!handle) continue;
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", name.name);
    entry.Set("overload", name.overload_name);
    Napi::Array arguments = Napi::Array::New(env);
    for (const auto& argument : handle->schema().arguments()) arguments[arguments.Length()] = describeArgument(env, argument);
    Napi::Array returns = Napi::Array::New(env);
    for (const auto& result : handle->schema().returns()) returns[returns.Length()] = Napi::String::New(env, result.real_type()->str());
    entry.Set("arguments", arguments);
    entry.Set("returns", returns);
    out[count++] = entry;
  }
  return out;
}

}  // namespace

void exportDispatch(Napi::Env env, Napi::Object exports) {
  exports.Set("lookup", Napi::Function::New<lookup>(env, "lookup"));
  exports.Set("call", Napi::Function::New<call>(env, "call"));
  exports.Set("schemas", Napi::Function::New<schemas>(env, "schemas"));
}

}  // namespace aaunet
