#include "convert.h"

#include "errors.h"
#include "tensor.h"

#include <array>
#include <cmath>
#include <sstream>
#include <utility>

namespace aaunet {

namespace {

using Kind = c10::TypeKind;

constexpr std::array<std::pair<const char*, at::ScalarType>, 17> kDtypes{{
    {"float32", at::kFloat},        {"float64", at::kDouble},          {"bfloat16", at::kBFloat16},
    {"float16", at::kHalf},         {"int64", at::kLong},              {"int32", at::kInt},
    {"int16", at::kShort},          {"int8", at::kChar},               {"uint8", at::kByte},
    {"bool", at::kBool},            {"complex64", at::kComplexFloat},  {"complex128", at::kComplexDouble},
    {"uint16", at::kUInt16},        {"uint32", at::kUInt32},           {"uint64", at::kUInt64},
    {"float8_e4m3fn", at::kFloat8_e4m3fn}, {"float8_e5m2", at::kFloat8_e5m2},
}};

constexpr double kSafeInteger = 9007199254740991.0;

[[noreturn]] void refuse(const Napi::Value& value, const std::string& role, const std::string& expected) {
  throw makeError(value.Env(), "ERR_TORCH_ARGUMENT", role + ": expected " + expected + ", got " + describe(value));
}

bool absent(const Napi::Value& value) { return value.IsUndefined() || value.IsNull(); }

std::string text(const Napi::Value& value, const std::string& role, const char* expected) {
  if (!value.IsString()) refuse(value, role, expected);
  return value.As<Napi::String>().Utf8Value();
}

Napi::Array list(const Napi::Value& value, const std::string& role, const char* expected) {
  if (!value.IsArray()) refuse(value, role, expected);
  return value.As<Napi::Array>();
}

double number(const Napi::Value& value, const std::string& role) {
  if (!value.IsNumber()) refuse(value, role, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

bool boolean(const Napi::Value& value, const std::string& role) {
  if (!value.IsBoolean()) refuse(value, role, "true or false");
  return value.As<Napi::Boolean>().Value();
}

/// A JavaScript array, or one value that stands for `length` equal ones.
template <typename Item, typename Read>
c10::List<Item> readList(const Napi::Value& value, const Argument& argument, const char* expected, Read read) {
  c10::List<Item> result;
  if (!value.IsArray() && argument.length) {
    for (int32_t i = 0; i < *argument.length; i++) result.push_back(read(value));
    return result;
  }
  const Napi::Array array = list(value, argument.name, expected);
  const uint32_t length = array.Length();
  for (uint32_t i = 0; i < length; i++) result.push_back(read(array.Get(i)));
  return result;
}

c10::IValue listToIValue(const Napi::Value& value, const Argument& argument, const c10::Type& element) {
  const std::string& role = argument.name;
  switch (element.kind()) {
    case Kind::IntType:
    case Kind::SymIntType:
      return readList<int64_t>(value, argument, "an array of integers", [&](const Napi::Value& v) { return integer(v, role); });
    case Kind::FloatType:
      return readList<double>(value, argument, "an array of numbers", [&](const Napi::Value& v) { return number(v, role); });
    case Kind::BoolType:
      return readList<bool>(value, argument, "an array of booleans", [&](const Napi::Value& v) { return boolean(v, role); });
    case Kind::TensorType:
      return readList<at::Tensor>(value, argument, "an array of Tensors", [&](const Napi::Value& v) { return TensorHandle::unwrap(v, role); });
    case Kind::NumberType: {
      c10::impl::GenericList scalars(c10::NumberType::get());
      const Napi::Array array = list(value, role, "an array of numbers");
      for (uint32_t i = 0; i < array.Length(); i++) scalars.push_back(toScalar(array.Get(i), role));
      return scalars;
    }
    case Kind::OptionalType: {
      const auto inner = element.castRaw<c10::OptionalType>()->getElementType()->kind();
      if (inner == Kind::NumberType) {
        c10::impl::GenericList scalars(c10::OptionalType::create(c10::NumberType::get()));
        const Napi::Array array = list(value, role, "an array of numbers and nulls");
        for (uint32_t i = 0; i < array.Length(); i++) {
          const Napi::Value item = array.Get(i);
          scalars.push_back(absent(item) ? c10::IValue() : c10::IValue(toScalar(item, role)));
        }
        return scalars;
      }
      if (inner != Kind::TensorType) break;
      return readList<std::optional<at::Tensor>>(value, argument, "an array of Tensors and nulls", [&](const Napi::Value& v) {
        return absent(v) ? std::nullopt : std::optional<at::Tensor>(TensorHandle::unwrap(v, role));
      });
    }
    default: break;
  }
  throw makeError(value.Env(), "ERR_TORCH_UNSUPPORTED", role + ": lists of " + element.str() + " cannot be passed from JavaScript");
}

}  // namespace

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return "undefined Tensor";
  std::ostringstream out;
  out << dtypeName(tensor.scalar_type());
  if (tensor.layout() != at::kStrided) out << ' ' << tensor.layout();
  if (tensor.is_nested()) return out.str() + " nested";
  out << '[';
  for (int64_t i = 0; i < tensor.dim(); i++) out << (i ? ", " : "") << tensor.size(i);
  out << ']';
  if (!tensor.device().is_cpu()) out << '@' << tensor.device().str();
  return out.str();
}

std::string describe(const Napi::Value& value, int depth) {
  if (const at::Tensor* tensor = TensorHandle::peek(value)) return describe(*tensor);
  if (value.IsString()) return '"' + value.As<Napi::String>().Utf8Value().substr(0, 60) + '"';
  if (value.IsArray()) {
    if (depth == 0) return "[…]";
    const Napi::Array array = value.As<Napi::Array>();
    std::string out = "[";
    for (uint32_t i = 0; i < array.Length() && i < 8; i++) out += (i ? ", " : "") + describe(Napi::Value(array.Get(i)), depth - 1);
    return out + (array.Length() > 8 ? ", …]" : "]");
  }
  if (value.IsFunction()) return "a function";
  if (TensorHandle::isDisposed(value)) return "a disposed Tensor";
  if (value.IsObject()) return "an object";
  if (value.IsSymbol()) return "a symbol";
  return value.ToString().Utf8Value();
}

std::string dtypeName(at::ScalarType type) {
  for (const auto& [name, candidate] : kDtypes) {
    if (candidate == type) return name;
  }
  return c10::toString(type);
}

at::ScalarType dtype(const Napi::Value& value, const std::string& role) {
  const std::string name = text(value, role, "a dtype such as 'float32'");
  for (const auto& [candidate, type] : kDtypes) {
    if (name == candidate) return type;
  }
  refuse(value, role, "a dtype such as 'float32', 'bfloat16', 'int64' or 'bool'");
}

c10::Device device(const Napi::Value& value, const std::string& role) {
  const std::string name = text(value, role, "a device such as 'cpu' or 'cuda:0'");
  return guarded(value.Env(), [&] { return role; }, [&] { return c10::Device(name); });
}

at::MemoryFormat memoryFormat(const Napi::Value& value, const std::string& role) {
  const std::string name = text(value, role, "a memory format such as 'channels_last'");
  if (name == "contiguous_format") return at::MemoryFormat::Contiguous;
  if (name == "preserve_format") return at::MemoryFormat::Preserve;
  if (name == "channels_last") return at::MemoryFormat::ChannelsLast;
  if (name == "channels_last_3d") return at::MemoryFormat::ChannelsLast3d;
  refuse(value, role, "'contiguous_format', 'preserve_format', 'channels_last' or 'channels_last_3d'");
}

int64_t integer(const Napi::Value& value, const std::string& role) {
  if (value.IsBigInt()) {
    bool lossless = false;
    const int64_t result = value.As<Napi::BigInt>().Int64Value(&lossless);
    if (!lossless) refuse(value, role, "an integer of 64 bits");
    return result;
  }
  const double result = number(value, role);
  if (std::trunc(result) != result || std::abs(result) > kSafeInteger) refuse(value, role, "an integer");
  return static_cast<int64_t>(result);
}

std::vector<int64_t> integers(const Napi::Value& value, const std::string& role) {
  const Napi::Array array = list(value, role, "an array of integers");
  std::vector<int64_t> result;
  for (uint32_t i = 0; i < array.Length(); i++) result.push_back(integer(array.Get(i), role));
  return result;
}

c10::Scalar toScalar(const Napi::Value& value, const std::string& role) {
  if (value.IsBoolean()) return c10::Scalar(value.As<Napi::Boolean>().Value());
  if (value.IsBigInt()) return c10::Scalar(integer(value, role));
  const double result = number(value, role);
  if (std::trunc(result) == result && std::abs(result) <= kSafeInteger && !(result == 0 && std::signbit(result))) {
    return c10::Scalar(static_cast<int64_t>(result));
  }
  return c10::Scalar(result);
}

Napi::Value fromScalar(Napi::Env env, const c10::Scalar& scalar) {
  if (scalar.isBoolean()) return Napi::Boolean::New(env, scalar.toBool());
  if (scalar.isComplex()) throw makeError(env, "ERR_TORCH_UNSUPPORTED", "complex numbers have no JavaScript counterpart; use view_as_real");
  return Napi::Number::New(env, scalar.toDouble());
}

c10::IValue toIValue(const Napi::Value& value, const Argument& argument) {
  const std::string& role = argument.name;
  const c10::Type* type = argument.type.get();
  if (type->kind() == Kind::OptionalType) {
    if (absent(value)) return {};
    type = type->castRaw<c10::OptionalType>()->getElementType().get();
  }
  switch (type->kind()) {
    case Kind::TensorType: return TensorHandle::unwrap(value, role);
    case Kind::IntType:
    case Kind::SymIntType: return integer(value, role);
    case Kind::FloatType: return number(value, role);
    case Kind::BoolType: return boolean(value, role);
    case Kind::NumberType: return toScalar(value, role);
    case Kind::StringType: return text(value, role, "a string");
    case Kind::ScalarTypeType: return static_cast<int64_t>(dtype(value, role));
    case Kind::DeviceObjType: return device(value, role);
    case Kind::MemoryFormatType: return static_cast<int64_t>(memoryFormat(value, role));
    case Kind::LayoutType:
      if (text(value, role, "'strided'") != "strided") refuse(value, role, "'strided'");
      return static_cast<int64_t>(at::kStrided);
    case Kind::ListType: return listToIValue(value, argument, *type->castRaw<c10::ListType>()->getElementType());
    default:
      throw makeError(value.Env(), "ERR_TORCH_UNSUPPORTED", role + ": a " + type->str() + " cannot be passed from JavaScript");
  }
}

Napi::Value fromIValue(Napi::Env env, const c10::IValue& value) {
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    return tensor.defined() ? TensorHandle::wrap(env, tensor) : env.Null();
  }
  if (value.isNone()) return env.Null();
  if (value.isInt()) return Napi::Number::New(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return Napi::Number::New(env, value.toDouble());
  if (value.isBool()) return Napi::Boolean::New(env, value.toBool());
  if (value.isString()) return Napi::String::New(env, value.toStringRef());
  if (value.isDevice()) return Napi::String::New(env, value.toDevice().str());
  if (value.isScalar()) return fromScalar(env, value.toScalar());
  if (value.isTuple() || value.isList()) {
    const auto items = value.isTuple() ? value.toTupleRef().elements().vec() : value.toListRef().vec();
    Napi::Array array = Napi::Array::New(env, items.size());
    for (size_t i = 0; i < items.size(); i++) array[static_cast<uint32_t>(i)] = fromIValue(env, items[i]);
    return array;
  }
  throw makeError(env, "ERR_TORCH_UNSUPPORTED", "a result of type " + value.tagKind() + " has no JavaScript counterpart");
}

}  // namespace aaunet
