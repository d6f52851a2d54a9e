//! Numbers, strings, bytes, bools and enums.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost_reflect::{EnumDescriptor, Kind, MapKey, Value};
use serde_json::Value as Json;

use super::{describe, suggest};

/// Takes base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a value is not what the field takes.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self { message, suggestion: None }
    }
}

pub(super) fn value(kind: &Kind, json: &Json) -> Result<Value, Wrong> {
    let value = match kind {
        Kind::Double => Value::F64(float(json)?),
        Kind::Float => Value::F32(single(json)?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(integer(json)?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(integer(json)?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(integer(json)?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(integer(json)?),
        Kind::Bool => Value::Bool(json.as_bool().ok_or_else(|| expected("true or false", json))?),
        Kind::String => Value::String(text(json)?.to_owned()),
        Kind::Bytes => Value::Bytes(bytes(json)?.into()),
        Kind::Enum(of) => Value::EnumNumber(enumerator(of, json)?),
        Kind::Message(of) => return Err(format!("a message {} is no scalar", of.full_name()).into()),
    };
    Ok(value)
}

/// A map key, which JSON always has as text.
pub(super) fn key(kind: &Kind, key: &str) -> Result<MapKey, String> {
    let wrong = |expected: &str| format!("the key must be {expected}");
    let integer = "an integer in the range of its type";
    match kind {
        Kind::String => Ok(MapKey::String(key.to_owned())),
        Kind::Bool => key.parse().map(MapKey::Bool).map_err(|_| wrong("true or false")),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => key.parse().map(MapKey::I32).map_err(|_| wrong(integer)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => key.parse().map(MapKey::I64).map_err(|_| wrong(integer)),
        Kind::Uint32 | Kind::Fixed32 => key.parse().map(MapKey::U32).map_err(|_| wrong(integer)),
        Kind::Uint64 | Kind::Fixed64 => key.parse().map(MapKey::U64).map_err(|_| wrong(integer)),
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_) => Err(wrong("another type")),
    }
}

fn expected(what: &str, json: &Json) -> String {
    format!("must be {what}, not {}", describe(json))
}

fn text(json: &Json) -> Result<&str, String> {
    json.as_str().ok_or_else(|| expected("a string", json))
}

/// Integers come as numbers, as floats without a fraction, or as decimal strings.
fn integer<T: TryFrom<i128> + Bounds>(json: &Json) -> Result<T, String> {
    let wide = match json {
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(signed), _, _) => Some(i128::from(signed)),
            (_, Some(unsigned), _) => Some(i128::from(unsigned)),
            // Beyond 2^53 a float is no exact integer any more, and beyond i128 the cast saturates: out of range both.
            (_, _, Some(float)) if float.fract() == 0.0 => Some(float as i128),
            _ => None,
        },
        Json::String(text) => text.parse().ok(),
        _ => None,
    };
    let wide = wide.ok_or_else(|| expected("an integer", json))?;
    T::try_from(wide).map_err(|_| format!("must be between {} and {}, not {wide}", T::MIN, T::MAX))
}

/// The range of an integer type, to tell it.
trait Bounds {
    const MIN: i128;
    const MAX: i128;
}

macro_rules! bounds {
    ($($int:ident)*) => {$(
        impl Bounds for $int {
            const MIN: i128 = $int::MIN as i128;
            const MAX: i128 = $int::MAX as i128;
        }
    )*};
}
bounds!(i32 i64 u32 u64);

fn float(json: &Json) -> Result<f64, String> {
    let value = match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            decimal => decimal.parse().ok().filter(|value: &f64| value.is_finite()),
        },
        _ => None,
    };
    value.ok_or_else(|| expected("a number", json))
}

fn single(json: &Json) -> Result<f32, String> {
    let double = float(json)?;
    let single = double as f32;
    if double.is_finite() && single.is_infinite() {
        return Err(format!("must be between {} and {}, not {double}", f32::MIN, f32::MAX));
    }
    Ok(single)
}

/// Base64, standard or URL-safe.
fn bytes(json: &Json) -> Result<Vec<u8>, String> {
    let standard = text(json)?.replace('-', "+").replace('_', "/");
    BASE64.decode(standard).map_err(|_| expected("base64", json))
}

fn enumerator(of: &EnumDescriptor, json: &Json) -> Result<i32, Wrong> {
    let wrong = || {
        let names = of.values().map(|value| value.name().to_owned()).collect::<Vec<_>>();
        let message = expected(&format!("one of {}", names.join(", ")), json);
        Wrong { message, suggestion: json.as_str().and_then(|name| suggest::nearest(name, names)) }
    };
    match json {
        Json::Null if of.full_name() == "google.protobuf.NullValue" => Ok(0),
        Json::String(name) => of.get_value_by_name(name).map(|value| value.number()).ok_or_else(wrong),
        Json::Number(_) => Ok(integer(json)?),
        _ => Err(wrong()),
    }
}
