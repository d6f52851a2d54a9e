//! `google.protobuf.Any`: a message that says its own type in `@type`.

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use serde_json::Value as Json;

use super::{Walker, describe, suggest, wkt};
use crate::{encode, pool};

impl Walker {
    /// Reads an Any and encodes the message in it, deterministically.
    pub(super) fn any(&mut self, any: &MessageDescriptor, json: &Json) -> Option<DynamicMessage> {
        let Some(object) = json.as_object() else {
            self.error(format!("must be an object with an @type, not {}", describe(json)));
            return None;
        };
        let mark = self.path.mark();
        let type_url = match object.get("@type") {
            Some(Json::String(type_url)) => type_url,
            Some(other) => {
                self.path.field("@type");
                self.error(format!("must be a string, not {}", describe(other)));
                self.path.back(mark);
                return None;
            }
            None => {
                self.path.field("@type");
                self.error("is missing: it says which message this is");
                self.path.back(mark);
                return None;
            }
        };
        let Some(descriptor) = pool::message_of(type_url).filter(|_| type_url.contains('/')) else {
            self.path.field("@type");
            self.unknown_type(type_url);
            self.path.back(mark);
            return None;
        };
        let inner = if wkt::is_special(descriptor.full_name()) {
            // Their JSON is not an object of their fields, so it stands under `value`.
            self.path.field("value");
            let inner = self.message(&descriptor, object.get("value").unwrap_or(&Json::Null));
            self.path.back(mark);
            inner?
        } else {
            self.object(&descriptor, object, Some("@type"))
        };
        let body = encode::encode(&inner);
        if DynamicMessage::decode(descriptor, body.as_slice()).is_err() {
            self.error(wkt::TOO_DEEP);
            return None;
        }
        let mut message = DynamicMessage::new(any.clone());
        message.set_field_by_name("type_url", Value::String(type_url.clone()));
        message.set_field_by_name("value", Value::Bytes(body.into()));
        Some(message)
    }

    fn unknown_type(&mut self, type_url: &str) {
        const PREFIX: &str = "type.googleapis.com/";
        self.wrong(|| {
            let name = type_url.rsplit('/').next().unwrap_or_default();
            let messages = pool::pool().all_messages().map(|message| message.full_name().to_owned());
            let suggestion = suggest::nearest(name, messages).map(|name| format!("{PREFIX}{name}"));
            (format!("type {type_url:?} is not known to this Envoy"), suggestion)
        });
    }
}
